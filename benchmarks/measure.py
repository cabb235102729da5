# SPDX-License-Identifier: Apache-2.0
"""Times, disk space, and the page cache."""

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import subprocess
import time
from typing import TypeVar

from benchmarks import streams

T = TypeVar("T")


def until_durable(do: Callable[[], T], unsynced: Path | None) -> tuple[float, T]:
    """Return the seconds until the result of *do* is durable, and the result.

    If *do* leaves dirty pages, *unsynced* is a directory on the file system
    concerned; a syncfs(2) of it counts as part of the time. Dirty pages of earlier
    work are written before the time starts.
    """
    os.sync()
    began = time.monotonic()
    result = do()
    if unsynced is not None:
        subprocess.run(["sync", "-f", unsynced], check=True)
    return time.monotonic() - began, result


def timed(do: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that *do* takes, and its result."""
    return until_durable(do, None)


def loop_file(path: Path) -> Path | None:
    """Return the file behind the loop device that *path* lies on.

    None if *path* does not lie on a loop device.
    """
    number = os.stat(path).st_dev
    device = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    with contextlib.suppress(OSError):
        return Path(Path(device, "loop/backing_file").read_text("utf-8").strip())
    return None


def make_warm(path: Path) -> None:
    """Bring the whole file *path* into the page cache."""
    os.sync()
    streams.drain(streams.pread(path, path.stat().st_size))


def make_cold(path: Path) -> None:
    """Drop the pages of *path*, and of the loop file below it, from the page cache.

    The host of a virtual machine, and the disk, may still have them.
    """
    os.sync()
    for cached in (path, loop_file(path)):
        if cached is not None and cached.exists():
            with open(cached, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def used_bytes(directory: Path) -> int:
    """Return the used bytes of a file system; shared blocks count once."""
    os.sync()
    status = os.statvfs(directory)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def stored_bytes(path: Path) -> int:
    """Return the bytes of the blocks that a file occupies."""
    return path.stat().st_blocks * 512
