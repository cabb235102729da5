# SPDX-License-Identifier: Apache-2.0
"""The building of stores, which sends no request."""

import os
import uuid

import pytest

from glance_ontap_store import backend
from glance_ontap_store import errors
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import openstack_http
from glance_ontap_store.tests.fakes.openstack_http import Http


@pytest.fixture
def http(requests_mock):
    return Http(requests_mock)


@pytest.fixture
def settings(tmp_path):
    return builders.make_settings(ontap_mount_point_base=str(tmp_path / "mnt"))


def test_building_a_store_sends_and_makes_nothing(http, settings):
    backend.build(settings)
    assert http.mock.request_history == []
    assert not os.path.exists(settings.mount_point_base)


def test_only_stores_that_are_used_log_in(http, tmp_path):
    volume_id = str(uuid.uuid4())
    volume = {**builders.VOLUME, "id": volume_id}
    http.answer("GET", f"/volumes/{volume_id}", json={"volume": volume})
    stores = [
        backend.build(
            builders.make_settings(
                ontap_store_user_name=f"glance-{number}",
                ontap_mount_point_base=str(tmp_path),
            )
        )
        for number in range(50)
    ]
    assert http.mock.request_history == []
    for _time in range(3):
        stores[-1].images.describe(volume_id)
    (login,) = http.logins
    assert login["identity"]["password"]["user"]["name"] == "glance-49"


def test_upstream_two_stores_of_one_process_use_both_users(http, tmp_path):
    volume_id = str(uuid.uuid4())
    volume = {**builders.VOLUME, "id": volume_id}
    http.answer("GET", f"/volumes/{volume_id}", json={"volume": volume})
    for user in ("glance-1", "glance-2"):
        built = backend.build(
            builders.make_settings(
                ontap_store_user_name=user, ontap_mount_point_base=str(tmp_path)
            )
        )
        built.images.describe(volume_id)
    assert [sent.headers["X-Auth-Token"] for sent in http.requests()] == [
        "token-of-glance-1",
        "token-of-glance-2",
    ]


def test_a_refused_login_names_the_stores_user(http, settings):
    http.mock.post(f"{openstack_http.AUTH_URL}/auth/tokens", status_code=401, json={})
    built = backend.build(settings)
    with pytest.raises(errors.Refused, match="'glance'"):
        built.images.describe(str(uuid.uuid4()))
