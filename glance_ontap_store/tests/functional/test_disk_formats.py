# SPDX-License-Identifier: Apache-2.0
"""Images of every disk format through Glance, which inspects them on the way in."""

from collections.abc import Iterator
import contextlib
import hashlib
from pathlib import Path
import subprocess
from typing import Any

from glance_store import exceptions
import pytest

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests.disk_formats import DiskImage
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from lab.polling import wait_until
from lab.stores import make_store
from lab.stores import new_base

IMAGES = disk_formats.every_image()
ALLOWED = [image for image in IMAGES if image.is_allowed]
BANNED = [image for image in IMAGES if not image.is_allowed]
# Of all that are allowed: the others are to Cinder like one of these.
FEW = [
    pytest.param(
        image,
        marks=() if image.name in ("raw", "qcow2", "vdi") else pytest.mark.long,
    )
    for image in ALLOWED
]
QCOW2 = [
    pytest.param(image, marks=() if image.name == "qcow2" else pytest.mark.long)
    for image in ALLOWED
]
KNOWN_TO_QEMU = [image for image in IMAGES if image.qemu_format]


def _name(image: DiskImage) -> str:
    return image.name


@pytest.mark.parametrize("is_sized", [True, False], ids=["known-size", "unknown-size"])
@pytest.mark.parametrize("image", FEW, ids=_name)
def test_an_image_of_each_disk_format_comes_back_unchanged(
    lab: Any, admin: Any, user: User, image: DiskImage, is_sized: bool
) -> None:
    stored = user.image(disk_format=image.disk_format)
    data = image.data if is_sized else iter([image.data])
    answer = user.put(stored, data, "fv1")
    assert answer.status_code == 204, answer.text
    stored = user.cloud.image.get_image(stored.id)
    assert stored.status == "active"
    assert stored.size == len(image.data)
    assert stored.hash_value == hashlib.sha512(image.data).hexdigest()
    assert user.download(stored.id).content == image.data
    path = images.backing_file(lab, images.image_volume(admin, stored.id))
    with path.open("rb") as file:
        assert file.read(len(image.data)) == image.data


@pytest.mark.parametrize("image", BANNED, ids=_name)
def test_a_format_that_glance_bans_is_refused(
    admin: Any, user: User, image: DiskImage
) -> None:
    """Glance decides after the upload, and forgets the stored data (any store's)."""
    refused = user.image(disk_format=image.disk_format)
    answer = user.put(refused, image.data, "fv1")
    forgotten = images.image_volumes(admin, refused.id)
    for volume in forgotten:
        admin.block_storage.delete_volume(volume.id)
    assert answer.status_code == 415, answer.text
    assert "safety" in answer.text
    assert user.cloud.image.get_image(refused.id).status == "queued"


@pytest.mark.parametrize("image", KNOWN_TO_QEMU, ids=_name)
def test_the_images_are_genuine(tmp_path: Path, image: DiskImage) -> None:
    path = tmp_path / "image"
    path.write_bytes(image.data)
    subprocess.run(
        ["qemu-img", "info", "-f", str(image.qemu_format), path],
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def read_here(lab: Any, volume_id: str) -> Iterator[Any]:
    """A stream of an image-volume of fv1 that this process has attached."""
    store = make_store(lab, mount_point_base=new_base())
    stream, _size = store.get(direct.at("fv1", volume_id))
    with contextlib.closing(stream):
        yield stream


@pytest.mark.parametrize("image", FEW, ids=_name)
def test_two_processes_read_an_image_of_each_disk_format_at_once(
    lab: Any, admin: Any, user: User, image: DiskImage
) -> None:
    """Cinder's NFS driver guesses the format of clones, and refuses most of these.

    The first reader is this process, so that the second one is another for sure.
    """
    stored = user.image(disk_format=image.disk_format)
    assert user.put(stored, image.data, "fv1").status_code == 204
    volume = images.image_volume(admin, stored.id)
    with read_here(lab, volume.id) as first:
        answer = user.download(stored.id)
        assert answer.content == image.data
        assert b"".join(first) == image.data
    wait_until(
        lambda: (
            admin.block_storage.get_volume(volume.id).status == "available"
            and not list(
                admin.block_storage.volumes(
                    details=False, all_projects=True, name=f"reading-{volume.id}"
                )
            )
        ),
        "both readers have let go",
    )


@pytest.fixture
def by_cloning(user: User) -> Iterator[Any]:
    """Makes the volume that ``image_upload_use_cinder_backend`` makes of an image."""
    storage = direct.owner("fv1").block_storage
    made = []

    def make(source_id: str, **metadata: str) -> Any:
        clone = storage.create_volume(
            name="by-cinder",
            size=1,
            source_volume_id=source_id,
            metadata={"image_owner": user.cloud.current_project_id, **metadata},
        )
        made.append(clone)
        return storage.wait_for_status(clone, "available", failures=["error"])

    yield make
    for clone in made:
        wait_until(
            lambda clone=clone: storage.get_volume(clone.id).status == "available",
            "the clone is detached",
        )
        storage.delete_volume(clone.id)


@pytest.mark.parametrize("image", FEW, ids=_name)
def test_an_image_that_cinder_made_by_cloning_is_read(
    lab: Any, admin: Any, user: User, by_cloning: Any, image: DiskImage
) -> None:
    stored = user.image(disk_format=image.disk_format)
    assert user.put(stored, image.data, "fv1").status_code == 204
    clone = by_cloning(images.image_volume(admin, stored.id).id)
    if image.disk_format == "qcow2" and lab.protocol == "nfs":
        # Cinder guesses that the file is qcow2, and nothing tells the contrary. A LUN
        # is always raw.
        with pytest.raises(exceptions.BackendException, match="is a qcow2 file"):
            with read_here(lab, clone.id):
                pass
        return
    with read_here(lab, clone.id) as stream:
        piece = next(iter(stream))
        assert piece == image.data[: len(piece)].ljust(len(piece), b"\0")


@pytest.mark.parametrize("image", QCOW2, ids=_name)
def test_two_processes_read_a_sealed_clone_at_once(
    lab: Any, admin: Any, user: User, by_cloning: Any, image: DiskImage
) -> None:
    """As a replica: the second reader reads a clone of a clone."""
    stored = user.image(disk_format=image.disk_format)
    assert user.put(stored, image.data, "fv1").status_code == 204
    source = images.image_volume(admin, stored.id)
    replica = by_cloning(source.id, **source.metadata)
    with read_here(lab, replica.id) as first, read_here(lab, replica.id) as second:
        assert b"".join(second) == image.data
        assert b"".join(first) == image.data
