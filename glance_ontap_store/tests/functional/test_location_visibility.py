# SPDX-License-Identifier: Apache-2.0
"""Volumes from images of each visibility, by both ways in which Cinder finds locations.

`test_location_api` has the requests of users for locations.
"""

from collections.abc import Iterator
import contextlib
from typing import Any

import openstack.exceptions
import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import policies
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab.polling import wait_until


@pytest.fixture(
    scope="module", params=sampling.one_of(2, ["service token", "credentials"])
)
def way(request: Any, lab: Any, admin: Any) -> Iterator[str]:
    """Cinder's way to read locations; the first is the lab's."""
    with contextlib.ExitStack() as undo:
        if request.param == "credentials":
            undo.enter_context(policies.credentials_for_glance(lab, admin))
        yield request.param


# Visibility, and whether bob's project is a member; who gets a clone.
VISIBLE = {
    "private": {"alice", "admin"},
    "shared": {"alice", "admin"},
    "shared, pending": {"alice", "bob", "admin"},
    "shared, accepted": {"alice", "bob", "admin"},
    "community": {"alice", "bob", "admin"},
    "public": {"alice", "bob", "admin"},
}


def refusal(user: User, image_id: str) -> int | None:
    """Begin to make a volume from the image; return the code of a refusal."""
    try:
        user.volume(wait=False, size=1, image_id=image_id, volume_type="ontap-fv1")
    except openstack.exceptions.HttpException as refused:
        return refused.status_code
    return None


@pytest.mark.parametrize("case", sampling.one_of(3, VISIBLE))
def test_whoever_sees_an_image_gets_a_clone_and_nobody_else_a_volume(
    lab: Any,
    admin: Any,
    bob: Any,
    way: str,
    user: User,
    other: User,
    operator: User,
    case: str,
) -> None:
    image = user.uploaded(Sized(MIB))
    images.make_visible(admin, bob, image.id, case)
    requesters = {"alice": user, "bob": other, "admin": operator}
    refusals = {who: refusal(asked, image.id) for who, asked in requesters.items()}
    assert refusals == {
        who: None if who in VISIBLE[case] else 400 for who in requesters
    }
    for who in VISIBLE[case]:
        requesters[who].settled()
    assert images.data_reads(lab, image.id) == []


def test_cinders_own_upload_registers_a_clone(
    lab: Any, admin: Any, way: str, user: User
) -> None:
    """``image_upload_use_cinder_backend``, for a user's own volume."""
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
    with direct.cinder_options(lab, options):
        volume = user.volume(size=1, volume_type="ontap-fv1")
        made = user.cloud.block_storage.post(
            f"/volumes/{volume.id}/action",
            json={
                "os-volume_upload_image": {
                    "image_name": "from-volume",
                    "disk_format": "raw",
                    "container_format": "bare",
                }
            },
        ).json()["os-volume_upload_image"]["image_id"]
        wait_until(
            lambda: user.cloud.image.get_image(made).hash_value,
            "Cinder has registered the image, and Glance has hashed it",
        )
        try:
            assert not [
                request
                for request in lab.glance_requests()
                if (request["method"], request["path"])
                == ("PUT", f"/v2/images/{made}/file")
            ]
            assert user.stores(made) == ["fv1"]
            before = len(images.data_reads(lab, made))
            user.volume(size=1, image_id=made, volume_type="ontap-fv1")
            assert len(images.data_reads(lab, made)) == before
        finally:
            user.cloud.image.delete_image(made, ignore_missing=True)
