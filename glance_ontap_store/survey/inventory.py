# SPDX-License-Identifier: Apache-2.0
"""Image-volumes as rows and sums. Decides what a volume is; asks nobody."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import access
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State

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
        return self.state != State.READING.value


def row(volume: Volume, store_id: str, type_name: str | None) -> Row | None:
    """The volume as a row of the store; None if it is not the store's.

    *type_name* is the name, not the id, of the store's volume type.
    """
    record = Record.parse(volume.metadata)
    is_clone = record.store == store_id and record.state is State.READING
    if not is_clone and not access.claims(volume, record, store_id, type_name):
        return None
    state = record.state.value if record.state else BY_CINDER
    size: int | None = None
    if record.bad_size is not None:
        state = UNREADABLE
    elif record.state is State.SEALED:
        size = record.size
    elif record.state is None:
        # Cinder's own images are as long as the volume.
        size = volume.size_gib * units.GIB
    return Row(
        store=store_id,
        image_id=record.image_id,
        owner=record.owner or volume.project_id,
        volume_id=volume.id,
        pool=volume.pool,
        size_gib=volume.size_gib,
        image_size=size,
        state=state,
        status=volume.status,
        file=f"volume-{volume.backing_id}",
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
