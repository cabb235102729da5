# SPDX-License-Identifier: Apache-2.0
"""The processes that hold a lock, as the kernel lists them in /proc/locks."""

from collections.abc import Iterable
import os

# For a process of another PID namespace /proc/locks has this id, or no line.
_FOREIGN = 0


def of(fd: int) -> str:
    """Return who holds a flock(2) of the open file *fd*, in words."""
    try:
        status = os.fstat(fd)
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            found = holders(file, status.st_dev, status.st_ino)
    except OSError:
        found = []
    named = [_named(pid) for pid in found if pid != _FOREIGN]
    # Some file systems (overlay, btrfs) show another device here than stat(2) does.
    return ", ".join(named) or "a process that /proc/locks does not name"


def holders(lines: Iterable[str], device: int, inode: int) -> list[int]:
    """Return the ids of the processes that hold a flock(2) on the inode.

    *lines* are those of proc_locks(5). A line with ``->`` is of a process that waits.
    """
    # "1: FLOCK  ADVISORY  WRITE 392 fe:00:2146931 0 EOF"
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    fields = (line.split() for line in lines)
    held = (each for each in fields if len(each) > 5 and each[1] == "FLOCK")
    return sorted({int(each[4]) for each in held if each[5] == wanted})


def _named(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"process {pid} ({file.read().strip()})"
    except OSError:
        return f"process {pid}"
