# SPDX-License-Identifier: Apache-2.0
"""Compares the images of Glance with the image-volumes of the stores. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from glance_ontap_store import units
from glance_ontap_store.auditing.defect import Code
from glance_ontap_store.auditing.defect import Defect
from glance_ontap_store.images.record import State
from glance_ontap_store.survey import image
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StoreRemains
from glance_ontap_store.transfer import content

# Images in these states have data.
_STORED = ("active", "deactivated")
# Contents that Cinder does not take for another format than raw.
_RAW = (None, content.RAW, "luks")


@dataclasses.dataclass(frozen=True)
class Located:
    """An image in a store, and the volume that has its bytes."""

    store_id: str
    image: Image
    held: Held


def stored(facts: Remains) -> Iterator[tuple[StoreRemains, Image]]:
    """Yield the stores with the images that, as Glance says, have their bytes there."""
    if isinstance(facts.images, Unknown):
        return
    found: dict[str, list[Image]] = {}
    for each in facts.images.values():
        if each.status in _STORED and each.size:
            for store_id in each.stores:
                found.setdefault(store_id, []).append(each)
    for store in facts.stores:
        for each in found.get(store.store_id, ()):
            yield store, each


@dataclasses.dataclass(frozen=True)
class Index:
    """All volumes by their id, and the image-volumes by their store and image.

    Store and image are those that the volume's metadata names; the store is None if it
    names none.
    """

    by_id: Mapping[str, Held]
    by_image: Mapping[tuple[str | None, str], Sequence[Held]]

    @classmethod
    def of(cls, stores: Iterable[StoreRemains]) -> "Index":
        """Return that of the volumes of *stores*."""
        by_id: dict[str, Held] = {}
        for store in stores:
            for held in store.volumes:
                # A store may have been given volumes of others, too.
                if held.record.store == store.store_id:
                    by_id[held.volume.id] = held
                else:
                    by_id.setdefault(held.volume.id, held)
        by_image: dict[tuple[str | None, str], list[Held]] = {}
        for held in by_id.values():
            record = held.record
            is_no_image = record.state in (State.READING, State.REPLICATING)
            if record.image_id and not is_no_image and not held.volume.is_leaving:
                key = (record.store, record.image_id)
                by_image.setdefault(key, []).append(held)
        return cls(by_id, by_image)

    def of_image(self, store_id: str, image_id: str) -> Iterator[Held]:
        """Yield the volumes that may have the bytes of an image in a store."""
        for named in (store_id, None):
            yield from self.by_image.get((named, image_id), ())


def located(
    facts: Remains, store: StoreRemains, wanted: Image, index: Index
) -> Located | None:
    """Return the image with its volume; None if no volume is known to be its own.

    Its locations tell, if Glance shows them, and otherwise the volumes' metadata.
    """
    urls = facts.urls.get(wanted.id, wanted.urls)
    if urls is not None and not isinstance(urls, Unknown):
        named = sorted(image.volumes_in(urls))
        found = [index.by_id[each] for each in named if each in index.by_id]
    else:
        found = list(index.of_image(store.store_id, wanted.id))
    # A copy that was interrupted may have left another one.
    found = sorted(found, key=lambda each: each.record.state is not State.SEALED)
    return Located(store.store_id, wanted, found[0]) if found else None


def not_found(facts: Remains) -> Iterator[tuple[StoreRemains, Image]]:
    """Yield the images whose volume no list shows: Glance has to tell their locations.

    Cinder's own image-volumes, for example, may lack the image's id.
    """
    index = Index.of(facts.stores)
    for store, each in stored(facts):
        if located(facts, store, each, index) is None:
            yield store, each


def all_located(facts: Remains) -> list[Located]:
    """Return all images in the stores whose volumes are known."""
    index = Index.of(facts.stores)
    found = (located(facts, store, each, index) for store, each in stored(facts))
    return [each for each in found if each is not None]


def judge(
    facts: Remains, pools: Answer[frozenset[str]], attached_s: float
) -> list[Defect]:
    """Return the defects of all image-volumes.

    *pools* are the names of all pools, and *attached_s* is how long a volume may be
    attached.
    """
    found: list[Defect] = []
    for store, wanted in not_found(facts):
        found.append(_gone(facts, store, wanted))
    for one in all_located(facts):
        found += _defects(facts, pools, attached_s, one)
    for store in facts.stores:
        found += _unregistered(facts, store)
    return found


def _gone(facts: Remains, store: StoreRemains, wanted: Image) -> Defect:
    urls = facts.urls.get(wanted.id, wanted.urls)
    names = "its location names a volume that Cinder does not have"
    if urls is None or isinstance(urls, Unknown):
        names = "no volume names the image, and Glance does not show its locations"
    return Defect(
        Code.GONE,
        store.store_id,
        wanted.id,
        f"Glance has the image in the store, but {names}.",
        "Upload the image again, or delete it.",
    )


def _defects(
    facts: Remains, pools: Answer[frozenset[str]], attached_s: float, one: Located
) -> Iterator[Defect]:
    record, volume = one.held.record, one.held.volume
    if record.state not in (State.SEALED, None):
        yield _defect(
            one,
            Code.UNFINISHED,
            f"The image-volume is in state {record.state_text or record.state.value!r}:"
            " it is not served.",
            "Upload the image again, or upgrade the store if a later release wrote it.",
        )
        return
    if volume.is_broken:
        yield _defect(
            one,
            Code.BROKEN,
            f"The status of the volume is {volume.status!r}.",
            "See the log of cinder-volume.",
        )
    yield from _sizes(one)
    yield from _marks(one)
    for hold in one.held.holds:
        age = (facts.now - hold.since).total_seconds() if hold.since else 0.0
        if age > attached_s:
            yield _defect(
                one,
                Code.ATTACHED,
                f"Host {hold.host or '(unknown)'} has it attached since"
                f" {hold.since:%Y-%m-%dT%H:%M:%SZ}.",
                "Run: glance-ontap sweep",
            )
    if not isinstance(pools, Unknown) and volume.pool and volume.pool not in pools:
        yield _defect(
            one,
            Code.POOL,
            f"Cinder has no pool {volume.pool}.",
            "See the finding pool-gone of glance-ontap check.",
        )


def _sizes(one: Located) -> Iterator[Defect]:
    record, volume, size = one.held.record, one.held.volume, one.image.size or 0
    if volume.size_gib * units.GIB < size:
        yield _defect(
            one,
            Code.SHORT,
            f"The volume has {volume.size_gib} GiB, and the image {size} bytes.",
            "Upload the image again.",
        )
    if record.is_by_this_store and record.size != size:
        shown = record.size if record.bad_size is None else repr(record.bad_size)
        yield _defect(
            one,
            Code.SIZE,
            f"The metadata of the volume says image_size = {shown}, and Glance {size}.",
            "Find out who changed it. If --verify=full finds the image right with"
            " Glance's size, set image_size to that.",
        )
    same = record.hash_algo == one.image.hash_algo
    if (
        same
        and record.hash_value
        and one.image.hash_value
        not in (
            None,
            record.hash_value,
        )
    ):
        yield _defect(
            one,
            Code.DIGEST,
            "The digest in the metadata of the volume is not Glance's: the volume was"
            " stored for other bytes, or somebody changed one of them.",
            "Run audit with --verify=full.",
        )


def _marks(one: Located) -> Iterator[Defect]:
    record, volume = one.held.record, one.held.volume
    if record.owner != one.image.owner and one.image.owner:
        yield dataclasses.replace(
            _defect(
                one,
                Code.OWNER,
                f"image_owner is {record.owner}, and the image's owner"
                f" {one.image.owner}: its volumes are downloads for other projects.",
                "Run audit with --repair.",
            ),
            owner=one.image.owner,
        )
    is_readonly = volume.metadata.get("readonly", "").lower() == "true"
    if record.state is State.SEALED and not is_readonly:
        yield _defect(
            one,
            Code.WRITABLE,
            "The volume is not read-only: whoever may attach it may change the image.",
            "Run audit with --repair.",
        )
    if record.content not in _RAW and one.image.disk_format == "raw":
        yield _defect(
            one,
            Code.FORMAT,
            f"Glance calls the image raw, and its bytes are {record.content}.",
            "Upload it with its real format, or converted to raw.",
        )


def _unregistered(facts: Remains, store: StoreRemains) -> Iterator[Defect]:
    """Complete image-volumes of images that exist, of which Glance does not know."""
    if isinstance(facts.images, Unknown):
        return
    for held in store.volumes:
        record = held.record
        if record.state is not State.SEALED or record.store != store.store_id:
            continue
        known = facts.images.get(record.image_id or "")
        if known is None or known.status not in _STORED:
            continue
        urls = facts.urls.get(known.id, known.urls)
        if urls is None or isinstance(urls, Unknown):
            is_known = store.store_id in known.stores
        else:
            is_known = held.volume.id in image.volumes_in(urls)
        if not is_known:
            yield _not_registered(Located(store.store_id, known, held))


def _not_registered(one: Located) -> Defect:
    if one.held.record.replica_of is not None:
        return _defect(
            one,
            Code.UNREGISTERED,
            "The image-volume is a replica that was interrupted at its end: none of"
            " the image's locations names it.",
            "Run: glance-ontap replicate POLICY.yaml --apply. It adds the location, or"
            " deletes the volume.",
        )
    # Every volume that this store writes gets such an id.
    if one.held.record.write_id is None:
        return _defect(
            one,
            Code.UNREGISTERED,
            "The image-volume was taken over (adopt), and the image's location still"
            " names the old store.",
            "Finish it with glance-ontap adopt. Do not delete the volume: it is the"
            " image.",
        )
    return _defect(
        one,
        Code.UNREGISTERED,
        "The image exists, but none of its locations names this image-volume.",
        "It is a copy that was interrupted at its end. Copy the image again"
        " (copy-image), then delete this volume.",
    )


def _defect(one: Located, code: Code, problem: str, remedy: str) -> Defect:
    return Defect(code, one.store_id, one.image.id, problem, remedy, one.held.volume.id)
