# SPDX-License-Identifier: Apache-2.0
"""Turn the volumes of a store into rows, and add them up. Pure."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import access
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.transfer import content

# More states of a row: Cinder registered the image itself, or the metadata of the
# volume was changed and cannot be understood.
BY_CINDER = "by cinder"
UNREADABLE = "unreadable"


@dataclasses.dataclass(frozen=True)
class Row:
    """One volume of a store. Sizes are in bytes, unless named otherwise.

    *image_size* is None while it is unknown. *state* is a value of `State`, `BY_CINDER`
    or `UNREADABLE`; *status* is Cinder's. *file* is the file's name on the export.
    *content* is the format that the image begins with, see `transfer.content`; None
    if nobody looked at it. *replica_of* is the image-volume that it is a replica of.
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
    content: str | None = None
    replica_of: str | None = None

    @property
    def is_mistaken_for_raw(self) -> bool:
        """Return whether Cinder would take the content for another format than raw."""
        return is_mistaken_for_raw(self.content)

    @property
    def is_image(self) -> bool:
        """True for an image-volume, False for a reader's temporary clone."""
        return self.state != State.READING.value


def is_mistaken_for_raw(found: str | None) -> bool:
    """Return whether Cinder would take content of this format for another than raw.

    LUKS does not count: Cinder itself calls the image of an encrypted volume raw.
    """
    return found not in (None, content.RAW, "luks")


def row(volume: Volume, store_id: str, type_name: str | None) -> Row | None:
    """Return the volume as a row of the store; None if it is not the store's.

    *type_name* is the name, not the id, of the store's volume type: Cinder shows a
    volume's type by name.
    """
    record = Record.parse(volume.metadata)
    if record.is_by_this_store:
        # Rows show volumes in any state; the store serves only sealed ones.
        is_ours = record.store == store_id
    else:
        is_ours = access.claims(volume, record, store_id, type_name)
    if not is_ours:
        return None
    state = record.state.value if record.state else BY_CINDER
    size: int | None = None
    if record.bad_size is not None:
        state = UNREADABLE
    elif record.state is State.SEALED:
        size = record.size
    elif record.state is None:
        # An image that Cinder registered is as long as its volume.
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
        content=record.content,
        replica_of=record.replica_of,
    )


# The values of *state* of a row.
STATES = (*(state.value for state in State), BY_CINDER, UNREADABLE)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Rows to show: those that agree with every value that is not None.

    *image* is an id or a name; *pool* is a whole pool, or its part after ``#``, which
    is the export.
    """

    image: str | None = None
    project: str | None = None
    state: str | None = None
    pool: str | None = None

    def includes(self, row: Row, name: str | None) -> bool:
        """Return whether the row is wanted. *name* is the image's, None if unknown."""
        pool = row.pool or ""
        return (
            self.image in (None, row.image_id, name)
            and self.project in (None, row.owner)
            and self.state in (None, row.state)
            and self.pool in (None, pool, pool.rpartition("#")[2])
        )


@dataclasses.dataclass(frozen=True)
class Sum:
    """The sums of the image-volumes of one project, store or pool.

    A sum is None if one of its values is unknown. *replicas* is the number of those
    among them that are replicas, half made ones too, *replicas_gib* the size of their
    volumes, and *replicas_allocated* the bytes that they occupy.
    """

    key: str | None
    images: int
    image_bytes: int | None
    volume_gib: int
    allocated_bytes: int | None
    replicas: int = 0
    replicas_gib: int = 0
    replicas_allocated: int | None = 0


KEYS: Mapping[str, Callable[[Row], str | None]] = {
    "project": lambda row: row.owner,
    "store": lambda row: row.store,
    "pool": lambda row: row.pool,
}


def summed(
    rows: Iterable[Row], by: str, allocated: Callable[[Row], int | None]
) -> list[Sum]:
    """Return the sums of all images, one for each value of the key *by* of `KEYS`.

    *allocated* returns the bytes that a volume occupies, or None. The images whose
    key is unknown come last.
    """
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        if row.is_image:
            groups.setdefault(KEYS[by](row), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (not item[0], item))
    return [_sum(key, group, allocated) for key, group in ordered]


def _sum(
    key: str | None, group: Sequence[Row], allocated: Callable[[Row], int | None]
) -> Sum:
    replicas = [row for row in group if row.replica_of is not None]
    return Sum(
        key=key,
        images=len(group),
        image_bytes=_total(row.image_size for row in group),
        volume_gib=sum(row.size_gib for row in group),
        allocated_bytes=_total(allocated(row) for row in group),
        replicas=len(replicas),
        replicas_gib=sum(row.size_gib for row in replicas),
        replicas_allocated=_total(allocated(row) for row in replicas),
    )


def _total(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
