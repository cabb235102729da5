# SPDX-License-Identifier: Apache-2.0
"""The kernel's table of mounts. Reading it never asks a server."""

import dataclasses
import re

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
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            # A later mount on the same point covers the earlier one.
            entry = parse(line)
            if entry.point == point:
                found = entry
    return found


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
