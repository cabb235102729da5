# SPDX-License-Identifier: Apache-2.0
"""Bob's attempts at alice's images and volumes, and what they tell him."""

from collections.abc import Iterator
import contextlib
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional import policies
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab.polling import wait_until

# Through Glance


@pytest.mark.shared
@pytest.mark.parametrize("store", ["fv1", "own"])
def test_a_private_image(
    lab: Any, bob: Any, user: User, other: User, store: str
) -> None:
    image = user.uploaded(Sized(MIB), store)
    path = f"/images/{image.id}"
    for answer in (
        bob.image.get(path),
        other.download(image.id),
        other.download(image.id, Range="bytes=0-9"),
        other.put(image, Sized(MIB), store),
        bob.image.delete(path),
        bob.image.delete(f"/stores/{store}/{image.id}"),
        bob.image.get(f"{path}/locations"),
    ):
        assert answer.status_code in (403, 404), answer.text
        assert "cinder" not in answer.text
    assert user.download(image.id).content == pattern.at(0, MIB)


class Targets:
    """Volumes of alice and of the service project, and missing ones."""

    def __init__(self, admin: Any, user: User) -> None:
        self._admin = admin
        hers = self.volume_of(user.uploaded(Sized(MIB)))
        owned = self.volume_of(user.uploaded(Sized(MIB), "own"))
        plain = user.volume(volume_type="ontap-fv1").id
        second = self.volume_of(user.uploaded(Sized(MIB), "fv2"))
        nothing = str(uuid.uuid4())
        services = direct.owner("fv1").block_storage
        # Upstream's store (``peer``) takes every volume of its type for an image's.
        self.services = services.create_volume(size=1, volume_type="ontap-fv2")
        services.wait_for_status(self.services, status="available")
        # Description -> the store to ask, and the URL.
        self.urls = {
            "her image-volume": ("fv1", f"cinder://fv1/{hers}"),
            "hers, in the other form": ("fv1", f"cinder://{hers}"),
            "her image-volume in her project": ("own", f"cinder://own/{owned}"),
            "hers, by a store that sees all": ("own", f"cinder://own/{hers}"),
            "her volume": ("fv1", f"cinder://fv1/{plain}"),
            "her volume, by a store that sees all": ("own", f"cinder://own/{plain}"),
            "the service's volume": ("fv1", f"cinder://fv1/{self.services.id}"),
            "the service's, seen": ("own", f"cinder://own/{self.services.id}"),
            "another store's": ("fv2", f"cinder://fv1/{hers}"),
            "another store's id": ("fv2", f"cinder://fv2/{hers}"),
            "hers of another store": ("fv1", f"cinder://fv1/{second}"),
            "none": ("fv1", f"cinder://fv1/{nothing}"),
            "an empty image's": ("fv1", "cinder://fv1/empty"),
            "none in the other": ("own", f"cinder://own/{nothing}"),
        }

    def volume_of(self, image: Any) -> str:
        return str(images.image_volume(self._admin, image.id).id)

    def clean(self) -> None:
        direct.owner("fv1").block_storage.delete_volume(self.services.id)


@pytest.fixture
def targets(admin: Any, user: User) -> Iterator[dict[str, tuple[str, str]]]:
    made = Targets(admin, user)
    yield made.urls
    made.clean()


def patch(cloud: Any, image_id: str, store: str, url: str) -> Any:
    """Add a location; return Glance's answer."""
    location = {"url": url, "metadata": {"store": store}}
    return cloud.image.patch(
        f"/images/{image_id}",
        json=[{"op": "add", "path": "/locations/-", "value": location}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
    )


def post(cloud: Any, image_id: str, url: str) -> Any:
    return cloud.image.post(f"/images/{image_id}/locations", json={"url": url})


def said(answer: Any, url: str) -> tuple[int, str]:
    """Return code and text, without the URL."""
    return answer.status_code, answer.text.replace(url, "URL")


@pytest.fixture(scope="class")
def locations_shown(lab: Any) -> Iterator[None]:
    with direct.glance_options(lab, {"DEFAULT": {"show_multiple_locations": "true"}}):
        yield


@pytest.mark.usefixtures("locations_shown")
class TestLocationsShown:
    """``show_multiple_locations``, as older Cinder needs it."""

    def test_a_foreign_location_is_refused(
        self, bob: Any, other: User, targets: dict[str, tuple[str, str]]
    ) -> None:
        image = other.image()
        words = {
            what: said(patch(bob, image.id, store, url), url)
            for what, (store, url) in targets.items()
        }
        codes = {what: code for what, (code, _text) in words.items()}
        assert codes == dict.fromkeys(targets, 400)
        assert len(set(words.values())) == 1, words
        shown = bob.image.get(f"/images/{image.id}").json()
        assert shown["status"] == "queued"
        assert not shown["locations"]

    def test_the_same_images_volume_in_another_store(
        self, admin: Any, bob: Any, other: User
    ) -> None:
        """His own image, and his own volume: but of the store that wrote it."""
        image = other.uploaded(Sized(MIB), "fv2")
        volume = images.image_volume(admin, image.id)
        for store, url in (
            ("fv1", f"cinder://fv1/{volume.id}"),
            ("fv1", f"cinder://fv2/{volume.id}"),
            ("own", f"cinder://own/{volume.id}"),
        ):
            assert patch(bob, image.id, store, url).status_code == 400, url
        assert other.stores(image.id) == ["fv2"]
        assert other.download(image.id).content == pattern.at(0, MIB)

    def test_known_limit_two_images_of_an_owner_share_a_volume(
        self, admin: Any, user: User
    ) -> None:
        """Glance does not tell the store which image a request is for."""
        first = user.uploaded(Sized(MIB))
        volume = images.image_volume(admin, first.id)
        second = user.image()
        url = f"cinder://fv1/{volume.id}"
        assert patch(user.cloud, second.id, "fv1", url).status_code == 200
        assert user.download(second.id).content == pattern.at(0, MIB)
        user.cloud.image.delete_image(second.id, ignore_missing=False)
        wait_until(
            lambda: not images.image_volumes(admin, first.id), "the volume is gone"
        )

    def test_the_documented_policy_closes_locations_to_users(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        """Also to locations of the user's own images."""
        first = user.uploaded(Sized(MIB))
        url = f"cinder://fv1/{images.image_volume(admin, first.id).id}"
        second = user.image()
        text = policies.documented("locations.rst", "set_image_location")
        with policies.policy_file(lab, "glance", text):
            assert patch(user.cloud, second.id, "fv1", url).status_code == 403

    def test_deleting_a_foreign_location_keeps_the_volume(
        self, admin: Any, bob: Any, user: User, other: User
    ) -> None:
        """An administrator's mistake: bob's image has alice's volume."""
        first = user.uploaded(Sized(MIB))
        volume = images.image_volume(admin, first.id)
        image = other.image()
        url = f"cinder://fv1/{volume.id}"
        assert patch(admin, image.id, "fv1", url).status_code == 200
        refused = bob.image.delete(f"/images/{image.id}")
        assert refused.status_code == 403, refused.text
        assert user.download(first.id).content == pattern.at(0, MIB)
        answer = admin.image.patch(
            f"/images/{first.id}",
            json=[{"op": "replace", "path": "/owner", "value": bob.current_project_id}],
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
        )
        assert answer.status_code == 200, answer.text
        # Now the image that the volume was made for is bob's.
        assert bob.image.delete(f"/images/{first.id}").status_code == 204


@pytest.mark.parametrize(
    "rules",
    [pytest.param(None, marks=pytest.mark.long), '"add_image_location": ""'],
)
def test_the_location_api_is_for_services(
    lab: Any,
    bob: Any,
    other: User,
    targets: dict[str, tuple[str, str]],
    rules: str | None,
) -> None:
    """With Glance's default policy, and with one that permits all users."""
    with contextlib.ExitStack() as undo:
        if rules:
            undo.enter_context(policies.policy_file(lab, "glance", f"{rules}\n"))
        image = other.image()
        words = {said(post(bob, image.id, url), url) for _, url in targets.values()}
        assert {code for code, _text in words} == {403}, words
        assert len(words) == 1
        shown = bob.image.get(f"/images/{image.id}").json()
        assert shown["status"] == "queued"
        assert not shown.get("stores")


# Through Cinder: the volume is alice's own


def act(cloud: Any, volume_id: str, **action: Any) -> int:
    answer = cloud.block_storage.post(
        f"/volumes/{volume_id}/action", json=action, microversion="3.54"
    )
    return int(answer.status_code)


def attach(cloud: Any, volume_id: str, mode: str) -> int:
    """Attach the volume as a host that does not belong to nova."""
    answer = cloud.block_storage.post(
        "/attachments",
        json={
            "attachment": {
                "volume_uuid": volume_id,
                "connector": {"host": "hers", "ip": "127.0.0.1", "mode": mode},
                "mode": mode,
            }
        },
        microversion="3.54",
    )
    return int(answer.status_code)


def attachments(admin: Any, volume_id: str) -> list[Any]:
    found = admin.block_storage.get(
        f"/attachments?all_tenants=1&volume_id={volume_id}", microversion="3.54"
    ).json()["attachments"]
    return list(found)


@pytest.fixture
def owned(admin: Any, user: User) -> Any:
    """An image of alice and its image-volume."""
    image = user.uploaded(Sized(MIB), "own")
    return image, images.image_volume(admin, image.id).id


@pytest.mark.shared
def test_service_owned_image_volumes_are_out_of_reach(admin: Any, user: User) -> None:
    image = user.uploaded(Sized(MIB))
    volume_id = images.image_volume(admin, image.id).id
    storage = user.cloud.block_storage
    assert storage.get(f"/volumes/{volume_id}").status_code == 404
    assert storage.delete(f"/volumes/{volume_id}").status_code == 404
    assert attach(user.cloud, volume_id, "ro") == 404
    for action in (
        {"os-extend": {"new_size": 2}},
        {"os-retype": {"new_type": "ontap", "migration_policy": "never"}},
        {"os-update_readonly_flag": {"readonly": False}},
    ):
        assert act(user.cloud, volume_id, **action) == 404


@pytest.mark.shared
def test_the_owner_cannot_attach_a_sealed_volume_for_writing(
    admin: Any, user: User, owned: Any
) -> None:
    image, volume_id = owned
    attach(user.cloud, volume_id, "rw")
    for each in attachments(admin, volume_id):
        assert each.get("attach_mode") != "rw" or each["status"] != "attached"
        admin.block_storage.delete(f"/attachments/{each['id']}", microversion="3.54")
    assert user.download(image.id).content == pattern.at(0, MIB)


@pytest.mark.shared
def test_known_limit_the_owner_may_delete_its_volume(
    admin: Any, user: User, owned: Any
) -> None:
    """With Cinder's default policies; Glance can still delete the image."""
    image, volume_id = owned
    assert user.cloud.block_storage.delete(f"/volumes/{volume_id}").status_code == 202
    wait_until(lambda: not images.image_volumes(admin, image.id), "the volume is gone")
    assert user.cloud.image.delete(f"/images/{image.id}").status_code == 204


@contextlib.contextmanager
def protected(lab: Any, admin: Any) -> Iterator[None]:
    (kind,) = (t for t in admin.block_storage.types() if t.name == "ontap-own")
    text = policies.documented("isolation.rst", "image_volume")
    text = text.replace("VOLUME_TYPE_ID", kind.id)
    with policies.policy_file(lab, "cinder", text, restarted="cinder-api"):
        yield


def test_policies_by_volume_type_protect_the_owners_image_volumes(
    lab: Any, admin: Any, user: User
) -> None:
    with protected(lab, admin):
        image = user.uploaded(Sized(MIB), "own")
        volume_id = images.image_volume(admin, image.id).id
        storage = user.cloud.block_storage
        answers = {
            "delete": storage.delete(f"/volumes/{volume_id}").status_code,
            "attach": attach(user.cloud, volume_id, "rw"),
            "read": attach(user.cloud, volume_id, "ro"),
            "metadata": storage.post(
                f"/volumes/{volume_id}/metadata", json={"metadata": {"image_size": "1"}}
            ).status_code,
            "forget": storage.delete(
                f"/volumes/{volume_id}/metadata/image_owner"
            ).status_code,
            "snapshot": storage.post(
                "/snapshots", json={"snapshot": {"volume_id": volume_id}}
            ).status_code,
            "give away": storage.post(
                "/volume-transfers", json={"transfer": {"volume_id": volume_id}}
            ).status_code,
            "extend": act(user.cloud, volume_id, **{"os-extend": {"new_size": 2}}),
            "retype": act(
                user.cloud,
                volume_id,
                **{"os-retype": {"new_type": "ontap", "migration_policy": "never"}},
            ),
            "write": act(
                user.cloud,
                volume_id,
                **{"os-update_readonly_flag": {"readonly": False}},
            ),
            "reserve": act(user.cloud, volume_id, **{"os-reserve": None}),
        }
        assert answers == dict.fromkeys(answers, 403)
        assert attachments(admin, volume_id) == []
        # Other volumes, and the images themselves, are as usual.
        user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
        assert images.data_reads(lab, image.id) == []
        assert user.download(image.id).content == pattern.at(0, MIB)
        user.cloud.image.delete_image(image.id, ignore_missing=False)
        wait_until(
            lambda: not images.image_volumes(admin, image.id), "the volume is gone"
        )
