# SPDX-License-Identifier: Apache-2.0
"""Glance's HTTP, as `adopt` asks it."""

import pytest

from glance_ontap_store import identity
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.openstack_http import GLANCE
from glance_ontap_store.tests.fakes.openstack_http import Http

SHOWN = {
    "id": "image-1",
    "status": "active",
    "name": "debian",
    "size": 7,
    "owner": "acme",
    "disk_format": "raw",
    "checksum": "c",
    "os_hash_algo": "sha512",
    "os_hash_value": "h",
    "stores": "old,fv1",
    "os_glance_importing_to_stores": "fv2",
    "os_glance_failed_import": "",
    "os_glance_import_task": "task-1",
}
IMAGE = Image(
    id="image-1",
    status="active",
    name="debian",
    size=7,
    owner="acme",
    disk_format="raw",
    checksum="c",
    hash_algo="sha512",
    hash_value="h",
    stores=("old", "fv1"),
    coming=("fv2",),
    is_importing=True,
)


@pytest.fixture
def http(requests_mock):
    Http(requests_mock)
    return requests_mock


@pytest.fixture
def glance(http):
    settings = builders.make_settings()
    session = identity.session_for(settings)
    return Glance(session, settings, session)


def test_an_image_is_shown_with_its_stores_and_its_import(http, glance):
    http.get(f"{GLANCE}/v2/images/image-1", json=SHOWN)
    assert glance.image("image-1") == IMAGE


def test_a_new_image_has_little(http, glance):
    http.get(f"{GLANCE}/v2/images/new", json={"id": "new", "status": "queued"})
    assert glance.image("new") == Image("new", "queued")


def test_all_pages_of_images_and_hidden_ones_are_read(http, glance):
    pages = {
        "os_hidden=false": {"images": [SHOWN], "next": "/v2/images?marker=image-1"},
        "marker=image-1": {"images": [{"id": "b", "status": "active"}]},
        "os_hidden=true": {"images": [{"id": "c", "status": "active"}]},
    }

    def answer(request, context):
        (found,) = (page for key, page in pages.items() if key in request.query)
        return found

    http.get(f"{GLANCE}/v2/images", json=answer)
    assert glance.images() == {"image-1": IMAGE, "b": Image("b"), "c": Image("c")}


def test_locations_name_their_stores(http, glance):
    shown = [
        {"url": "cinder://fv1/1", "metadata": {"store": "fv1"}},
        {"url": "cinder://2", "metadata": {}},
        {"url": "cinder://3"},
    ]
    http.get(f"{GLANCE}/v2/images/image-1/locations", json=shown)
    assert glance.places("image-1") == (
        Place("cinder://fv1/1", "fv1"),
        Place("cinder://2"),
        Place("cinder://3"),
    )


def test_a_copy_is_begun_for_one_store(http, glance):
    http.post(f"{GLANCE}/v2/images/image-1/import", status_code=202)
    assert glance.begin_copy("image-1", "fv1") is None
    assert http.last_request.json() == {
        "method": {"name": "copy-image"},
        "stores": ["fv1"],
        "all_stores_must_succeed": True,
    }


def test_a_location_is_added_with_its_store(http, glance):
    http.patch(f"{GLANCE}/v2/images/image-1", json=SHOWN)
    assert glance.add_location("image-1", "cinder://fv2/v", "fv2") is None
    sent = http.last_request
    assert sent.headers["Content-Type"].startswith("application/openstack-images-v2.1")
    assert sent.json() == [
        {
            "op": "add",
            "path": "/locations/-",
            "value": {"url": "cinder://fv2/v", "metadata": {"store": "fv2"}},
        }
    ]


def test_one_store_lets_an_image_go(http, glance):
    http.delete(f"{GLANCE}/v2/stores/old/image-1", status_code=204)
    assert glance.remove("image-1", "old") is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status_code": 403}, Reason.FORBIDDEN),
        ({"status_code": 404, "text": "No image found: image-1"}, Reason.MISSING),
        ({"status_code": 410, "text": "image-1"}, Reason.MISSING),
        # A proxy's.
        ({"status_code": 404, "text": "<html>Not Found</html>"}, Reason.BROKEN),
        ({"status_code": 409}, Reason.CONFLICT),
        ({"status_code": 500}, Reason.BROKEN),
        ({"text": "<html>"}, Reason.BROKEN),
        ({"json": {"images": []}}, Reason.BROKEN),
        ({"json": []}, Reason.BROKEN),
    ],
)
def test_what_is_no_answer_is_unknown(http, glance, answer, reason):
    http.get(f"{GLANCE}/v2/images/image-1", **answer)
    found = glance.image("image-1")
    assert isinstance(found, Unknown)
    assert found.reason is reason


@pytest.mark.parametrize("code", [403, 409, 500])
def test_refusals_of_changes_are_told(http, glance, code):
    http.post(f"{GLANCE}/v2/images/image-1/import", status_code=code)
    http.patch(f"{GLANCE}/v2/images/image-1", status_code=code)
    http.delete(f"{GLANCE}/v2/stores/old/image-1", status_code=code)
    for answer in (
        glance.begin_copy("image-1", "fv1"),
        glance.remove("image-1", "old"),
        glance.add_location("image-1", "cinder://fv2/v", "fv2"),
    ):
        assert isinstance(answer, Unknown)
        assert str(code) in answer.text
