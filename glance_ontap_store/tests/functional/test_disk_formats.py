# SPDX-License-Identifier: Apache-2.0
"""Images of every disk format through Glance, which inspects them on the way in."""

import hashlib
from pathlib import Path
import subprocess
from typing import Any

import pytest

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests.disk_formats import DiskImage
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User

IMAGES = disk_formats.every_image()
ALLOWED = [image for image in IMAGES if image.is_allowed]
BANNED = [image for image in IMAGES if not image.is_allowed]
KNOWN_TO_QEMU = [image for image in IMAGES if image.qemu_format]


def _name(image: DiskImage) -> str:
    return image.name


@pytest.mark.parametrize("is_sized", [True, False], ids=["known-size", "unknown-size"])
@pytest.mark.parametrize("image", ALLOWED, ids=_name)
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
