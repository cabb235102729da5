# SPDX-License-Identifier: Apache-2.0
"""Images of zero bytes, as Nova makes them of servers that boot from a volume."""

import hashlib
import json
from typing import Any

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab.polling import wait_until

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("store", ["fv1", "own"])
@pytest.mark.parametrize("kind", [Sized, Pattern], ids=["known", "unknown"])
def test_an_empty_image_costs_no_volume(
    admin: Any, user: User, store: str, kind: type[Pattern]
) -> None:
    image = user.uploaded(kind(0), store)
    assert image.status == "active"
    assert image.size == 0
    assert image.checksum == hashlib.md5().hexdigest()
    assert image.hash_value == hashlib.sha512().hexdigest()
    assert images.image_volumes(admin, image.id) == []
    assert user.stores(image.id) == [store]
    got = user.download(image.id)
    assert got.status_code in (200, 204), got.text
    assert got.content == b""
    assert user.cloud.image.delete(f"/images/{image.id}").status_code == 204


def test_an_empty_image_is_imported_without_a_volume(admin: Any, user: User) -> None:
    image = user.image()
    staged = user.cloud.image.put(
        f"/images/{image.id}/stage",
        data=b"",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert staged.status_code == 204, staged.text
    images.start_import(user.cloud, image.id, "glance-direct", "fv1")
    wait_until(
        lambda: user.cloud.image.get_image(image.id).status == "active",
        "Glance has imported it",
    )
    assert images.image_volumes(admin, image.id) == []
    assert user.stores(image.id) == ["fv1"]
    assert user.download(image.id).content == b""


def test_an_empty_image_is_copied_to_other_stores(
    admin: Any, user: User, operator: User
) -> None:
    image = operator.uploaded(Sized(0), "fv1")
    for store in ("fv2", "file"):
        images.start_import(admin, image.id, "copy-image", store)
        wait_until(lambda: images.is_idle(admin, image.id), "Glance has copied it")
    assert operator.stores(image.id) == ["fv1", "fv2", "file"]
    assert images.image_volumes(admin, image.id) == []
    for store in ("fv1", "file"):
        answer = admin.image.delete(f"/stores/{store}/{image.id}")
        assert answer.status_code == 204, answer.text
    assert operator.stores(image.id) == ["fv2"]
    assert operator.download(image.id).content == b""


def test_a_volume_from_novas_snapshot_image_is_one_of_its_snapshot(
    lab: Any, admin: Any, user: User
) -> None:
    """Nova's image of a server: no bytes, and the snapshots of its volumes."""
    volume = user.volume(size=1, volume_type="ontap-fv1")
    with direct.snapshot_as(user.cloud, volume.id) as snapshot:
        mapping = {
            "source_type": "snapshot",
            "destination_type": "volume",
            "boot_index": 0,
            "snapshot_id": snapshot.id,
            "volume_size": 1,
        }
        image = user.image(
            properties={
                "block_device_mapping": json.dumps([mapping]),
                "bdm_v2": "True",
                "root_device_name": "/dev/vda",
            }
        )
        answer = user.put(image, b"", "fv1")
        assert answer.status_code == 204, answer.text
        assert images.image_volumes(admin, image.id) == []
        made = user.volume(size=1, image_id=image.id)
        assert made.snapshot_id == snapshot.id
        assert images.data_reads(lab, image.id) == []


def test_a_volume_from_an_empty_raw_image_is_blank(
    lab: Any, admin: Any, user: User
) -> None:
    """Cinder finds no image-volume, downloads nothing, and the volume is zeros."""
    image = user.uploaded(Sized(0))
    volume = user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
    path = images.backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert path.stat().st_size == 1024**3
    with path.open("rb") as file:
        assert not any(file.read(1024**2))
