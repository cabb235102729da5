# SPDX-License-Identifier: Apache-2.0
"""Leftovers as values: what is left, why it counts as dead, and what may be done."""

import dataclasses
import datetime
import enum


class Kind(str, enum.Enum):
    """What is left; the values are those of the command's output."""

    FILLING = "unfinished upload"
    READING = "temporary volume"
    REPLICATING = "unfinished replica"
    ORPHAN = "image-volume without image"
    ATTACHMENT = "attachment"
    MOUNT = "mount"
    PROCESS = "lock files"
    CACHE_VOLUME = "cache volume"
    CACHE_FILE = "cache file"


class Verdict(enum.Enum):
    """Whether a leftover may be removed."""

    # Nothing uses it: `--apply` removes it.
    DEAD = enum.auto()
    # It may be in use by another host: it is removed only where it is old enough.
    UNPROVEN = enum.auto()
    # Nothing seems to use it, and this command leaves it alone all the same.
    KEPT = enum.auto()


_ACTIONS = {
    Kind.FILLING: "delete the volume with its attachments",
    Kind.READING: "delete the volume with its attachments",
    Kind.REPLICATING: "delete the volume with its attachments",
    Kind.ORPHAN: "delete the volume",
    Kind.ATTACHMENT: "delete the attachment",
    Kind.MOUNT: "unmount it",
    Kind.PROCESS: "release what the process held, and remove them",
}


@dataclasses.dataclass(frozen=True)
class Leftover:
    """One thing that is left.

    *id* is that of the volume or attachment, an export, or a file's name. *write_id*
    is the volume's, by which a re-read volume is recognised. *why* is a sentence about
    its users, and *keep* says why it stays although it is not in use, if it does.
    *since* is when it was made or last changed, as far as that is known.
    """

    kind: Kind
    verdict: Verdict
    id: str
    why: str
    store: str | None = None
    volume_id: str | None = None
    image_id: str | None = None
    size_gib: int | None = None
    since: datetime.datetime | None = None
    write_id: str | None = None
    base: str | None = None
    keep: str | None = None

    @property
    def action(self) -> str:
        """What ``--apply`` does with it."""
        match self.verdict:
            case Verdict.DEAD:
                return _ACTIONS[self.kind]
            case Verdict.UNPROVEN:
                return "none without --older-than"
        return f"none: {self.keep}"


@dataclasses.dataclass(frozen=True)
class Limits:
    """The operator's choices. Ages are in seconds.

    Of what may live on another host, only things older than *older_than* are removed;
    None: nothing. An image-volume without an image is left alone for *guard* after its
    last change, since its location is registered only after it was sealed. More than
    *most_orphans* of them in one store are left alone: the wrong Glance was asked.
    """

    older_than: float | None = None
    guard: float = 3600.0
    most_orphans: int = 20


def spoken(seconds: float) -> str:
    """Return a duration in words such as ``3 h``, in the largest unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
