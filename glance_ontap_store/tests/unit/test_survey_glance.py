# SPDX-License-Identifier: Apache-2.0
"""Glance is asked for images, which it calls raw, and for their locations."""

import re

import pytest

from glance_ontap_store import identity
from glance_ontap_store.errors import Reason
from glance_ontap_store.images.record import Record
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import image
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import Http


@pytest.fixture
def http(requests_mock):
    found = Http(requests_mock)
    found.catalog_type = "image"
    return found


@pytest.fixture
def ask(http):
    settings = builders.make_settings()
    session = identity.session_for(settings)
    return lambda: glance.raw_images(session, settings)


def test_all_pages_and_hidden_images_are_read(http, ask, requests_mock):
    """The catalog of the fake ends in /v3; its path is not what matters here."""
    pages = {
        "os_hidden=false": {
            "images": [{"id": "a"}],
            "next": "/v2/images?marker=a",
        },
        "marker=a": {"images": [{"id": "b"}]},
        "os_hidden=true": {"images": [{"id": "c"}]},
    }

    def answer(request, context):
        (found,) = (page for key, page in pages.items() if key in request.query)
        return found

    requests_mock.get(f"{CINDER}/north/internal/v3/v2/images", json=answer)
    assert ask() == {"a", "b", "c"}


@pytest.mark.parametrize("answer", [{"json": {"pages": []}}, {"status_code": 503}])
def test_an_answer_that_makes_no_sense_is_unknown(http, ask, requests_mock, answer):
    requests_mock.get(f"{CINDER}/north/internal/v3/v2/images", **answer)
    assert isinstance(ask(), Unknown)


BASE = f"{CINDER}/north/internal/v3/v2"
IMAGE = {
    "id": "image-1",
    "owner": "acme",
    "name": "debian",
    "status": "deactivated",
    "size": 1000,
    "disk_format": "raw",
    "os_hash_algo": "sha512",
    "os_hash_value": "abc",
    "stores": "fv1,fv2",
}


@pytest.fixture
def cloud(http):
    settings = builders.make_settings()
    return identity.session_for(settings), settings


def test_images_of_all_projects_are_read_with_their_stores(cloud, requests_mock):
    pages = {"false": [IMAGE], "true": [{"id": "hidden", "status": "active"}]}
    for hidden, page in pages.items():
        url = f"{BASE}/images?visibility=all&os_hidden={hidden}"
        requests_mock.get(url, json={"images": page})
    found = glance.images(*cloud)
    assert set(found) == {"image-1", "hidden"}
    assert found["image-1"] == Image(
        id="image-1",
        owner="acme",
        name="debian",
        status="deactivated",
        size=1000,
        disk_format="raw",
        hash_algo="sha512",
        hash_value="abc",
        stores=frozenset({"fv1", "fv2"}),
    )


def test_what_cinder_looks_at_in_an_image_is_read(cloud, requests_mock):
    shown = {
        **IMAGE,
        "container_format": "bare",
        "visibility": "shared",
        "min_disk": 3,
        "virtual_size": 2000,
        "updated_at": "2026-01-31T12:00:00Z",
        "cinder_img_volume_type": "ontap-fv2",
        "img_signature": "abc",
        "direct_url": "cinder://fv1/a",
        "locations": [{"url": "file:///a", "metadata": {"type": "nfs"}}],
    }
    requests_mock.get(f"{BASE}/images/image-1", json=shown)
    found = glance.image(*cloud, "image-1")
    assert (found.container_format, found.visibility) == ("bare", "shared")
    assert (found.min_disk, found.virtual_size) == (3, 2000)
    assert (found.volume_type, found.is_signed) == ("ontap-fv2", True)
    assert found.updated_at == "2026-01-31T12:00:00Z"
    assert found.direct_url == "cinder://fv1/a"
    assert found.locations == (ImageLocation("file:///a", "nfs"),)
    assert found.urls == ("file:///a",)


def test_an_image_is_found_by_its_id_or_its_name(cloud, requests_mock):
    other = {**IMAGE, "id": builders.OTHER_ID}
    requests_mock.get(f"{BASE}/images/{builders.OTHER_ID}", json=other)
    found = glance.called(*cloud, builders.OTHER_ID)
    assert [each.id for each in found] == [builders.OTHER_ID]
    url = f"{BASE}/images?visibility=all&name=debian&os_hidden="
    requests_mock.get(f"{url}false", json={"images": [IMAGE]})
    requests_mock.get(f"{url}true", json={"images": [{**other, "os_hidden": True}]})
    found = glance.called(*cloud, "debian")
    assert {each.id for each in found} == {"image-1", builders.OTHER_ID}


def test_a_name_may_look_like_an_id(cloud, requests_mock):
    text = f"No image found with ID {builders.OTHER_ID}"
    requests_mock.get(f"{BASE}/images/{builders.OTHER_ID}", status_code=404, text=text)
    named = {**IMAGE, "name": builders.OTHER_ID}
    requests_mock.get(f"{BASE}/images", json={"images": [named]})
    found = glance.called(*cloud, builders.OTHER_ID)
    assert [each.id for each in found] == ["image-1"]


def test_the_projects_that_share_an_image_are_read(cloud, requests_mock):
    url = f"{BASE}/images/image-1/members"
    members = [{"member_id": "acme", "status": "pending"}, {"member_id": "globex"}]
    requests_mock.get(url, json={"members": members})
    assert glance.members(*cloud, "image-1") == {"acme", "globex"}
    requests_mock.get(url, json={"members": [{"id": 1}]})
    assert isinstance(glance.members(*cloud, "image-1"), Unknown)


@pytest.mark.parametrize(
    "shown", [["cinder://fv1/a"], [{"url": "a", "metadata": "x"}], [{}], 1]
)
def test_locations_that_make_no_sense_are_unknown(cloud, requests_mock, shown):
    requests_mock.get(f"{BASE}/images/image-1/locations", json=shown)
    assert isinstance(glance.locations(*cloud, "image-1"), Unknown)


@pytest.mark.parametrize(
    "answer", [{"json": {"images": [{"id": "a", "size": "x"}]}}, {"text": "<html>"}]
)
def test_images_that_make_no_sense_are_unknown(cloud, requests_mock, answer):
    requests_mock.get(f"{BASE}/images", **answer)
    assert isinstance(glance.images(*cloud), Unknown)


def test_a_404_that_names_the_image_means_that_there_is_none(cloud, requests_mock):
    text = "<html>No image found with ID image-1</html>"
    requests_mock.get(f"{BASE}/images/image-1", status_code=404, text=text)
    assert glance.image(*cloud, "image-1") is None


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 404, "text": "<html>nginx</html>"},
        {"status_code": 503},
        {"status_code": 200, "text": "<html>"},
        {"status_code": 200, "json": {}},
    ],
)
def test_another_answer_does_not_mean_that_there_is_no_image(
    cloud, requests_mock, answer
):
    requests_mock.get(f"{BASE}/images/image-1", **answer)
    assert isinstance(glance.image(*cloud, "image-1"), Unknown)


def test_locations_of_one_image(cloud, requests_mock):
    shown = [{"url": "cinder://fv1/x", "metadata": {}}, {"url": "file:///y"}]
    requests_mock.get(f"{BASE}/images/image-1/locations", json=shown)
    found = glance.locations(*cloud, "image-1")
    assert found == (ImageLocation("cinder://fv1/x"), ImageLocation("file:///y"))


def test_hidden_locations_are_unknown(cloud, requests_mock):
    requests_mock.get(f"{BASE}/images/image-1/locations", status_code=403)
    assert glance.locations(*cloud, "image-1").reason is Reason.FORBIDDEN
    _session, settings = cloud
    nobody = glance.LocationUsers([], settings)
    assert nobody.locations("image-1").reason is Reason.NOT_GIVEN


def test_the_first_user_who_sees_locations_is_asked(cloud, requests_mock):
    session, settings = cloud
    answers = [{"status_code": 403}, {"json": [{"url": "cinder://fv1/x"}]}]
    requests_mock.get(f"{BASE}/images/image-1/locations", answers)
    users = glance.LocationUsers([session] * 3, settings)
    assert users.locations("image-1") == (ImageLocation("cinder://fv1/x"),)


class TestManyImages:
    """Fifty users, of whom none or the last may see locations."""

    @pytest.fixture
    def users(self, cloud):
        session, settings = cloud
        return glance.LocationUsers([session] * 50, settings)

    @pytest.fixture
    def asked(self, requests_mock):
        url = re.compile(f"{BASE}/images/.*/locations")

        def asked(*codes):
            answers = [{"status_code": code, "json": []} for code in codes]
            return requests_mock.get(url, answers)

        return asked

    def test_users_who_are_refused_are_not_asked_for_ever(self, users, asked):
        sent = asked(403)
        found = {users.locations(f"image-{number}").reason for number in range(100)}
        assert found == {Reason.FORBIDDEN}
        assert sent.call_count == 50 * 3

    def test_a_user_who_once_got_an_answer_is_asked_again(self, users, asked):
        sent = asked(200, 403)
        assert users.locations("image-1") == ()
        for number in range(10):
            assert users.locations(f"hidden-{number}").reason is Reason.FORBIDDEN
        assert sent.call_count == 1 + 10 + 3 * 49

    def test_a_failure_is_no_refusal(self, users, asked):
        sent = asked(500)
        for number in range(5):
            users.locations(f"image-{number}")
        assert sent.call_count == 50 * 5


def test_stores_of_glance(cloud, requests_mock):
    shown = {"stores": [{"id": "fv1", "default": "true"}, {"id": "file"}]}
    requests_mock.get(f"{BASE}/info/stores", json=shown)
    assert glance.stores(*cloud) == {"fv1", "file"}


def test_volumes_that_locations_name():
    one, two = builders.VOLUME_ID, builders.OTHER_ID
    urls = (f"cinder://fv1/{one}", f"cinder://{two}", "cinder://fv1/empty", "file:///x")
    assert image.volumes_in(urls) == {one, two}


def test_what_is_no_attribute_of_an_image_is_a_property():
    shown = {
        **IMAGE,
        "tags": ["golden"],
        "os_distro": "debian",
        "cinder_img_volume_type": "fast",
        "created_at": "2026-01-31T12:00:00Z",
        "os_hidden": False,
        "file": "/v2/images/x/file",
        "unset": None,
    }
    found = Image.parse(shown)
    assert found.tags == {"golden"}
    assert found.created_at == "2026-01-31T12:00:00Z"
    properties = {"os_distro": "debian", "cinder_img_volume_type": "fast"}
    assert found.properties == properties
    assert hash(found) == hash(Image.parse(shown))


RECORD = Record(size=1000, hash_algo="sha512", hash_value="abc")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (IMAGE, True),
        ({**IMAGE, "os_hash_value": "other"}, False),
        ({**IMAGE, "os_hash_algo": "sha256", "os_hash_value": "other"}, True),
        ({**IMAGE, "os_hash_value": None}, True),
        ({**IMAGE, "size": 1001}, False),
        ({**IMAGE, "size": None}, False),
    ],
)
def test_an_image_of_the_same_size_and_digest_may_use_a_volume(shown, expected):
    assert Image.parse(shown).may_be(RECORD) is expected
