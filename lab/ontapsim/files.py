# SPDX-License-Identifier: Apache-2.0
"""Files of a FlexVol, named as ONTAP names them: paths relative to its root.

Page "Storage volumes files". Every path is resolved here, so none leads out of
its FlexVol, not by ``..`` and not by a symbolic link.
"""

from collections.abc import Iterator
import datetime
import errno
import os
from pathlib import Path
import stat
from typing import Any
from urllib.parse import quote
from urllib.parse import unquote

from lab.ontapsim import errors
from lab.ontapsim.flexvol import remove_tree
from lab.ontapsim.state import Volume

SNAPSHOT_DIRECTORY = ".snapshot"


def decode(path: str) -> str:
    """Undo ``%2E`` and ``%2F``: ONTAP takes them in bodies too, Cinder sends them."""
    return unquote(path)


def resolve(volume: Volume, path: str) -> Path:
    """Return the absolute path of a file that may or may not exist.

    :raises OntapError: the path leads out of the FlexVol
    """
    root = volume.directory.resolve()
    target = Path(os.path.normpath(root / path.lstrip("/")))
    real = target.parent.resolve() / target.name
    if real != root and root not in real.parents:
        raise errors.bad_value("path", path)
    return real


def existing(volume: Volume, path: str) -> Path:
    """Return the absolute path of a file.

    :raises OntapError: 404, code 6684674, the file does not exist
    """
    target = resolve(volume, path)
    if not os.path.lexists(target):
        error = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise errors.file_error(error, path)
    return target


def listing(volume: Volume, path: str) -> list[dict[str, Any]]:
    """Return the records of a directory's entries, with "." and ".."."""
    directory = existing(volume, path)
    if not directory.is_dir():
        raise errors.file_error(OSError(errno.ENOTDIR, ""), path)
    return [record(volume, path, name) for name in _entries(directory)]


def _entries(directory: Path) -> Iterator[str]:
    yield "."
    yield ".."
    for name in sorted(os.listdir(directory)):
        if name != SNAPSHOT_DIRECTORY:
            yield name


def metadata(volume: Volume, path: str) -> dict[str, Any]:
    """Return the record of one file or directory.

    As NetApp's example has it: the whole path in ``path``, and an empty name.
    """
    existing(volume, path)
    folder, _, name = path.strip("/").rpartition("/")
    found = record(volume, folder, name or ".")
    return {**found, "path": path.strip("/"), "name": ""}


def record(volume: Volume, folder: str, name: str) -> dict[str, Any]:
    """Return the record of ``name`` in a directory."""
    found = os.lstat(volume.directory / folder.lstrip("/") / name)
    location = "/".join(part for part in (folder.strip("/"), name) if part)
    quoted = quote(location, safe="").replace(".", "%2E")
    href = f"/api/storage/volumes/{volume.uuid}/files/{quoted}"
    result: dict[str, Any] = {
        "volume": {"uuid": volume.uuid, "name": volume.name},
        "path": folder.strip("/"),
        "name": name,
        "type": _type_of(found.st_mode),
        "size": found.st_size,
        "bytes_used": found.st_blocks * 512,
        "inode_number": found.st_ino,
        "hard_links_count": found.st_nlink,
        "owner_id": found.st_uid,
        "group_id": found.st_gid,
        # Octal digits read as a decimal number, as ONTAP shows it.
        "unix_permissions": int(oct(stat.S_IMODE(found.st_mode))[2:]),
        "is_junction": False,
        # Linux tells no time of creation by stat(2).
        "creation_time": _time(found.st_ctime),
        "accessed_time": _time(found.st_atime),
        "modified_time": _time(found.st_mtime),
        "changed_time": _time(found.st_ctime),
        "_links": {"metadata": {"href": f"{href}?return_metadata=true"}},
    }
    if result["type"] == "directory":
        result["_links"]["self"] = {"href": href}
        del result["bytes_used"]
    policy = dict(volume.file_qos).get(location)
    if policy:
        result["qos_policy"] = {"name": policy}
    return result


OPTIONAL = ("qos_policy.name", "qos_policy.uuid", "target", "bytes_used", "size")


def rename(volume: Volume, path: str, new_path: str) -> None:
    """Move a file or directory inside the FlexVol; never over an existing one."""
    source = existing(volume, path)
    target = resolve(volume, new_path)
    if os.path.lexists(target):
        raise errors.file_error(OSError(errno.EEXIST, ""), new_path)
    try:
        os.rename(source, target)
    except OSError as error:
        raise errors.file_error(error, new_path) from error


def delete(volume: Volume, path: str, recurse: bool) -> None:
    """Delete a file, an empty directory, or with ``recurse`` a whole one."""
    target = existing(volume, path)
    if target == volume.directory.resolve():
        raise errors.file_error(OSError(errno.EINVAL, ""), path)
    try:
        if not target.is_dir() or target.is_symlink():
            target.unlink()
        elif recurse:
            remove_tree(target)
        else:
            target.rmdir()
    except OSError as error:
        raise errors.file_error(error, path) from error


def make_directory(volume: Volume, path: str, mode: int) -> None:
    """Make a directory; ``mode`` as os.chmod takes it."""
    target = resolve(volume, path)
    try:
        target.mkdir()
        target.chmod(mode)
    except OSError as error:
        raise errors.file_error(error, path) from error


def _type_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "symlink"
    return "file" if stat.S_ISREG(mode) else "unknown"


def _time(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.isoformat()
