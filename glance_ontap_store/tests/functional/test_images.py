# SPDX-License-Identifier: Apache-2.0
"""Images of the store through Glance's API, in the lab."""

from pathlib import Path
from typing import Any

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.images import assert_stored
from glance_ontap_store.tests.functional.images import backing_file
from glance_ontap_store.tests.functional.images import data_reads
from glance_ontap_store.tests.functional.images import image_volume
from glance_ontap_store.tests.functional.images import image_volumes
from glance_ontap_store.tests.functional.images import reserved
from glance_ontap_store.tests.functional.images import start_import
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab.demo import blocks
from lab.polling import wait_until

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(1, id="one-byte"),
        pytest.param(GIB - 1, id="GiB-minus-1", marks=pytest.mark.long),
        pytest.param(GIB, id="GiB", marks=pytest.mark.long),
        pytest.param(GIB + 1, id="GiB-plus-1"),
    ],
)
def test_known_size(lab: Any, admin: Any, user: User, size: int) -> None:
    data = Sized(size)
    assert_stored(lab, admin, user.uploaded(data), data)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(3 * MIB, id="3MiB"),
        pytest.param(GIB, id="GiB", marks=pytest.mark.long),
        pytest.param(5 * GIB // 2, id="2.5GiB", marks=pytest.mark.long),
    ],
)
def test_upstream_unknown_size_became_zeros(
    lab: Any, admin: Any, user: User, size: int
) -> None:
    data = Pattern(size)
    assert_stored(lab, admin, user.uploaded(data), data)


def test_download_and_ranges(user: User) -> None:
    size = 9 * MIB + 5
    image = user.uploaded(Sized(size))
    whole = user.download(image.id)
    assert whole.headers["Content-Length"] == str(size)
    assert whole.content == pattern.at(0, size)
    for first, last in [
        (0, 0),
        (4 * MIB - 1, 4 * MIB),
        (MIB + 3, 8 * MIB),
        (size - 1,) * 2,
    ]:
        part = user.download(image.id, Range=f"bytes={first}-{last}")
        assert part.status_code == 206
        assert part.content == pattern.at(first, last - first + 1)


def test_volume_on_the_same_flexvol_is_a_clone(
    lab: Any, admin: Any, user: User
) -> None:
    # Not a whole number of GiB: upstream's clones are too short then.
    size = 3 * GIB // 2
    image = user.uploaded(Sized(size))
    source = backing_file(lab, image_volume(admin, image.id))
    reads = data_reads(lab, image.id)
    volume = user.volume(size=2, image_id=image.id, volume_type="ontap-fv1")
    path = backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert data_reads(lab, image.id) == reads
    assert blocks.not_in(blocks.extents(str(path)), blocks.extents(str(source))) == 0
    assert path.stat().st_size == 2 * GIB
    assert pattern.first_difference(path, size) is None


def test_volume_on_another_flexvol_is_a_stream(
    lab: Any, admin: Any, user: User
) -> None:
    size = 200 * MIB + 7
    image = user.uploaded(Sized(size))
    volume = user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    path = backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert data_reads(lab, image.id) == [size]
    assert pattern.first_difference(path, size) is None


def test_copy_image_makes_another_flexvol_instant(
    lab: Any, admin: Any, user: User
) -> None:
    data = Sized(64 * MIB)
    image = user.uploaded(data)
    # Glance's default policy lets administrators copy.
    start_import(admin, image.id, "copy-image", "fv2")
    wait_until(
        lambda: (
            len(image_volumes(admin, image.id)) == 2 and "fv2" in user.stores(image.id)
        ),
        "the image is in both stores",
    )
    copies = {
        backing_file(lab, copy).parent: copy for copy in image_volumes(admin, image.id)
    }
    assert len(copies) == 2
    for volume in copies.values():
        assert pattern.first_difference(backing_file(lab, volume), data.size) is None
    reads = data_reads(lab, image.id)
    user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    assert data_reads(lab, image.id) == reads


def test_import_by_glance_direct(lab: Any, admin: Any, user: User) -> None:
    data = Sized(5 * MIB)
    image = user.image()
    answer = user.cloud.image.put(
        f"/images/{image.id}/stage",
        data=data,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 204, answer.text
    start_import(user.cloud, image.id, "glance-direct", "fv1")
    wait_until(
        lambda: user.cloud.image.get_image(image.id).status == "active",
        "the import ends",
    )
    assert_stored(lab, admin, user.cloud.image.get_image(image.id), data)


def test_deleting_an_image_deletes_its_volume(lab: Any, admin: Any, user: User) -> None:
    image = user.uploaded(Sized(MIB))
    path = backing_file(lab, image_volume(admin, image.id))
    user.cloud.image.delete_image(image.id, ignore_missing=False)
    wait_until(lambda: not image_volumes(admin, image.id), "the volume is gone")
    assert not path.exists()


def test_upstream_delete_while_attached_answers_500(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB))
    with reserved(admin, image_volume(admin, image.id).id):
        refused = user.cloud.image.delete(f"/images/{image.id}")
        assert refused.status_code == 409, refused.text
        assert user.cloud.image.get_image(image.id).status == "active"
    assert user.download(image.id).content == pattern.at(0, MIB)


def test_upstream_delete_with_a_snapshot_answers_500(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB))
    with direct.snapshot("fv1", image_volume(admin, image.id).id):
        refused = user.cloud.image.delete(f"/images/{image.id}")
        assert refused.status_code == 409, refused.text
    assert user.cloud.image.get_image(image.id).status == "active"


def test_an_image_whose_volume_is_gone_can_be_deleted(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB))
    volume = image_volume(admin, image.id)
    admin.block_storage.delete_volume(volume.id)
    wait_until(lambda: not image_volumes(admin, image.id), "the volume is gone")
    assert user.cloud.image.delete(f"/images/{image.id}").status_code == 204


@pytest.mark.exclusive
def test_an_image_uploaded_by_cinder_is_served_and_deleted(
    lab: Any, admin: Any, user: User
) -> None:
    """``image_upload_use_cinder_backend``: Cinder clones and registers the URL.

    Set up as the documentation says: the clone belongs to the store's project,
    and the volume has the store's volume type.
    """
    owner = direct.owner("fv1")
    options = {
        "DEFAULT": {
            "cinder_internal_tenant_project_id": owner.current_project_id,
            "cinder_internal_tenant_user_id": owner.current_user_id,
        },
        "ontap": {
            "image_upload_use_cinder_backend": "true",
            "image_upload_use_internal_tenant": "true",
        },
    }
    image = user.uploaded(Sized(MIB))
    with direct.cinder_options(lab, options):
        volume = user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
        made = user.cloud.block_storage.post(
            f"/volumes/{volume.id}/action",
            json={
                "os-volume_upload_image": {
                    "image_name": "from-volume",
                    "disk_format": "raw",
                    "container_format": "bare",
                }
            },
        ).json()["os-volume_upload_image"]
        wait_until(
            lambda: user.cloud.image.get_image(made["image_id"]).status == "active",
            "Cinder has registered the image",
        )
        # Glance reads the image to hash it before Cinder may be restarted.
        wait_until(
            lambda: user.cloud.image.get_image(made["image_id"]).hash_value,
            "Glance has hashed the image",
        )
    (copy,) = [
        each
        for each in admin.block_storage.volumes(all_projects=True)
        if each.metadata.get("glance_image_id") == made["image_id"]
    ]
    assert "ontap_state" not in copy.metadata
    assert user.stores(made["image_id"]) == ["fv1"]
    got = user.download(made["image_id"]).content
    assert got[:MIB] == pattern.at(0, MIB)
    assert len(got) == GIB
    user.cloud.image.delete_image(made["image_id"], ignore_missing=False)
    wait_until(
        lambda: (
            copy.id
            not in {
                found.id for found in admin.block_storage.volumes(all_projects=True)
            }
        ),
        "its volume is gone",
    )


def test_each_store_uses_its_own_user(lab: Any, admin: Any, user: User) -> None:
    """Upstream has one session for the process: the first store's user."""
    users = {}
    for store in ("fv1", "fv2"):
        image = user.uploaded(Sized(MIB), store=store)
        volume = image_volume(admin, image.id)
        users[store] = volume.user_id
        assert volume.metadata["ontap_store"] == store
        assert backing_file(lab, volume).parent == Path(lab.flexvol(store))
    names = {
        store: admin.identity.get_user(user_id).name for store, user_id in users.items()
    }
    assert names == {"fv1": "image-fv1", "fv2": "image-fv2"}


@pytest.mark.exclusive
def test_full_flexvol_is_413_and_leaves_nothing(
    lab: Any, admin: Any, user: User
) -> None:
    flexvol = Path(lab.flexvol("fv3"))
    before = set(flexvol.iterdir())
    image = user.image()
    # fv3 has 3 GiB, and thin volumes: the scheduler lets it begin.
    answer = user.put(image, Sized(7 * GIB // 2), "fv3")
    assert answer.status_code == 413, answer.text
    assert "full" in answer.text
    wait_until(lambda: not image_volumes(admin, image.id), "the volume is gone")
    assert set(flexvol.iterdir()) == before
    assert user.cloud.image.get_image(image.id).status == "queued"


def test_stores_are_listed(admin: Any) -> None:
    stores = admin.image.get("/info/stores").json()["stores"]
    assert {"fv1", "fv2", "fv3", "peer", "file"} <= {store["id"] for store in stores}


def test_stores_detail_fails_for_types_outside_glance(admin: Any) -> None:
    """Shows what Glance does; doc/patches has a correction."""
    answer = admin.image.get("/info/stores/detail")
    assert answer.status_code == 500
