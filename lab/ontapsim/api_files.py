# SPDX-License-Identifier: Apache-2.0
"""Requests about files: list, rename, delete, clone, copy, and the CLI's view."""

from collections.abc import Sequence
from dataclasses import replace
import errno
import itertools
import os
from pathlib import Path
import re
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import files
from lab.ontapsim import records
from lab.ontapsim import san_space
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.call import is_true
from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import BLOCK_BYTES
from lab.ontapsim.flexvol import BlockRange
from lab.ontapsim.flexvol import Cancelled
from lab.ontapsim.flexvol import copy_file
from lab.ontapsim.flexvol import unshared_bytes
from lab.ontapsim.jobs import JobControl
from lab.ontapsim.query import Query
from lab.ontapsim.query import expand_dots
from lab.ontapsim.state import Volume

# Private CLI: what Cinder's driver takes for "no such file" (REST_CLI_NO_SUCH_FILE).
_CLI_NO_SUCH_FILE = 917806


def list_files(call: Call, uuid: str, path: str = "") -> Reply:
    """Page "GET /storage/volumes/{volume.uuid}/files/{path}".

    A directory is listed; with ``return_metadata=true`` the one file or directory
    is described. Reading data (``Accept: multipart/form-data``) is not modelled.
    """
    volume = call.array.volume(uuid, call.svm)
    query, options = call.query.without("return_metadata")
    if "byte_offset" in query.filters or "length" in query.filters:
        raise errors.not_modelled("reading a file's data or usage of a part")
    if is_true(options.get("return_metadata")):
        found = [files.metadata(volume, path)]
        query = replace(query, fields=query.fields or ("*",))
    else:
        found = files.listing(volume, path)
    found = san_space.with_luns(call.array, volume, found)
    keys = ("path", "name", "type", "volume")
    return call.collection(found, keys=keys, optional=files.OPTIONAL, query=query)


def post_file(call: Call, uuid: str, path: str) -> Reply:
    """Page "POST /storage/volumes/{volume.uuid}/files/{path}": directories only."""
    volume = call.array.volume(uuid, call.svm)
    if call.body.get("type") != "directory":
        raise errors.not_modelled("POST of a file's data, stream or link")
    mode = int(str(call.body.get("unix_permissions", 755)), 8)
    files.make_directory(volume, path, mode)
    return Reply(status=201)


def patch_file(call: Call, uuid: str, path: str) -> Reply:
    """Page "PATCH /storage/volumes/{volume.uuid}/files/{path}": rename, QoS."""
    volume = call.array.volume(uuid, call.svm)
    body = expand_dots(call.body)
    known = {"path", "qos_policy"}
    if not body or body.keys() - known:
        raise errors.not_modelled(f"PATCH of a file's {sorted(body.keys() - known)}")
    if "path" in body:
        files.rename(volume, path, files.decode(str(body["path"])))
    if "qos_policy" in body:
        _assign_qos(call, volume, path, body["qos_policy"])
    return Reply()


def _assign_qos(
    call: Call, volume: Volume, path: str, reference: dict[str, Any]
) -> None:
    files.existing(volume, path)
    for policy in call.array.policies(volume.svm):
        if reference in ({"name": policy.name}, {"uuid": policy.uuid}):
            kept = tuple(item for item in volume.file_qos if item[0] != path)
            call.array.change_volume(volume.uuid, file_qos=(*kept, (path, policy.name)))
            return
    raise errors.no_entry("qos_policy.name")


def delete_file(call: Call, uuid: str, path: str) -> Reply:
    """Page "DELETE /storage/volumes/{volume.uuid}/files/{path}"."""
    volume = call.array.volume(uuid, call.svm)
    query, options = call.query.without("recurse")
    for name in query.filters:
        raise errors.unexpected_argument(name)
    files.delete(volume, path, recurse=is_true(options.get("recurse")))
    return Reply()


# Clone


def post_clone(call: Call) -> Reply:
    """Page "POST /storage/file/clone": as a job, blocks shared by FICLONE.

    ``is_backup`` and ``autodelete`` only mark a file in ONTAP: accepted, no effect.
    """
    volume = _referenced(call, call.required("volume"), "volume")
    source = files.decode(str(call.required("source_path")))
    destination = files.decode(str(call.required("destination_path")))
    overwrite = bool(call.body.get("overwrite_destination", False))
    ranges = [_range(text) for text in call.body.get("range", [])]
    _check_ranges(ranges, same_file=source == destination)

    def work(control: JobControl) -> None:
        source_file = _readable(volume, source)
        target = files.resolve(volume, destination)
        try:
            if ranges:
                _clone_ranges(volume, source_file, target, ranges)
            else:
                _refuse_existing(target, destination, overwrite)
                volume.files.clone(source_file, target)
        except OSError as error:
            raise errors.file_error(error, destination) from error

    return call.start_job(work, path=destination)


def _referenced(
    call: Call, reference: dict[str, Any], target: str, svm: str | None = None
) -> Volume:
    """Return the FlexVol that a body names by uuid, name or both.

    A uuid of one and a name of another FlexVol is refused.
    """
    for volume in call.array.volumes(svm or call.svm):
        own = {"uuid": volume.uuid, "name": volume.name}
        wanted = {k: v for k, v in reference.items() if k in own}
        if wanted and all(own[k] == v for k, v in wanted.items()):
            return volume
    raise errors.no_volume(str(reference.get("uuid", reference.get("name"))), target)


def _readable(volume: Volume, path: str) -> Path:
    found = files.existing(volume, path)
    if not found.is_file():
        raise errors.file_error(OSError(errno.EISDIR, ""), path)
    return found


def _refuse_existing(target: Path, path: str, overwrite: bool) -> None:
    if os.path.lexists(target) and not overwrite:
        raise errors.file_error(OSError(errno.EEXIST, ""), path)


def _range(text: str) -> BlockRange:
    if not re.fullmatch(r"\d+:\d+:\d+", text):
        raise errors.bad_value("range", text)
    source, destination, count = map(int, text.split(":"))
    if not count:
        raise errors.bad_value("range", text)
    return BlockRange(source, destination, count)


def _check_ranges(ranges: Sequence[BlockRange], same_file: bool) -> None:
    """Refuse overlaps: sources among each other, destinations, both in one file."""
    sources = [(part.source, part.count) for part in ranges]
    destinations = [(part.destination, part.count) for part in ranges]
    bad = _overlap(sources) or _overlap(destinations)
    if same_file:
        bad = bad or any(_overlap([s, d]) for s in sources for d in destinations)
    if bad:
        raise errors.bad_value("range", "overlapping ranges")


def _overlap(parts: Sequence[tuple[int, int]]) -> bool:
    ordered = sorted(parts)
    pairs = itertools.pairwise(ordered)
    return any(a + n > b for (a, n), (b, _) in pairs)


def _clone_ranges(
    volume: Volume, source: Path, target: Path, ranges: Sequence[BlockRange]
) -> None:
    size = source.stat().st_size
    if any((part.source + part.count) * BLOCK_BYTES > size for part in ranges):
        raise errors.bad_value("range", "past the end of the source file")
    if not target.exists():
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    for part in ranges:
        volume.files.clone_range(source, target, part)


def list_split_status(call: Call) -> Reply:
    """Page "GET /storage/file/clone/split-status": nothing splits here."""
    optional = (
        "volume.name",
        "volume.uuid",
        "svm.name",
        "svm.uuid",
        "pending_splits",
        "unsplit_size",
    )
    return call.collection([], keys=("volume",), optional=optional)


# Copy


def post_copy(call: Call) -> Reply:
    """Page "POST /storage/file/copy": a job that reads and writes each byte.

    Works between FlexVols, of two SVMs too if they are peers for ``file_copy``, and
    not on FlexGroups. A path begins with the FlexVol's name, as Cinder's driver sends
    it (``fv1/volume-...``), or lacks it; ``svm:`` before it is taken.
    """
    pairs = [
        (_end(call, item, "source"), _end(call, item, "destination"))
        for item in call.required("files_to_copy")
    ]
    if not pairs:
        raise errors.missing_value("files_to_copy")
    for (source, _), (destination, path) in pairs:
        _check_copy(call, source, destination, path)

    def work(control: JobControl) -> None:
        for source, destination in pairs:
            _copy_one(control, source, destination)

    return call.start_job(work, grace_s=0, path=pairs[0][1][1])


def _check_copy(call: Call, source: Volume, destination: Volume, path: str) -> None:
    """Refuse FlexGroups and SVMs that are no peers."""
    if "flexgroup" in (source.style, destination.style):
        raise errors.file_error(OSError(errno.EOPNOTSUPP, ""), path)
    if source.svm == destination.svm:
        return
    peers = call.array.peers(source.svm)
    if not any(
        peer.peer == destination.svm and "file_copy" in peer.applications
        for peer in peers
    ):
        raise errors.not_peered(source.svm, destination.svm)


def _end(call: Call, item: dict[str, Any], side: str) -> tuple[Volume, str]:
    reference = item.get(side, {})
    if "path" not in reference:
        raise errors.missing_value(f"files_to_copy.{side}.path")
    path = str(reference["path"]).rpartition(":")[2].lstrip("/")
    name, _, rest = path.partition("/")
    svm = reference.get("svm", {}).get("name")
    if "volume" in reference:
        field = f"files_to_copy.{side}.volume"
        volume = _referenced(call, reference["volume"], field, svm)
        return volume, rest if name == volume.name and rest else path
    field = f"files_to_copy.{side}.path"
    return _referenced(call, {"name": name}, field, svm), rest


def _copy_one(
    control: JobControl, source: tuple[Volume, str], destination: tuple[Volume, str]
) -> None:
    source_file = _readable(*source)
    target = files.resolve(*destination)
    if target.is_dir():
        target = target / source_file.name
    total = source_file.stat().st_size

    def progress(copied: int) -> None:
        control.report(f"Copied {copied} of at most {total} bytes")
        control.passed(copied)

    try:
        copy_file(source_file, target, progress, control.stop)
    except Cancelled:
        raise
    except OSError as error:
        raise errors.file_error(error, destination[1]) from error


# Private CLI


def show_efficiency(call: Call) -> Reply:
    """CLI "volume efficiency show", by /private/cli, as Cinder's driver asks it."""
    found = [
        {
            "vserver": volume.svm,
            "volume": volume.name,
            "logical_data_size": volume.files.usage().used,
            "logical_data_limit": records.LOGICAL_DATA_LIMIT,
        }
        for volume in call.array.volumes()
    ]
    return call.collection(found, keys=("vserver", "volume"), query=_cli_query(call))


def _cli_query(call: Call) -> Query:
    """Return the query with the CLI's dashes as the answer's underscores."""
    fields = tuple(name.replace("-", "_") for name in call.query.fields)
    return replace(call.query, fields=fields)


def show_disk_usage(call: Call) -> Reply:
    """CLI "volume file show-disk-usage": bytes that only this file uses, in KB."""
    svm, path = call.query.filters.get("vserver"), call.query.filters.get("path", "")
    match = re.fullmatch(r"/vol/([^/]+)/(.+)", path)
    for volume in call.array.volumes(svm):
        if match and volume.name == match.group(1):
            target = files.resolve(volume, match.group(2))
            if target.is_file():
                used = unshared_bytes(target)
                return Reply({"path": path, "unique_bytes": f"{used // 1024}KB"})
    raise OntapError(404, _CLI_NO_SUCH_FILE, f"No such file: {path}")
