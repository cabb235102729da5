# SPDX-License-Identifier: Apache-2.0
"""Glance's location API with the recommended policy: who sees and sets locations."""

from collections.abc import Iterator
import contextlib
from typing import Any

from openstack import connection
import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab import ini
from lab.polling import wait_until


def token_of(cloud: Any) -> str:
    return str(cloud.session.get_token())


def service(config: Any, group: str) -> connection.Connection:
    """Return the cloud as the service whose user is in *group* of its configuration."""
    login = ini.login(config, group)
    del login["auth_type"]
    return connection.Connection(auth=login, region_name="RegionOne")


@pytest.fixture(scope="module")
def cinders(lab: Any) -> connection.Connection:
    """The cloud as Cinder's user, whose token is Cinder's service token."""
    return service(lab.cinder_config, "service_user")


def locations(cloud: Any, image_id: str, **headers: str) -> Any:
    """Ask for the image's locations; return Glance's answer."""
    return cloud.image.get(
        f"/images/{image_id}/locations",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


# Headers that keystonemiddleware sets for Glance, as a user may send them.
FORGED = {
    "service roles": {"X_Service_Roles": "service"},
    "own roles": {"X_Roles": "service,admin", "X_Role": "admin"},
    "confirmed": {
        "X_Service_Roles": "service",
        "X_Service_Identity_Status": "Confirmed",
        "X_Identity_Status": "Confirmed",
        "X_Service_User_Id": "cinder",
        "X_Service_Project_Name": "service",
    },
}


@pytest.fixture(scope="module", params=sampling.one_of(2, [True, False]))
def roles_required(request: Any, lab: Any) -> Iterator[bool]:
    """Glance's ``service_token_roles_required``, with either value."""
    with contextlib.ExitStack() as undo:
        if not request.param:
            options = {"keystone_authtoken": {"service_token_roles_required": "false"}}
            undo.enter_context(direct.glance_options(lab, options))
        yield request.param


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_users_see_no_locations_whatever_they_send(
    admin: Any,
    alice: Any,
    bob: Any,
    roles_required: bool,
    user: User,
    visibility: str,
) -> None:
    image = user.uploaded(Sized(MIB))
    images.make_visible(admin, bob, image.id, visibility)
    hidden = 404 if visibility == "private" else 403
    tokens = {
        "alice's": token_of(alice),
        "bob's": token_of(bob),
        "the administrator's": token_of(admin),
        "none": "garbage",
    }
    for cloud, usual in ((alice, 403), (bob, hidden), (admin, 403)):
        answers = {
            "alone": locations(cloud, image.id),
            **{
                what: locations(cloud, image.id, **headers)
                for what, headers in FORGED.items()
            },
            **{
                f"{what} token": locations(cloud, image.id, X_Service_Token=token)
                for what, token in tokens.items()
            },
        }
        codes = {what: answer.status_code for what, answer in answers.items()}
        assert codes == dict.fromkeys(answers, usual)
        assert "cinder:" not in " ".join(got.text for got in answers.values())


def test_cinders_token_vouches_only_for_users_who_see_the_image(
    alice: Any,
    bob: Any,
    admin: Any,
    cinders: Any,
    roles_required: bool,
    user: User,
) -> None:
    image = user.uploaded(Sized(MIB))
    vouched = {"X_Service_Token": token_of(cinders)}
    for cloud in (alice, admin):
        (found,) = locations(cloud, image.id, **vouched).json()
        assert found["url"].startswith("cinder://fv1/")
    assert locations(bob, image.id, **vouched).status_code == 404
    images.make_visible(admin, bob, image.id, "community")
    assert locations(bob, image.id, **vouched).status_code == 200


def test_cinders_user_alone_sees_what_all_projects_see(
    admin: Any, bob: Any, cinders: Any, roles_required: bool, user: User
) -> None:
    """Its role is ``service``; without ``admin``, private images are hidden."""
    image = user.uploaded(Sized(MIB))
    assert locations(cinders, image.id).status_code == 404
    images.make_visible(admin, bob, image.id, "public")
    assert locations(cinders, image.id).status_code == 200


def test_the_token_of_any_service_vouches(
    lab: Any, alice: Any, roles_required: bool, user: User
) -> None:
    """Nova's, for example: role ``service`` is all that the policy asks for."""
    image = user.uploaded(Sized(MIB))
    another = service(lab.glance_config, "keystone_authtoken")
    answer = locations(alice, image.id, X_Service_Token=token_of(another))
    assert answer.status_code == 200, answer.text


def test_an_image_shows_its_locations_to_nobody(
    alice: Any, admin: Any, cinders: Any, roles_required: bool, user: User
) -> None:
    """``GET /v2/images/ID``: ``show_multiple_locations`` stays false."""
    image = user.uploaded(Sized(MIB))
    for cloud in (alice, admin):
        for headers in ({}, {"X-Service-Token": token_of(cinders)}):
            answer = cloud.image.get(f"/images/{image.id}", headers=headers)
            assert answer.status_code == 200, answer.text
            assert not answer.json().keys() & {"locations", "direct_url"}
            assert "cinder:" not in answer.text


def test_users_cannot_add_a_location(
    admin: Any, alice: Any, roles_required: bool, user: User
) -> None:
    stored = user.uploaded(Sized(MIB))
    url = f"cinder://fv1/{images.image_volume(admin, stored.id).id}"
    image = user.image()

    def post(**headers: str) -> int:
        answer = alice.image.post(
            f"/images/{image.id}/locations",
            json={"url": url},
            headers={n.replace("_", "-"): v for n, v in headers.items()},
        )
        assert url not in answer.text
        return int(answer.status_code)

    found = {what: post(**headers) for what, headers in FORGED.items()}
    found["alone"] = post()
    found["own token"] = post(X_Service_Token=token_of(alice))
    found["no token"] = post(X_Service_Token="garbage")
    assert found == dict.fromkeys(found, 403)
    assert user.cloud.image.get_image(image.id).status == "queued"


@pytest.mark.parametrize("target", ["alice's", "no volume"])
def test_a_vouched_user_adds_only_an_image_volume_of_the_own_project(
    admin: Any,
    alice: Any,
    bob: Any,
    cinders: Any,
    roles_required: bool,
    user: User,
    other: User,
    target: str,
) -> None:
    """Cinder would have to ask for it; the store does not rely on that."""
    stored = user.uploaded(Sized(MIB))
    url = f"cinder://fv1/{images.image_volume(admin, stored.id).id}"
    if target == "no volume":
        url = "cinder://fv1/empty"
    image = other.image()
    answer = bob.image.post(
        f"/images/{image.id}/locations",
        json={"url": url},
        headers={"X-Service-Token": token_of(cinders)},
    )
    assert answer.status_code == 202, answer.text

    wait_until(lambda: images.is_idle(bob, image.id), "Glance has tried the location")
    shown = bob.image.get(f"/images/{image.id}").json()
    assert shown["status"] == "queued"
    assert not shown.get("stores")
    assert user.download(stored.id).content
