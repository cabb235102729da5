# SPDX-License-Identifier: Apache-2.0
"""The kernel's table of mounts. Reading it never asks a server."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import os
import re

# File systems that several hosts mount: they share files there, and locks too.
_SHARED = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3"),
        *("ceph", "glusterfs", "fuse.glusterfs", "lustre", "gpfs", "ocfs2", "gfs2"),
    }
)
# As many symbolic links as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One mount, as proc_pid_mountinfo(5) describes it."""

    mount_id: int
    # The directory of the mounted file system that is seen at the mount point.
    root: str
    point: str
    filesystem: str
    source: str

    @property
    def identity(self) -> str:
        """The file system in words: the same whenever it is mounted again."""
        return f"{self.filesystem} {self.source} {self.root}"


def at(point: str) -> Entry | None:
    """Return the mount that is visible on directory *point*; None without one.

    *point* must be a path without symbolic links.
    """
    found = None
    for entry in table():
        # A later mount on the same point covers the earlier one.
        if entry.point == point:
            found = entry
    return found


def table() -> Iterator[Entry]:
    """Return all mounts that this process sees, in the kernel's order."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            yield parse(line)


def shared(path: str, mounts: Iterable[Entry]) -> Entry | None:
    """Return the mount shared by several hosts on which *path* lies; None if local.

    *path* is absolute and need not exist. A part of it that is on such a mount is not
    looked at, because a server that is gone would never answer.
    """
    mounts = list(mounts)
    here, rest, links = "/", _parts(path), 0
    while rest and links < _MOST_LINKS:
        if _is_shared(_covering(here, mounts)):
            # Without a look at it: the rest has no links. A local disk may be mounted
            # there again.
            here = os.path.join(here, *reversed(rest))
            break
        name = rest.pop()
        step = os.path.dirname(here) if name == ".." else os.path.join(here, name)
        target = _link(step, mounts)
        if target is None:
            here = step
        else:
            links += 1
            here = "/" if os.path.isabs(target) else here
            rest += _parts(target)
    found = _covering(here, mounts)
    return found if _is_shared(found) else None


def _is_shared(entry: Entry | None) -> bool:
    return entry is not None and entry.filesystem in _SHARED


def _parts(path: str) -> list[str]:
    """Return the names in *path*, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _covering(path: str, mounts: Iterable[Entry]) -> Entry | None:
    """Return the mount on which *path* lies; it is without symbolic links."""
    found = None
    for entry in mounts:
        is_above = entry.point == "/" or f"{path}/".startswith(f"{entry.point}/")
        if is_above and (found is None or len(entry.point) >= len(found.point)):
            found = entry
    return found


def _link(path: str, mounts: Iterable[Entry]) -> str | None:
    """Return where the symbolic link *path* points to; None if it is none."""
    # A mount point is a directory; its root would be asked otherwise.
    if any(entry.point == path for entry in mounts):
        return None
    try:
        return os.readlink(path)
    except OSError:
        return None


def id_of(fd: int) -> int:
    """Return the `Entry.mount_id` of the mount on which *fd* was opened."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == "mnt_id":
                return int(value)
    raise OSError(f"/proc/self/fdinfo/{fd} has no mnt_id")


def parse(line: str) -> Entry:
    """Return the mount that *line* of mountinfo describes."""
    before, _, after = line.partition(" - ")
    mount_id, _parent, _device, root, point = before.split(" ")[:5]
    filesystem, source = after.split(" ")[:2]
    return Entry(
        int(mount_id),
        _unescaped(root),
        _unescaped(point),
        filesystem,
        _unescaped(source.rstrip("\n")),
    )


def _unescaped(field: str) -> str:
    # Blanks, tabs, newlines and backslashes are written as three octal digits.
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
