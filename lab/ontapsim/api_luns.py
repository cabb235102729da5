# SPDX-License-Identifier: Apache-2.0
"""Requests about LUNs and NVMe namespaces: make, clone, copy, change, move, delete.

Pages "Storage LUNs" and "Storage namespaces". Both are a file of their FlexVol, see
``san.py``; what differs is in ``san_errors.Kind``.
"""

from collections.abc import Callable
from dataclasses import replace
import errno
import os
from pathlib import Path
import re
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import files
from lab.ontapsim import lun_transfers
from lab.ontapsim import query as query_module
from lab.ontapsim import san_calls
from lab.ontapsim import san_errors
from lab.ontapsim import san_records
from lab.ontapsim import san_space
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.call import is_true
from lab.ontapsim.query import Collection
from lab.ontapsim.query import Query
from lab.ontapsim.san import RUNNING
from lab.ontapsim.san import Transfer
from lab.ontapsim.san import Unit
from lab.ontapsim.san import new_uuid
from lab.ontapsim.san_calls import Body
from lab.ontapsim.san_errors import Kind
from lab.ontapsim.state import Volume

MIN_BYTES, MAX_BYTES = 4096, 128 << 40
# From this release on a new LUN reports to the host when its FlexVol is full.
SPACE_ALLOCATION_SINCE = (9, 15, 1)
_NAME = re.compile(r"/vol/([^/]+)/([^/]+)")
_IN_SNAPSHOT = re.compile(r"/vol/([^/]+)/(\.snapshot/[^/]+/([^/]+))")
_CHARACTERS = re.compile(r"[A-Za-z0-9._{}-]+")
_ALLOCATION = "space.scsi_thin_provisioning_support_enabled"

_KNOWN_IN_PATCH = {
    "lun": ("name", "comment", "enabled", "qos_policy", "space.size", _ALLOCATION),
    "namespace": ("name", "comment", "space.size"),
}
_KNOWN_IN_POST = {
    "lun": ("svm", "location", "os_type", "clone.source", "copy.source"),
    "namespace": ("svm", "location", "os_type", "clone.source", "space.block_size"),
}
_NOT_WITH_CLONE = ("os_type", "space.size", "space.block_size")

Fill = Callable[[Path], None]


def _kind(call: Call) -> Kind:
    if call.path.startswith(san_errors.NAMESPACE.path):
        return san_errors.NAMESPACE
    return san_errors.LUN


# Look


def _collection(call: Call) -> Collection:
    kind, san = _kind(call), call.array.san
    with san.lock:
        found = [
            san_records.unit(call.array, unit)
            for unit in san.units.values()
            if unit.kind == kind.name and call.svm in (None, unit.svm)
        ]
    return Collection(call.path, found, optional=san_records.UNIT_OPTIONAL)


def list_units(call: Call) -> Reply:
    """Pages "GET /storage/luns", "GET /storage/namespaces"."""
    return Reply(query_module.answer(_collection(call), call.query))


def get_unit(call: Call, uuid: str) -> Reply:
    """Pages "GET /storage/luns/{uuid}", "GET /storage/namespaces/{uuid}"."""
    unit = _unit(call, uuid)
    return call.instance(_record(call, unit), san_records.UNIT_OPTIONAL)


def _record(call: Call, unit: Unit) -> dict[str, Any]:
    with call.array.san.lock:
        return san_records.unit(call.array, call.array.san.units[unit.uuid])


def _unit(call: Call, uuid: str) -> Unit:
    kind = _kind(call)
    unit = call.array.san.units.get(uuid)
    if unit is None or unit.kind != kind.name or call.svm not in (None, unit.svm):
        raise san_errors.no_unit(kind, uuid)
    return unit


def _selected(call: Call, query: Query) -> list[Unit]:
    """Return what a change of a collection is about.

    :raises OntapError: 404 with code 4, nothing
    """
    found = query_module.select(_collection(call), query)
    if not found:
        raise errors.no_entry("name")
    return [_unit(call, record["uuid"]) for record in found]


# Make


def post_unit(call: Call) -> Reply:
    """Pages "POST /storage/luns", "POST /storage/namespaces"."""
    kind = _kind(call)
    known = (*_KNOWN_IN_PATCH[kind.name], *_KNOWN_IN_POST[kind.name])
    body = san_calls.body_of(call, (*known, "space.guarantee.requested"))
    svm = san_calls.svm_of(call, body)
    name = _name_of(kind, body)
    volume, path = _place(call, kind, svm, name)
    if "copy" in body:
        return _post_copy(call, body, svm, name, path)
    taken = kind.exists
    if "clone" in body:
        unit, fill = _clone(call, kind, body, svm, volume)
        taken = san_errors.CLONE_EXISTS
    else:
        unit, fill = _fresh(call, kind, body, svm)
    unit = replace(unit, name=name, stored=name)

    def act() -> None:
        with call.array.san.making(svm, name) as is_free:
            if not is_free or os.path.lexists(path):
                raise san_errors.exists(kind, name, taken)
            _on_disk(name, lambda: fill(path))
            with call.array.san.changing():
                call.array.san.units[unit.uuid] = unit

    return san_calls.carry_out(call, act, lambda: _created(call, unit))


def _created(call: Call, unit: Unit) -> Reply:
    return san_calls.created(call, unit.uuid, lambda: _record(call, unit))


def _on_disk(name: str, act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as error:
        raise errors.file_error(error, name) from error


def _name_of(kind: Kind, body: Body) -> str:
    """Return the path of ONTAP, given as such or as FlexVol and last part."""
    volume = san_calls.at(body, "location.volume.name")
    last = "logical_unit" if kind.name == "lun" else "namespace"
    base = san_calls.at(body, f"location.{last}")
    if "name" in body:
        name = str(body["name"])
    elif volume and base:
        name = f"/vol/{volume}/{base}"
    else:
        raise san_errors.refused(kind.required, "No name was specified.", "name")
    for given, part in ((volume, 2), (base, 3)):
        if given and name.split("/")[part : part + 1] != [given]:
            message = f"name and location differ: {name} and {given}"
            raise san_errors.refused(san_errors.INVALID_NAME, message, "name")
    return name


def _place(call: Call, kind: Kind, svm: str, name: str) -> tuple[Volume, Path]:
    """Return the FlexVol and the file of a name; qtrees are not modelled."""
    match = _NAME.fullmatch(name)
    if match is None or match.group(2) in (".", "..", files.SNAPSHOT_DIRECTORY):
        message = f"The specified {kind.title} name is invalid: {name}"
        raise san_errors.refused(san_errors.INVALID_NAME, message, "name")
    if not _CHARACTERS.fullmatch(match.group(2)):
        message = f"Only A-Z, a-z, 0-9, -, ., _, {{ and }} may be in a name: {name}"
        raise san_errors.refused(kind.bad_characters, message, "name")
    volume = _flexvol(call, svm, match.group(1))
    return volume, volume.directory / match.group(2)


def _flexvol(call: Call, svm: str, name: str) -> Volume:
    for volume in call.array.volumes(svm):
        if volume.name == name:
            return volume
    raise errors.no_volume(name, "location.volume.name")


def _fresh(call: Call, kind: Kind, body: Body, svm: str) -> tuple[Unit, Fill]:
    for required in ("os_type", "space.size"):
        if san_calls.at(body, required) is None:
            message = f"{required} is required."
            raise san_errors.refused(kind.required, message, required)
    if body["os_type"] not in kind.os_types:
        raise errors.bad_value("os_type", body["os_type"])
    allocation = san_calls.flag(body, _ALLOCATION)
    if allocation is None:
        allocation = call.array.cluster.version >= SPACE_ALLOCATION_SINCE
    unit = Unit(
        uuid=new_uuid(),
        kind=kind.name,
        name="",
        svm=svm,
        size=_size(kind, san_calls.at(body, "space.size")),
        os_type=body["os_type"],
        stored="",
        block_size=_block_size(kind, body),
        reserved=bool(san_calls.flag(body, "space.guarantee.requested")),
        space_allocation=allocation and kind.name == "lun",
        comment=str(body.get("comment", "")),
        enabled=san_calls.flag(body, "enabled") is not False,
        qos_policy=san_calls.qos_policy_of(call, body, svm),
    )
    return unit, lambda path: _make_file(path, unit)


def _size(kind: Kind, value: object) -> int:
    """Return bytes; Cinder's driver sends them as text."""
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
        message = f"An invalid size value was provided: {value}"
        raise san_errors.refused(kind.bad_size, message, "space.size")
    size = int(str(value))
    if size < MIN_BYTES:
        message = f"The specified size is too small for the {kind.title}."
        raise san_errors.refused(kind.too_small, message, "space.size")
    if size > MAX_BYTES:
        message = f"The specified size is too large for the {kind.title}."
        raise san_errors.refused(kind.too_large, message, "space.size")
    return size


def _block_size(kind: Kind, body: Body) -> int:
    value = san_calls.at(body, "space.block_size")
    if value is None:
        return kind.block_size
    if str(value) not in ("512", "4096"):
        raise errors.bad_value("space.block_size", value)
    return int(value)


def _make_file(path: Path, unit: Unit) -> None:
    """Make a file without blocks, or with all of them for a reservation."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        if unit.reserved:
            os.posix_fallocate(fd, 0, unit.size)
        else:
            os.ftruncate(fd, unit.size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(fd)


# Clone and copy


def _clone(
    call: Call, kind: Kind, body: Body, svm: str, volume: Volume
) -> tuple[Unit, Fill]:
    for name in _NOT_WITH_CLONE:
        if san_calls.at(body, name) is not None:
            message = f"{name} cannot be specified when creating a {kind.title} clone."
            raise san_errors.refused(kind.not_with_clone, message, name)
    source, file = _source(call, kind, body, svm, "clone.source")
    if source.flexvol != volume.name:
        message = f"Cloning a {kind.title} to a different volume is not supported."
        raise san_errors.refused(san_errors.OTHER_FLEXVOL, message, "clone.source")
    unit = _from_source(call, body, source)
    if unit.reserved:
        _check_room(call, volume, unit.size)
    return unit, lambda path: volume.files.clone(file, path)


def _source(
    call: Call, kind: Kind, body: Body, svm: str, key: str
) -> tuple[Unit, Path]:
    """Return the unit of ``clone.source`` or ``copy.source`` and its file.

    A LUN in a snapshot has the size of its file, and the rest of the LUN of that name.
    """
    reference = san_calls.at(body, key)
    with call.array.san.lock:
        for unit in call.array.san.units.values():
            own = {"name": unit.name, "uuid": unit.uuid}
            same = san_calls.same(own, reference)
            if same and (unit.svm, unit.kind) == (svm, kind.name):
                file = san_space.file_of(call.array, unit)
                assert file is not None
                return unit, file
    match = _IN_SNAPSHOT.fullmatch(str(reference.get("name", "")))
    if match is not None:
        flexvol, inside, base = match.groups()
        file = _flexvol(call, svm, flexvol).directory / inside
        live = call.array.san.named(svm, f"/vol/{flexvol}/{base}", kind.name)
        if file.is_file() and live is not None:
            return replace(live, size=file.stat().st_size), file
    target = f"{key}.uuid" if "uuid" in reference else f"{key}.name"
    raise san_errors.no_unit(kind, str(reference), target)


def _from_source(call: Call, body: Body, source: Unit) -> Unit:
    """Return a new unit with what it inherits; not the comment, not the maps."""
    allocation = san_calls.flag(body, _ALLOCATION)
    reserved = san_calls.flag(body, "space.guarantee.requested")
    return Unit(
        uuid=new_uuid(),
        kind=source.kind,
        name="",
        svm=source.svm,
        size=source.size,
        os_type=source.os_type,
        stored="",
        block_size=source.block_size,
        reserved=source.reserved if reserved is None else reserved,
        space_allocation=(
            source.space_allocation if allocation is None else allocation
        ),
        counted=True,
        comment=str(body.get("comment", "")),
        qos_policy=san_calls.qos_policy_of(call, body, source.svm),
    )


def _check_room(call: Call, volume: Volume, size: int) -> None:
    """Refuse a reservation that the FlexVol has no room for."""
    reserved = san_space.reserved_bytes(call.array, volume)
    if size > volume.files.usage().available - reserved:
        raise errors.file_error(OSError(errno.ENOSPC, ""), f"/vol/{volume.name}")


def _post_copy(call: Call, body: Body, svm: str, name: str, path: Path) -> Reply:
    """Start a copy of a LUN of this SVM; the new LUN is there at once.

    Copies of another SVM (``copy.source.peer``) are not modelled.
    """
    kind = san_errors.LUN
    source, file = _source(call, kind, body, svm, "copy.source")
    transfer = Transfer("copy", source.name, name)
    unit = replace(
        _from_source(call, body, source), name=name, stored=name, transfer=transfer
    )
    with call.array.san.making(svm, name) as is_free:
        if not is_free or os.path.lexists(path):
            raise san_errors.exists(kind, name)
        with call.array.san.changing():
            call.array.san.units[unit.uuid] = unit
    lun_transfers.start(call, unit, file, path)
    return _created(call, unit)


# Change


def patch_unit(call: Call, uuid: str) -> Reply:
    """Pages "PATCH /storage/luns/{uuid}", "PATCH /storage/namespaces/{uuid}"."""
    return _patch(call, [_unit(call, uuid)])


def patch_units(call: Call) -> Reply:
    """As above for all that the query selects: Cinder renames and grows so."""
    return _patch(call, _selected(call, call.query))


def _patch(call: Call, units: list[Unit]) -> Reply:
    kind = _kind(call)
    body = san_calls.body_of(call, _KNOWN_IN_PATCH[kind.name])
    steps = [step for unit in units for step in _steps(call, kind, unit, body)]

    def act() -> None:
        for step in steps:
            step()

    if any(_is_move(unit, body) for unit in units):
        act()
        return Reply()
    return san_calls.carry_out(call, act, Reply)


def _is_move(unit: Unit, body: Body) -> bool:
    name = str(body.get("name", unit.name))
    return name.split("/")[2:3] != [unit.flexvol]


def _steps(call: Call, kind: Kind, unit: Unit, body: Body) -> list[Callable[[], None]]:
    """Return what a PATCH does to one unit; all of it is checked before."""
    changes = _attributes(call, unit, body)
    steps = [lambda: call.array.san.change_unit(unit.uuid, **changes)]
    size = san_calls.at(body, "space.size")
    if size is not None:
        if _in_transfer(unit):
            raise errors.not_modelled("growing a LUN that is copied or moved")
        wanted = _checked_size(kind, unit, size)
        steps.append(lambda: _grow(call, unit, wanted))
    name = str(body.get("name", unit.name))
    if name != unit.name:
        _check_no_transfer(unit)
        _, path = _place(call, kind, unit.svm, name)
        if _is_move(unit, body):
            steps.append(lambda: _move(call, kind, unit, name, path))
        else:
            steps.append(lambda: _rename(call, kind, unit, name, path))
    return steps


def _in_transfer(unit: Unit) -> bool:
    return unit.transfer is not None and unit.transfer.state == RUNNING


def _check_no_transfer(unit: Unit) -> None:
    if _in_transfer(unit):
        message = "A copy or move job exists with the same destination LUN."
        raise san_errors.conflict(san_errors.TRANSFER_RUNS, message, "name")


def _attributes(call: Call, unit: Unit, body: Body) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "comment" in body:
        changes["comment"] = str(body["comment"])
    for path, name in ((_ALLOCATION, "space_allocation"), ("enabled", "enabled")):
        value = san_calls.flag(body, path)
        if value is not None:
            changes[name] = value
    if "qos_policy" in body:
        changes["qos_policy"] = san_calls.qos_policy_of(call, body, unit.svm)
    return changes


def _checked_size(kind: Kind, unit: Unit, value: object) -> int:
    size = _size(kind, value)
    if size < unit.size:
        message = f"An attempt was made to reduce the size of the {kind.title}."
        raise san_errors.refused(kind.shrinks, message, "space.size")
    if size == unit.size:
        message = f"The {kind.title} has this size already."
        raise san_errors.refused(san_errors.SAME_SIZE, message, "space.size")
    return size


def _grow(call: Call, unit: Unit, size: int) -> None:
    path = san_space.file_of(call.array, unit)
    assert path is not None
    if unit.reserved and unit.counted:
        _check_room(call, _flexvol(call, unit.svm, unit.flexvol), size - unit.size)
    fill = unit.reserved and not unit.counted
    _on_disk(unit.name, lambda: _grow_file(path, unit.size, size, fill))
    call.array.san.change_unit(unit.uuid, size=size)


def _grow_file(path: Path, old: int, size: int, fill: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        if fill:
            os.posix_fallocate(fd, old, size - old)
        else:
            os.ftruncate(fd, size)
    except OSError:
        os.ftruncate(fd, old)
        raise
    finally:
        os.close(fd)


def _rename(call: Call, kind: Kind, unit: Unit, name: str, path: Path) -> None:
    with call.array.san.making(unit.svm, name) as is_free:
        if not is_free or os.path.lexists(path):
            raise san_errors.exists(kind, name)
        old = san_space.file_of(call.array, unit)
        assert old is not None
        _on_disk(name, lambda: old.rename(path))
        call.array.san.change_unit(unit.uuid, name=name, stored=name)


def _move(call: Call, kind: Kind, unit: Unit, name: str, path: Path) -> None:
    """Start the move of a LUN to another FlexVol. A namespace cannot move."""
    if kind.name != "lun":
        message = f"A {kind.title} cannot be moved to another volume: {name}"
        raise san_errors.refused(san_errors.INVALID_NAME, message, "name")
    san, source = call.array.san, san_space.file_of(call.array, unit)
    assert source is not None
    with san.making(unit.svm, name) as is_free:
        if not is_free or os.path.lexists(path):
            raise san_errors.exists(kind, name)
        transfer = Transfer("move", unit.name, name)
        san.change_unit(unit.uuid, name=name, transfer=transfer)
    lun_transfers.start(call, san.units[unit.uuid], source, path)


# Delete


def delete_unit(call: Call, uuid: str) -> Reply:
    """Pages "DELETE /storage/luns/{uuid}", "DELETE /storage/namespaces/{uuid}"."""
    _, options = call.query.without("allow_delete_while_mapped")
    return _delete(call, [_unit(call, uuid)], options)


def delete_units(call: Call) -> Reply:
    """By query. Cinder's driver writes ``svm`` where ONTAP has ``svm.name``."""
    query, options = call.query.without("svm", "allow_delete_while_mapped")
    units = _selected(call, query)
    units = [unit for unit in units if options.get("svm", unit.svm) == unit.svm]
    if not units:
        raise errors.no_entry("name")
    return _delete(call, units, options)


def _delete(call: Call, units: list[Unit], options: dict[str, str]) -> Reply:
    kind, san = _kind(call), call.array.san
    forced = is_true(options.get("allow_delete_while_mapped"))
    for unit in units:
        if san.maps_of(unit.uuid) and not forced:
            message = f"The {kind.title} is mapped: {unit.name}"
            raise san_errors.conflict(kind.is_mapped, message, "name")

    def act() -> None:
        for unit in units:
            path = san_space.file_of(call.array, unit)
            with san.changing():
                san.forget(unit.uuid)
            lun_transfers.stop(call, unit)
            if path is not None:
                path.unlink(missing_ok=True)

    return san_calls.carry_out(call, act, lambda: Reply({"num_records": len(units)}))


ROUTES = tuple(
    route
    for path in (san_errors.LUN.path, san_errors.NAMESPACE.path)
    for route in (
        ("GET", path, list_units),
        ("POST", path, post_unit),
        ("PATCH", path, patch_units),
        ("DELETE", path, delete_units),
        ("GET", f"{path}/<uuid>", get_unit),
        ("PATCH", f"{path}/<uuid>", patch_unit),
        ("DELETE", f"{path}/<uuid>", delete_unit),
    )
)
