# SPDX-License-Identifier: Apache-2.0
"""Igroups, initiators and LUN maps over plain directories: answers and errors."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.test_luns import LUNS
from glance_ontap_store.tests.unit.ontapsim.test_luns import UNKNOWN
from glance_ontap_store.tests.unit.ontapsim.test_luns import error_of
from glance_ontap_store.tests.unit.ontapsim.test_luns import make

IGROUPS, MAPS = "/api/protocols/san/igroups", "/api/protocols/san/lun-maps"
IQN, OTHER_IQN = "iqn.1994-05.org.test:h1", "iqn.1994-05.org.test:h2"
WWPN = "50:01:43:80:18:6b:3f:65"


def group(api, name="g", initiators=(), svm="svm1", **more):
    """Make an igroup and return its record."""
    body = {"name": name, "os_type": "linux", **more}
    if initiators:
        body["initiators"] = [{"name": initiator} for initiator in initiators]
    answer = api("POST", f"{IGROUPS}?return_records=true", body, svm=svm)
    assert answer.status_code == 201, answer.json
    return answer.json["records"][0]


def map_lun(api, lun, igroup="g", **more):
    """Ask for a map, by names."""
    body = {"lun.name": lun, "igroup.name": igroup, **more}
    return api("POST", f"{MAPS}?return_records=true", body, svm="svm1")


def number_of(answer):
    """Return the LUN number of a new map."""
    assert answer.status_code == 201, answer.json
    return answer.json["records"][0]["logical_unit_number"]


# Igroups and initiators


def test_an_igroup_is_found_by_any_of_its_initiators(api):
    group(api, "g1", [IQN], protocol="iscsi")
    group(api, "g2", [OTHER_IQN], protocol="iscsi")

    def names(initiators):
        query = f"svm.name=svm1&initiators.name={initiators}&fields=name"
        return [r["name"] for r in api.get(f"{IGROUPS}?{query}")["records"]]

    assert names(IQN) == ["g1"]
    assert names(f"{IQN},{OTHER_IQN}") == ["g1", "g2"]
    assert names("iqn.1994-05.org.test:none") == []


def test_an_igroup_of_another_svm_is_not_seen(api):
    made = group(api, svm="svm2")
    assert api.get(IGROUPS, svm="svm1")["num_records"] == 0
    answer = api("GET", f"{IGROUPS}/{made['uuid']}", svm="svm1")
    assert error_of(answer) == (404, "5374852")
    assert group(api, svm="svm1")["uuid"] != made["uuid"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "g"}, (409, "5374023")),
        ({"name": None}, (400, "262186")),
        ({"os_type": None}, (400, "262186")),
        ({"os_type": "beos"}, (400, "262197")),
        ({"protocol": "nvme"}, (400, "262197")),
        ({"initiators": [{"name": "h1"}]}, (400, "5373993")),
        ({"initiators": [{"name": IQN}], "protocol": "fcp"}, (400, "5374038")),
        ({"initiators": [{"name": WWPN}], "protocol": "iscsi"}, (400, "5374039")),
        ({"portset": {"name": "p"}}, (501, "3")),
    ],
)
def test_an_igroup_that_cannot_be_made(api, body, expected):
    group(api, "g")
    answer = api("POST", IGROUPS, {"name": "h", "os_type": "linux"} | body, svm="svm1")
    assert error_of(answer) == expected
    assert api.get(IGROUPS)["num_records"] == 1


def test_initiators_come_and_go(api):
    path = f"{IGROUPS}/{group(api)['uuid']}/initiators"
    assert api("POST", path, {"name": IQN}).status_code == 201
    assert error_of(api("POST", path, {"name": IQN})) == (409, "5374035")
    more = {"records": [{"name": OTHER_IQN}, {"name": WWPN.upper()}]}
    assert api("POST", path, more).status_code == 201
    names = [record["name"] for record in api.get(path)["records"]]
    assert names == [IQN, OTHER_IQN, WWPN]
    assert api("DELETE", f"{path}/{IQN}").status_code == 200
    assert error_of(api("DELETE", f"{path}/{IQN}")) == (404, "5374034")
    assert api.get(path)["num_records"] == 2


def test_a_wwpn_without_colons_is_kept_with_them(api):
    made = group(api, initiators=["50014380186B3F65"], protocol="fcp")
    assert made["initiators"][0]["name"] == WWPN


def test_an_igroup_that_is_mapped_is_deleted_only_by_force(api):
    made = group(api, initiators=[IQN])
    make(api)
    map_lun(api, "/vol/fv1/a")
    path = f"{IGROUPS}/{made['uuid']}"
    assert error_of(api("DELETE", path)) == (409, "1254213")
    assert error_of(api("DELETE", f"{path}/initiators/{IQN}")) == (409, "1254213")
    assert api("DELETE", f"{path}?allow_delete_while_mapped=true").status_code == 200
    assert api.get(MAPS)["num_records"] == 0
    assert api.get(LUNS)["num_records"] == 1


# Maps


def test_a_map_is_seen_from_all_sides(api):
    lun, igroup = make(api), group(api, initiators=[IQN])
    [made] = map_lun(api, "/vol/fv1/a").json["records"]
    assert made["logical_unit_number"] == 0
    assert (made["lun"]["uuid"], made["igroup"]["uuid"]) == (
        lun["uuid"],
        igroup["uuid"],
    )
    query = "lun.name=/vol/fv1/a&fields=igroup.name,logical_unit_number,svm.name"
    [found] = api.get(f"{MAPS}?{query}")["records"]
    assert (found["igroup"]["name"], found["svm"]["name"]) == ("g", "svm1")
    shown = api.get(f"{LUNS}/{lun['uuid']}")
    assert shown["status"]["mapped"] is True
    assert shown["lun_maps"][0]["logical_unit_number"] == 0
    [seen] = api.get(f"{IGROUPS}?initiators.name={IQN}&fields=lun_maps")["records"]
    assert seen["lun_maps"][0]["lun"]["name"] == "/vol/fv1/a"
    path = f"{MAPS}/{lun['uuid']}/{igroup['uuid']}"
    assert api.get(path)["lun"]["name"] == "/vol/fv1/a"


def test_the_lowest_free_number_is_given_again(api):
    igroup = group(api, initiators=[IQN])
    luns = [make(api, f"/vol/fv1/{name}") for name in "abcd"]
    numbers = [number_of(map_lun(api, f"/vol/fv1/{name}")) for name in "abc"]
    assert numbers == [0, 1, 2]
    path = f"{MAPS}/{luns[1]['uuid']}/{igroup['uuid']}"
    assert api("DELETE", path).status_code == 200
    assert number_of(map_lun(api, "/vol/fv1/d")) == 1


def test_no_initiator_sees_two_luns_at_one_number(api):
    group(api, "g1", [IQN, OTHER_IQN])
    group(api, "g2", [IQN])
    group(api, "g3", [WWPN])
    for name in "abc":
        make(api, f"/vol/fv1/{name}")
    assert number_of(map_lun(api, "/vol/fv1/a", "g1")) == 0
    assert number_of(map_lun(api, "/vol/fv1/b", "g2")) == 1
    assert number_of(map_lun(api, "/vol/fv1/c", "g3")) == 0


def test_a_number_can_be_asked_for(api):
    group(api, initiators=[IQN])
    for name in "abc":
        make(api, f"/vol/fv1/{name}")
    answer = map_lun(api, "/vol/fv1/a", logical_unit_number=7)
    assert number_of(answer) == 7
    answer = map_lun(api, "/vol/fv1/b", logical_unit_number=7)
    assert error_of(answer) == (409, "1")
    answer = map_lun(api, "/vol/fv1/b", logical_unit_number=4096)
    assert error_of(answer) == (400, "262197")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"lun.name": "/vol/fv1/a", "igroup.name": "g"}, (409, "1254207")),
        ({"lun.name": "/vol/fv1/none", "igroup.name": "g"}, (404, "1254201")),
        ({"lun.name": "/vol/fv1/n", "igroup.name": "g"}, (404, "1254201")),
        ({"lun.name": "/vol/fv1/a", "igroup.name": "none"}, (404, "5374878")),
        ({"lun.uuid": UNKNOWN, "igroup.name": "g"}, (404, "1254201")),
        ({"igroup.name": "g"}, (400, "5374901")),
        ({"lun.name": "/vol/fv1/a"}, (400, "5374902")),
    ],
)
def test_a_map_that_cannot_be_made(api, body, expected):
    group(api)
    make(api)
    make(api, "/vol/fv1/n", "/api/storage/namespaces")
    map_lun(api, "/vol/fv1/a")
    assert error_of(api("POST", MAPS, body, svm="svm1")) == expected
    assert api.get(MAPS)["num_records"] == 1


def test_a_map_that_is_gone_has_the_code_that_cinder_expects(api):
    lun, igroup = make(api), group(api)
    path = f"{MAPS}/{lun['uuid']}/{igroup['uuid']}"
    assert error_of(api("DELETE", path)) == (404, "5374922")
    assert error_of(api("GET", path)) == (404, "5374922")


def test_a_mapped_lun_is_deleted_only_by_force(api):
    lun = make(api)
    group(api)
    map_lun(api, "/vol/fv1/a")
    path = f"{LUNS}/{lun['uuid']}"
    assert error_of(api("DELETE", path)) == (409, "1254197")
    assert api("DELETE", f"{path}?allow_delete_while_mapped=true").status_code == 200
    assert api.get(MAPS)["num_records"] == 0


def test_a_renamed_and_a_moved_lun_keep_their_maps(api):
    lun = make(api)
    group(api)
    map_lun(api, "/vol/fv1/a")
    for name in ("/vol/fv1/b", "/vol/fv2/b"):
        api("PATCH", f"{LUNS}/{lun['uuid']}", {"name": name})
        [found] = api.get(f"{MAPS}?lun.name={name}")["records"]
        assert found["lun"]["uuid"] == lun["uuid"]


def test_a_fault_of_jobs_strikes_maps(api):
    make(api)
    group(api)
    api.faults.add({"action": "job_failed", "code": "42", "message": "no"})
    body = {"lun.name": "/vol/fv1/a", "igroup.name": "g"}
    assert api.job("POST", MAPS, body, svm="svm1")["code"] == 42
    assert api.get(MAPS)["num_records"] == 0
