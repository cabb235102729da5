# SPDX-License-Identifier: Apache-2.0
"""Decides the next step of a replica from what Cinder and Glance show. Pure.

Nothing is written down elsewhere: whoever looks goes on where the last one ended.
"""

from collections.abc import Iterable
from collections.abc import Set
import dataclasses
import enum

from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance import copying
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication.step import Result

# The states of replicas. One that is sealed may lack its location.
_STATES = (State.REPLICATING, State.SEALED)
# Cinder's mark of the volume that a host copies another one into.
_INTO = "target:"


class Next(enum.Enum):
    """What is to be done with a replica next."""

    CLONE = enum.auto()
    # Cinder is at work on it.
    WAIT = enum.auto()
    MIGRATE = enum.auto()
    # Compare it with its source, and seal it.
    VERIFY = enum.auto()
    REGISTER = enum.auto()
    # Nothing: it is complete, or somebody has to do something first.
    END = enum.auto()
    DISCARD = enum.auto()


@dataclasses.dataclass(frozen=True)
class Decision:
    """The next step; *result* and *why* are what became of the replica if it ends."""

    next: Next
    result: Result = Result.DONE
    why: str | None = None


@dataclasses.dataclass(frozen=True)
class Seen:
    """The replica of an image in a store, as it was just now.

    *image* None: Glance does not have it. *registered* are the volumes that its
    locations name. *volume* is as an administrator sees it. *pool* is the store's.
    """

    store_id: str
    pool: str
    image: Image | None
    registered: Set[str] = frozenset()
    volume: Volume | None = None


def candidates(
    volumes: Iterable[Volume], image_id: str, store_id: str, registered: Set[str]
) -> list[Volume]:
    """Return the replicas of an image in a store, the one that counts first.

    Two hosts may make one each. The one that came further counts, then the older one:
    so both agree, and the other one goes.
    """
    found = []
    for volume in volumes:
        record = Record.parse(volume.metadata)
        if (
            (record.image_id, record.store) == (image_id, store_id)
            and record.replica_of is not None
            and record.state in _STATES
            and not volume.is_leaving
            and not (volume.migration or "").startswith(_INTO)
        ):
            found.append(volume)
    return sorted(
        found,
        key=lambda each: (
            each.id not in registered,
            Record.parse(each.metadata).state is not State.SEALED,
            each.created_at or "",
            each.id,
        ),
    )


def decide(seen: Seen) -> Decision:
    """Return the next step."""
    image, volume = seen.image, seen.volume
    if volume is None:
        return _without_volume(seen)
    if volume.is_migrating or volume.status == "creating":
        # Neither may be touched, whatever became of the image.
        return Decision(Next.WAIT)
    if volume.status == "maintenance":
        return _later(
            f"volume {volume.id} is in maintenance: see the log of cinder-volume, and"
            " end it there"
        )
    record = Record.parse(volume.metadata)
    if volume.id in seen.registered:
        is_sealed = record.state is State.SEALED
        return Decision(Next.END if is_sealed else Next.WAIT)
    if image is None:
        return Decision(Next.DISCARD, Result.GONE, "the image was deleted meanwhile")
    if image.status != "active":
        return _later(f"the image is {image.status}")
    if seen.store_id in image.stores:
        why = "the image came into the store another way"
        return Decision(Next.DISCARD, Result.DONE, why)
    if volume.is_broken:
        return _failed(f"Cinder gave the clone up: the volume is {volume.status}")
    if record.state is State.SEALED:
        return _sealed(record, image)
    return _replicating(seen, volume)


def _without_volume(seen: Seen) -> Decision:
    if seen.image is None:
        return Decision(Next.END, Result.GONE, "the image was deleted meanwhile")
    if seen.image.status != "active":
        return _later(f"the image is {seen.image.status}")
    if seen.store_id in seen.image.stores:
        return Decision(Next.END)
    return Decision(Next.CLONE)


def _sealed(record: Record, image: Image) -> Decision:
    why = copying.unverified(image, record)
    return _failed(why) if why else Decision(Next.REGISTER)


def _replicating(seen: Seen, volume: Volume) -> Decision:
    if volume.pool == seen.pool:
        return Decision(Next.VERIFY)
    if volume.migration == "error":
        # Before Cinder 2026.2 the driver may leave a file of this name in the pool.
        return _failed(
            f"Cinder did not move the clone, volume {volume.id}, to the store's pool"
        )
    if volume.migration == "success":
        return _failed(
            f"Cinder moved the clone to pool {volume.pool}, and not to the store's"
        )
    if volume.status != "available" or volume.attachments:
        # A host would copy it.
        return _later(f"volume {volume.id} is {volume.status}")
    return Decision(Next.MIGRATE)


def _later(why: str) -> Decision:
    return Decision(Next.END, Result.LATER, why)


def _failed(why: str) -> Decision:
    return Decision(Next.DISCARD, Result.FAILED, why)
