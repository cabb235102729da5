# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime

import pytest
import requests
import urllib3.exceptions

from glance_ontap_store import errors
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Transient
from glance_ontap_store.tests.builders import ATTACHMENT_ID
from glance_ontap_store.tests.builders import CONNECTOR
from glance_ontap_store.tests.builders import OTHER_ID
from glance_ontap_store.tests.builders import VOLUME
from glance_ontap_store.tests.builders import VOLUME_ID
from glance_ontap_store.tests.builders import make_client
from glance_ontap_store.tests.fakes.clock import FakeClock
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import Http


@pytest.fixture
def http(requests_mock, monkeypatch):
    # These variables name the certificates that requests uses by default.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return Http(requests_mock)


@pytest.fixture
def volumes(http):
    return make_client()


NEW = NewVolume("image-1", 3, "ontap-fv1", {"image_owner": "acme"})

# Name -> a call, and the method and path of its first request.
CALLS = {
    "create": (lambda volumes: volumes.create(NEW), "POST", "/volumes"),
    "get": (lambda volumes: volumes.get(VOLUME_ID), "GET", f"/volumes/{VOLUME_ID}"),
    "find": (lambda volumes: volumes.find("image-1"), "GET", "/volumes/detail"),
    "delete": (
        lambda volumes: volumes.delete(VOLUME_ID),
        "DELETE",
        f"/volumes/{VOLUME_ID}",
    ),
    "extend": (
        lambda volumes: volumes.extend(VOLUME_ID, 4),
        "POST",
        f"/volumes/{VOLUME_ID}/action",
    ),
    "set_metadata": (
        lambda volumes: volumes.set_metadata(VOLUME_ID, {"a": "b"}),
        "POST",
        f"/volumes/{VOLUME_ID}/metadata",
    ),
    "set_readonly": (
        lambda volumes: volumes.set_readonly(VOLUME_ID),
        "POST",
        f"/volumes/{VOLUME_ID}/action",
    ),
    "has_snapshots": (
        lambda volumes: volumes.has_snapshots(VOLUME_ID),
        "GET",
        "/snapshots",
    ),
    "last_fault": (lambda volumes: volumes.last_fault(VOLUME_ID), "GET", "/messages"),
    "connect": (
        lambda volumes: volumes.connect(VOLUME_ID, ATTACHMENT_ID, CONNECTOR),
        "PUT",
        f"/attachments/{ATTACHMENT_ID}",
    ),
    "reservations": (
        lambda volumes: volumes.reservations(VOLUME_ID),
        "GET",
        "/attachments",
    ),
    "attachments": (
        lambda volumes: volumes.attachments(VOLUME_ID),
        "GET",
        "/attachments",
    ),
    "complete": (
        lambda volumes: volumes.complete(ATTACHMENT_ID),
        "POST",
        f"/attachments/{ATTACHMENT_ID}/action",
    ),
    "detach": (
        lambda volumes: volumes.detach(ATTACHMENT_ID),
        "DELETE",
        f"/attachments/{ATTACHMENT_ID}",
    ),
    "connection_info": (
        lambda volumes: volumes.connection_info(ATTACHMENT_ID),
        "GET",
        f"/attachments/{ATTACHMENT_ID}",
    ),
    "reserve": (
        lambda volumes: volumes.reserve(VOLUME_ID, "rw"),
        "POST",
        "/attachments",
    ),
    "search": (
        lambda volumes: volumes.search("in-use", {"a": "b"}),
        "GET",
        "/volumes/detail",
    ),
    "type_name": (
        lambda volumes: volumes.type_name("ontap-fv1"),
        "GET",
        "/types",
    ),
    "list_volumes": (
        lambda volumes: volumes.list_volumes({"name": "image-1", "all_tenants": 1}),
        "GET",
        "/volumes/detail",
    ),
    "migrate": (
        lambda volumes: volumes.migrate(VOLUME_ID, "h@b#p"),
        "POST",
        f"/volumes/{VOLUME_ID}/action",
    ),
}
RESERVED = {"attachment": {"id": ATTACHMENT_ID, "status": "reserved"}}
NO_TYPE = {"itemNotFound": {"message": "Volume type ontap-fv1 could not be found."}}
# Cinder answers these with 400 if the volume's state does not permit them.
ON_STATE = {"delete", "extend", "migrate", "reserve"}
# The refusals by which Cinder tells that its driver does not connect a volume.
NOT_CONNECTED = {400, 409, 500}


def test_every_call_of_the_interface_is_tested_here():
    known = {*vars(VolumeService), *vars(Operator)}
    assert set(CALLS) == {name for name in known if name[0] != "_"}


class TestAnswers:
    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (401, errors.NotAuthenticated),
            (403, errors.Refused),
            (413, errors.NoSpace),
            (500, errors.Broken),
            (501, errors.Broken),
            (503, errors.Broken),
        ],
    )
    def test_an_http_error_has_the_same_meaning_for_every_call(
        self, http, volumes, name, code, expected
    ):
        call, method, path = CALLS[name]
        http.answer(
            method,
            path,
            status_code=code,
            json={"anything": {"code": code, "message": "The very cause."}},
        )
        if name == "connect" and code in NOT_CONNECTED:
            expected = errors.NotConnected
        with pytest.raises(expected, match="The very cause") as caught:
            call(volumes)
        assert type(caught.value) is expected
        assert str(caught.value).startswith("Cannot ")

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("code", [400, 409])
    def test_a_state_that_does_not_permit_a_call_means_in_use(
        self, http, volumes, name, code
    ):
        call, method, path = CALLS[name]
        http.answer(method, path, status_code=code, json={"x": {"message": "No."}})
        expected = errors.ImageVolumeInUse if name in ON_STATE else errors.Broken
        if name == "connect":
            expected = errors.NotConnected
        with pytest.raises(expected, match=r"No\.") as caught:
            call(volumes)
        assert type(caught.value) is expected

    @pytest.mark.parametrize(
        "name", sorted(set(CALLS) - {"create", "detach", "connection_info"})
    )
    def test_an_unknown_id_means_gone(self, http, volumes, name):
        call, method, path = CALLS[name]
        http.answer(
            method, path, status_code=404, json={"itemNotFound": {"message": "None."}}
        )
        with pytest.raises(errors.ImageVolumeGone, match=r"None\."):
            call(volumes)

    def test_detaching_a_gone_attachment_is_not_an_error(self, http, volumes):
        call, method, path = CALLS["detach"]
        gone = {"itemNotFound": {"message": "No such attachment."}}
        http.answer(method, path, status_code=404, json=gone)
        call(volumes)

    def test_a_gone_attachment_does_not_mean_a_gone_volume(self, http, volumes):
        call, method, path = CALLS["connection_info"]
        gone = {"itemNotFound": {"message": "No such attachment."}}
        http.answer(method, path, status_code=404, json=gone)
        with pytest.raises(errors.ImageVolumeInUse, match="was deleted"):
            call(volumes)

    def test_an_unknown_volume_type_names_the_option_and_user(self, http, volumes):
        http.answer("POST", "/volumes", status_code=404, json=NO_TYPE)
        with pytest.raises(errors.Misconfigured, match="'ontap-fv1'") as caught:
            volumes.create(NEW)
        assert "ontap_volume_type" in str(caught.value)
        assert "'glance'" in str(caught.value)

    @pytest.mark.parametrize(
        ("reported", "is_flexgroup"),
        [
            ({"netapp_is_flexgroup": "true"}, True),
            ({"netapp_is_flexgroup": "false"}, False),
            ({"netapp_is_flexgroup": True}, True),
            ({}, False),
        ],
    )
    def test_a_pool_is_a_flexgroup_if_the_driver_says_so(
        self, http, volumes, reported, is_flexgroup
    ):
        shown = {"name": "h@b#a:/fv1", "capabilities": reported}
        http.answer("GET", "/scheduler-stats/get_pools", json={"pools": [shown]})
        (pool,) = volumes.pools()
        assert pool.is_flexgroup == is_flexgroup
        assert pool.service == "h@b"

    def test_what_a_pool_reports_is_parsed(self, http, volumes):
        capabilities = {
            "pool_name": "a:/fv1",
            "volume_backend_name": "ontap",
            "vendor_name": "NetApp",
            "storage_protocol": ["NFS", "nfs"],
            "replication_enabled": True,
            "netapp_dedupe_used_percent": 91.5,
            "total_capacity_gb": 100,
            "free_capacity_gb": 40.25,
        }
        shown = {"name": "h@b#a:/fv1", "capabilities": capabilities}
        http.answer("GET", "/scheduler-stats/get_pools", json={"pools": [shown]})
        assert volumes.pools() == (
            Pool(
                name="h@b#a:/fv1",
                pool_name="a:/fv1",
                backend_name="ontap",
                vendor="NetApp",
                protocol="nfs",
                is_replicated=True,
                shared_blocks_percent=91.5,
                total_gib=100,
                free_gib=40.25,
            ),
        )

    @pytest.mark.parametrize("told", ["unknown", "infinite", None])
    def test_a_capacity_that_is_no_number_is_unknown(self, http, volumes, told):
        shown = {"name": "h@b#p", "capabilities": {"free_capacity_gb": told}}
        http.answer("GET", "/scheduler-stats/get_pools", json={"pools": [shown]})
        assert volumes.pools()[0].free_gib is None

    def test_volumes_may_be_listed_since_a_time(self, http, volumes):
        made = {**VOLUME, "volume_image_metadata": {"image_id": "image-7"}}
        http.answer("GET", "/volumes/detail", json={"volumes": [made, VOLUME]})
        zone = datetime.timezone(datetime.timedelta(hours=2))
        moment = datetime.datetime(2026, 1, 31, 1, 30, tzinfo=zone)
        found = volumes.volumes_since(moment)
        assert [each.image_id for each in found] == ["image-7", None]
        (request,) = http.requests()
        assert request.qs == {
            "all_tenants": ["1"],
            "created_at": ["gte:2026-01-30t23:30:00"],
            "limit": ["1000"],
        }
        # Before 3.60 the filter is ignored without a word.
        version = request.headers["OpenStack-API-Version"].removeprefix("volume 3.")
        assert int(version) >= 60

    @pytest.mark.parametrize(
        ("specs", "allowed"),
        [
            ({}, True),
            ({"volume_backend_name": "ontap"}, True),
            ({"volume_backend_name": "other"}, False),
            ({"pool_name": "a:/fv1"}, True),
            ({"pool_name": "a:/fv"}, False),
            ({"pool_name": "<or> a:/fv1 <or> a:/fv2"}, True),
            ({"pool_name": "<or> a:/fv2 <or> a:/fv3"}, False),
            ({"pool_name": "a:/fv1", "volume_backend_name": "<or> x <or> ontap"}, True),
        ],
    )
    def test_a_type_allows_the_pools_that_its_specs_name(self, specs, allowed):
        pool = Pool("h@b#a:/fv1", "a:/fv1", "ontap", "NetApp", "nfs")
        assert VolumeType("id", "name", True, specs).allows(pool) is allowed

    def test_services_have_a_zone_and_perhaps_a_cluster(self, http, volumes):
        services = [
            {"host": "n1@b", "zone": "az1", "cluster": "c@b", "state": "up"},
            {"host": "n2@b", "zone": "az2", "cluster": None, "state": "down"},
        ]
        http.answer("GET", "/os-services", json={"services": services})
        assert volumes.volume_services() == (
            Service("n1@b", "az1", "c@b"),
            Service("n2@b", "az2"),
        )

    def test_an_unknown_availability_zone_names_the_option(self, http, volumes):
        text = "Availability zone 'az9' is invalid."
        refusal = {"badRequest": {"code": 400, "message": text}}
        http.answer("POST", "/volumes", status_code=400, json=refusal)
        with pytest.raises(errors.Misconfigured, match="'az9' is invalid") as caught:
            volumes.create(dataclasses.replace(NEW, availability_zone="az9"))
        assert "ontap_availability_zone" in str(caught.value)

    def test_another_bad_request_is_not_about_the_zone(self, http, volumes):
        refusal = {"badRequest": {"code": 400, "message": "Invalid volume name."}}
        http.answer("POST", "/volumes", status_code=400, json=refusal)
        with pytest.raises(errors.Broken, match="Invalid volume name"):
            volumes.create(dataclasses.replace(NEW, availability_zone="az9"))

    def test_a_full_quota_names_the_project(self, http, volumes):
        http.answer(
            "POST",
            "/volumes",
            status_code=413,
            json={"overLimit": {"message": "Requested volume exceeds allowed quota."}},
        )
        with pytest.raises(errors.NoSpace, match="exceeds allowed quota") as caught:
            volumes.create(NEW)
        assert "'images'" in str(caught.value)

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("code", [200, 404, 500, 502])
    def test_the_page_of_a_proxy_is_not_an_answer(self, http, volumes, name, code):
        """It is not JSON, and a 404 of a proxy does not mean that a volume is gone."""
        call, method, path = CALLS[name]
        http.answer(method, path, status_code=code, text="<html>Bad gateway</html>")
        with pytest.raises(errors.Broken):
            call(volumes)

    @pytest.mark.parametrize(
        "name",
        [
            "create",
            "get",
            "find",
            "reserve",
            "connect",
            "reservations",
            "attachments",
            "last_fault",
            "connection_info",
        ],
    )
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param({"text": "<html>Welcome</html>"}, id="a page"),
            pytest.param({"json": {}}, id="nothing"),
            pytest.param({"json": []}, id="a list"),
            pytest.param(
                {
                    "json": {
                        "volume": {"id": VOLUME_ID},
                        "attachment": {},
                        "volumes": [{"id": VOLUME_ID}],
                        "messages": [{"id": "m-1"}],
                        "attachments": [7],
                    }
                },
                id="half of it",
            ),
        ],
    )
    def test_a_malformed_answer_is_an_error(self, http, volumes, name, answer):
        call, method, path = CALLS[name]
        http.answer(method, path, status_code=200, **answer)
        http.answer("GET", f"/volumes/{VOLUME_ID}", status_code=200, **answer)
        http.answer("GET", "/messages/m-1", status_code=200, **answer)
        with pytest.raises(errors.Broken):
            call(volumes)


LOST = [
    pytest.param(requests.exceptions.ConnectionError("reset by peer"), id="reset"),
    pytest.param(requests.exceptions.ConnectTimeout(), id="connect timeout"),
    pytest.param(requests.exceptions.ReadTimeout(), id="read timeout"),
]


class TestLostConnections:
    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("lost", LOST)
    def test_a_lost_connection_means_unreachable(self, http, volumes, name, lost):
        call, method, path = CALLS[name]
        http.answer(method, path, exc=lost)
        with pytest.raises(errors.CinderUnreachable) as caught:
            call(volumes)
        assert AUTH_URL in str(caught.value)

    def test_an_incomplete_answer_means_unreachable(self, http, volumes):
        """The connection is lost in the middle of the body."""
        http.answer(
            "GET",
            f"/volumes/{VOLUME_ID}",
            exc=requests.exceptions.ChunkedEncodingError(),
        )
        with pytest.raises(errors.CinderUnreachable):
            volumes.get(VOLUME_ID)

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize(
        "answer",
        [
            {"exc": requests.exceptions.ConnectionError("reset by peer")},
            {"status_code": 500, "json": {}},
            {"status_code": 503, "json": {}},
        ],
        ids=["reset", "500", "503"],
    )
    def test_the_client_itself_sends_a_request_once(self, http, volumes, name, answer):
        call, method, path = CALLS[name]
        matcher = http.answer(method, path, **answer)
        with pytest.raises(errors.Broken):
            call(volumes)
        assert matcher.call_count == 1

    @pytest.mark.parametrize("name", CALLS)
    def test_only_safe_requests_are_repeated(self, http, volumes, name):
        call, method, path = CALLS[name]
        matcher = http.answer(method, path, status_code=503, json={})
        with pytest.raises(errors.Broken):
            call(patience.patient(volumes, FakeClock(), Patience.brief(4)))
        assert matcher.call_count == (1 if name in api.ONCE else 5)

    def test_the_answer_to_a_repeated_request_is_used(self, http, volumes):
        http.answer(
            "GET",
            f"/volumes/{VOLUME_ID}",
            {"exc": requests.exceptions.ConnectionError("reset by peer")},
            {"json": {"volume": VOLUME}},
        )
        asked = patience.patient(volumes, FakeClock(), Patience(10))
        assert asked.get(VOLUME_ID).id == VOLUME_ID

    @pytest.mark.parametrize("name", ["create", "get"])
    def test_a_refused_certificate_names_the_option(self, http, volumes, name):
        call, method, path = CALLS[name]
        http.answer(method, path, exc=requests.exceptions.SSLError("self-signed"))
        with pytest.raises(errors.Misconfigured, match="self-signed") as caught:
            call(volumes)
        assert "ontap_ca_certificates_file" in str(caught.value)


REFUSED = requests.exceptions.ConnectionError(
    urllib3.exceptions.MaxRetryError(
        None, "/", urllib3.exceptions.NewConnectionError(None, "refused")
    )
)


class TestTransient:
    """A failure tells whether it may pass, and what Cinder may have done."""

    @pytest.fixture
    def failure(self, http, volumes):
        def failure(**answer):
            http.answer("GET", f"/volumes/{VOLUME_ID}", **answer)
            with pytest.raises(errors.StoreError) as caught:
                volumes.get(VOLUME_ID)
            return caught.value.transient

        return failure

    @pytest.mark.parametrize(
        ("answer", "doubt"),
        [
            ({"status_code": 429}, Doubt.UNSENT),
            ({"status_code": 500}, Doubt.OVER),
            ({"status_code": 502}, Doubt.LOST),
            ({"status_code": 503}, Doubt.OVER),
            ({"status_code": 504}, Doubt.LATE),
            ({"status_code": 404, "text": "<html>"}, Doubt.LOST),
            ({"status_code": 200, "text": "<html>"}, Doubt.LOST),
            ({"exc": REFUSED}, Doubt.UNSENT),
            ({"exc": requests.exceptions.ConnectTimeout}, Doubt.UNSENT),
            ({"exc": requests.exceptions.ReadTimeout}, Doubt.LATE),
            ({"exc": requests.exceptions.ConnectionError("reset")}, Doubt.LOST),
            ({"exc": requests.exceptions.ChunkedEncodingError}, Doubt.LOST),
        ],
    )
    def test_a_failure_that_may_pass(self, failure, answer, doubt):
        assert failure(**answer) == Transient(doubt)

    @pytest.mark.parametrize(
        "answer",
        [
            {"status_code": code, "json": {"x": {"message": "No."}}}
            for code in (400, 401, 403, 404, 413)
        ]
        + [{"status_code": 501}, {"exc": requests.exceptions.SSLError}],
        ids=repr,
    )
    def test_a_failure_that_stays(self, failure, answer):
        assert failure(**answer) is None

    @pytest.mark.parametrize(("code", "doubt"), [(429, "UNSENT"), (503, "OVER")])
    def test_the_time_that_cinder_wishes_is_read(self, failure, code, doubt):
        answer = {"status_code": code, "headers": {"Retry-After": "17"}}
        assert failure(**answer) == Transient(Doubt[doubt], 17)

    def test_the_time_that_keystone_wishes_is_read(self, http, volumes):
        answer = {"status_code": 503, "headers": {"Retry-After": "17"}}
        http.mock.post(f"{AUTH_URL}/auth/tokens", **answer)
        with pytest.raises(errors.CinderUnreachable) as caught:
            volumes.get(VOLUME_ID)
        assert caught.value.transient == Transient(Doubt.OVER, 17)

    @pytest.mark.parametrize("code", [401, 403])
    def test_a_refusal_of_keystone_stays(self, http, volumes, code):
        http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=code, json={})
        with pytest.raises(errors.Refused) as caught:
            volumes.get(VOLUME_ID)
        assert caught.value.transient is None


class TestLogin:
    def test_there_is_no_login_before_the_first_request(self, http):
        """So Glance starts without Keystone."""
        make_client()
        assert http.mock.request_history == []

    def test_refused_credentials_name_the_store_and_user(self, http, volumes):
        http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=401, json={})
        with pytest.raises(errors.Refused, match="'fv1'") as caught:
            volumes.get(VOLUME_ID)
        assert "'glance'" in str(caught.value)
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("lost", LOST)
    def test_an_unreachable_keystone_names_the_option(self, http, volumes, lost):
        http.mock.get(AUTH_URL, exc=lost)
        http.mock.post(f"{AUTH_URL}/auth/tokens", exc=lost)
        with pytest.raises(errors.CinderUnreachable, match="ontap_store_auth_address"):
            volumes.get(VOLUME_ID)

    def test_a_deleted_application_credential_is_named(self, http):
        """Keystone answers 404, and after a wrong password 401."""
        http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=404, json={})
        volumes = make_client(
            ontap_store_user_name=None,
            ontap_store_password=None,
            ontap_store_application_credential_id="0123abcd",
            ontap_store_application_credential_secret="s3cret",
        )
        with pytest.raises(errors.Refused, match="application credential 0123abcd"):
            volumes.get(VOLUME_ID)

    def test_an_error_of_keystone_is_an_error(self, http, volumes):
        http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=500, json={})
        with pytest.raises(errors.Broken):
            volumes.get(VOLUME_ID)

    @pytest.mark.parametrize(
        "changes",
        [
            {"ontap_os_region_name": "west"},
            {"ontap_catalog_info": "sharev2::internalURL"},
            {"ontap_catalog_info": "volumev3:other:internalURL"},
        ],
    )
    def test_a_catalog_without_the_endpoint_names_the_option(self, http, changes):
        with pytest.raises(errors.Misconfigured, match="ontap_catalog_info"):
            make_client(**changes).get(VOLUME_ID)

    def test_an_expired_token_is_renewed(self, http, volumes):
        http.answer(
            "POST",
            "/volumes",
            {"status_code": 401, "json": {}},
            {"status_code": 202, "json": {"volume": VOLUME}},
        )
        assert volumes.create(NEW).id == VOLUME_ID
        assert len(http.logins) == 2

    def test_one_login_serves_many_requests(self, http, volumes):
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        http.answer("POST", "/volumes", status_code=202, json={"volume": VOLUME})
        for _time in range(3):
            volumes.get(VOLUME_ID)
            volumes.create(NEW)
        assert len(http.logins) == 1

    def test_the_login_with_a_password(self, http, volumes):
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        volumes.get(VOLUME_ID)
        (login,) = http.logins
        assert login["identity"]["password"]["user"] == {
            "name": "glance",
            "domain": {"name": "Default"},
            "password": "s3cret",
        }
        assert login["scope"]["project"] == {
            "name": "images",
            "domain": {"name": "Default"},
        }

    def test_the_login_with_an_application_credential(self, http):
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        make_client(
            ontap_store_user_name=None,
            ontap_store_password=None,
            ontap_store_project_name=None,
            ontap_store_application_credential_id="ac-1",
            ontap_store_application_credential_secret="s3cret",
        ).get(VOLUME_ID)
        (login,) = http.logins
        assert login == {
            "identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": "ac-1", "secret": "s3cret"},
            }
        }

    def test_upstream_two_stores_use_both_users(self, http):
        """Upstream's one session per process served every store."""
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        first = make_client(ontap_store_user_name="glance-1")
        second = make_client(ontap_store_user_name="glance-2")
        for volumes in (first, second, first):
            volumes.get(VOLUME_ID)
        assert [sent.headers["X-Auth-Token"] for sent in http.requests()] == [
            "token-of-glance-1",
            "token-of-glance-2",
            "token-of-glance-1",
        ]


class TestEndpoint:
    @pytest.mark.parametrize("region", ["north", "south"])
    @pytest.mark.parametrize(
        ("interface", "path"),
        [
            ("internalURL", "internal"),
            ("publicURL", "public"),
            ("adminURL", "admin"),
            ("internal", "internal"),
        ],
    )
    def test_region_and_interface_choose_the_endpoint(
        self, http, region, interface, path
    ):
        matcher = http.mock.get(
            f"{CINDER}/{region}/{path}/v3/volumes/{VOLUME_ID}",
            json={"volume": VOLUME},
        )
        make_client(
            ontap_os_region_name=region,
            ontap_catalog_info=f"volumev3:cinderv3:{interface}",
        ).get(VOLUME_ID)
        assert matcher.call_count == 1

    @pytest.mark.parametrize("catalog_type", ["volumev3", "block-storage"])
    def test_the_service_type_chooses_the_endpoint(self, http, catalog_type):
        http.catalog_type = catalog_type
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        found = make_client(ontap_catalog_info=f"{catalog_type}::internalURL")
        assert found.get(VOLUME_ID).id == VOLUME_ID

    @pytest.mark.parametrize("is_insecure", [True, False])
    @pytest.mark.parametrize("has_ca_file", [True, False])
    def test_the_options_choose_the_certificates(
        self, http, tmp_path, is_insecure, has_ca_file
    ):
        if is_insecure and has_ca_file:
            return  # refused by the settings
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text("certificate")
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        make_client(
            ontap_api_insecure=is_insecure,
            ontap_ca_certificates_file=str(ca_file) if has_ca_file else None,
        ).get(VOLUME_ID)
        expected = str(ca_file) if has_ca_file else not is_insecure
        assert {sent.verify for sent in http.mock.request_history} == {expected}

    def test_every_request_has_a_time_limit(self, http):
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        make_client(ontap_api_timeout=17).get(VOLUME_ID)
        assert {sent.timeout for sent in http.mock.request_history} == {17}

    def test_requests_have_the_microversion(self, http, volumes):
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})
        volumes.get(VOLUME_ID)
        (request,) = http.requests()
        assert request.headers["OpenStack-API-Version"] == "volume 3.61"


class TestRequestsAndAnswers:
    def test_a_volume_is_created(self, http, volumes):
        created = {**VOLUME, "status": "creating"}
        http.answer("POST", "/volumes", status_code=202, json={"volume": created})
        assert volumes.create(NEW) == Volume(
            VOLUME_ID,
            "creating",
            3,
            {"image_owner": "acme"},
            "ontap-fv1",
            name="image-1",
        )
        (request,) = http.requests()
        asked = request.json()["volume"]
        assert asked["size"] == 3
        assert asked["name"] == "image-1"
        assert asked["volume_type"] == "ontap-fv1"
        assert asked["metadata"] == {"image_owner": "acme"}
        assert asked.get("multiattach") in (None, False)
        assert asked.get("availability_zone") is None

    def test_the_availability_zone_is_asked_for_and_parsed(self, http, volumes):
        created = {**VOLUME, "availability_zone": "az2"}
        http.answer("POST", "/volumes", status_code=202, json={"volume": created})
        new = dataclasses.replace(NEW, availability_zone="az2")
        assert volumes.create(new).availability_zone == "az2"
        (request,) = http.requests()
        assert request.json()["volume"]["availability_zone"] == "az2"

    def test_a_volume_is_parsed(self, http, volumes):
        shown = {
            **VOLUME,
            "status": "in-use",
            "encrypted": True,
        }
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": shown})
        assert volumes.get(VOLUME_ID) == Volume(
            VOLUME_ID,
            "in-use",
            3,
            {"image_owner": "acme"},
            "ontap-fv1",
            True,
            name="image-1",
        )

    def test_volumes_are_found_by_name(self, http, volumes):
        matcher = http.answer("GET", "/volumes/detail", json={"volumes": [VOLUME]})
        assert [volume.id for volume in volumes.find("image-1")] == [VOLUME_ID]
        assert matcher.last_request.qs["name"] == ["image-1"]
        assert "all_tenants" not in matcher.last_request.qs

    @pytest.mark.parametrize("everywhere", [False, True])
    def test_volumes_are_searched_in_the_projects_of_the_store(self, http, everywhere):
        matcher = http.answer("GET", "/volumes/detail", json={"volumes": [VOLUME]})
        owner = "project" if everywhere else "service"
        volumes = make_client(ontap_image_volume_owner=owner)
        found = volumes.search("in-use", {"ontap_state": "filling"})
        assert [volume.id for volume in found] == [VOLUME_ID]
        asked = matcher.last_request.qs
        assert asked["status"] == ["in-use"]
        assert asked["metadata"] == ["{'ontap_state': 'filling'}"]
        assert ("all_tenants" in asked) is everywhere

    def test_a_volume_shows_its_complete_attachments(self, http, volumes):
        shown = {
            "attachment_id": ATTACHMENT_ID,
            "device": "glance_store:a:b",
            "host_name": None,
            "attached_at": "2026-01-31T12:00:00.000000",
            "server_id": None,
        }
        http.answer(
            "GET",
            f"/volumes/{VOLUME_ID}",
            json={"volume": {**VOLUME, "attachments": [shown]}},
        )
        assert volumes.get(VOLUME_ID).attachments == (
            Connected(
                ATTACHMENT_ID,
                device="glance_store:a:b",
                attached_at="2026-01-31T12:00:00.000000",
            ),
        )

    def test_a_volume_is_reserved_then_connected(self, http, volumes):
        info = {"driver_volume_type": "nfs", "export": "192.0.2.1:/fv1", "name": "v"}
        reserving = http.answer("POST", "/attachments", json=RESERVED)
        connected = {"attachment": {"id": ATTACHMENT_ID, "connection_info": info}}
        connecting = http.answer("PUT", f"/attachments/{ATTACHMENT_ID}", json=connected)
        lent = dict(CONNECTOR)
        assert volumes.reserve(VOLUME_ID, "ro") == ATTACHMENT_ID
        assert volumes.connect(VOLUME_ID, ATTACHMENT_ID, lent) == info
        asked = reserving.last_request.json()["attachment"]
        assert asked == {"volume_uuid": VOLUME_ID, "connector": None, "mode": "ro"}
        sent = connecting.last_request.json()["attachment"]["connector"]
        assert sent.items() >= CONNECTOR.items()
        assert lent == CONNECTOR

    def test_an_attachments_secrets_are_not_printed(self):
        attachment = Attachment("a", "v", {"auth_password": "s3cret"})
        assert "s3cret" not in repr(attachment)

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("extend", {"os-extend": {"new_size": 4}}),
            ("set_readonly", {"os-update_readonly_flag": {"readonly": True}}),
            ("set_metadata", {"metadata": {"a": "b"}}),
            ("complete", {"os-complete": ATTACHMENT_ID}),
        ],
    )
    def test_the_body_of_a_request(self, http, volumes, name, body):
        call, method, path = CALLS[name]
        matcher = http.answer(method, path, status_code=202, json={"metadata": {}})
        call(volumes)
        sent = matcher.last_request.json()
        if name == "complete":  # the client's own shape: {"os-complete": null}
            assert list(sent) == list(body)
        else:
            assert sent == body

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_snapshots_of_a_volume_are_noticed(self, http, volumes, count):
        found = [{"id": f"s-{n}", "volume_id": VOLUME_ID} for n in range(count)]
        matcher = http.answer("GET", "/snapshots", json={"snapshots": found})
        assert volumes.has_snapshots(VOLUME_ID) is bool(count)
        assert matcher.last_request.qs["volume_id"] == [VOLUME_ID]

    def test_attachments_in_any_state_are_listed(self, http, volumes):
        found = [
            {"id": ATTACHMENT_ID, "volume_id": VOLUME_ID, "status": "reserved"},
            {"id": OTHER_ID, "volume_id": VOLUME_ID, "status": "attached"},
        ]
        matcher = http.answer("GET", "/attachments", json={"attachments": found})
        assert volumes.attachments(VOLUME_ID) == [ATTACHMENT_ID, OTHER_ID]
        assert matcher.last_request.qs["volume_id"] == [VOLUME_ID]

    def test_last_fault_is_the_newest_message(self, http, volumes):
        now = datetime.datetime(2026, 1, 1)
        messages = [
            {
                "id": f"m-{n}",
                "event_id": f"VOLUME_VOLUME_001_00{n}",
                "user_message": f"message {n}",
                "created_at": (now - datetime.timedelta(n)).isoformat(),
            }
            for n in (3, 6)
        ]
        matcher = http.answer("GET", "/messages", json={"messages": messages})
        fault = volumes.last_fault(VOLUME_ID)
        assert fault == Fault("VOLUME_VOLUME_001_003", "message 3")
        assert fault.is_lack_of_room
        assert matcher.last_request.qs["resource_uuid"] == [VOLUME_ID]
        assert matcher.last_request.qs["sort"] == ["created_at:desc"]

    def test_without_a_message_there_is_no_fault(self, http, volumes):
        http.answer("GET", "/messages", json={"messages": []})
        assert volumes.last_fault(VOLUME_ID) is None

    @pytest.mark.parametrize("answer", ["raw", "qcow2", None])
    def test_the_connection_of_an_attachment_is_shown(self, http, volumes, answer):
        info = {"driver_volume_type": "nfs"} | ({"format": answer} if answer else {})
        http.answer(
            "GET",
            f"/attachments/{ATTACHMENT_ID}",
            json={"attachment": {"id": ATTACHMENT_ID, "connection_info": info}},
        )
        assert volumes.connection_info(ATTACHMENT_ID) == info

    @pytest.mark.parametrize("info", [{}, {"format": "raw"}, None])
    def test_a_reserved_attachment_has_no_connection(self, http, volumes, info):
        http.answer(
            "GET",
            f"/attachments/{ATTACHMENT_ID}",
            json={"attachment": {"id": ATTACHMENT_ID, "connection_info": info}},
        )
        assert volumes.connection_info(ATTACHMENT_ID) == {}

    @pytest.mark.parametrize("code", sorted(NOT_CONNECTED))
    def test_a_refusal_of_the_driver_differs_from_a_lost_answer(
        self, http, volumes, code
    ):
        call, method, path = CALLS["connect"]
        http.answer(method, path, status_code=code, json={"x": {"message": "raw?"}})
        with pytest.raises(errors.NotConnected, match=r"raw\?"):
            call(volumes)
        http.answer(method, path, exc=requests.exceptions.ReadTimeout())
        with pytest.raises(errors.CinderUnreachable):
            call(volumes)

    @pytest.mark.parametrize("code", [429, 502, 503, 504])
    def test_a_service_that_is_away_does_not_refuse_a_connection(
        self, http, volumes, code
    ):
        call, method, path = CALLS["connect"]
        http.answer(method, path, status_code=code, json={})
        with pytest.raises(errors.Broken) as caught:
            call(volumes)
        assert type(caught.value) is errors.Broken

    @pytest.mark.parametrize("name", sorted(api.ONCE))
    def test_a_failed_login_sends_nothing_that_makes_something(
        self, http, volumes, name
    ):
        call, method, path = CALLS[name]
        matcher = http.answer(method, path, json={})
        http.mock.post(f"{AUTH_URL}/auth/tokens", exc=requests.exceptions.ReadTimeout)
        with pytest.raises(errors.CinderUnreachable) as caught:
            call(volumes)
        assert matcher.call_count == 0
        assert caught.value.transient == Transient(Doubt.UNSENT)

    def test_a_clone_of_a_busy_volume_is_refused_as_busy(self, http, volumes):
        answer = {"badRequest": {"message": "Originating source volume is attaching"}}
        http.answer("POST", "/volumes", status_code=400, json=answer)
        clone = NewVolume("c", 1, None, {}, source_id=VOLUME_ID)
        with pytest.raises(errors.ImageVolumeInUse, match="attaching"):
            volumes.create(clone)
        with pytest.raises(errors.Broken):
            volumes.create(NEW)

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            (
                400,
                "Invalid volume_type provided: t-2 (requested type is not compatible",
            ),
            (404, "Volume type ontap could not be found."),
        ],
    )
    def test_a_type_that_no_clone_can_have_is_misconfigured(
        self, http, volumes, code, said
    ):
        answer = {"fault": {"message": said, "code": code}}
        http.answer("POST", "/volumes", status_code=code, json=answer)
        clone = NewVolume("c", 1, "ontap", {}, source_id=VOLUME_ID)
        with pytest.raises(errors.Misconfigured, match="ontap_replica_volume_type"):
            volumes.create(clone)

    def test_a_source_that_is_gone_is_told_from_a_type(self, http, volumes):
        answer = {
            "itemNotFound": {"message": f"Volume {VOLUME_ID} could not be found."}
        }
        http.answer("POST", "/volumes", status_code=404, json=answer)
        clone = NewVolume("c", 1, "ontap", {}, source_id=VOLUME_ID)
        with pytest.raises(errors.ImageVolumeGone):
            volumes.create(clone)

    def test_a_migration_never_asks_a_host_to_copy(self, http, volumes):
        sent = http.answer("POST", f"/volumes/{VOLUME_ID}/action", status_code=202)
        volumes.migrate(VOLUME_ID, "h@b#p")
        assert sent.last_request.json() == {
            "os-migrate_volume": {
                "host": "h@b#p",
                "force_host_copy": False,
                "lock_volume": False,
            }
        }

    @pytest.mark.parametrize(
        ("shown", "migration", "is_migrating"),
        [
            ({}, None, False),
            ({"os-vol-mig-status-attr:migstat": None}, "", False),
            ({"os-vol-mig-status-attr:migstat": "success"}, "success", False),
            ({"os-vol-mig-status-attr:migstat": "error"}, "error", False),
            ({"os-vol-mig-status-attr:migstat": "starting"}, "starting", True),
            ({"os-vol-mig-status-attr:migstat": "target:x"}, "target:x", True),
            ({"os-vol-mig-status-attr:migstat": "none"}, "none", True),
        ],
    )
    def test_the_status_of_a_migration(
        self, http, volumes, shown, migration, is_migrating
    ):
        answer = {"volume": {**VOLUME, **shown}}
        http.answer("GET", f"/volumes/{VOLUME_ID}", json=answer)
        found = volumes.get(VOLUME_ID)
        assert (found.migration, found.is_migrating) == (migration, is_migrating)

    def test_the_name_of_a_volume_type_is_asked_for_once(self, http, volumes):
        kinds = [{"id": "t-1", "name": "ontap-fv1", "is_public": True}]
        asked = http.answer("GET", "/types", json={"volume_types": kinds})
        for _time in range(2):
            assert volumes.type_name("t-1") == "ontap-fv1"
        assert asked.call_count == 1
        assert volumes.type_name("ontap-fv1") == "ontap-fv1"
        assert volumes.type_name("other") == "other"
        assert volumes.type_name(None) is None

    def test_an_administrators_answer_has_pool_and_project(self, http, volumes):
        shown = {
            **VOLUME,
            "created_at": "2026-01-31T12:00:00.000000",
            "os-vol-host-attr:host": "h@b#a:/fv1",
            "os-vol-tenant-attr:tenant_id": "acme",
            "os-vol-mig-status-attr:name_id": "n-1",
        }
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": shown})
        found = volumes.get(VOLUME_ID)
        assert (found.pool, found.host) == ("h@b#a:/fv1", "h@b#a:/fv1")
        assert found.project_id == "acme"
        assert found.created_at == "2026-01-31T12:00:00.000000"
        assert found.backing_id == "n-1"

    def test_the_pool_of_a_volume_in_a_cluster_is_the_clusters(self, http, volumes):
        shown = {
            **VOLUME,
            "os-vol-host-attr:host": "n1@b#a:/fv1",
            "cluster_name": "c@b#a:/fv1",
        }
        http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": shown})
        found = volumes.get(VOLUME_ID)
        assert (found.pool, found.host) == ("c@b#a:/fv1", "n1@b#a:/fv1")


class TestSecrets:
    @pytest.mark.parametrize("code", [401, 500])
    def test_no_password_or_token_in_log_or_error(self, http, volumes, caplog, code):
        caplog.set_level("DEBUG")
        http.answer("GET", f"/volumes/{VOLUME_ID}", status_code=code, json={})
        with pytest.raises(errors.StoreError) as caught:
            volumes.get(VOLUME_ID)
        for text in (caplog.text, str(caught.value), repr(caught.value)):
            assert "s3cret" not in text
            assert "token-of" not in text

    def test_the_error_of_a_connection_shows_no_password(self, http, volumes):
        said = requests.exceptions.ConnectionError("body: {'password': 's3cret'}")
        http.mock.post(f"{AUTH_URL}/auth/tokens", exc=said)
        with pytest.raises(errors.CinderUnreachable) as caught:
            volumes.get(VOLUME_ID)
        assert "s3cret" not in str(caught.value)
