# SPDX-License-Identifier: Apache-2.0
"""Requests about igroups, their initiators, and LUN maps.

Pages "SAN igroups", "SAN igroup initiators", "SAN LUN maps". Child igroups, portsets,
replication and proximity are not modelled.
"""

from collections.abc import Iterable
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
from lab.ontapsim.san import Igroup
from lab.ontapsim.san import Map
from lab.ontapsim.san import Unit
from lab.ontapsim.san import new_uuid

MAX_LUNS = 4096
PROTOCOLS = frozenset({"iscsi", "fcp", "mixed"})
OS_TYPES = frozenset(
    [
        "aix",
        "default",
        "hpux",
        "hyper_v",
        "linux",
        "netware",
        "openvms",
        "solaris",
        "vmware",
        "windows",
        "xen",
    ]
)
_IQN = re.compile(r"iqn\.\d{4}-\d\d\.[a-z0-9.-]+(:.+)?|eui\.[0-9a-fA-F]{16}")
_WWPN = re.compile(r"([0-9a-f]{2}:){7}[0-9a-f]{2}")
_BARE_WWPN = re.compile(r"[0-9a-f]{16}")
_MAP_KEYS = ("lun", "igroup")


# Igroups


def list_igroups(call: Call) -> Reply:
    """Page "GET /protocols/san/igroups"."""
    with call.array.san.lock:
        found = [
            san_records.igroup(call.array, group)
            for group in call.array.san.igroups.values()
            if call.svm in (None, group.svm)
        ]
    return call.collection(found, optional=san_records.IGROUP_OPTIONAL)


def get_igroup(call: Call, uuid: str) -> Reply:
    """Page "GET /protocols/san/igroups/{uuid}"."""
    record = _record(call, _igroup(call, uuid))
    return call.instance(record, san_records.IGROUP_OPTIONAL)


def _record(call: Call, group: Igroup) -> dict[str, Any]:
    with call.array.san.lock:
        return san_records.igroup(call.array, group)


def _igroup(call: Call, uuid: str) -> Igroup:
    group = call.array.san.igroups.get(uuid)
    if group is None or call.svm not in (None, group.svm):
        message = f"The initiator group does not exist: {uuid}"
        raise san_errors.missing(san_errors.NO_IGROUP, message, "uuid")
    return group


def post_igroup(call: Call) -> Reply:
    """Page "POST /protocols/san/igroups"."""
    known = ("svm", "name", "os_type", "protocol", "comment", "initiators")
    body = san_calls.body_of(call, known)
    svm = san_calls.svm_of(call, body)
    for name in ("name", "os_type"):
        if not body.get(name):
            raise errors.missing_value(name)
    if body["os_type"] not in OS_TYPES:
        raise errors.bad_value("os_type", body["os_type"])
    protocol = body.get("protocol", "mixed")
    if protocol not in PROTOCOLS:
        raise errors.bad_value("protocol", protocol)
    names = [_checked(str(i.get("name")), protocol) for i in body.get("initiators", [])]
    group = Igroup(
        uuid=new_uuid(),
        name=str(body["name"]),
        svm=svm,
        os_type=body["os_type"],
        protocol=protocol,
        initiators=tuple(names),
        comment=str(body.get("comment", "")),
    )

    def act() -> None:
        san = call.array.san
        with san.changing():
            if any((g.svm, g.name) == (svm, group.name) for g in san.igroups.values()):
                message = f"Initiator group {group.name} exists already."
                raise san_errors.conflict(san_errors.IGROUP_EXISTS, message, "name")
            san.igroups[group.uuid] = group

    return san_calls.carry_out(
        call,
        act,
        lambda: san_calls.created(call, group.uuid, lambda: _record(call, group)),
    )


def delete_igroup(call: Call, uuid: str) -> Reply:
    """Page "DELETE /protocols/san/igroups/{uuid}"."""
    group, san = _igroup(call, uuid), call.array.san
    forced = is_true(call.query.filters.get("allow_delete_while_mapped"))

    def act() -> None:
        with san.changing():
            if not forced and any(one.group == uuid for one in san.lun_maps):
                message = f"The initiator group is mapped to LUNs: {group.name}"
                raise san_errors.conflict(san_errors.IGROUP_IS_MAPPED, message)
            san.lun_maps = [one for one in san.lun_maps if one.group != uuid]
            san.igroups.pop(uuid, None)

    return san_calls.carry_out(call, act, Reply)


# Initiators


def _checked(name: str, protocol: str) -> str:
    """Return an initiator as ONTAP keeps it: a WWPN in lower case and with colons."""
    lower = name.lower()
    if _BARE_WWPN.fullmatch(lower):
        lower = bytes.fromhex(lower).hex(":")
    is_wwpn, is_iqn = bool(_WWPN.fullmatch(lower)), bool(_IQN.fullmatch(name))
    if not is_wwpn and not is_iqn:
        message = f"The initiator name has no valid format: {name}"
        raise san_errors.refused(san_errors.BAD_INITIATOR, message, "name")
    if is_iqn and protocol == "fcp":
        message = f"An invalid Fibre Channel WWPN was supplied: {name}"
        raise san_errors.refused(san_errors.BAD_WWPN, message, "name")
    if is_wwpn and protocol == "iscsi":
        message = f"An invalid iSCSI initiator name was supplied: {name}"
        raise san_errors.refused(san_errors.BAD_IQN, message, "name")
    return lower if is_wwpn else name


def list_initiators(call: Call, uuid: str) -> Reply:
    """Page "GET /protocols/san/igroups/{igroup.uuid}/initiators"."""
    group = _igroup(call, uuid)
    found = [san_records.initiator(group, name) for name in group.initiators]
    return call.collection(found, keys=("name",), optional=("comment", "proximity"))


def post_initiator(call: Call, uuid: str) -> Reply:
    """Page "POST /protocols/san/igroups/{igroup.uuid}/initiators": one or more."""
    group, san = _igroup(call, uuid), call.array.san
    body = san_calls.body_of(call, ("name", "records"))
    given = [record.get("name") for record in body.get("records", [body])]
    if not all(given):
        raise errors.missing_value("name")
    names = [_checked(str(name), group.protocol) for name in given]

    def act() -> None:
        with san.changing():
            there = san.igroups[uuid].initiators
            for name in names:
                if name in there:
                    message = f"Initiator {name} is in initiator group {group.name}."
                    code = san_errors.INITIATOR_EXISTS
                    raise san_errors.conflict(code, message, "name")
                there = (*there, name)
            san.igroups[uuid] = replace(san.igroups[uuid], initiators=there)

    def record() -> dict[str, Any]:
        return san_records.initiator(group, names[-1])

    return san_calls.carry_out(
        call, act, lambda: san_calls.created(call, names[-1], record)
    )


def delete_initiator(call: Call, uuid: str, name: str) -> Reply:
    """Page "DELETE /protocols/san/igroups/{igroup.uuid}/initiators/{name}"."""
    group, san = _igroup(call, uuid), call.array.san
    forced = is_true(call.query.filters.get("allow_delete_while_mapped"))

    def act() -> None:
        with san.changing():
            there = san.igroups[uuid].initiators
            if name not in there:
                message = f"Initiator {name} is not in initiator group {group.name}."
                raise san_errors.missing(san_errors.NO_INITIATOR, message, "name")
            if not forced and any(one.group == uuid for one in san.lun_maps):
                message = f"The initiator group is mapped to LUNs: {group.name}"
                raise san_errors.conflict(san_errors.IGROUP_IS_MAPPED, message)
            left = tuple(other for other in there if other != name)
            san.igroups[uuid] = replace(san.igroups[uuid], initiators=left)

    return san_calls.carry_out(call, act, Reply)


# LUN maps


def _map_collection(call: Call) -> Collection:
    san = call.array.san
    with san.lock:
        found = [
            san_records.lun_map(call.array, one)
            for one in san.lun_maps
            if call.svm in (None, san.units[one.unit].svm)
        ]
    optional = (
        *("logical_unit_number", "svm.name", "svm.uuid"),
        *("lun.name", "lun.uuid", "igroup.name", "igroup.uuid"),
    )
    return Collection(call.path, found, _MAP_KEYS, optional)


def list_maps(call: Call) -> Reply:
    """Page "GET /protocols/san/lun-maps"."""
    return Reply(query_module.answer(_map_collection(call), call.query))


def get_map(call: Call, lun: str, igroup: str) -> Reply:
    """Page "GET /protocols/san/lun-maps/{lun.uuid}/{igroup.uuid}"."""
    with call.array.san.lock:
        return Reply(san_records.lun_map(call.array, _map(call, lun, igroup)))


def _map(call: Call, lun: str, igroup: str) -> Map:
    for one in call.array.san.lun_maps:
        if (one.unit, one.group) == (lun, igroup):
            return one
    message = "The specified LUN map does not exist."
    raise san_errors.missing(san_errors.NO_LUN_MAP, message)


def post_map(call: Call) -> Reply:
    """Page "POST /protocols/san/lun-maps".

    Without a number it gets the lowest that none of its initiators sees another LUN
    at: as in ONTAP, a number that has become free is given again.
    """
    body = san_calls.body_of(call, ("svm", "lun", "igroup", "logical_unit_number"))
    svm, san = san_calls.svm_of(call, body), call.array.san
    made: list[Map] = []

    def act() -> None:
        with san.changing():
            lun, group = _lun_of(call, svm, body), _igroup_of(call, svm, body)
            if any((m.unit, m.group) == (lun.uuid, group.uuid) for m in san.lun_maps):
                message = f"{lun.name} is already mapped to {group.name}."
                code = san_errors.LUN_IS_MAPPED_THERE
                raise san_errors.conflict(code, message)
            number = _number(call, group, body.get("logical_unit_number"))
            made.append(Map(lun.uuid, group.uuid, number))
            san.lun_maps.append(made[0])

    def record() -> dict[str, Any]:
        with san.lock:
            return san_records.lun_map(call.array, made[0])

    def answer() -> Reply:
        keys = f"{made[0].unit}/{made[0].group}"
        return san_calls.created(call, keys, record)

    return san_calls.carry_out(call, act, answer)


def _lun_of(call: Call, svm: str, body: san_calls.Body) -> Unit:
    reference = body.get("lun")
    if not reference:
        message = "Either lun.uuid or lun.name must be provided."
        raise san_errors.refused(san_errors.NO_LUN_GIVEN, message, "lun.name")
    for unit in call.array.san.units.values():
        own = {"name": unit.name, "uuid": unit.uuid}
        if (unit.svm, unit.kind) == (svm, "lun") and san_calls.same(own, reference):
            return unit
    message = f"The specified LUN does not exist: {reference}"
    raise san_errors.missing(san_errors.NO_LUN_OF_MAP, message, "lun.name")


def _igroup_of(call: Call, svm: str, body: san_calls.Body) -> Igroup:
    reference = body.get("igroup")
    if not reference:
        message = "Either igroup.uuid or igroup.name must be provided."
        raise san_errors.refused(san_errors.NO_IGROUP_GIVEN, message, "igroup.name")
    for group in call.array.san.igroups.values():
        if group.svm == svm and san_calls.same(
            {"name": group.name, "uuid": group.uuid}, reference
        ):
            return group
    message = f"The specified initiator group does not exist: {reference}"
    raise san_errors.missing(san_errors.NO_IGROUP_OF_MAP, message, "igroup.name")


def _number(call: Call, group: Igroup, wanted: object) -> int:
    taken = set(_numbers_seen(call, group))
    if wanted is None:
        return next(n for n in range(MAX_LUNS) if n not in taken)
    if not str(wanted).isdigit() or int(str(wanted)) >= MAX_LUNS:
        raise errors.bad_value("logical_unit_number", wanted)
    if int(str(wanted)) in taken:
        raise errors.duplicate(str(wanted), "logical_unit_number")
    return int(str(wanted))


def _numbers_seen(call: Call, group: Igroup) -> Iterable[int]:
    san = call.array.san
    for one in san.lun_maps:
        other = san.igroups[one.group]
        shared = set(other.initiators) & set(group.initiators)
        if other.uuid == group.uuid or shared:
            yield one.number


def delete_map(call: Call, lun: str, igroup: str) -> Reply:
    """Page "DELETE /protocols/san/lun-maps/{lun.uuid}/{igroup.uuid}"."""
    san = call.array.san

    def act() -> None:
        with san.changing():
            san.lun_maps.remove(_map(call, lun, igroup))

    return san_calls.carry_out(call, act, Reply)


ROUTES = (
    ("GET", "/protocols/san/igroups", list_igroups),
    ("POST", "/protocols/san/igroups", post_igroup),
    ("GET", "/protocols/san/igroups/<uuid>", get_igroup),
    ("DELETE", "/protocols/san/igroups/<uuid>", delete_igroup),
    ("GET", "/protocols/san/igroups/<uuid>/initiators", list_initiators),
    ("POST", "/protocols/san/igroups/<uuid>/initiators", post_initiator),
    ("DELETE", "/protocols/san/igroups/<uuid>/initiators/<name>", delete_initiator),
    ("GET", "/protocols/san/lun-maps", list_maps),
    ("POST", "/protocols/san/lun-maps", post_map),
    ("GET", "/protocols/san/lun-maps/<lun>/<igroup>", get_map),
    ("DELETE", "/protocols/san/lun-maps/<lun>/<igroup>", delete_map),
)
