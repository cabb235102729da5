# SPDX-License-Identifier: Apache-2.0
"""The JSON records of ONTAP, made of the simulator's state. No decisions here.

Pages: the "Definitions" of each resource in the ONTAP REST API documentation.
"""

from typing import Any

from lab.ontapsim import san_space
from lab.ontapsim.jobs import Job
from lab.ontapsim.state import Array
from lab.ontapsim.state import ConsistencyGroup
from lab.ontapsim.state import Lif
from lab.ontapsim.state import QosPolicy
from lab.ontapsim.state import Snapshot
from lab.ontapsim.state import Svm
from lab.ontapsim.state import SvmPeer
from lab.ontapsim.state import Volume

Record = dict[str, Any]

# Bytes that the files of a FlexVol may have before deduplication.
LOGICAL_DATA_LIMIT = 640 << 40


def link(path: str) -> Record:
    """Return the ``_links`` of a record."""
    return {"self": {"href": f"/api{path}"}}


def named(name: str, uuid: str, path: str) -> Record:
    """Return how one record refers to another."""
    return {"name": name, "uuid": uuid, "_links": link(f"{path}/{uuid}")}


def svm_reference(svm: str) -> Record:
    """Return how a record refers to its SVM."""
    return named(svm, Svm(svm).uuid, "/svm/svms")


def cluster(array: Array) -> Record:
    """Page "Cluster"."""
    generation, major, minor = array.cluster.version
    return {
        "name": array.cluster.name,
        "uuid": array.cluster.uuid,
        "version": {
            "full": array.cluster.release,
            "generation": generation,
            "major": major,
            "minor": minor,
        },
        "_links": link("/cluster"),
    }


def node(array: Array) -> Record:
    """Page "Cluster nodes"."""
    return {
        "name": array.node.name,
        "uuid": array.node.uuid,
        "model": array.node.model,
        "is_all_flash_optimized": True,
        "is_all_flash_select_optimized": False,
        "state": "up",
        "version": cluster(array)["version"],
        "_links": link(f"/cluster/nodes/{array.node.uuid}"),
    }


def job(found: Job) -> Record:
    """Page "Cluster jobs". A failed one has ``error`` besides code and message."""
    record: Record = {
        "uuid": found.uuid,
        "description": found.description,
        "state": found.state,
        "message": found.message,
        "code": found.code,
        "start_time": found.start_time.isoformat(),
        "_links": link(f"/cluster/jobs/{found.uuid}"),
    }
    if found.svm:
        record["svm"] = svm_reference(found.svm)
    if found.end_time:
        record["end_time"] = found.end_time.isoformat()
    if found.state == "failure":
        record["error"] = {"message": found.message, "code": str(found.code)}
        if found.target:
            record["error"]["target"] = found.target
    return record


def svm(found: Svm) -> Record:
    """Page "SVM"."""
    return {
        "name": found.name,
        "uuid": found.uuid,
        "state": "running",
        "subtype": "default",
        "language": "c.utf_8",
        "nfs": {"allowed": True, "enabled": True},
        "_links": link(f"/svm/svms/{found.uuid}"),
    }


def svm_peer(array: Array, found: SvmPeer) -> Record:
    """Page "SVM peers". ``name`` is the peer's name here, and ONTAP may change it."""
    cluster_reference = {"name": array.cluster.name, "uuid": array.cluster.uuid}
    return {
        "uuid": found.uuid,
        "name": found.peer,
        "svm": svm_reference(found.svm),
        "peer": {"svm": svm_reference(found.peer), "cluster": cluster_reference},
        "applications": list(found.applications),
        "state": "peered",
        "_links": link(f"/svm/peers/{found.uuid}"),
    }


def lif(found: Lif, node_name: str) -> Record:
    """Page "Network IP interfaces"."""
    return {
        "name": found.name,
        "uuid": found.uuid,
        "enabled": True,
        "state": "up",
        "scope": "svm",
        "ip": {"address": found.address, "netmask": "8", "family": "ipv4"},
        "svm": svm_reference(found.svm),
        "services": list(found.services),
        "location": {"home_node": {"name": node_name}, "is_home": True},
        "_links": link(f"/network/ip/interfaces/{found.uuid}"),
    }


def aggregate(array: Array) -> Record:
    """Page "Storage aggregates". Used is the sum over its FlexVols."""
    found = array.aggregate
    used = sum(volume.files.usage().used for volume in array.volumes())
    return {
        "name": found.name,
        "uuid": found.uuid,
        "state": "online",
        "node": {"name": found.node, "uuid": array.node.uuid},
        "home_node": {"name": found.node, "uuid": array.node.uuid},
        "block_storage": {
            "storage_type": "ssd",
            "primary": {"raid_type": "raid_dp", "disk_class": "solid_state"},
        },
        "space": {
            "block_storage": {
                "size": found.size_bytes,
                "available": found.size_bytes - used,
                "used": used,
            }
        },
        "_links": link(f"/storage/aggregates/{found.uuid}"),
    }


def disk(array: Array) -> Record:
    """Page "Storage disks"."""
    return {
        "name": "1.0.1",
        "uid": "50015178:58C5A9C1:00000000:00000000:00000000:00000000:00000000",
        "effective_type": "ssd",
        "type": "ssd",
        "state": "present",
        "aggregates": [{"name": array.aggregate.name, "uuid": array.aggregate.uuid}],
        "node": {"name": array.node.name, "uuid": array.node.uuid},
    }


# Fields of a volume that some have and some have not.
VOLUME_OPTIONAL = (
    "nas.path",
    "qos.policy.name",
    "qos.policy.uuid",
    "consistency_group.name",
    "consistency_group.uuid",
)


def volume(array: Array, found: Volume) -> Record:
    """Page "Storage volumes". Space in bytes, as the file system counts."""
    usage = found.files.usage()
    reserved = min(usage.available, san_space.reserved_bytes(array, found))
    nas: Record = {"security_style": "unix", "unix_permissions": 777}
    if found.junction:
        nas["path"] = found.junction
    record = {
        "name": found.name,
        "uuid": found.uuid,
        "type": "rw",
        "style": found.style,
        "state": "online",
        "comment": found.comment,
        "create_time": found.create_time.isoformat(),
        "language": "c.utf_8",
        "size": found.size_bytes,
        "svm": svm_reference(found.svm),
        "aggregates": [{"name": array.aggregate.name, "uuid": array.aggregate.uuid}],
        "nas": nas,
        "is_svm_root": False,
        "error_state": {"is_inconsistent": False, "has_bad_blocks": False},
        "encryption": {"enabled": False},
        "guarantee": {"type": "none", "honored": True},
        "space": {
            "size": found.size_bytes,
            "afs_total": usage.total,
            "used": usage.used + reserved,
            "available": usage.available - reserved,
            "snapshot": {"reserve_percent": 0, "used": 0},
        },
        "snapshot_policy": {"name": "none"},
        "snapshot_directory_access_enabled": True,
        "snapshot_count": len(found.snapshots),
        "efficiency": {
            "state": "enabled" if found.dedupe != "none" else "disabled",
            "dedupe": found.dedupe,
            "compression": found.compression,
            "volume_path": f"/vol/{found.name}",
        },
        "_links": link(f"/storage/volumes/{found.uuid}"),
    }
    for group in array.groups(found.svm):
        if found.name in group.volumes:
            record["consistency_group"] = {"name": group.name, "uuid": group.uuid}
    return record


def snapshot(owner: Volume, found: Snapshot) -> Record:
    """Page "Storage volume snapshots". ``owners`` only where something holds it."""
    path = f"/storage/volumes/{owner.uuid}/snapshots/{found.uuid}"
    return {
        "name": found.name,
        "uuid": found.uuid,
        "volume": named(owner.name, owner.uuid, "/storage/volumes"),
        "svm": svm_reference(owner.svm),
        "create_time": found.create_time.isoformat(),
        "_links": link(path),
    }


def qos_policy(found: QosPolicy) -> Record:
    """Page "Storage QoS policies"."""
    return {
        "name": found.name,
        "uuid": found.uuid,
        "svm": svm_reference(found.svm),
        "scope": "svm",
        "policy_class": "user_defined",
        **found.limits,
        "_links": link(f"/storage/qos/policies/{found.uuid}"),
    }


def consistency_group(array: Array, found: ConsistencyGroup) -> Record:
    """Page "Application consistency groups"."""
    volumes = [v for v in array.volumes(found.svm) if v.name in found.volumes]
    return {
        "name": found.name,
        "uuid": found.uuid,
        "svm": svm_reference(found.svm),
        "volumes": [{"name": v.name, "uuid": v.uuid} for v in volumes],
        "_links": link(f"/application/consistency-groups/{found.uuid}"),
    }
