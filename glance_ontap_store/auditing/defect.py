# SPDX-License-Identifier: Apache-2.0
"""Defects of image-volumes as values, and the command's exit code."""

from collections.abc import Iterable
import dataclasses
import enum


class Code(str, enum.Enum):
    """What is wrong; the values are those of the command's output."""

    GONE = "volume-gone"
    UNFINISHED = "not-sealed"
    BROKEN = "volume-status"
    SHORT = "volume-short"
    SIZE = "wrong-size"
    DIGEST = "wrong-digest"
    OWNER = "wrong-owner"
    WRITABLE = "not-read-only"
    ATTACHED = "attached-long"
    POOL = "pool-gone"
    FORMAT = "disk-format"
    UNREGISTERED = "not-registered"
    UNREADABLE = "unreadable"


# What `--repair` mends.
REPAIRABLE = frozenset({Code.OWNER, Code.WRITABLE})


@dataclasses.dataclass(frozen=True)
class Defect:
    """One defect of an image in a store. *volume_id* is None if there is no volume.

    *owner* is the right one, for `Code.OWNER`. *result* says what a repair did.
    *is_failure*: it could not be repaired.
    """

    code: Code
    store: str
    image_id: str
    problem: str
    remedy: str
    volume_id: str | None = None
    owner: str | None = None
    result: str | None = None
    is_failure: bool = False

    @property
    def is_left(self) -> bool:
        """Return whether it is still there."""
        return self.result is None or self.is_failure


# Exit codes; 3 is that of a command that failed itself.
RIGHT, WRONG, INCOMPLETE = range(3)


def exit_code(defects: Iterable[Defect], is_complete: bool) -> int:
    """Return the command's exit code; *is_complete*: everything was looked at."""
    defects = list(defects)
    if not is_complete or any(each.is_failure for each in defects):
        return INCOMPLETE
    return WRONG if any(each.is_left for each in defects) else RIGHT
