# SPDX-License-Identifier: Apache-2.0
"""glance-ontap adopt: upstream's images in place, and other stores' by copying."""

from collections.abc import Iterator
import hashlib
import json
import os
from pathlib import Path
import signal
import sqlite3
import subprocess
from typing import Any

import pytest

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab import glance
from lab.demo import blocks
from lab.polling import wait_until

# Not a whole number of blocks, with a run of zeros.
DATA = pattern.at(0, MIB) + bytes(4 * MIB) + pattern.at(MIB, MIB) + b"the end"


class Adoption:
    """Runs the command for single images, with and without upstream's store."""

    def __init__(self, lab: Any, endpoint: str) -> None:
        self._operator = Operator(lab)
        self.endpoint = endpoint

    def run(self, image_id: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the image's row."""
        ended = self._operator.run(*self.command(image_id, *arguments))
        assert ended.stdout, ended.stderr
        rows = json.loads(ended.stdout)
        assert len(rows) == 1, (rows, ended.stderr)
        return ended.returncode, rows[0]

    def begin(self, image_id: str, *arguments: str) -> subprocess.Popen[str]:
        """Start the command in a process group of its own."""
        return subprocess.Popen(
            self._operator.command(*self.command(image_id, *arguments)),
            env=self._operator.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def command(image_id: str, *arguments: str) -> tuple[str, ...]:
        options = ("--os-cloud", "admin", "adopt", "--image", image_id, "-f", "json")
        return (*options, *arguments)

    def applied(self, image_id: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        return self.run(
            image_id, "--apply", "--image-endpoint", self.endpoint, *arguments
        )


@pytest.fixture(scope="module")
def adoption(lab: Any) -> Iterator[Adoption]:
    lab.start(glance.OURS)
    yield Adoption(lab, lab.facts["urls"][glance.OURS])
    lab.stop(glance.OURS)


def by_upstream(user: User, data: bytes = DATA, **properties: Any) -> Any:
    image = user.image(**properties)
    answer = user.put(image, data, "peer")
    assert answer.status_code == 204, answer.text
    return user.cloud.image.get_image(image.id)


def assert_adopted(lab: Any, admin: Any, user: User, image: Any) -> None:
    """Assert that the image is fv1's, in one good image-volume."""
    assert user.stores(image.id) == ["fv1"]
    assert user.download(image.id).content == DATA
    wait_until(
        lambda: images.image_volume(admin, image.id).status == "available",
        "the download has let go of the image-volume",
    )
    volume = images.image_volume(admin, image.id)
    assert volume.metadata["ontap_state"] == "sealed"
    assert volume.metadata["ontap_store"] == "fv1"
    assert volume.metadata["ontap_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert volume.metadata["image_size"] == str(len(DATA))
    assert volume.metadata["image_owner"] == image.owner
    assert volume.metadata["readonly"] == "True"
    assert images.backing_file(lab, volume).stat().st_size == volume.size * GIB


@pytest.mark.parametrize(
    "trust", sampling.one_of(2, [(), ("--trust-glance",)]), ids=["verify", "trust"]
)
def test_an_image_of_upstream_becomes_ours_where_it_is(
    lab: Any, admin: Any, user: User, adoption: Adoption, trust: tuple[str, ...]
) -> None:
    image = by_upstream(user)
    volume = images.image_volume(admin, image.id)
    code, row = adoption.run(image.id)
    expected = {
        "Image": image.id,
        "Name": image.name,
        "Size": len(DATA),
        "From": "peer",
        "To": "fv1",
        "Way": "in place",
        "Volume": volume.id,
    }
    assert (code, row) == (0, {**expected, "Result": "planned", "Reason": None})
    assert images.image_volume(admin, image.id).metadata == volume.metadata
    code, row = adoption.applied(image.id, *trust)
    assert (code, row) == (0, {**expected, "Result": "done", "Reason": None})
    assert images.image_volume(admin, image.id).id == volume.id
    assert_adopted(lab, admin, user, image)
    # Users' deletions reach the volume.
    user.cloud.image.delete_image(image.id, ignore_missing=False)
    wait_until(lambda: not images.image_volumes(admin, image.id), "its volume is gone")


@pytest.mark.long
def test_a_volume_of_an_adopted_image_is_a_clone(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    image = by_upstream(user)
    assert adoption.applied(image.id)[0] == 0
    made = user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
    assert images.data_reads(lab, image.id) == []
    path = images.backing_file(lab, admin.block_storage.get_volume(made.id))
    assert path.stat().st_size == GIB
    with path.open("rb") as file:
        assert file.read(len(DATA)) == DATA
    original = images.backing_file(lab, images.image_volume(admin, image.id))
    shared = blocks.extents(str(original))
    assert blocks.not_in(blocks.extents(str(path)), shared) == 0


@pytest.mark.long
def test_with_upstreams_store_enabled_the_location_is_left_and_finished_later(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    """The image is good all the time, and the volume is never deleted."""
    image = by_upstream(user)
    code, row = adoption.run(image.id, "--apply")
    assert (code, row["Result"]) == (1, "left")
    assert "take peer out of enabled_backends" in row["Reason"]
    assert user.stores(image.id) == ["peer"]
    assert user.download(image.id).content == DATA
    code, row = adoption.run(image.id)
    assert (code, row["Way"], row["Result"]) == (0, "location", "planned")
    code, row = adoption.applied(image.id)
    assert (code, row["Result"], row["Reason"]) == (0, "done", None)
    assert_adopted(lab, admin, user, image)


@pytest.mark.long
def test_a_location_of_a_single_store_becomes_ours(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    """``cinder://<volume>``, as Glance without ``enabled_backends`` wrote it."""
    image = by_upstream(user)
    volume = images.image_volume(admin, image.id)
    database = Path(lab.facts["root"]) / "data" / "glance.sqlite"
    with sqlite3.connect(database, timeout=60) as connection:
        changed = connection.execute(
            "update image_locations set value = ?, meta_data = '{}' where image_id = ?",
            (f"cinder://{volume.id}", image.id),
        )
        assert changed.rowcount == 1
    connection.close()
    code, row = adoption.applied(image.id)
    assert (code, row["From"], row["Reason"]) == (0, None, None)
    assert_adopted(lab, admin, user, image)


@pytest.mark.long
def test_images_that_do_not_fit_are_refused_or_fail_and_stay_as_they_are(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    """Nothing is sealed, and upstream's store goes on with them."""
    image = by_upstream(user)
    volume = images.image_volume(admin, image.id)
    with images.reserved(admin, volume.id):
        code, row = adoption.applied(image.id)
        assert (code, row["Result"]) == (1, "left")
        assert "the volume is reserved" in row["Reason"]
    path = images.backing_file(lab, volume)
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"X", MIB)
    code, row = adoption.applied(image.id)
    assert (code, row["Result"]) == (2, "failed")
    assert "not those that Glance has the digest of" in row["Reason"]
    os.truncate(path, len(DATA) - 1)
    code, row = adoption.applied(image.id, "--trust-glance")
    assert (code, row["Result"]) == (2, "failed")
    assert f"ends after {len(DATA) - 1} bytes" in row["Reason"]
    now = images.image_volume(admin, image.id)
    assert now.metadata == volume.metadata
    assert user.stores(image.id) == ["peer"]


@pytest.mark.long
def test_a_qcow2_image_is_not_adopted(user: User, adoption: Adoption) -> None:
    """Cinder guesses that such a file is qcow2, whatever it was."""
    qcow2 = next(each for each in disk_formats.every_image() if each.name == "qcow2")
    image = by_upstream(user, qcow2.data, disk_format="qcow2")
    code, row = adoption.applied(image.id)
    assert (code, row["Result"]) == (2, "failed")
    assert "qcow2" in row["Reason"]


def test_images_of_the_file_store_are_copied_verified_and_removed(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    image = user.uploaded(Sized(3 * MIB + 1), store="file")
    arguments = ("--from", "file", "--store", "fv1")
    code, row = adoption.run(image.id, *arguments)
    assert (code, row["Way"], row["Result"]) == (0, "copy", "planned")
    assert user.stores(image.id) == ["file"]
    code, row = adoption.run(image.id, *arguments, "--apply", "--parallel", "2")
    assert (code, row["Result"], row["Reason"]) == (0, "done", None)
    assert user.stores(image.id) == ["file", "fv1"]
    removing = (*arguments, "--apply", "--verify", "--remove-old")
    code, row = adoption.run(image.id, *removing)
    assert (code, row["Way"], row["Result"]) == (0, "remove old", "done")
    assert user.stores(image.id) == ["fv1"]
    data = Sized(3 * MIB + 1)
    for _piece in data:
        pass
    images.assert_stored(lab, admin, user.cloud.image.get_image(image.id), data)


@pytest.mark.long
def test_the_old_copy_stays_if_the_new_one_is_not_the_image(
    lab: Any, admin: Any, user: User, adoption: Adoption
) -> None:
    image = user.uploaded(Sized(MIB), store="file")
    arguments = ("--from", "file", "--store", "fv1", "--apply")
    assert adoption.run(image.id, *arguments)[0] == 0
    volume = images.image_volume(admin, image.id)
    with images.backing_file(lab, volume).open("r+b") as file:
        os.pwrite(file.fileno(), b"X", 5)
    code, row = adoption.run(image.id, *arguments, "--remove-old", "--verify")
    assert (code, row["Result"]) == (2, "failed")
    assert user.stores(image.id) == ["file", "fv1"]


def test_an_interrupted_copy_is_gone_on_with(user: User, adoption: Adoption) -> None:
    image = user.uploaded(Sized(GIB), store="file")
    arguments = ("--from", "file", "--store", "fv2", "--apply")
    begun = adoption.begin(image.id, *arguments)
    wait_until(
        lambda: (
            "os_glance_import_task"
            in user.cloud.image.get(f"/images/{image.id}").json()
        ),
        "Glance copies it",
    )
    os.killpg(begun.pid, signal.SIGTERM)
    out, err = begun.communicate(timeout=120)
    assert begun.returncode == 1, err
    (row,) = json.loads(out)
    assert row["Result"] == "left"
    assert "run the command again" in row["Reason"]
    code, row = adoption.run(image.id, *arguments)
    assert (code, row["Result"]) == (0, "done")
    assert user.stores(image.id) == ["file", "fv2"]
