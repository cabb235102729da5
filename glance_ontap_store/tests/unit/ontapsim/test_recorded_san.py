# SPDX-License-Identifier: Apache-2.0
"""Requests that Cinder's iSCSI, FC and NVMe drivers were recorded to send.

As they sent them: only names and uuids are others. Each record of an answer must have
every field that was asked for.
"""

import pytest

from lab.ontapsim import query

IQN, NQN = "iqn.1994-05.org.test:h1", "nqn.2014-08.org.nvmexpress:uuid:1"
WWPNS = ("50:01:43:80:18:6b:3f:65", "50:01:43:80:18:6b:3f:67")
PAGE = "&max_records=10000"
LUN_FIELDS = (
    "fields=svm.name,location.volume.name,space.size,location.qtree.name,name,os_type,"
    "space.scsi_thin_provisioning_support_enabled,space.guarantee.requested,uuid"
)
NAMESPACE_FIELDS = (
    "fields=svm.name,location.volume.name,space.size,location.qtree.name,name,os_type,"
    "space.guarantee.requested,uuid"
)
VOLUME = "/vol/fv1/volume-df9bed81-defb-45c2-8863-5f47beba5f9a"
NAMESPACE = "/vol/fv1/volume-a0456963-c333-4b74-be75-a1084257c2e9"
GROUP, FC_GROUP = "openstack-6f7cc30c", "openstack-a27ac7f7"
SUBSYSTEM = "openstack-afd29766"
LUNS, NAMESPACES = "/api//storage/luns", "/api//storage/namespaces"
IGROUPS, MAPS = "/api//protocols/san/igroups", "/api//protocols/san/lun-maps"
SUBSYSTEMS = "/api//protocols/nvme/subsystems"
SUBSYSTEM_MAPS = "/api//protocols/nvme/subsystem-maps"

# In the order of a driver's life: make, clone, grow, attach.
SENT = [
    (
        LUNS,
        {
            "name": VOLUME,
            "space.size": "1073741824",
            "os_type": "linux",
            "space.guarantee.requested": "false",
            "space.scsi_thin_provisioning_support_enabled": "false",
        },
    ),
    (
        LUNS,
        {
            "svm": {"name": "svm1"},
            "name": f"{VOLUME}-clone",
            "clone": {"source": {"name": VOLUME}},
            "space": {"guarantee": {"requested": False}},
        },
    ),
    (IGROUPS, {"name": GROUP, "protocol": "iscsi", "os_type": "linux"}),
    (IGROUPS, {"name": FC_GROUP, "protocol": "fcp", "os_type": "linux"}),
    (f"{IGROUPS}/{GROUP}/initiators", {"name": IQN}),
    *((f"{IGROUPS}/{FC_GROUP}/initiators", {"name": wwpn}) for wwpn in WWPNS),
    (f"{MAPS}?return_records=true", {"lun.name": VOLUME, "igroup.name": GROUP}),
    (f"{MAPS}?return_records=true", {"lun.name": VOLUME, "igroup.name": FC_GROUP}),
    (
        NAMESPACES,
        {"name": NAMESPACE, "space.size": "1073741824", "os_type": "linux"},
    ),
    (
        NAMESPACES,
        {
            "svm": {"name": "svm1"},
            "name": f"{NAMESPACE}-clone",
            "clone": {"source": {"name": NAMESPACE}},
        },
    ),
    (
        SUBSYSTEMS,
        {
            "svm.name": "svm1",
            "name": SUBSYSTEM,
            "os_type": "linux",
            "hosts": [{"nqn": NQN}],
        },
    ),
    (
        f"{SUBSYSTEM_MAPS}?return_records=true",
        {"namespace.name": NAMESPACE, "subsystem.name": SUBSYSTEM},
    ),
]

# (URL, number of records)
ASKED = [
    (f"{LUNS}/?location.volume.name=fv1&svm.name=svm1&fields=space.size,name", 2),
    (f"{LUNS}/?location.volume.name=fv2&svm.name=svm1&fields=space.size,name", 0),
    (f"{LUNS}/?svm.name=svm1&{LUN_FIELDS}", 2),
    (f"{LUNS}/?{LUN_FIELDS}&svm.name=svm1&name={VOLUME}-clone", 1),
    (f"{LUNS}/?{LUN_FIELDS}&name={VOLUME}", 1),
    (f"{LUNS}?name={VOLUME}", 1),
    (f"{IGROUPS}?svm.name=svm1&initiators.name={IQN}&fields=name,protocol,os_type", 1),
    (
        f"{IGROUPS}?svm.name=svm1&initiators.name={','.join(WWPNS)}"
        "&fields=name,protocol,os_type",
        1,
    ),
    (f"{IGROUPS}/?name={GROUP}&fields=uuid", 1),
    (f"{IGROUPS}?initiators.name={','.join(WWPNS)}&fields=lun_maps", 1),
    (f"{MAPS}?lun.name={VOLUME}&fields=igroup.name,logical_unit_number,svm.name", 2),
    (
        f"{MAPS}?igroup.name={GROUP}&lun.name={VOLUME}&fields=lun.uuid,igroup.uuid",
        1,
    ),
    ("/api//network/ip/interfaces?services=data_iscsi&fields=ip.address,enabled", 2),
    ("/api//protocols/san/iscsi/services?fields=target.name", 1),
    ("/api//network/fc/interfaces?fields=wwpn", 2),
    (f"{NAMESPACES}?location.volume.name=fv1&svm.name=svm1&fields=space.size,name", 2),
    (f"{NAMESPACES}?location.volume.name=fv2&svm.name=svm1&fields=space.size,name", 0),
    (f"{NAMESPACES}/?svm.name=svm1&{NAMESPACE_FIELDS}", 2),
    (
        f"{NAMESPACES}?{NAMESPACE_FIELDS},space.block_size&svm.name=svm1"
        f"&name={NAMESPACE}-clone",
        1,
    ),
    (
        f"{SUBSYSTEM_MAPS}?namespace.name={NAMESPACE}"
        "&fields=subsystem.name,namespace.uuid,svm.name,subsystem.uuid",
        1,
    ),
    (f"{SUBSYSTEMS}?fields=target_nqn&name={SUBSYSTEM}&svm.name=svm1", 1),
    (
        f"{SUBSYSTEMS}?svm.name=svm1&hosts.nqn={NQN}&fields=name,os_type"
        "&name=openstack-*",
        1,
    ),
    (
        f"{SUBSYSTEMS}?svm.name=svm1&subsystem_maps.namespace.name={NAMESPACE}"
        "&fields=name,os_type&name=openstack-*",
        1,
    ),
    (
        "/api//network/ip/interfaces?services=data_nvme_tcp&fields=ip.address"
        "&enabled=true",
        2,
    ),
]


@pytest.fixture
def used(api):
    """The API after all that a driver makes; igroups' names in URLs become uuids."""
    for path, body in SENT:
        for name in (GROUP, FC_GROUP):
            if f"/{name}/" in path:
                [found] = api.get(f"{IGROUPS}/?name={name}&fields=uuid")["records"]
                path = path.replace(name, found["uuid"])
        answer = api("POST", path, body, svm="svm1")
        assert answer.status_code == 201, (path, answer.json)
        if "return_records" in path:
            assert answer.json["records"]
    return api


def test_each_recorded_question_has_every_field_that_it_asks_for(used):
    for url, count in ASKED:
        body = used.get(url + PAGE, svm="svm1")
        assert body["num_records"] == count, url
        assert len(body["records"]) == count, url
        asked = query.parse(url.partition("?")[2]).fields
        for record in body["records"]:
            lacking = [path for path in asked if not query.values_at(record, path)]
            assert not lacking, (url, record)


def test_the_recorded_questions_before_anything_is_made(api):
    """No unit, no map: an empty answer and not an error."""
    for url, _ in ASKED:
        assert "records" in api.get(url + PAGE, svm="svm1"), url


def test_the_recorded_changes_and_deletions(used):
    [lun] = used.get(f"{LUNS}?name={VOLUME}")["records"]
    body = {"name": VOLUME, "space.size": str(2 << 30)}
    assert used("PATCH", f"{LUNS}/{lun['uuid']}", body, svm="svm1").status_code == 200
    body = {"space.size": str(2 << 30)}
    answer = used("PATCH", f"{NAMESPACES}?name={NAMESPACE}", body, svm="svm1")
    assert answer.status_code == 200
    [group] = used.get(f"{IGROUPS}?name={GROUP}")["records"]
    path = f"{MAPS}/{lun['uuid']}/{group['uuid']}"
    assert used("DELETE", path, svm="svm1").status_code == 200
    [owner] = used.get(f"{SUBSYSTEMS}?name={SUBSYSTEM}")["records"]
    path = f"{SUBSYSTEMS}/{owner['uuid']}/hosts/{NQN}"
    assert used("DELETE", path, svm="svm1").status_code == 200
    for base, name in ((f"{LUNS}/", VOLUME), (NAMESPACES, NAMESPACE)):
        for end in ("", "-clone"):
            query_of = f"name={name}{end}&svm=svm1&allow_delete_while_mapped=true"
            path = f"{base}?{query_of}"
            assert used("DELETE", path, svm="svm1").status_code == 200
    assert not list(used.directory("fv1").iterdir())
