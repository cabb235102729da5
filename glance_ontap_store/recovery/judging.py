# SPDX-License-Identifier: Apache-2.0
"""Decides what may be released. Pure: it asks no service."""

from collections.abc import Callable
from collections.abc import Set
import random

from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark

# The states of volumes that nobody but their maker needs.
UNFINISHED = (State.FILLING, State.READING)
# The states of volumes that outlive their maker: only attachments are released. A
# replica that is half made is completed by the next ``glance-ontap replicate``.
KEPT = (State.SEALED, State.REPLICATING)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0


def is_of_write(volume: Volume, write_id: str) -> bool:
    """Return whether the volume is what that attempt made, and was not sealed.

    A sealed volume may be an image, whatever became of its maker.
    """
    record = Record.parse(volume.metadata)
    return record.write_id == write_id and record.state in UNFINISHED


def is_abandoned(
    volume: Volume, store_id: str | None, is_dead: Callable[[Mark], bool]
) -> bool:
    """Return whether a dead process was making the volume for the store.

    A reader's clone of an image that names no store names none either.
    """
    record = Record.parse(volume.metadata)
    mark = Mark.parse(record.lock)
    return (
        record.state in UNFINISHED
        and record.store in (None, store_id)
        and mark is not None
        and is_dead(mark)
    )


def dead_attachments(
    volume: Volume, is_dead: Callable[[Mark], bool]
) -> list[Connected]:
    """The volume's attachments whose processes are dead."""
    return [
        attachment
        for attachment in volume.attachments
        if (mark := Mark.of_device(attachment.device)) is not None and is_dead(mark)
    ]


def unowned(first: Set[str], later: Set[str], known: Set[str]) -> set[str]:
    """The reservations that nobody connects.

    They were there at first and later, and no journal has their ids: the answer of
    each was lost.
    """
    return (set(first) & set(later)) - set(known)


def pause_s(tries: int) -> float:
    """The pause after that many tries, in seconds: it grows, and differs each time."""
    longest = min(_FIRST_PAUSE_S * 2 ** min(tries, 16), _LONGEST_PAUSE_S)
    # Not a secret: it keeps processes apart that failed together.
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311
