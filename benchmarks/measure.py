# SPDX-License-Identifier: Apache-2.0
"""Time until durable, the page cache, and what the kernel says of files."""

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import subprocess
import time
from typing import TypeVar

T = TypeVar("T")


def until_durable(do: Callable[[], T], unsynced: Path | None) -> tuple[float, T]:
    """Seconds that *do* takes, and its result.

    Where *do* leaves dirty pages, *unsynced* is on the file system concerned, whose
    syncfs(2) counts as part of the time. What was dirty before is written before.
    """
    os.sync()
    began = time.monotonic()
    result = do()
    if unsynced is not None:
        subprocess.run(["sync", "-f", unsynced], check=True)
    return time.monotonic() - began, result


def timed(do: Callable[[], T]) -> tuple[float, T]:
    """Seconds that *do* takes, and its result."""
    os.sync()
    began = time.monotonic()
    result = do()
    return time.monotonic() - began, result


def wait_until(question: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Return when *question* says yes.

    :raises TimeoutError: it does not
    """
    deadline = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


def loop_file(path: Path) -> Path | None:
    """The file behind the loop device that *path* lies on; None: on no such."""
    number = os.stat(path).st_dev
    device = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    with contextlib.suppress(OSError):
        return Path(Path(device, "loop/backing_file").read_text("utf-8").strip())
    return None


def make_cold(path: Path) -> None:
    """Drop *path*'s clean pages from this machine's memory.

    Those of the loop file below it, too. The host of a virtual machine, and the
    disk, may still have them.
    """
    os.sync()
    for each in (path, loop_file(path)):
        if each is not None and each.exists():
            with open(each, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def used_bytes(directory: Path) -> int:
    """Of the file system; shared blocks count once."""
    os.sync()
    status = os.statvfs(directory)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def stored_bytes(path: Path) -> int:
    """Blocks of a file."""
    return path.stat().st_blocks * 512
