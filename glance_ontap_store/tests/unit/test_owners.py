# SPDX-License-Identifier: Apache-2.0
"""The questions to Glance about the owner of an image."""

import pytest
import requests

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.images.owners import TIMEOUT_S
from glance_ontap_store.images.owners import Owners
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.openstack_http import GLANCE
from glance_ontap_store.tests.fakes.openstack_http import Http
from glance_ontap_store.tests.fakes.openstack_http import request_catalog

IMAGE_ID = "6a4f0f3e-8f57-4f0e-9c1c-6f1d2b3c4d5e"
URL = f"{GLANCE}/v2/images/{IMAGE_ID}"


@pytest.fixture
def http(requests_mock):
    return Http(requests_mock)


@pytest.fixture
def owners():
    settings = builders.make_settings()
    return Owners(settings, identity.session_for(settings))


def admin(**changes):
    return Requester(
        **{
            "project_id": "admins",
            "is_trusted": True,
            "token": "t0ken",
            "catalog": request_catalog(),
            **changes,
        }
    )


def test_a_member_owns_its_upload_without_a_question(http, owners):
    member = admin(project_id="acme", is_trusted=False)
    assert owners.owner_of(IMAGE_ID, member) == "acme"
    assert http.mock.request_history == []


@pytest.mark.parametrize("path", ["", "/", "/v2", "/v2/"])
def test_glance_is_asked_for_an_administrators_upload(http, owners, path):
    asked = http.mock.get(URL, json={"owner": "acme"})
    catalog = request_catalog(image=f"{GLANCE}{path}")
    assert owners.owner_of(IMAGE_ID, admin(catalog=catalog)) == "acme"
    assert asked.last_request.headers["X-Auth-Token"] == "t0ken"
    assert asked.last_request.headers["X-Service-Token"] == "token-of-glance"
    assert asked.last_request.timeout == TIMEOUT_S


def test_an_image_without_an_owner_has_none(http, owners):
    http.mock.get(URL, json={"owner": None})
    assert owners.owner_of(IMAGE_ID, admin()) is None


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        pytest.param({"status_code": 404}, "404", id="no such image"),
        pytest.param({"status_code": 401}, "401", id="refused"),
        pytest.param({"status_code": 503}, "503", id="overloaded"),
        pytest.param({"text": "<html>"}, "JSON", id="a page"),
        pytest.param({"json": {}}, "owner", id="no owner in it"),
        pytest.param({"json": []}, "list indices", id="a list"),
        pytest.param(
            {"exc": requests.exceptions.ReadTimeout()}, "timed out", id="no answer"
        ),
        pytest.param(
            {"exc": requests.exceptions.ConnectTimeout()}, "timed out", id="gone"
        ),
    ],
)
def test_without_an_answer_the_uploader_is_the_owner(
    http, owners, caplog, answer, cause
):
    http.mock.get(URL, **answer)
    assert owners.owner_of(IMAGE_ID, admin()) == "admins"
    (record,) = [made for made in caplog.records if made.levelname == "WARNING"]
    text = record.getMessage()
    assert IMAGE_ID in text
    assert cause in text
    assert "t0ken" not in text


@pytest.mark.parametrize("changes", [{"token": None}, {"catalog": ()}])
def test_without_token_or_catalog_the_uploader_is_the_owner(
    http, owners, caplog, changes
):
    assert owners.owner_of(IMAGE_ID, admin(**changes)) == "admins"
    assert "WARNING" in caplog.text
    assert http.mock.request_history == []


def test_a_region_that_the_catalog_lacks_is_named(http):
    settings = builders.make_settings(ontap_os_region_name="west")
    owners = Owners(settings, identity.session_for(settings))
    with pytest.raises(errors.Misconfigured, match=r"'west'.*ontap_os_region_name"):
        owners.ask(IMAGE_ID, admin())


class TestDeletion:
    MEMBER = {"project_id": "acme", "is_trusted": False}

    def record(self, **changes):
        return Record(**{"image_id": IMAGE_ID, "owner": "globex", **changes})

    @pytest.mark.parametrize("owner", ["acme", None])
    def test_an_image_of_the_requester_needs_no_question(self, http, owners, owner):
        owners.check_may_delete("v", self.record(owner=owner), admin(**self.MEMBER))
        assert http.mock.request_history == []

    def test_an_administrator_needs_no_question(self, http, owners):
        owners.check_may_delete("v", self.record(), admin())
        assert http.mock.request_history == []

    def test_the_new_owner_of_an_image_may_delete_it(self, http, owners):
        http.mock.get(URL, json={"owner": "acme"})
        owners.check_may_delete("v", self.record(), admin(**self.MEMBER))

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param({"json": {"owner": "globex"}}, id="a public image"),
            pytest.param({"status_code": 404}, id="a private image"),
            pytest.param({"exc": requests.exceptions.ReadTimeout()}, id="no answer"),
        ],
    )
    def test_an_image_of_another_project_is_refused(self, http, owners, answer):
        http.mock.get(URL, **answer)
        with pytest.raises(errors.Refused, match="v is not an image-volume"):
            owners.check_may_delete("v", self.record(), admin(**self.MEMBER))

    def test_an_image_without_an_id_is_refused(self, http, owners):
        record = self.record(image_id=None)
        with pytest.raises(errors.Refused):
            owners.check_may_delete("v", record, admin(**self.MEMBER))
        assert http.mock.request_history == []


def test_an_odd_image_id_stays_one_segment_of_the_url(http, owners):
    """The id comes from a volume's metadata, which somebody may have changed."""
    asked = http.mock.get(f"{GLANCE}/v2/images/..%2Ftasks", json={"owner": "acme"})
    assert owners.ask("../tasks", admin()) == "acme"
    assert asked.call_count == 1
