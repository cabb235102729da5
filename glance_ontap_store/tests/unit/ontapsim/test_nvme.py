# SPDX-License-Identifier: Apache-2.0
"""NVMe subsystems, hosts and maps over plain directories: answers and errors."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.test_luns import NAMESPACES
from glance_ontap_store.tests.unit.ontapsim.test_luns import UNKNOWN
from glance_ontap_store.tests.unit.ontapsim.test_luns import error_of
from glance_ontap_store.tests.unit.ontapsim.test_luns import make

SUBSYSTEMS = "/api/protocols/nvme/subsystems"
MAPS = "/api/protocols/nvme/subsystem-maps"
NQN, OTHER_NQN = (
    "nqn.2014-08.org.nvmexpress:uuid:1",
    "nqn.2014-08.org.nvmexpress:uuid:2",
)


def subsystem(api, name="s", hosts=(NQN,), svm="svm1"):
    """Make a subsystem and return its record."""
    body = {
        "svm.name": svm,
        "name": name,
        "os_type": "linux",
        "hosts": [{"nqn": nqn} for nqn in hosts],
    }
    answer = api("POST", f"{SUBSYSTEMS}?return_records=true", body)
    assert answer.status_code == 201, answer.json
    return answer.json["records"][0]


def namespace(api, name="/vol/fv1/a"):
    return make(api, name, NAMESPACES)


def map_namespace(api, name="/vol/fv1/a", owner="s"):
    """Ask for a map, by names."""
    body = {"namespace.name": name, "subsystem.name": owner}
    return api("POST", f"{MAPS}?return_records=true", body, svm="svm1")


def test_each_subsystem_has_an_nqn_of_its_own(api):
    nqns = {subsystem(api, name)["target_nqn"] for name in ("s", "t")}
    nqns.add(subsystem(api, "s", svm="svm2")["target_nqn"])
    assert len(nqns) == 3
    assert all(nqn.startswith("nqn.1992-08.com.netapp:sn.") for nqn in nqns)


def test_a_subsystem_is_found_by_host_name_and_namespace(api):
    subsystem(api, "openstack-1")
    subsystem(api, "other", [OTHER_NQN])
    namespace(api)
    map_namespace(api, owner="openstack-1")

    def names(query):
        found = api.get(f"{SUBSYSTEMS}?svm.name=svm1&{query}&fields=name,os_type")
        return [record["name"] for record in found["records"]]

    assert names(f"hosts.nqn={NQN}&name=openstack-*") == ["openstack-1"]
    assert names(f"hosts.nqn={OTHER_NQN}&name=openstack-*") == []
    path = "subsystem_maps.namespace.name=/vol/fv1/a"
    assert names(f"{path}&name=openstack-*") == ["openstack-1"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "s"}, (409, "72090025")),
        ({"name": ""}, (400, "262186")),
        ({"os_type": "hpux"}, (400, "262197")),
        ({"hosts": [{"nqn": "h1"}]}, (400, "72089772")),
        ({"hosts": [{}]}, (400, "72090003")),
        ({"vendor_uuids": ["x"]}, (501, "3")),
        ({"svm": {"name": "none"}}, (404, "2621462")),
    ],
)
def test_a_subsystem_that_cannot_be_made(api, body, expected):
    subsystem(api)
    whole = {"name": "t", "os_type": "linux"} | body
    assert error_of(api("POST", SUBSYSTEMS, whole, svm="svm1")) == expected
    assert api.get(SUBSYSTEMS)["num_records"] == 1


def test_hosts_come_and_go_and_the_map_stays(api):
    path = f"{SUBSYSTEMS}/{subsystem(api)['uuid']}/hosts"
    namespace(api)
    map_namespace(api)
    assert error_of(api("POST", path, {"nqn": NQN})) == (409, "72089705")
    assert api("POST", path, {"nqn": OTHER_NQN}).status_code == 201
    assert api("DELETE", f"{path}/{NQN}").status_code == 200
    assert error_of(api("DELETE", f"{path}/{NQN}")) == (404, "72090004")
    assert [host["nqn"] for host in api.get(path)["records"]] == [OTHER_NQN]
    assert api.get(MAPS)["num_records"] == 1


def test_a_map_is_seen_from_all_sides(api):
    owner, unit = subsystem(api), namespace(api)
    [made] = map_namespace(api).json["records"]
    assert made["namespace"]["uuid"] == unit["uuid"]
    assert made["nsid"] == "00000001h"
    query = "namespace.name=/vol/fv1/a&fields=subsystem.name,namespace.uuid,svm.name"
    [found] = api.get(f"{MAPS}?{query}")["records"]
    assert found["subsystem"]["name"] == "s"
    shown = api.get(f"{NAMESPACES}/{unit['uuid']}")
    assert shown["subsystem_map"]["subsystem"]["uuid"] == owner["uuid"]
    assert shown["status"]["mapped"] is True
    path = f"{MAPS}/{owner['uuid']}/{unit['uuid']}"
    assert api.get(path)["namespace"]["name"] == "/vol/fv1/a"
    assert api("DELETE", path).status_code == 200
    assert error_of(api("DELETE", path)) == (404, "72090019")


def test_namespaces_of_a_subsystem_have_numbers_of_their_own(api):
    subsystem(api)
    numbers = []
    for name in ("/vol/fv1/a", "/vol/fv1/b"):
        namespace(api, name)
        [made] = map_namespace(api, name).json["records"]
        numbers.append(made["nsid"])
    assert numbers == ["00000001h", "00000002h"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (409, "72089790")),
        ({"subsystem.name": "t"}, (409, "72089790")),
        ({"subsystem.name": "none"}, (404, "72090021")),
        ({"namespace.name": "/vol/fv1/none"}, (404, "72090007")),
        ({"namespace.name": "/vol/fv1/lun"}, (404, "72090007")),
        ({"namespace.name": None, "namespace.uuid": UNKNOWN}, (404, "72090006")),
    ],
)
def test_a_map_that_cannot_be_made(api, body, expected):
    subsystem(api, "s")
    subsystem(api, "t", [])
    namespace(api)
    make(api, "/vol/fv1/lun")
    map_namespace(api)
    whole = {"namespace.name": "/vol/fv1/a", "subsystem.name": "s"} | body
    whole = {name: value for name, value in whole.items() if value}
    assert error_of(api("POST", MAPS, whole, svm="svm1")) == expected


def test_cinder_unmaps_by_query(api):
    subsystem(api)
    namespace(api)
    map_namespace(api)
    query = f"{MAPS}?subsystem.name=s&namespace.name=/vol/fv1/a"
    assert api("DELETE", query).status_code == 200
    assert error_of(api("DELETE", query)) == (404, "72090019")


def test_a_mapped_namespace_is_deleted_only_by_force(api):
    subsystem(api)
    unit = namespace(api)
    map_namespace(api)
    path = f"{NAMESPACES}/{unit['uuid']}"
    assert error_of(api("DELETE", path)) == (409, "72089796")
    assert api("DELETE", f"{path}?allow_delete_while_mapped=true").status_code == 200
    assert api.get(MAPS)["num_records"] == 0
    assert api.get(SUBSYSTEMS)["num_records"] == 1


def test_a_subsystem_in_use_is_deleted_only_by_force(api):
    path = f"{SUBSYSTEMS}/{subsystem(api)['uuid']}"
    namespace(api)
    map_namespace(api)
    assert error_of(api("DELETE", path)) == (409, "72090023")
    path += "?allow_delete_while_mapped=true"
    assert error_of(api("DELETE", path)) == (409, "72090024")
    assert api("DELETE", f"{path}&allow_delete_with_hosts=true").status_code == 200
    assert error_of(api("DELETE", path)) == (404, "72090001")
    assert api.get(NAMESPACES)["num_records"] == 1
