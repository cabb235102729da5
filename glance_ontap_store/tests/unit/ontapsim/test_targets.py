# SPDX-License-Identifier: Apache-2.0
"""What hosts connect to: services, interfaces and credentials."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.test_luns import UNKNOWN
from glance_ontap_store.tests.unit.ontapsim.test_luns import error_of

CREDENTIALS = "/api/protocols/san/iscsi/credentials"
IQN = "iqn.1994-05.org.test:h1"
CHAP = {"chap.inbound.user": "u", "chap.inbound.password": "secret-password"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/protocols/san/iscsi/services",
        "/api/protocols/san/fcp/services",
        "/api/protocols/nvme/services",
    ],
)
def test_each_svm_has_each_service(api, path):
    found = api.get(f"{path}?fields=enabled")["records"]
    assert [one["svm"]["name"] for one in found] == ["svm1", "svm2"]
    assert all(one["enabled"] for one in found)
    assert api.get(path, svm="svm2")["num_records"] == 1
    uuid = found[0]["svm"]["uuid"]
    assert api.get(f"{path}/{uuid}")["svm"]["name"] == "svm1"
    assert error_of(api("GET", f"{path}/{UNKNOWN}")) == (404, "5374078")


def test_each_svm_has_an_iqn_of_its_own(api):
    found = api.get("/api/protocols/san/iscsi/services?fields=target.name")["records"]
    names = {one["target"]["name"] for one in found}
    assert len(names) == 2
    assert all(name.startswith("iqn.1992-08.com.netapp:sn.") for name in names)


@pytest.mark.parametrize("service", ["data_iscsi", "data_nvme_tcp"])
def test_each_svm_has_two_addresses_for_blocks(api, service):
    query = f"services={service}&fields=ip.address,enabled,svm.name"
    found = api.get(f"/api/network/ip/interfaces?{query}")["records"]
    assert len({one["ip"]["address"] for one in found}) == 4
    mine = api.get(f"/api/network/ip/interfaces?{query}", svm="svm1")["records"]
    assert [one["svm"]["name"] for one in mine] == ["svm1", "svm1"]


def test_nfs_has_its_address_alone(api):
    query = "services=data_nfs&svm.name=svm1&fields=ip.address"
    [found] = api.get(f"/api/network/ip/interfaces?{query}")["records"]
    assert found["ip"]["address"] == "127.0.0.1"


def test_each_svm_has_two_wwpns(api):
    found = api.get("/api/network/fc/interfaces?fields=wwpn,svm.name")["records"]
    assert len({one["wwpn"] for one in found}) == 4
    assert all(len(one["wwpn"]) == 23 for one in found)
    assert api.get("/api/network/fc/interfaces", svm="svm1")["num_records"] == 2


def test_the_ports_of_fibre_channel_are_the_clusters(api):
    found = api.get("/api/network/fc/ports?fields=state,wwpn")["records"]
    assert [one["state"] for one in found] == ["online", "online"]
    answer = api("GET", "/api/network/fc/ports", user="svmadmin")
    assert error_of(answer) == (403, "6")


def credential(api, **more):
    body = {"initiator": IQN, "authentication_type": "chap", **CHAP, **more}
    return api("POST", CREDENTIALS, body, svm="svm1")


def test_a_credential_is_shown_without_its_password(api):
    assert credential(api).status_code == 201
    found = api("GET", f"{CREDENTIALS}?initiator={IQN}&fields=*")
    [record] = found.json["records"]
    assert record["chap"]["inbound"]["user"] == "u"
    assert "secret-password" not in found.get_data(as_text=True)
    assert "secret-password" not in repr(api.array.san.credentials)
    assert api.get(f"{CREDENTIALS}?initiator=iqn.x")["num_records"] == 0


def test_a_credential_is_changed_and_deleted(api):
    link = credential(api).headers["Location"]
    body = {"chap": {"inbound": {"user": "v", "password": "another-secret"}}}
    assert api("PATCH", link, body).status_code == 200
    assert api.get(link)["chap"]["inbound"]["user"] == "v"
    assert api("PATCH", link, {"authentication_type": "deny"}).status_code == 200
    assert "chap" not in api.get(link)
    assert api("DELETE", link).status_code == 200
    assert error_of(api("GET", link)) == (404, "5374895")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"initiator": IQN}, (409, "5374142")),
        ({"initiator": None}, (400, "262186")),
        ({"authentication_type": "kerberos"}, (400, "262197")),
        ({"chap.inbound.password": ""}, (400, "5374149")),
        ({"chap.outbound.user": "u"}, (501, "3")),
    ],
)
def test_a_credential_that_cannot_be_made(api, body, expected):
    credential(api)
    answer = credential(api, **{"initiator": "iqn.1994-05.org.test:h2"} | body)
    assert error_of(answer) == expected
