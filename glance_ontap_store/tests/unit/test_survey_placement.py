# SPDX-License-Identifier: Apache-2.0
"""The facts of ``explain`` over the HTTP of Keystone, Cinder and Glance."""

import contextlib
import dataclasses

import pytest

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import gather_placement
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.gather_placement import PlacementGatherer
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import PROJECT_ID
from glance_ontap_store.tests.fakes.openstack_http import Http

IMAGE_ID = "11111111-7c0b-4d26-8f6f-6d6f6f0b1a22"
NOT_GIVEN = Unknown(Reason.NOT_GIVEN, "no cinder.conf was given")
IMAGE = {
    "id": IMAGE_ID,
    "name": "debian",
    "owner": "acme",
    "status": "active",
    "size": 1000,
    "disk_format": "raw",
    "container_format": "bare",
    "visibility": "shared",
    "stores": "fv1",
}
VOLUME = {
    **builders.VOLUME,
    "name": f"image-{IMAGE_ID}",
    "os-vol-host-attr:host": "h@ontap#192.0.2.1:/fv1",
    "metadata": {"ontap_store": "fv1", "ontap_state": "sealed"},
}


@pytest.fixture
def http(requests_mock):
    found = Http(requests_mock)
    found.roles["boss"] = ("admin",)
    return found


@pytest.fixture
def cinder(http):
    found = CinderHttp(http, "ontap-fv1", "fast")
    found.types[0]["extra_specs"] = {"pool_name": "192.0.2.1:/fv1"}
    found.pools = [
        {
            "name": f"h@ontap#192.0.2.1:/{name}",
            "capabilities": {
                "pool_name": f"192.0.2.1:/{name}",
                "vendor_name": "NetApp",
                "storage_protocol": "nfs",
                "clone_across_pools": name == "fv2",
            },
        }
        for name in ("fv1", "fv2")
    ]
    found.services = [{"host": "h@ontap", "zone": "nova", "binary": "cinder-volume"}]
    found.add(VOLUME)
    return found


@pytest.fixture
def glance(http):
    found = GlanceHttp(http, "fv1")
    found.images[IMAGE_ID] = IMAGE
    found.locations[IMAGE_ID] = [f"cinder://fv1/{builders.VOLUME_ID}"]
    return found


def session_of(user):
    return identity.session_for(builders.make_settings(ontap_store_user_name=user))


def gatherer_of(*mounted):
    stores = [StoreConfig("fv1", builders.make_settings(ontap_volume_type="ontap-fv1"))]
    config = GlanceConfig(files=(), directories=(), stores=tuple(stores))
    return PlacementGatherer(config, stores, session_of("boss"), *mounted)


@pytest.fixture
def gatherer(cinder, glance):
    return gatherer_of()


def test_the_cloud_is_described(gatherer):
    cloud = gatherer.cloud(NOT_GIVEN, 29, with_files=False, say=print)
    assert [pool.clones_across_pools for pool in cloud.pools] == [False, True]
    assert cloud.services == (Service("h@ontap", "nova"),)
    assert (cloud.release, cloud.cinder) == (29, NOT_GIVEN)
    assert cloud.stores == {"h@ontap#192.0.2.1:/fv1": "fv1"}
    found = cloud.file_size(cloud.pools[0], "img-cache-1")
    assert isinstance(found, Unknown)


def test_services_that_are_hidden_are_unknown(gatherer, http):
    http.answer("GET", "/os-services", status_code=403)
    cloud = gatherer.cloud(NOT_GIVEN, None, with_files=False, say=print)
    assert cloud.services.reason is Reason.FORBIDDEN


def test_without_pools_there_is_nothing_to_say(gatherer, http):
    http.answer("GET", "/scheduler-stats/get_pools", status_code=403)
    with pytest.raises(errors.Broken, match="does not tell its pools"):
        gatherer.cloud(NOT_GIVEN, None, with_files=False, say=print)


def test_an_image_is_described_with_its_image_volume(gatherer):
    image = gatherer.image("debian")
    found = gatherer.facts(image, "acme")
    assert found.locations == (ImageLocation(f"cinder://fv1/{builders.VOLUME_ID}"),)
    assert found.volumes[builders.VOLUME_ID].pool == "h@ontap#192.0.2.1:/fv1"
    assert (found.members, found.cached) == (frozenset(), ())


def test_locations_in_the_image_itself_are_not_asked_for_again(gatherer, glance):
    glance.locations.clear()
    glance.images[IMAGE_ID] = {**IMAGE, "locations": [{"url": "file:///a"}]}
    found = gatherer.facts(gatherer.image(IMAGE_ID), "acme")
    assert found.locations == (ImageLocation("file:///a"),)
    assert found.volumes == {}


def test_without_locations_the_sealed_image_volumes_are_taken(gatherer, glance, cinder):
    glance.locations.clear()
    filling = {"ontap_store": "fv1", "ontap_state": "filling"}
    cinder.add({**VOLUME, "id": builders.OTHER_ID, "metadata": filling})
    found = gatherer.facts(gatherer.image(IMAGE_ID), "acme")
    assert isinstance(found.locations, Unknown)
    assert set(found.volumes) == {builders.VOLUME_ID}


def test_without_locations_the_volume_of_direct_url_is_asked_for(
    gatherer, glance, cinder
):
    """Another name is not found by the name of image-volumes."""
    glance.locations.clear()
    cinder.add({**VOLUME, "id": builders.OTHER_ID, "name": "moved"})
    at = f"cinder://fv1/{builders.OTHER_ID}"
    glance.images[IMAGE_ID] = {**IMAGE, "direct_url": at}
    found = gatherer.facts(gatherer.image(IMAGE_ID), "acme")
    assert isinstance(found.locations, Unknown)
    assert set(found.volumes) == {builders.VOLUME_ID, builders.OTHER_ID}
    assert found.volumes[builders.OTHER_ID].pool == "h@ontap#192.0.2.1:/fv1"


def test_a_volume_that_is_gone_or_cannot_be_shown(gatherer, cinder, http):
    cinder.volumes.clear()
    image = gatherer.image(IMAGE_ID)
    assert gatherer.facts(image, "acme").volumes == {builders.VOLUME_ID: None}
    http.answer("GET", f"/volumes/{builders.VOLUME_ID}", status_code=403)
    (found,) = gatherer.facts(image, "acme").volumes.values()
    assert found.reason is Reason.FORBIDDEN


def test_volumes_of_the_same_name_may_be_in_cinders_cache(gatherer, cinder):
    cinder.add({**VOLUME, "id": builders.OTHER_ID, "metadata": {}})
    found = gatherer.facts(gatherer.image(IMAGE_ID), "acme")
    assert [each.id for each in found.cached] == [builders.OTHER_ID]


def test_members_matter_to_other_projects_only(gatherer, glance):
    glance.members[IMAGE_ID] = ["globex"]
    image = gatherer.image(IMAGE_ID)
    assert gatherer.facts(image, "globex").members == {"globex"}
    assert gatherer.facts(image, "acme").members == frozenset()
    del glance.members[IMAGE_ID]
    assert isinstance(gatherer.facts(image, "globex").members, Unknown)


def test_all_images_are_described_with_one_list_of_volumes(
    gatherer, glance, cinder, http
):
    other = "22222222-7c0b-4d26-8f6f-6d6f6f0b1a22"
    glance.images[other] = {**IMAGE, "id": other, "name": "arch", "os_hidden": True}
    glance.images["c"] = {**IMAGE, "id": "c", "status": "queued"}
    glance.locations[other] = [f"cinder://fv1/{builders.OTHER_ID}"]
    images = gatherer.images()
    assert [each.name for each in images] == ["arch", "debian"]
    found = list(gatherer.facts_of_all(images, None))
    assert [None in each.volumes.values() for each in found] == [True, False]
    sent = [each.path for each in http.requests() if "/volumes/" in each.path]
    # Only the one that was not in the list is asked for.
    assert len([each for each in sent if "detail" not in each]) == 1


class TestImage:
    def test_none_is_called_so(self, gatherer):
        with pytest.raises(errors.Misconfigured, match="no image 'arch'"):
            gatherer.image("arch")

    def test_several_are_called_so(self, gatherer, glance):
        glance.images["b"] = {**IMAGE, "id": "b"}
        with pytest.raises(errors.Misconfigured, match=f"{IMAGE_ID}, b"):
            gatherer.image("debian")

    def test_glance_does_not_tell(self, gatherer, glance):
        glance.images[IMAGE_ID] = {"id": IMAGE_ID, "size": "x"}
        with pytest.raises(errors.Broken, match="Glance does not tell the image"):
            gatherer.image(IMAGE_ID)


class TestVolumeType:
    def asked(self, gatherer, type_name=None, **image):
        image = dataclasses.replace(gatherer.image(IMAGE_ID), **image)
        return gatherer.request("acme", 1, type_name, image)

    def test_the_one_that_is_named(self, gatherer, cinder):
        cinder.encrypted.add("fast")
        found = self.asked(gatherer, "fast", volume_type="ontap-fv1")
        assert (found.volume_type.name, found.encrypts) == ("fast", True)
        assert (found.project, found.size_gib) == ("acme", 1)

    def test_the_one_that_the_image_asks_for(self, gatherer):
        found = self.asked(gatherer, volume_type="fast")
        assert (found.volume_type.name, found.encrypts) == ("fast", False)

    def test_the_projects_default(self, gatherer, cinder):
        assert self.asked(gatherer).volume_type.name == "ontap-fv1"
        cinder.default_types["acme"] = "id-of-fast"
        assert self.asked(gatherer).volume_type.name == "fast"

    def test_a_default_of_the_administrators_project_hides_cinders(
        self, gatherer, cinder
    ):
        cinder.default_types[PROJECT_ID] = "id-of-fast"
        with pytest.raises(errors.Misconfigured, match="--volume-type"):
            self.asked(gatherer)

    def test_defaults_that_are_not_told(self, gatherer, requests_mock):
        requests_mock.get(
            "http://cinder.example.com/north/internal/v3/default-types", status_code=403
        )
        with pytest.raises(errors.Misconfigured, match="--volume-type"):
            self.asked(gatherer)

    def test_one_that_does_not_exist(self, gatherer):
        with pytest.raises(errors.Misconfigured, match="It has: fast, ontap-fv1"):
            self.asked(gatherer, "slow")

    def test_without_an_image_it_may_be_any(self, gatherer):
        found = gatherer.request(None, None, None)
        assert (found.volume_type, found.encrypts) == (None, False)


def test_only_an_administrator_may_ask(cinder, glance):
    stores = [StoreConfig("fv1", builders.make_settings())]
    config = GlanceConfig(files=(), directories=(), stores=tuple(stores))
    with pytest.raises(errors.Misconfigured, match="lack role admin"):
        PlacementGatherer(config, stores, session_of("glance"))


def test_a_store_with_valid_options_is_needed(cinder, glance):
    stores = [StoreConfig("fv1", None, ("ontap_x is wrong",))]
    config = GlanceConfig(files=(), directories=(), stores=tuple(stores))
    with pytest.raises(errors.Misconfigured, match="No store has valid options"):
        PlacementGatherer(config, stores, session_of("boss"))


def test_the_stores_see_locations_that_are_hidden_from_administrators(
    gatherer, glance, requests_mock
):
    url = f"http://glance.example.com/v2/images/{IMAGE_ID}/locations"

    def answer(request, context):
        is_store = request.headers["X-Auth-Token"] == "token-of-glance"
        context.status_code = 200 if is_store else 403
        return [{"url": "file:///a"}] if is_store else {}

    requests_mock.get(url, json=answer)
    found = gatherer.facts(gatherer.image(IMAGE_ID), "acme")
    assert found.locations == (ImageLocation("file:///a"),)


def test_the_files_that_count_are_measured(tmp_path):
    for name, size in (("img-cache-1", 3), ("volume-2", 5), ("other", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "volume-3").symlink_to(tmp_path / "other")
    (tmp_path / "volume-4").mkdir()
    found = gather_placement.files_in(str(tmp_path))
    assert found == {"img-cache-1": 3, "volume-2": 5}


def test_each_flexvol_is_mounted_and_a_failure_is_said(cinder, glance, tmp_path):
    (tmp_path / "img-cache-1").write_bytes(b"abc")

    @contextlib.contextmanager
    def mounted(_config, _settings, export):
        if export == "192.0.2.1:/fv2":
            raise errors.Broken("no route")
        yield str(tmp_path)

    said = []
    cloud = gatherer_of(mounted).cloud(NOT_GIVEN, 29, with_files=True, say=said.append)
    fv1, fv2 = cloud.pools
    assert cloud.file_size(fv1, "img-cache-1") == 3
    assert cloud.file_size(fv1, "img-cache-2") is None
    assert isinstance(cloud.file_size(fv2, "img-cache-1"), Unknown)
    assert said == ["Not looked at: 192.0.2.1:/fv2: no route."]
