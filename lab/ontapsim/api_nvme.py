# SPDX-License-Identifier: Apache-2.0
"""Requests about NVMe subsystems, their hosts, and the maps of namespaces.

Pages "NVMe subsystems", "NVMe subsystem hosts", "NVMe subsystem maps". In-band
authentication, TLS and controllers are not modelled.
"""

from dataclasses import replace
import re
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import query as query_module
from lab.ontapsim import san_calls
from lab.ontapsim import san_errors
from lab.ontapsim import san_records
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.call import is_true
from lab.ontapsim.query import Collection
from lab.ontapsim.san import Map
from lab.ontapsim.san import Subsystem
from lab.ontapsim.san import Unit
from lab.ontapsim.san import new_uuid

OS_TYPES = frozenset(["aix", "linux", "vmware", "windows"])
_NQN = re.compile(r"nqn\.\d{4}-\d\d\..+")
_MAP_KEYS = ("subsystem", "namespace")


# Subsystems


def list_subsystems(call: Call) -> Reply:
    """Page "GET /protocols/nvme/subsystems"."""
    with call.array.san.lock:
        found = [
            san_records.subsystem(call.array, one)
            for one in call.array.san.subsystems.values()
            if call.svm in (None, one.svm)
        ]
    return call.collection(found, optional=san_records.SUBSYSTEM_OPTIONAL)


def get_subsystem(call: Call, uuid: str) -> Reply:
    """Page "GET /protocols/nvme/subsystems/{uuid}"."""
    record = _record(call, _subsystem(call, uuid))
    return call.instance(record, san_records.SUBSYSTEM_OPTIONAL)


def _record(call: Call, found: Subsystem) -> dict[str, Any]:
    with call.array.san.lock:
        return san_records.subsystem(call.array, found)


def _subsystem(call: Call, uuid: str) -> Subsystem:
    found = call.array.san.subsystems.get(uuid)
    if found is None or call.svm not in (None, found.svm):
        message = f"The NVMe subsystem does not exist: {uuid}"
        raise san_errors.missing(san_errors.NO_SUBSYSTEM, message, "uuid")
    return found


def post_subsystem(call: Call) -> Reply:
    """Page "POST /protocols/nvme/subsystems"."""
    body = san_calls.body_of(call, ("svm", "name", "os_type", "comment", "hosts"))
    svm, san = san_calls.svm_of(call, body), call.array.san
    for name in ("name", "os_type"):
        if not body.get(name):
            raise errors.missing_value(name)
    if body["os_type"] not in OS_TYPES:
        raise errors.bad_value("os_type", body["os_type"])
    new = Subsystem(
        uuid=new_uuid(),
        name=str(body["name"]),
        svm=svm,
        os_type=body["os_type"],
        hosts=tuple(_checked_nqn(host) for host in body.get("hosts", [])),
        comment=str(body.get("comment", "")),
    )

    def act() -> None:
        with san.changing():
            there = [(one.svm, one.name) for one in san.subsystems.values()]
            if (svm, new.name) in there:
                message = f"The NVMe subsystem already exists: {new.name}"
                code = san_errors.SUBSYSTEM_EXISTS
                raise san_errors.conflict(code, message, "name")
            san.subsystems[new.uuid] = new

    return san_calls.carry_out(
        call,
        act,
        lambda: san_calls.created(call, new.uuid, lambda: _record(call, new)),
    )


def delete_subsystem(call: Call, uuid: str) -> Reply:
    """Page "DELETE /protocols/nvme/subsystems/{uuid}"."""
    found, san = _subsystem(call, uuid), call.array.san
    options = call.query.filters

    def act() -> None:
        with san.changing():
            mapped = any(one.group == uuid for one in san.namespace_maps)
            if mapped and not is_true(options.get("allow_delete_while_mapped")):
                message = f"Namespaces are mapped to the subsystem: {found.name}"
                raise san_errors.conflict(san_errors.SUBSYSTEM_IS_MAPPED, message)
            hosts = san.subsystems[uuid].hosts
            if hosts and not is_true(options.get("allow_delete_with_hosts")):
                message = f"The subsystem has hosts: {found.name}"
                raise san_errors.conflict(san_errors.SUBSYSTEM_HAS_HOSTS, message)
            san.namespace_maps = [m for m in san.namespace_maps if m.group != uuid]
            san.subsystems.pop(uuid)

    return san_calls.carry_out(call, act, Reply)


# Hosts


def _checked_nqn(host: dict[str, Any]) -> str:
    if not host.get("nqn"):
        message = "A host lacks the nqn property."
        raise san_errors.refused(san_errors.NO_NQN, message, "nqn")
    nqn = str(host["nqn"])
    if not _NQN.fullmatch(nqn):
        message = f"The NQN is invalid: {nqn}"
        raise san_errors.refused(san_errors.BAD_NQN, message, "nqn")
    return nqn


def list_hosts(call: Call, uuid: str) -> Reply:
    """Page "GET /protocols/nvme/subsystems/{subsystem.uuid}/hosts"."""
    found = _subsystem(call, uuid)
    hosts = [san_records.host(found, nqn) for nqn in found.hosts]
    return call.collection(hosts, keys=("nqn",))


def post_host(call: Call, uuid: str) -> Reply:
    """Page "POST /protocols/nvme/subsystems/{subsystem.uuid}/hosts"."""
    found, san = _subsystem(call, uuid), call.array.san
    body = san_calls.body_of(call, ("nqn", "records"))
    nqns = [_checked_nqn(host) for host in body.get("records", [body])]

    def act() -> None:
        with san.changing():
            there = san.subsystems[uuid].hosts
            for nqn in nqns:
                if nqn in there:
                    message = f"Host {nqn} already exists for {found.name}."
                    code = san_errors.HOST_EXISTS
                    raise san_errors.conflict(code, message, "nqn")
                there = (*there, nqn)
            san.subsystems[uuid] = replace(san.subsystems[uuid], hosts=there)

    def record() -> dict[str, Any]:
        return san_records.host(found, nqns[-1])

    return san_calls.carry_out(
        call, act, lambda: san_calls.created(call, nqns[-1], record)
    )


def delete_host(call: Call, uuid: str, nqn: str) -> Reply:
    """Page "DELETE /protocols/nvme/subsystems/{subsystem.uuid}/hosts/{nqn}".

    The maps stay: Cinder's driver detaches a volume so.
    """
    found, san = _subsystem(call, uuid), call.array.san

    def act() -> None:
        with san.changing():
            there = san.subsystems[uuid].hosts
            if nqn not in there:
                message = f"Host {nqn} does not exist for {found.name}."
                raise san_errors.missing(san_errors.NO_HOST, message, "nqn")
            left = tuple(other for other in there if other != nqn)
            san.subsystems[uuid] = replace(san.subsystems[uuid], hosts=left)

    return san_calls.carry_out(call, act, Reply)


# Maps


def _map_collection(call: Call) -> Collection:
    san = call.array.san
    with san.lock:
        found = [
            san_records.namespace_map(call.array, one)
            for one in san.namespace_maps
            if call.svm in (None, san.units[one.unit].svm)
        ]
    optional = (
        *("nsid", "svm.name", "svm.uuid", "namespace.name", "namespace.uuid"),
        *("subsystem.name", "subsystem.uuid"),
    )
    return Collection(call.path, found, _MAP_KEYS, optional)


def list_maps(call: Call) -> Reply:
    """Page "GET /protocols/nvme/subsystem-maps"."""
    return Reply(query_module.answer(_map_collection(call), call.query))


def get_map(call: Call, subsystem: str, namespace: str) -> Reply:
    """Page "GET /protocols/nvme/subsystem-maps/{subsystem.uuid}/{namespace.uuid}"."""
    with call.array.san.lock:
        found = _map(call, subsystem, namespace)
        return Reply(san_records.namespace_map(call.array, found))


def _map(call: Call, subsystem: str, namespace: str) -> Map:
    for one in call.array.san.namespace_maps:
        if (one.group, one.unit) == (subsystem, namespace):
            return one
    message = "The NVMe namespace is not mapped to the NVMe subsystem."
    raise san_errors.missing(san_errors.NO_NAMESPACE_MAP, message)


def post_map(call: Call) -> Reply:
    """Page "POST /protocols/nvme/subsystem-maps": into one subsystem only."""
    body = san_calls.body_of(call, ("svm", "namespace", "subsystem"))
    svm, san = san_calls.svm_of(call, body), call.array.san
    made: list[Map] = []

    def act() -> None:
        with san.changing():
            unit, group = _namespace_of(call, svm, body), _group_of(call, svm, body)
            if any(one.unit == unit.uuid for one in san.namespace_maps):
                message = f"The NVMe namespace is already mapped: {unit.name}"
                code = san_errors.NAMESPACE_IS_MAPPED
                raise san_errors.conflict(code, message)
            taken = {m.number for m in san.namespace_maps if m.group == group.uuid}
            number = next(n for n in range(1, len(taken) + 2) if n not in taken)
            made.append(Map(unit.uuid, group.uuid, number))
            san.namespace_maps.append(made[0])

    def record() -> dict[str, Any]:
        with san.lock:
            return san_records.namespace_map(call.array, made[0])

    def answer() -> Reply:
        keys = f"{made[0].group}/{made[0].unit}"
        return san_calls.created(call, keys, record)

    return san_calls.carry_out(call, act, answer)


def _namespace_of(call: Call, svm: str, body: san_calls.Body) -> Unit:
    reference = body.get("namespace", {})
    for unit in call.array.san.units.values():
        own = {"name": unit.name, "uuid": unit.uuid}
        if (unit.svm, unit.kind) == (svm, "namespace") and san_calls.same(
            own, reference
        ):
            return unit
    target = "namespace.uuid" if "uuid" in reference else "namespace.name"
    raise san_errors.no_unit(san_errors.NAMESPACE, str(reference), target)


def _group_of(call: Call, svm: str, body: san_calls.Body) -> Subsystem:
    reference = body.get("subsystem", {})
    for group in call.array.san.subsystems.values():
        own = {"name": group.name, "uuid": group.uuid}
        if group.svm == svm and san_calls.same(own, reference):
            return group
    message = f"The NVMe subsystem was not found: {reference}"
    code = san_errors.NO_SUBSYSTEM_OF_NAME
    raise san_errors.missing(code, message, "subsystem.name")


def delete_map(call: Call, subsystem: str, namespace: str) -> Reply:
    """Page "DELETE /protocols/nvme/subsystem-maps/{subsystem}/{namespace}"."""
    san = call.array.san

    def act() -> None:
        with san.changing():
            san.namespace_maps.remove(_map(call, subsystem, namespace))

    return san_calls.carry_out(call, act, Reply)


def delete_maps(call: Call) -> Reply:
    """By query, as Cinder's driver unmaps."""
    san = call.array.san
    found = query_module.select(_map_collection(call), call.query)
    if not found:
        message = "The NVMe namespace is not mapped to the NVMe subsystem."
        raise san_errors.missing(san_errors.NO_NAMESPACE_MAP, message)
    gone = {(one["namespace"]["uuid"], one["subsystem"]["uuid"]) for one in found}

    def act() -> None:
        with san.changing():
            san.namespace_maps = [
                m for m in san.namespace_maps if (m.unit, m.group) not in gone
            ]

    return san_calls.carry_out(call, act, lambda: Reply({"num_records": len(gone)}))


ROUTES = (
    ("GET", "/protocols/nvme/subsystems", list_subsystems),
    ("POST", "/protocols/nvme/subsystems", post_subsystem),
    ("GET", "/protocols/nvme/subsystems/<uuid>", get_subsystem),
    ("DELETE", "/protocols/nvme/subsystems/<uuid>", delete_subsystem),
    ("GET", "/protocols/nvme/subsystems/<uuid>/hosts", list_hosts),
    ("POST", "/protocols/nvme/subsystems/<uuid>/hosts", post_host),
    ("DELETE", "/protocols/nvme/subsystems/<uuid>/hosts/<nqn>", delete_host),
    ("GET", "/protocols/nvme/subsystem-maps", list_maps),
    ("POST", "/protocols/nvme/subsystem-maps", post_map),
    ("DELETE", "/protocols/nvme/subsystem-maps", delete_maps),
    ("GET", "/protocols/nvme/subsystem-maps/<subsystem>/<namespace>", get_map),
    ("DELETE", "/protocols/nvme/subsystem-maps/<subsystem>/<namespace>", delete_map),
)
