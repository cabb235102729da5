# SPDX-License-Identifier: Apache-2.0
"""The JSON records of SAN, made of the simulator's state. No decisions here.

Pages: the "Definitions" of each resource in the ONTAP REST API documentation.
"""

import uuid as uuid_module

from lab.ontapsim import san_space
from lab.ontapsim.records import Record
from lab.ontapsim.records import link
from lab.ontapsim.records import named
from lab.ontapsim.records import svm_reference
from lab.ontapsim.san import Credential
from lab.ontapsim.san import Igroup
from lab.ontapsim.san import Map
from lab.ontapsim.san import Subsystem
from lab.ontapsim.san import Transfer
from lab.ontapsim.san import Unit
from lab.ontapsim.state import Array
from lab.ontapsim.state import Svm
from lab.ontapsim.state import stable_uuid

_PATHS = {"lun": "/storage/luns", "namespace": "/storage/namespaces"}
_IGROUPS, _SUBSYSTEMS = "/protocols/san/igroups", "/protocols/nvme/subsystems"
_LUN_MAPS, _NAMESPACE_MAPS = "/protocols/san/lun-maps", "/protocols/nvme/subsystem-maps"

# Each SVM has so many interfaces for Fibre Channel.
FC_INTERFACES = 2

UNIT_OPTIONAL = (
    "auto_delete",
    "class",
    "comment",
    "copy.source.name",
    "copy.source.progress.failure.code",
    "copy.source.progress.failure.message",
    "copy.source.progress.percent_complete",
    "copy.source.progress.state",
    "create_time",
    "enabled",
    "location.logical_unit",
    "location.namespace",
    "location.qtree.id",
    "location.qtree.name",
    "location.volume.name",
    "location.volume.uuid",
    "lun_maps.igroup.name",
    "lun_maps.igroup.uuid",
    "lun_maps.logical_unit_number",
    "movement.paths.destination",
    "movement.paths.source",
    "movement.progress.failure.code",
    "movement.progress.failure.message",
    "movement.progress.percent_complete",
    "movement.progress.state",
    "os_type",
    "qos_policy.name",
    "qos_policy.uuid",
    "serial_number",
    "space.block_size",
    "space.guarantee.requested",
    "space.guarantee.reserved",
    "space.scsi_thin_provisioning_support_enabled",
    "space.size",
    "space.used",
    "status.container_state",
    "status.mapped",
    "status.read_only",
    "status.state",
    "subsystem_map.nsid",
    "subsystem_map.subsystem.name",
    "subsystem_map.subsystem.uuid",
    "svm.name",
    "svm.uuid",
)
IGROUP_OPTIONAL = (
    "comment",
    "initiators.name",
    "lun_maps.logical_unit_number",
    "lun_maps.lun.name",
    "lun_maps.lun.uuid",
    "os_type",
    "protocol",
    "svm.name",
    "svm.uuid",
)
SUBSYSTEM_OPTIONAL = (
    "comment",
    "hosts.nqn",
    "os_type",
    "serial_number",
    "subsystem_maps.namespace.name",
    "subsystem_maps.namespace.uuid",
    "subsystem_maps.nsid",
    "svm.name",
    "svm.uuid",
    "target_nqn",
)


def unit(array: Array, found: Unit) -> Record:
    """Pages "LUN" and "NVMe namespace"."""
    path = f"{_PATHS[found.kind]}/{found.uuid}"
    maps = array.san.maps_of(found.uuid)
    last = "logical_unit" if found.kind == "lun" else "namespace"
    record: Record = {
        "uuid": found.uuid,
        "name": found.name,
        "svm": svm_reference(found.svm),
        "location": {
            "volume": _flexvol(found.svm, found.flexvol),
            "qtree": {"id": 0, "name": ""},
            last: found.base_name,
        },
        "enabled": found.enabled,
        "comment": found.comment,
        "create_time": found.create_time,
        "auto_delete": False,
        "os_type": found.os_type,
        "space": _space(array, found),
        "status": {
            "container_state": "online",
            "state": "online" if found.enabled else "offline",
            "mapped": bool(maps),
            "read_only": False,
        },
        "_links": link(path),
    }
    if found.qos_policy:
        record["qos_policy"] = {"name": found.qos_policy}
    if found.kind == "lun":
        record |= {"class": "regular", "serial_number": found.serial}
        record |= _transfer(found.transfer)
        if maps:
            record["lun_maps"] = [_map_of_lun(array, one) for one in maps]
    elif maps:
        record["subsystem_map"] = _map_of_namespace(array, maps[0])
    return record


def _flexvol(svm: str, name: str) -> Record:
    return named(name, stable_uuid("volume", svm, name), "/storage/volumes")


def _space(array: Array, found: Unit) -> Record:
    """Space in bytes. A LUN is never reserved for sure: all FlexVols are thin."""
    space: Record = {
        "size": found.size,
        "used": san_space.used_bytes(array, found),
        "guarantee": {"requested": found.reserved, "reserved": False},
    }
    if found.kind == "lun":
        space["scsi_thin_provisioning_support_enabled"] = found.space_allocation
    else:
        space["block_size"] = found.block_size
    return space


def _transfer(found: Transfer | None) -> Record:
    if found is None:
        return {}
    progress: Record = {
        "state": found.state,
        "percent_complete": found.percent,
        "volume_snapshot_blocked": False,
    }
    if found.state == "failed":
        progress["failure"] = {"message": found.message, "code": found.code}
    if found.kind == "copy":
        return {"copy": {"source": {"name": found.source, "progress": progress}}}
    paths = {"source": found.source, "destination": found.destination}
    return {"movement": {"paths": paths, "progress": progress}}


# Igroups and LUN maps


def igroup(array: Array, found: Igroup) -> Record:
    """Page "Igroup"."""
    record: Record = {
        "uuid": found.uuid,
        "name": found.name,
        "svm": svm_reference(found.svm),
        "os_type": found.os_type,
        "protocol": found.protocol,
        "_links": link(f"{_IGROUPS}/{found.uuid}"),
    }
    if found.comment:
        record["comment"] = found.comment
    if found.initiators:
        record["initiators"] = [initiator(found, name) for name in found.initiators]
    with array.san.lock:
        maps = [
            {
                "logical_unit_number": one.number,
                "lun": named(array.san.units[one.unit].name, one.unit, _PATHS["lun"]),
            }
            for one in array.san.lun_maps
            if one.group == found.uuid
        ]
    if maps:
        record["lun_maps"] = maps
    return record


def initiator(group: Igroup, name: str) -> Record:
    """Page "Igroup initiators"."""
    path = f"{_IGROUPS}/{group.uuid}/initiators/{name}"
    return {
        "name": name,
        "igroup": named(group.name, group.uuid, _IGROUPS),
        "_links": link(path),
    }


def _map_of_lun(array: Array, found: Map) -> Record:
    group = array.san.igroups[found.group]
    return {
        "logical_unit_number": found.number,
        "igroup": named(group.name, group.uuid, _IGROUPS),
        "_links": link(f"{_LUN_MAPS}/{found.unit}/{found.group}"),
    }


def lun_map(array: Array, found: Map) -> Record:
    """Page "LUN map"."""
    lun = array.san.units[found.unit]
    return {
        **_map_of_lun(array, found),
        "lun": named(lun.name, lun.uuid, _PATHS["lun"]),
        "svm": svm_reference(lun.svm),
    }


# Subsystems and their maps


def target_nqn(svm: str, subsystem: str) -> str:
    """Return the NQN that hosts connect to."""
    return f"nqn.1992-08.com.netapp:sn.{_hex(svm)}:subsystem.{subsystem}"


def _hex(svm: str) -> str:
    return Svm(svm).uuid.replace("-", "")


def nsid(number: int) -> str:
    """Return a namespace's number as ONTAP writes it."""
    return f"{number:08X}h"


def subsystem(array: Array, found: Subsystem) -> Record:
    """Page "NVMe subsystem"."""
    record: Record = {
        "uuid": found.uuid,
        "name": found.name,
        "svm": svm_reference(found.svm),
        "os_type": found.os_type,
        "serial_number": found.serial,
        "target_nqn": target_nqn(found.svm, found.name),
        "_links": link(f"{_SUBSYSTEMS}/{found.uuid}"),
    }
    if found.comment:
        record["comment"] = found.comment
    if found.hosts:
        record["hosts"] = [host(found, nqn) for nqn in found.hosts]
    with array.san.lock:
        maps = [
            {
                "nsid": nsid(one.number),
                "anagrpid": nsid(1),
                "namespace": named(
                    array.san.units[one.unit].name, one.unit, _PATHS["namespace"]
                ),
            }
            for one in array.san.namespace_maps
            if one.group == found.uuid
        ]
    if maps:
        record["subsystem_maps"] = maps
    return record


def host(owner: Subsystem, nqn: str) -> Record:
    """Page "NVMe subsystem hosts"."""
    return {
        "nqn": nqn,
        "subsystem": {"uuid": owner.uuid, "name": owner.name},
        "_links": link(f"{_SUBSYSTEMS}/{owner.uuid}/hosts/{nqn}"),
    }


def _map_of_namespace(array: Array, found: Map) -> Record:
    group = array.san.subsystems[found.group]
    return {
        "nsid": nsid(found.number),
        "anagrpid": nsid(1),
        "subsystem": named(group.name, group.uuid, _SUBSYSTEMS),
        "_links": link(f"{_NAMESPACE_MAPS}/{found.group}/{found.unit}"),
    }


def namespace_map(array: Array, found: Map) -> Record:
    """Page "NVMe subsystem maps"."""
    owner = array.san.units[found.unit]
    return {
        **_map_of_namespace(array, found),
        "namespace": named(owner.name, owner.uuid, _PATHS["namespace"]),
        "svm": svm_reference(owner.svm),
    }


# Targets


def target_iqn(svm: Svm) -> str:
    """Return the IQN that initiators log in to."""
    return f"iqn.1992-08.com.netapp:sn.{_hex(svm.name)}:vs.2"


def iscsi_service(svm: Svm) -> Record:
    """Page "SAN iSCSI service"."""
    return {
        "svm": svm_reference(svm.name),
        "enabled": True,
        "target": {"name": target_iqn(svm), "alias": svm.name},
        "_links": link(f"/protocols/san/iscsi/services/{svm.uuid}"),
    }


def credential(found: Credential) -> Record:
    """Page "SAN iSCSI credentials"; passwords are never shown."""
    owner = Svm(found.svm)
    path = f"/protocols/san/iscsi/credentials/{owner.uuid}/{found.initiator}"
    record: Record = {
        "svm": svm_reference(found.svm),
        "initiator": found.initiator,
        "authentication_type": found.authentication,
        "_links": link(path),
    }
    if found.user:
        record["chap"] = {"inbound": {"user": found.user}}
    return record


def fcp_service(svm: Svm) -> Record:
    """Page "SAN FCP service"."""
    return {
        "svm": svm_reference(svm.name),
        "enabled": True,
        "target": {"name": wwpn(svm, 0)},
        "_links": link(f"/protocols/san/fcp/services/{svm.uuid}"),
    }


def nvme_service(svm: Svm) -> Record:
    """Page "NVMe service"."""
    return {
        "svm": svm_reference(svm.name),
        "enabled": True,
        "_links": link(f"/protocols/nvme/services/{svm.uuid}"),
    }


def wwpn(svm: Svm, number: int) -> str:
    """Return the WWPN of an FC interface; number 0 is the SVM's own WWNN."""
    tail = uuid_module.UUID(svm.uuid).bytes[:3]
    return bytes([0x20, number, 0x00, 0xA0, 0x98, *tail]).hex(":")


def fc_interface(array: Array, svm: Svm, number: int) -> Record:
    """Page "Network FC interfaces"."""
    name = f"lif_{svm.name}_fc{number}"
    uuid = stable_uuid("fc", svm.name, str(number))
    return {
        "name": name,
        "uuid": uuid,
        "svm": svm_reference(svm.name),
        "enabled": True,
        "state": "up",
        "data_protocol": "fcp",
        "wwpn": wwpn(svm, number),
        "wwnn": wwpn(svm, 0),
        "location": {
            "home_node": {"name": array.node.name, "uuid": array.node.uuid},
            "home_port": fc_port_reference(array, number),
        },
        "_links": link(f"/network/fc/interfaces/{uuid}"),
    }


def fc_port_reference(array: Array, number: int) -> Record:
    """Return how an interface refers to its port."""
    return {
        "name": f"1{'abcd'[number - 1]}",
        "uuid": stable_uuid("fcport", array.node.name, str(number)),
        "node": {"name": array.node.name},
    }


def fc_port(array: Array, number: int) -> Record:
    """Page "Network FC ports"."""
    reference = fc_port_reference(array, number)
    head = bytes([0x50, 0x0A, 0x09, 0x80 + number, 0x80, 0x00, 0x00, 0x01])
    return {
        **reference,
        "node": {"name": array.node.name, "uuid": array.node.uuid},
        "enabled": True,
        "state": "online",
        "physical_protocol": "fibre_channel",
        "supported_protocols": ["fcp", "fc_nvme"],
        "speed": {"maximum": "32", "configured": "auto"},
        "wwpn": head.hex(":"),
        "wwnn": bytes([0x50, 0x0A, 0x09, 0x80, *head[4:]]).hex(":"),
        "_links": link(f"/network/fc/ports/{reference['uuid']}"),
    }
