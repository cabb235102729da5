# SPDX-License-Identifier: Apache-2.0
"""The room on the machine's disk that a run needs, looked for before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import shutil

GIB = 1024**3
# A new lab: its databases, logs and empty file systems.
LAB_GIB = 2.0


@dataclass(frozen=True)
class Kept:
    """Images that stay in the lab for all cases that use them: their name and GiB."""

    name: str
    gib: float


@dataclass(frozen=True)
class Disk:
    """What a case needs, at full size.

    *kept* are the images that it uses, *passing* the GiB that it needs beside them at
    one time.
    """

    kept: tuple[Kept, ...] = ()
    passing: float = 0


def needed_gib(cases: Sequence[Disk], scale: float) -> float:
    """Return the GiB that a run of *cases* needs, with all sizes times *scale*.

    Cases share images. They run one after the other, so the greatest of them decides
    what passes.
    """
    kept = sum(images.gib for images in {kept for case in cases for kept in case.kept})
    passing = max((case.passing for case in cases), default=0)
    return LAB_GIB + (kept + passing) * scale


def lack(needed: float, directory: Path) -> str:
    """Return what *directory* lacks to hold *needed* GiB; "" if it has the room.

    The text names what to do.
    """
    free = shutil.disk_usage(directory).free / GIB
    if free >= needed:
        return ""
    return (
        f"{directory} has {free:.1f} GiB free, and the run needs {needed:.1f} GiB: "
        f"{needed - free:.1f} GiB are missing. Free them, choose another directory "
        "with TMPDIR, or run fewer cases (--cases, --list; --quick)"
    )
