# SPDX-License-Identifier: Apache-2.0
"""Files of mode 0660 that belong to Cinder's user, while Glance is another user.

``python -m lab run --secure-nfs --stores fv1 pytest FILE`` runs them; so does
``test_secure_nfs.py``, in a lab of its own.
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import threading
from typing import Any

from keystoneauth1 import exceptions
import pytest

from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab import secure_nfs
from lab.polling import wait_until
from lab.secure_nfs import CINDER
from lab.secure_nfs import GLANCE

CINDERS = (CINDER.number, CINDER.number, 0o660)
BY_HELPER = "as its owner"
SIZE = 40 * MIB


def rights(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, status.st_mode & 0o777


def helped(lab: Any) -> int:
    """Return how many files the helper has opened for Glance."""
    return int(lab.log("glance").count(BY_HELPER))


def file_of(lab: Any, admin: Any, image: Any) -> Path:
    return images.backing_file(lab, images.image_volume(admin, image.id))


@contextlib.contextmanager
def halted_upload(lab: Any, user: User, failures: list[Exception]) -> Iterator[Any]:
    """An upload that waits after half of its bytes until the block ends."""
    half, go_on = threading.Event(), threading.Event()
    image = user.image()

    def wait(reader: Pattern) -> None:
        if reader.position >= SIZE // 2:
            half.set()
            go_on.wait(60)

    def upload() -> None:
        try:
            assert user.put(image, Announcing(SIZE, wait), "fv1").status_code == 204
        except Exception as error:
            failures.append(error)

    client = threading.Thread(target=upload)
    client.start()
    try:
        assert half.wait(60)
        yield image
    finally:
        go_on.set()
        client.join()


@pytest.fixture(scope="module", autouse=True)
def debugging(lab: Any) -> None:
    """Glance logs each file that the helper opens for it."""
    assert lab.facts["secure_nfs"], "run this in a lab with --secure-nfs"
    lab.set_glance_option("DEFAULT", "debug", True)
    lab.restart("glance")


@pytest.fixture
def detached(admin: Any) -> Iterator[list[Any]]:
    """Volumes whose attachments are left; both are removed at the end."""
    volumes: list[Any] = []
    yield volumes
    storage = admin.block_storage
    for volume in volumes:
        for attachment in storage.get_volume(volume.id).attachments:
            storage.delete(
                f"/attachments/{attachment['attachment_id']}", microversion="3.54"
            )


class TestTheLab:
    def test_the_services_run_as_different_ordinary_users(self, lab: Any) -> None:
        for service, user in (("glance", GLANCE), ("cinder-volume", CINDER)):
            status = Path(f"/proc/{lab.pid(service)}/status").read_text()
            fields = dict(line.split(":\t") for line in status.splitlines())
            assert set(fields["Uid"].split()) == {str(user.number)}
            assert int(fields["CapEff"], 16) == 0
            assert fields["Groups"].split() == [str(user.number)]
            # CAP_CHOWN is 0, CAP_FOWNER is 3.
            is_squashed = int(fields["CapBnd"], 16) & 0b1001 == 0
            assert is_squashed is (user is GLANCE)

    def test_cinder_chose_secure_nfs_by_itself(self, lab: Any) -> None:
        """The options are auto, and its first start found no volume."""
        flexvols = [lab.flexvol(name) for name in ("fv1", "fv2", "fv3")]
        assert any((path / ".cinderSecureEnvIndicator").exists() for path in flexvols)
        assert rights(flexvols[0]) == (CINDER.number, CINDER.number, 0o755)


class TestOutsideTheGroup:
    """Glance's user may not open the files, and the helper does as their owner."""

    def test_a_file_stays_cinders_during_an_upload(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        before, failures = helped(lab), []
        seen = set()
        with halted_upload(lab, user, failures) as image:
            path = file_of(lab, admin, image)
            seen.add(rights(path))
        assert not failures
        seen.add(rights(path))
        assert seen == {CINDERS}
        assert helped(lab) > before
        assert pattern.first_difference(path, SIZE) is None

    def test_a_file_stays_cinders_while_many_read_it(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        """More readers than a worker has, so that some read a clone of the volume."""
        image = user.uploaded(Sized(SIZE))
        path, before = file_of(lab, admin, image), helped(lab)
        streams = [user.download(image.id) for _reader in range(4)]
        begun = [stream.raw.read(MIB) for stream in streams]
        assert {rights(file) for file in path.parent.glob("volume-*")} == {CINDERS}
        for start, stream in zip(begun, streams, strict=True):
            assert start + stream.raw.read() == pattern.at(0, SIZE)
        assert rights(path) == CINDERS
        assert helped(lab) > before

    @pytest.mark.long
    def test_a_volume_of_an_image_that_is_read_is_cinders_clone(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(Sized(SIZE))
        stream = user.download(image.id)
        start = stream.raw.read(MIB)
        volume = user.volume(image_id=image.id, volume_type="ontap-fv1")
        path = images.backing_file(lab, admin.block_storage.get_volume(volume.id))
        assert rights(path) == CINDERS
        assert pattern.first_difference(path, SIZE) is None
        assert start + stream.raw.read() == pattern.at(0, SIZE)
        # The only download is ours.
        wait_until(
            lambda: images.data_reads(lab, image.id) == [SIZE],
            "Glance has sent the image once",
            state=lambda: images.data_reads(lab, image.id),
        )

    @pytest.mark.long
    def test_a_deleted_image_leaves_no_file(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(Sized(MIB))
        path = file_of(lab, admin, image)
        user.cloud.image.delete_image(image.id)
        wait_until(lambda: not path.exists(), "the file is deleted")

    def test_a_crash_during_an_upload_leaves_the_file_to_cinder(
        self, lab: Any, admin: Any, user: User, detached: list[Any]
    ) -> None:
        failures: list[Exception] = []
        with halted_upload(lab, user, failures) as image:
            volume = images.image_volume(admin, image.id)
            lab.kill("glance")
            assert rights(images.backing_file(lab, volume)) == CINDERS
        assert failures
        lab.start("glance")
        detached.append(volume)

    @pytest.mark.long
    def test_a_crash_during_a_download_leaves_the_file_to_cinder(
        self, lab: Any, admin: Any, user: User, detached: list[Any]
    ) -> None:
        """Cinder clones the image afterwards."""
        image = user.uploaded(Sized(SIZE))
        volume = images.image_volume(admin, image.id)
        stream = user.download(image.id)
        stream.raw.read(MIB)
        lab.kill("glance")
        stream.close()
        assert rights(images.backing_file(lab, volume)) == CINDERS
        lab.start("glance")
        detached.append(volume)
        made = user.volume(image_id=image.id, volume_type="ontap-fv1")
        path = images.backing_file(lab, admin.block_storage.get_volume(made.id))
        assert rights(path) == CINDERS
        assert pattern.first_difference(path, SIZE) is None

    def test_a_file_that_its_owner_may_not_open_is_refused_with_both_users(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        """As where the server knows the owner only by a Kerberos ticket.

        Glance ends the connection of a download that no store can give.
        """
        image = user.uploaded(Sized(MIB))
        path = file_of(lab, admin, image)
        path.chmod(0)
        with pytest.raises(exceptions.ConnectFailure):
            user.download(image.id)
        path.chmod(0o660)
        assert (
            f"opened neither as Glance's user {GLANCE.number} (Permission denied) nor,"
            " by the helper, as the file's owner"
        ) in lab.log("glance")
        assert user.download(image.id).content == pattern.at(0, MIB)

    def test_check_says_that_the_helper_opens_the_files(self, lab: Any) -> None:
        found = file_access(lab)
        assert f"user {GLANCE.number} may not open them, and the helper" in found


def file_access(lab: Any) -> str:
    """Return the finding of ``check --deep`` about files, run as Glance's user."""
    tools = os.path.join(lab.facts["root"], "bin")
    path = os.environ["PATH"].replace(f"{tools}:", "")
    before = ["env", f"PATH={path}", *secure_nfs.command(GLANCE)]
    code, found = Operator(lab).findings("--deep", cloud=None, before=before)
    assert code == 0, found
    (finding,) = (each for each in found if each["Code"] == "file-access")
    return finding["Problem"]


@pytest.fixture(scope="module")
def member(lab: Any) -> None:
    """Do what usermod does, and restart Glance."""
    group = Path("/etc/group")
    line = f"{CINDER.name}:x:{CINDER.number}:\n"
    text = group.read_text()
    assert line in text
    group.write_text(text.replace(line, f"{line.rstrip()}{GLANCE.name}\n"))
    lab.restart("glance")


@pytest.mark.long
@pytest.mark.usefixtures("member")
class TestInTheGroup:
    """As NetApp advises. It comes last: the group is not left again."""

    def test_images_need_no_helper(self, lab: Any, admin: Any, user: User) -> None:
        before, failures = helped(lab), []
        with halted_upload(lab, user, failures) as image:
            path = file_of(lab, admin, image)
            assert rights(path) == CINDERS
        assert not failures
        assert user.download(image.id).content == pattern.at(0, SIZE)
        made = user.volume(image_id=image.id, volume_type="ontap-fv1")
        clone = images.backing_file(lab, admin.block_storage.get_volume(made.id))
        assert rights(path) == rights(clone) == CINDERS
        assert images.data_reads(lab, image.id) == [SIZE]
        assert helped(lab) == before

    def test_check_says_that_glance_opens_the_files(self, lab: Any) -> None:
        assert f"user {GLANCE.number} may open them" in file_access(lab)
