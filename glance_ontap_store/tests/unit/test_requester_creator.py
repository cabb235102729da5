# SPDX-License-Identifier: Apache-2.0
"""Image-volumes in the requester's project: their creation and their clean-up."""

import dataclasses

import pytest

from glance_ontap_store import backend
from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder.volumes import RequesterCreator
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.requester import Requester
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.cloud import WAITS
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.openstack_http import Http
from glance_ontap_store.tests.fakes.openstack_http import request_catalog

NEW = api.NewVolume("image-1", 1, "ontap-fv1", {"ontap_write_id": "w"})


@pytest.fixture
def theirs(cloud):
    """The same Cinder, asked with the requester's token."""
    return Faulty(cloud.cinder)


@pytest.fixture
def creator(cloud, theirs):
    return RequesterCreator(
        Volumes(theirs, cloud.clock, WAITS, cloud.journal()), cloud.volumes
    )


@pytest.fixture
def extended(monkeypatch):
    """An image of unknown size is found to need 2 GiB, so that it is extended."""
    monkeypatch.setattr(units, "gib_for", lambda size: 2 if size else 1)


class TestRequesterCreator:
    def test_the_requesters_token_only_creates_the_volume(self, cloud, theirs, creator):
        stored = cloud.lifecycle().store(builders.upload(), creator)
        assert theirs.calls == ["create"]
        assert "create" not in cloud.volumes.calls
        cloud.lifecycle().delete(stored.volume_id)
        assert theirs.calls == ["create"]

    def test_with_an_expired_token_the_store_creates_the_volume(
        self, cloud, theirs, creator, caplog
    ):
        theirs.fail("create", errors.NotAuthenticated("HTTP 401"))
        stored = cloud.lifecycle().store(builders.upload(), creator)
        assert cloud.cinder.get(stored.volume_id).status == "available"
        assert cloud.volumes.calls[0] == "create"
        assert "HTTP 401" in caplog.text

    @pytest.mark.parametrize(
        "error",
        [
            errors.Refused("HTTP 403"),
            errors.NoSpace("quota"),
            errors.Misconfigured("no such type"),
        ],
    )
    def test_a_refusal_of_the_requester_is_not_circumvented(
        self, cloud, theirs, creator, error
    ):
        theirs.fail("create", error)
        with pytest.raises(type(error)) as caught:
            cloud.lifecycle().store(builders.upload(), creator)
        assert caught.value is error
        builders.assert_nothing_is_left(cloud)

    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_lost_answer_leaves_nothing(self, cloud, theirs, creator, is_done):
        error = errors.CinderUnreachable("lost")
        theirs.fail("create", error, done=is_done)
        with pytest.raises(errors.CinderUnreachable) as caught:
            cloud.lifecycle().store(builders.upload(), creator)
        assert caught.value is error
        # The store looks for the volume: the requester's token may have expired.
        assert theirs.calls == ["create"]
        builders.assert_nothing_is_left(cloud)

    @pytest.mark.parametrize(
        "error", [errors.ImageVolumeGone("HTTP 404"), errors.Refused("HTTP 403")]
    )
    def test_a_store_without_rights_over_the_volume_leaves_nothing(
        self, cloud, theirs, creator, error
    ):
        cloud.volumes.fail("get", error, for_good=True)
        with pytest.raises(errors.Misconfigured, match="role admin") as caught:
            cloud.lifecycle().store(builders.upload(), creator)
        assert str(error) in str(caught.value)
        builders.assert_nothing_is_left(cloud)

    @pytest.mark.usefixtures("extended")
    @pytest.mark.parametrize(("name", "nth"), builders.UPLOAD_CALLS[1:])
    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_failure_of_a_later_step_leaves_nothing(
        self, cloud, creator, name, nth, is_done
    ):
        cloud.volumes.fail(name, builders.First("first"), nth=nth, done=is_done)
        with pytest.raises(builders.First):
            cloud.lifecycle().store(builders.upload(), creator)
        builders.assert_nothing_is_left(cloud)


class TestHttp:
    """The requests to Cinder, and their tokens."""

    @pytest.fixture
    def http(self, requests_mock):
        return Http(requests_mock)

    @pytest.fixture
    def alice(self):
        return Requester("acme", False, "t0ken", request_catalog())

    def creator(self, tmp_path, requester, **options):
        settings = builders.make_settings(
            ontap_mount_point_base=str(tmp_path),
            ontap_image_volume_owner="project",
            **options,
        )
        return backend.build(settings).creator_for(requester)

    @pytest.fixture
    def answers(self, http):
        answer = {"volume": {**builders.VOLUME, "status": "creating"}}
        http.answer("GET", f"/volumes/{builders.VOLUME_ID}", json=answer)
        return http.answer("POST", "/volumes", json=answer)

    def test_the_creation_has_the_requesters_and_the_stores_token(
        self, tmp_path, http, answers, alice
    ):
        self.creator(tmp_path, alice).create(NEW)
        created, shown = http.requests()
        assert created.headers["X-Auth-Token"] == "t0ken"
        assert created.headers["X-Service-Token"] == "token-of-glance"
        assert created.headers["OpenStack-API-Version"] == "volume 3.61"
        assert shown.headers["X-Auth-Token"] == "token-of-glance"
        assert "X-Service-Token" not in shown.headers

    @pytest.mark.parametrize("name", ["project_id", "tenant"])
    def test_the_endpoint_template_replaces_the_catalog(
        self, tmp_path, http, answers, alice, name
    ):
        made = http.mock.post(
            "http://elsewhere.example.com/v3/acme/volumes",
            json={"volume": builders.VOLUME},
        )
        requester = dataclasses.replace(alice, catalog=())
        template = f"http://elsewhere.example.com/v3/%({name})s"
        self.creator(tmp_path, requester, ontap_endpoint_template=template).create(NEW)
        assert made.call_count == 1

    def test_a_request_without_a_catalog_names_the_option(self, tmp_path, http, alice):
        requester = dataclasses.replace(alice, catalog=())
        with pytest.raises(errors.Misconfigured, match="ontap_catalog_info"):
            self.creator(tmp_path, requester)

    def test_without_a_token_the_store_creates_the_volume(
        self, tmp_path, http, answers, alice, caplog
    ):
        requester = dataclasses.replace(alice, token=None)
        self.creator(tmp_path, requester).create(NEW)
        (created,) = http.requests()
        assert created.headers["X-Auth-Token"] == "token-of-glance"
        assert "no token" in caplog.text

    def test_after_a_refused_token_the_store_creates_the_volume(
        self, tmp_path, http, alice, caplog
    ):
        answer = {"json": {"volume": builders.VOLUME}}
        http.answer(
            "POST", "/volumes", {"status_code": 401}, {"status_code": 401}, answer
        )
        self.creator(tmp_path, alice).create(NEW)
        assert http.requests()[-1].headers["X-Auth-Token"] == "token-of-glance"
        assert "'glance'" not in caplog.text
        assert "acme" in caplog.text
        assert "t0ken" not in caplog.text

    def test_a_full_quota_names_the_requesters_project(self, tmp_path, http, alice):
        full = {"overLimit": {"message": "No quota."}}
        http.answer("POST", "/volumes", status_code=413, json=full)
        with pytest.raises(errors.NoSpace, match="quota of project acme"):
            self.creator(tmp_path, alice).create(NEW)

    def test_lists_reach_all_projects(self, tmp_path, http):
        volumes = builders.make_client(ontap_image_volume_owner="project")
        for path in ("/volumes/detail", "/snapshots", "/attachments"):
            key = path.strip("/").partition("/")[0]
            http.answer("GET", path, json={key: []})
        volumes.find("image-1")
        volumes.has_snapshots(builders.VOLUME_ID)
        volumes.attachments(builders.VOLUME_ID)
        assert [sent.qs["all_tenants"] for sent in http.requests()] == [["1"]] * 3

    def test_by_default_the_store_creates_the_volume(
        self, tmp_path, http, answers, alice
    ):
        settings = builders.make_settings(ontap_mount_point_base=str(tmp_path))
        backend.build(settings).creator_for(alice).create(NEW)
        (created,) = http.requests()
        assert created.headers["X-Auth-Token"] == "token-of-glance"
