# SPDX-License-Identifier: Apache-2.0
"""Image-volumes as rows and sums. Decides what a volume is; asks nobody."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.images import image_volume
from glance_ontap_store.images import record as record_
from glance_ontap_store.images.record import Record
from glance_ontap_store.survey.cinder import ListedVolume

# What Cinder registered itself, and what a changed metadata no longer tells.
BY_CINDER = "by cinder"
UNREADABLE = "unreadable"


@dataclasses.dataclass(frozen=True)
class Row:
    """One volume of a store. *image_size* None: not known (yet).

    *state* is ``filling``, ``sealed``, ``reading`` (a temporary clone),
    `BY_CINDER` or `UNREADABLE`; *status* is Cinder's.
    """

    store: str
    image_id: str | None
    owner: str | None
    volume_id: str
    pool: str | None
    size_gib: int
    image_size: int | None
    state: str
    status: str
    file: str

    @property
    def is_image(self) -> bool:
        return self.state != record_.READING


def row(seen: ListedVolume, store_id: str, volume_type: str | None) -> Row | None:
    """The volume as a row of the store; None if it is not the store's."""
    volume = seen.volume
    size: int | None = None
    try:
        record = Record.parse(volume.metadata)
        if not image_volume.belongs_to(volume, store_id, volume_type):
            return None
        state = record.state or BY_CINDER
        if state == record_.SEALED:
            size = record.size
        elif state == BY_CINDER:
            # Cinder's own images are as long as the volume.
            size = volume.size_gib * units.GIB
    except errors.Broken:
        # Its size is not a number: read the rest, to say whose it is.
        readable = {**volume.metadata, "image_size": "0"}
        record = Record.parse(readable)
        if record.store != store_id:
            return None
        state = UNREADABLE
    return Row(
        store=store_id,
        image_id=record.image_id,
        owner=record.owner or seen.project_id,
        volume_id=volume.id,
        pool=seen.pool,
        size_gib=volume.size_gib,
        image_size=size,
        state=state,
        status=volume.status,
        file=seen.file,
    )


@dataclasses.dataclass(frozen=True)
class Sum:
    """What the image-volumes of one project, store or pool come to.

    None is what is not known of one of them, and so not of all.
    """

    key: str | None
    images: int
    image_bytes: int | None
    volume_gib: int
    allocated_bytes: int | None


KEYS: Mapping[str, Callable[[Row], str | None]] = {
    "project": lambda each: each.owner,
    "store": lambda each: each.store,
    "pool": lambda each: each.pool,
}


def summed(
    rows: Iterable[Row], by: str, allocated: Callable[[Row], int | None]
) -> list[Sum]:
    """Sums by a key of `KEYS`, of images only, the unknown key last."""
    groups: dict[str | None, list[Row]] = {}
    for each in rows:
        if each.is_image:
            groups.setdefault(KEYS[by](each), []).append(each)
    return [
        Sum(
            key=key,
            images=len(group),
            image_bytes=_total(each.image_size for each in group),
            volume_gib=sum(each.size_gib for each in group),
            allocated_bytes=_total(allocated(each) for each in group),
        )
        for key, group in sorted(groups.items(), key=lambda item: (not item[0], item))
    ]


def _total(values: Iterable[int | None]) -> int | None:
    total = 0
    for each in values:
        if each is None:
            return None
        total += each
    return total
