# SPDX-License-Identifier: Apache-2.0
"""Requests about storage: aggregates, disks, FlexVols, snapshots, QoS, groups."""

from dataclasses import replace
import datetime
import os
from typing import Any
import uuid as uuid_module

from lab.ontapsim import errors
from lab.ontapsim import files
from lab.ontapsim import query as query_module
from lab.ontapsim import records
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.flexvol import remove_tree
from lab.ontapsim.jobs import JobControl
from lab.ontapsim.query import Collection
from lab.ontapsim.query import expand_dots
from lab.ontapsim.state import Array
from lab.ontapsim.state import ConsistencyGroup
from lab.ontapsim.state import QosPolicy
from lab.ontapsim.state import Snapshot
from lab.ontapsim.state import Volume


def list_aggregates(call: Call) -> Reply:
    """Page "GET /storage/aggregates"."""
    return call.collection([records.aggregate(call.array)])


def get_aggregate(call: Call, uuid: str) -> Reply:
    """Page "GET /storage/aggregates/{uuid}"."""
    if uuid != call.array.aggregate.uuid:
        raise errors.no_entry()
    return call.instance(records.aggregate(call.array))


def list_disks(call: Call) -> Reply:
    """Page "GET /storage/disks": one disk, of the aggregate."""
    return call.collection([records.disk(call.array)], keys=("name",))


def list_snapmirror(call: Call) -> Reply:
    """Page "GET /snapmirror/relationships": there are none."""
    optional = (
        "state",
        "source.path",
        "source.svm.name",
        "destination.path",
        "destination.svm.name",
        "transfer.state",
        "transfer.end_time",
        "lag_time",
        "healthy",
        "policy.type",
        "list_destinations_only",
    )
    return call.collection([], keys=("uuid",), optional=optional)


# FlexVols


def list_volumes(call: Call) -> Reply:
    """Page "GET /storage/volumes"."""
    return call.collection(_volume_records(call), optional=records.VOLUME_OPTIONAL)


def _volume_records(call: Call) -> list[dict[str, Any]]:
    found = call.array.volumes(call.svm)
    return [records.volume(call.array, volume) for volume in found]


def get_volume(call: Call, uuid: str) -> Reply:
    """Page "GET /storage/volumes/{uuid}"."""
    volume = call.array.volume(uuid, call.svm)
    record = records.volume(call.array, volume)
    return call.instance(record, records.VOLUME_OPTIONAL)


def post_volume(call: Call) -> Reply:
    """Page "POST /storage/volumes": a thin FlexVol, as a job.

    Accepted and ignored, since nothing here acts on them: guarantee, language,
    snapshot policy and reserve, export policy, unix permissions.
    """
    array, body = call.array, expand_dots(call.body)
    name = str(replace(call, body=body).required("name"))
    svm = _svm_of(call, body)
    size = _size(body.get("size", body.get("space", {}).get("size")), default=20 << 20)
    if body.get("style", "flexvol") != "flexvol" or body.get("type", "rw") != "rw":
        raise errors.not_modelled("a volume other than a read-write FlexVol")
    if "clone" in body:
        raise errors.not_modelled("FlexClone of a whole FlexVol")
    _check_aggregates(array, body)
    array.check_volume_name(svm, name)
    junction = body.get("nas", {}).get("path")
    _check_junction(array, svm, junction, None)

    def work(control: JobControl) -> None:
        control.report("Creating the volume")
        volume = array.add_volume(svm, name, size, junction)
        _apply(array, volume, body)

    query = f"/storage/volumes/?name={name}&svm.name={svm}"
    return call.start_job(work, created=query)


def _svm_of(call: Call, body: dict[str, Any]) -> str:
    reference = body.get("svm", {})
    for svm in call.array.svms.values():
        if svm.name == reference.get("name") or svm.uuid == reference.get("uuid"):
            return svm.name
    if reference:
        raise errors.no_svm(str(reference.get("name", reference.get("uuid"))))
    if call.svm is None:
        raise errors.missing_value("svm.name")
    return call.svm


def _check_aggregates(array: Array, body: dict[str, Any]) -> None:
    for reference in body.get("aggregates", []):
        known = {"name": array.aggregate.name, "uuid": array.aggregate.uuid}
        if any(value != known.get(key, value) for key, value in reference.items()):
            raise errors.no_entry("aggregates.name")


def _check_junction(
    array: Array, svm: str, junction: str | None, own_uuid: str | None
) -> None:
    if not junction:
        return
    if not junction.startswith("/"):
        raise errors.bad_value("nas.path", junction)
    for other in array.volumes(svm):
        if other.junction == junction and other.uuid != own_uuid:
            raise errors.duplicate(junction, "nas.path")


def _size(value: object, default: int | None = None) -> int:
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not str(value).isdigit():
        raise errors.bad_value("size", value)
    return int(str(value))


_IGNORED_ON_PATCH = frozenset({"guarantee", "snapshot_policy", "autosize", "qos"})
_KNOWN_ON_PATCH = frozenset({"size", "space", "nas", "comment", "efficiency", "name"})


def patch_volume(call: Call, uuid: str) -> Reply:
    """Page "PATCH /storage/volumes/{uuid}": size, nas.path, comment, efficiency."""
    volume = call.array.volume(uuid, call.svm)
    return _patch(call, [volume])


def patch_volumes(call: Call) -> Reply:
    """Page "PATCH /storage/volumes": as above for all that the query selects."""
    collection = Collection(
        call.path, _volume_records(call), optional=records.VOLUME_OPTIONAL
    )
    found = query_module.select(collection, call.query)
    if not found:
        raise errors.no_entry()
    return _patch(call, [call.array.volume(record["uuid"]) for record in found])


def _patch(call: Call, volumes: list[Volume]) -> Reply:
    body = expand_dots(call.body)
    for name in body:
        if name not in _KNOWN_ON_PATCH | _IGNORED_ON_PATCH:
            raise errors.not_modelled(f"PATCH of a volume's {name}")
    for volume in volumes:
        if body.get("name", volume.name) != volume.name:
            raise errors.not_modelled("renaming a FlexVol")
        _check_junction(
            call.array, volume.svm, body.get("nas", {}).get("path"), volume.uuid
        )

    def work(control: JobControl) -> None:
        for volume in volumes:
            _resize(call.array, volume, body)
            _apply(call.array, volume, body)

    return call.start_job(work)


def _resize(array: Array, volume: Volume, body: dict[str, Any]) -> None:
    wanted = body.get("size", body.get("space", {}).get("size"))
    if wanted is None or _size(wanted) == volume.size_bytes:
        return
    size = _size(wanted)
    if size < volume.size_bytes:
        raise errors.not_modelled("shrinking a FlexVol")
    volume.files.grow(size)
    array.change_volume(volume.uuid, size_bytes=size)


def _apply(array: Array, volume: Volume, body: dict[str, Any]) -> None:
    changes: dict[str, Any] = {}
    if "path" in body.get("nas", {}):
        changes["junction"] = body["nas"]["path"] or None
    if "comment" in body:
        changes["comment"] = body["comment"]
    for name in ("dedupe", "compression"):
        if name in body.get("efficiency", {}):
            changes[name] = body["efficiency"][name]
    array.change_volume(volume.uuid, **changes)


def delete_volume(call: Call, uuid: str) -> Reply:
    """Page "DELETE /storage/volumes/{uuid}": as a job."""
    array, volume = call.array, call.array.volume(uuid, call.svm)

    def work(control: JobControl) -> None:
        control.report(f"Deleting volume {volume.name}")
        array.remove_volume(volume.uuid)

    return call.start_job(work)


# Snapshots


def list_snapshots(call: Call, uuid: str) -> Reply:
    """Page "GET /storage/volumes/{volume.uuid}/snapshots"."""
    volume = call.array.volume(uuid, call.svm)
    found = [records.snapshot(volume, snapshot) for snapshot in volume.snapshots]
    optional = ("owners", "volume", "svm", "create_time", "comment")
    return call.collection(found, optional=optional)


def get_snapshot(call: Call, uuid: str, snapshot_uuid: str) -> Reply:
    """Page "GET /storage/volumes/{volume.uuid}/snapshots/{uuid}"."""
    volume = call.array.volume(uuid, call.svm)
    return Reply(records.snapshot(volume, _snapshot(volume, snapshot_uuid)))


def _snapshot(volume: Volume, snapshot_uuid: str) -> Snapshot:
    for snapshot in volume.snapshots:
        if snapshot.uuid == snapshot_uuid:
            return snapshot
    raise errors.no_entry()


def post_snapshot(call: Call, uuid: str) -> Reply:
    """Page "POST /storage/volumes/{volume.uuid}/snapshots": as a job."""
    volume = call.array.volume(uuid, call.svm)
    name = str(call.required("name"))
    _check_snapshot_name(volume, name)

    def work(control: JobControl) -> None:
        take_snapshot(call.array, volume.uuid, name)

    where = f"/storage/volumes/{uuid}/snapshots/?name={name}"
    return call.start_job(work, created=where)


def _check_snapshot_name(volume: Volume, name: str) -> None:
    if not name or "/" in name or name in (".", ".."):
        raise errors.bad_value("name", name)
    if any(snapshot.name == name for snapshot in volume.snapshots):
        raise errors.duplicate(name, "name")


def take_snapshot(array: Array, uuid: str, name: str) -> None:
    """Clone each file of a FlexVol into ``.snapshot/NAME``, where ONTAP shows it."""
    volume = array.volume(uuid)
    target = volume.directory / files.SNAPSHOT_DIRECTORY / name
    target.mkdir(parents=True)
    for folder, names, found in os.walk(volume.directory):
        inside = os.path.relpath(folder, volume.directory)
        if inside == ".":
            names[:] = [n for n in names if n != files.SNAPSHOT_DIRECTORY]
        for directory in names:
            (target / inside / directory).mkdir()
        for file in found:
            source = volume.directory / inside / file
            if source.is_file() and not source.is_symlink():
                volume.files.clone(source, target / inside / file)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    snapshot = Snapshot(str(uuid_module.uuid4()), name, now)
    array.change_volume(uuid, snapshots=(*array.volume(uuid).snapshots, snapshot))


def delete_snapshot(call: Call, uuid: str, snapshot_uuid: str) -> Reply:
    """Page "DELETE /storage/volumes/{volume.uuid}/snapshots/{uuid}": as a job."""
    volume = call.array.volume(uuid, call.svm)
    snapshot = _snapshot(volume, snapshot_uuid)
    return _delete_snapshots(call, volume, [snapshot])


def delete_snapshots(call: Call, uuid: str) -> Reply:
    """Page "DELETE /storage/volumes/{volume.uuid}/snapshots": by query."""
    volume = call.array.volume(uuid, call.svm)
    found = query_module.select(
        Collection(call.path, [records.snapshot(volume, s) for s in volume.snapshots]),
        call.query,
    )
    wanted = {record["uuid"] for record in found}
    if not wanted:
        raise errors.no_entry()
    chosen = [s for s in volume.snapshots if s.uuid in wanted]
    return _delete_snapshots(call, volume, chosen)


def _delete_snapshots(call: Call, volume: Volume, chosen: list[Snapshot]) -> Reply:
    def work(control: JobControl) -> None:
        for snapshot in chosen:
            remove_tree(volume.directory / files.SNAPSHOT_DIRECTORY / snapshot.name)
            left = call.array.volume(volume.uuid).snapshots
            call.array.change_volume(
                volume.uuid, snapshots=tuple(s for s in left if s != snapshot)
            )

    return call.start_job(work)


def patch_snapshot(call: Call, uuid: str, snapshot_uuid: str) -> Reply:
    """Page "PATCH /storage/volumes/{volume.uuid}/snapshots/{uuid}": its name."""
    volume = call.array.volume(uuid, call.svm)
    snapshot = _snapshot(volume, snapshot_uuid)
    name = str(call.required("name"))
    _check_snapshot_name(volume, name)

    def work(control: JobControl) -> None:
        parent = volume.directory / files.SNAPSHOT_DIRECTORY
        (parent / snapshot.name).rename(parent / name)
        current = call.array.volume(uuid).snapshots
        renamed = replace(snapshot, name=name)
        call.array.change_volume(
            uuid, snapshots=tuple(renamed if s == snapshot else s for s in current)
        )

    return call.start_job(work)


# Consistency groups


def list_groups(call: Call) -> Reply:
    """Page "GET /application/consistency-groups"."""
    found = call.array.groups(call.svm)
    optional = ("volumes.name", "volumes.uuid", "svm.name", "svm.uuid")
    return call.collection(
        [records.consistency_group(call.array, group) for group in found],
        optional=optional,
    )


def post_group(call: Call) -> Reply:
    """Page "POST /application/consistency-groups": of FlexVols that exist."""
    name, svm = str(call.required("name")), _svm_of(call, call.body)
    names = []
    for reference in call.required("volumes"):
        action = reference.get("provisioning_options", {}).get("action")
        if action != "add":
            raise errors.not_modelled(f"consistency group volumes by {action!r}")
        names.append(reference["name"])
    for wanted in names:
        if wanted not in {volume.name for volume in call.array.volumes(svm)}:
            raise errors.no_volume(wanted)
        if any(wanted in group.volumes for group in call.array.groups(svm)):
            raise errors.duplicate(wanted, "volumes.name")

    def work(control: JobControl) -> None:
        group = ConsistencyGroup(str(uuid_module.uuid4()), name, svm, tuple(names))
        call.array.put_group(group)

    return call.start_job(work)


def _group(call: Call, uuid: str) -> ConsistencyGroup:
    for group in call.array.groups(call.svm):
        if group.uuid == uuid:
            return group
    raise errors.no_entry()


def delete_group(call: Call, uuid: str) -> Reply:
    """Page "DELETE /application/consistency-groups/{uuid}"."""
    group = _group(call, uuid)

    def work(control: JobControl) -> None:
        call.array.remove_group(group.uuid)

    return call.start_job(work)


def post_group_snapshot(call: Call, uuid: str) -> Reply:
    """Page "POST /application/consistency-groups/{uuid}/snapshots"."""
    group, name = _group(call, uuid), str(call.required("name"))
    members = [v for v in call.array.volumes(group.svm) if v.name in group.volumes]
    for volume in members:
        _check_snapshot_name(volume, name)

    def work(control: JobControl) -> None:
        for volume in members:
            take_snapshot(call.array, volume.uuid, name)

    return call.start_job(work)


# QoS policies


def _policy_collection(call: Call) -> Collection:
    optional = ("fixed", "adaptive", "svm.name", "svm.uuid", "scope")
    found = [records.qos_policy(policy) for policy in call.array.policies(call.svm)]
    return Collection(call.path, found, optional=optional)


def list_policies(call: Call) -> Reply:
    """Page "GET /storage/qos/policies"."""
    return Reply(query_module.answer(_policy_collection(call), call.query))


def get_policy(call: Call, uuid: str) -> Reply:
    """Page "GET /storage/qos/policies/{uuid}"."""
    return call.instance(records.qos_policy(_policy(call, uuid)))


def _policy(call: Call, uuid: str) -> QosPolicy:
    for policy in call.array.policies(call.svm):
        if policy.uuid == uuid:
            return policy
    raise errors.no_entry()


def post_policy(call: Call) -> Reply:
    """Page "POST /storage/qos/policies": as a job."""
    name, svm = str(call.required("name")), _svm_of(call, call.body)
    policy = QosPolicy(str(uuid_module.uuid4()), name, svm, _limits(call.body))
    if any(p.name == name for p in call.array.policies(svm)):
        raise errors.duplicate(name, "name")
    return call.start_job(
        lambda control: call.array.put_policy(policy),
        created=f"/storage/qos/policies/{policy.uuid}",
    )


def _limits(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("fixed", "adaptive") if name in body}


def patch_policy(call: Call, uuid: str) -> Reply:
    """Page "PATCH /storage/qos/policies/{uuid}": name and limits."""
    return _patch_policies(call, [_policy(call, uuid)])


def patch_policies(call: Call) -> Reply:
    """As above for all that the query selects: Cinder renames a policy so."""
    found = query_module.select(_policy_collection(call), call.query)
    if not found:
        raise errors.no_entry()
    return _patch_policies(call, [_policy(call, record["uuid"]) for record in found])


def _patch_policies(call: Call, policies: list[QosPolicy]) -> Reply:
    def work(control: JobControl) -> None:
        for policy in policies:
            limits = {**policy.limits, **_limits(call.body)}
            name = call.body.get("name", policy.name)
            call.array.put_policy(replace(policy, name=name, limits=limits))

    return call.start_job(work)


def delete_policy(call: Call, uuid: str) -> Reply:
    """Page "DELETE /storage/qos/policies/{uuid}"."""
    policy = _policy(call, uuid)
    return call.start_job(lambda control: call.array.remove_policy(policy.uuid))


def delete_policies(call: Call) -> Reply:
    """By query. None selected is no error: Cinder does it every ten minutes."""
    found = query_module.select(_policy_collection(call), call.query)
    for record in found:
        call.array.remove_policy(record["uuid"])
    return Reply({"num_records": len(found)})
