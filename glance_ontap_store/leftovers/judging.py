# SPDX-License-Identifier: Apache-2.0
"""Decides what is left over, and why. Pure: it asks no service and no file."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
import re
from typing import TypeAlias

from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.leftovers.leftover import Kind
from glance_ontap_store.leftovers.leftover import Leftover
from glance_ontap_store.leftovers.leftover import Limits
from glance_ontap_store.leftovers.leftover import Verdict
from glance_ontap_store.leftovers.leftover import spoken
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.survey import image
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Hold
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StoreRemains

# The name that Cinder gives an image-volume of its cache, and upstream's store too.
_CACHE_NAME = re.compile(r"image-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_Time: TypeAlias = datetime.datetime | None
_OF_CINDER = "Cinder's: evict it there (openstack volume delete)"
_OF_DRIVER = "the driver's: it removes the file when the FlexVol gets full"


def judge(facts: Remains, limits: Limits) -> list[Leftover]:
    """Return everything that is left, in the order in which it is removed."""
    found: dict[str, Leftover] = {}
    for store in facts.stores:
        for each in _of_store(facts, limits, store):
            # Stores of one project see the same attachments.
            found.setdefault(each.id, each)
    everything = [*found.values(), *_of_host(facts), *_of_caches(facts)]
    return sorted(everything, key=lambda each: _ORDER.index(each.kind))


# An orphan can be deleted once its attachments are; a mount may end with a process.
_ORDER = (
    Kind.ATTACHMENT,
    Kind.FILLING,
    Kind.READING,
    Kind.REPLICATING,
    Kind.ORPHAN,
    Kind.MOUNT,
    Kind.PROCESS,
    Kind.CACHE_VOLUME,
    Kind.CACHE_FILE,
)


def _of_store(
    facts: Remains, limits: Limits, store: StoreRemains
) -> Iterator[Leftover]:
    orphans = []
    for held in store.volumes:
        yield from holds(facts, limits, store, held)
        made = volume(facts, limits, store, held)
        if made is not None and made.kind is Kind.ORPHAN:
            orphans.append(made)
        elif made is not None:
            yield made
    yield from _braked(orphans, limits, store)


def _braked(
    orphans: list[Leftover], limits: Limits, store: StoreRemains
) -> Iterable[Leftover]:
    """Keep all orphans if they are so many that the wrong Glance was asked."""
    keep = None
    if isinstance(store.at_glance, Unknown):
        keep = f"Glance does not tell its stores: {store.at_glance.text}"
    elif not store.at_glance:
        keep = f"this Glance has no store {store.store_id!r}: is it the right one?"
    elif len(orphans) > limits.most_orphans:
        keep = (
            f"{len(orphans)} image-volumes of the store have no image: if this is the"
            " right Glance, raise --max-orphans"
        )
    if keep is None:
        return orphans
    return [
        each
        if each.verdict is Verdict.KEPT
        else dataclasses.replace(each, verdict=Verdict.KEPT, keep=keep)
        for each in orphans
    ]


def volume(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held
) -> Leftover | None:
    """Return the volume as a leftover; None if it is none, or not the store's."""
    record = held.record
    if record.store != store.store_id or held.volume.is_leaving:
        return None
    match record.state:
        case State.FILLING:
            return _unfinished(facts, limits, store, held, Kind.FILLING)
        case State.READING:
            return _unfinished(facts, limits, store, held, Kind.READING)
        case State.REPLICATING:
            return _replica(facts, limits, store, held)
        case State.SEALED:
            return _orphan(facts, limits, store, held)
    return None


def _unfinished(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held, kind: Kind
) -> Leftover | None:
    """A volume that only the process that made it uses."""
    record = held.record
    fate = _fate(facts, Mark.parse(record.lock))
    if fate is Fate.LIVE or any(_is_of_live(facts, hold) for hold in held.holds):
        return None
    since = remains.time_of(record.started) or remains.time_of(held.volume.created_at)
    made = _leftover(kind, store, held, since)
    foreign = next((hold for hold in held.holds if hold.instance), None)
    if foreign is not None:
        return dataclasses.replace(
            made,
            verdict=Verdict.KEPT,
            why=f"Server {foreign.instance} has it attached.",
            keep="no store attaches a volume to a server",
        )
    if fate is Fate.DEAD:
        why = "The process of this host that made it is dead."
        return dataclasses.replace(made, verdict=Verdict.DEAD, why=why)
    who = f"Host {record.writer or '(unknown)'} made it"
    return _by_age(facts, limits, made, who)


def _replica(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held
) -> Leftover | None:
    """A replica that is half made; ``glance-ontap replicate`` would go on with it."""
    made = _unfinished(facts, limits, store, held, Kind.REPLICATING)
    if made is None:
        return None
    volume, keep = held.volume, None
    if volume.migration is None:
        keep = "an administrator has to tell whether Cinder moves it (--os-cloud)"
    elif volume.is_migrating:
        keep = "Cinder moves it"
    elif volume.status == "maintenance":
        keep = "it is in maintenance: end that in Cinder"
    if keep is not None and made.keep is None:
        made = dataclasses.replace(made, verdict=Verdict.KEPT, keep=keep)
    return dataclasses.replace(
        made, why=f"{made.why} glance-ontap replicate goes on with it."
    )


def _by_age(facts: Remains, limits: Limits, made: Leftover, who: str) -> Leftover:
    """Something whose process cannot be looked at from here."""
    if made.since is None:
        why = f"{who}, at a time that is not known."
        keep = "its age is unknown"
        return dataclasses.replace(made, verdict=Verdict.KEPT, why=why, keep=keep)
    age = (facts.now - made.since).total_seconds()
    why = f"{who} {spoken(age)} ago; its process cannot be looked at from here."
    is_old = limits.older_than is not None and age > limits.older_than
    verdict = Verdict.DEAD if is_old else Verdict.UNPROVEN
    return dataclasses.replace(made, verdict=verdict, why=why)


def _orphan(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held
) -> Leftover | None:
    """A sealed image-volume whose image Glance does not have."""
    record = held.record
    images = facts.images
    if isinstance(images, Unknown) or record.image_id is None:
        return None
    if record.image_id in images:
        return None
    times = (held.volume.updated_at, held.volume.created_at, record.started)
    since = max(filter(None, map(remains.time_of, times)), default=None)
    made = _leftover(Kind.ORPHAN, store, held, since)
    is_dead = _fate(facts, Mark.parse(record.lock)) is Fate.DEAD
    user = _user(facts, held)
    keep = None
    if user is not None:
        keep = user
    elif facts.delays_deletion:
        keep = "Glance's scrubber deletes it (delayed_delete)"
    elif held.holds:
        # Those of the dead are deleted first.
        removed = [_attachment(facts, limits, store, held, hold) for hold in held.holds]
        if not all(each and each.verdict is Verdict.DEAD for each in removed):
            keep = "it is attached"
    if keep is None and not is_dead:
        if since is None:
            keep = "its age is unknown"
        elif (facts.now - since).total_seconds() < limits.guard:
            keep = f"it changed less than {spoken(limits.guard)} ago (--guard)"
    return dataclasses.replace(
        made,
        verdict=Verdict.KEPT if keep else Verdict.DEAD,
        why=f"Glance has no image {record.image_id}.",
        keep=keep,
    )


def _user(facts: Remains, held: Held) -> str | None:
    """Return which other image uses a volume, or may use it; None if none does."""
    for other in facts.images_that_may_be(held.record):
        urls = facts.urls.get(other.id, other.urls)
        if urls is None or isinstance(urls, Unknown):
            text = f": {urls.text}" if urls is not None else ""
            return (
                f"image {other.id} has the same size, and Glance does not show its"
                f" locations{text}"
            )
        if held.volume.id in image.volumes_in(urls):
            return f"a location of image {other.id} names it"
    return None


def holds(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held
) -> Iterator[Leftover]:
    """Yield the attachments of an image-volume that nobody reads through any more.

    Those of unfinished and temporary volumes go with the volumes.
    """
    if held.record.state in (State.FILLING, State.READING):
        return
    for each in held.holds:
        found = _attachment(facts, limits, store, held, each)
        if found is not None:
            yield found


def _attachment(
    facts: Remains, limits: Limits, store: StoreRemains, held: Held, hold: Hold
) -> Leftover | None:
    """An attachment of a store whose reader is dead, or not known to live."""
    fate = _fate(facts, hold.mark)
    if hold.instance is not None or fate is Fate.LIVE:
        return None
    # Without a mark it is a reservation, or one of an older release; of other volumes
    # it may be anybody's.
    if hold.mark is None and held.record.store != store.store_id:
        return None
    made = Leftover(
        kind=Kind.ATTACHMENT,
        verdict=Verdict.DEAD,
        id=hold.id,
        why="The process of this host that attached the volume is dead.",
        store=store.store_id,
        volume_id=held.volume.id,
        image_id=held.record.image_id,
        since=hold.since or remains.time_of(held.volume.updated_at),
    )
    if fate is Fate.DEAD:
        return made
    if hold.status == "reserved":
        if hold.id not in store.seen_twice:
            return None
        why = "The volume is reserved, and was not connected in time: nobody reads."
        return dataclasses.replace(made, why=why)
    return _by_age(facts, limits, made, f"Host {hold.host or '(unknown)'} attached it")


def _leftover(kind: Kind, store: StoreRemains, held: Held, since: _Time) -> Leftover:
    return Leftover(
        kind=kind,
        verdict=Verdict.KEPT,
        id=held.volume.id,
        why="",
        store=store.store_id,
        volume_id=held.volume.id,
        image_id=held.record.image_id,
        size_gib=held.volume.size_gib,
        since=since,
        write_id=held.record.write_id,
    )


def _fate(facts: Remains, mark: Mark | None) -> Fate | None:
    return None if mark is None else facts.fates.get(mark)


def _is_of_live(facts: Remains, hold: Hold) -> bool:
    return _fate(facts, hold.mark) is Fate.LIVE


def _of_host(facts: Remains) -> Iterator[Leftover]:
    """What is left on this host itself."""
    for mount in facts.mounts:
        yield Leftover(
            kind=Kind.MOUNT,
            verdict=Verdict.DEAD,
            id=mount.export,
            why=f"No process uses it, and it is mounted on {mount.point}.",
            base=mount.base,
        )
    for process in facts.processes:
        why = "The process of this host is dead."
        if process.open_entries:
            why += f" It held {process.open_entries} things, some perhaps still."
        yield Leftover(
            kind=Kind.PROCESS,
            verdict=Verdict.DEAD,
            id=process.token,
            why=why,
            base=process.base,
        )


def _of_caches(facts: Remains) -> Iterator[Leftover]:
    """Copies of deleted images that Cinder and its driver keep."""
    images = facts.images
    if isinstance(images, Unknown):
        return
    if not isinstance(facts.cache_volumes, Unknown):
        for each in facts.cache_volumes:
            name = _CACHE_NAME.fullmatch(each.name or "")
            record = Record.parse(each.metadata)
            if name is None or record.is_image or record.is_by_this_store:
                continue
            if name[1] not in images:
                yield Leftover(
                    kind=Kind.CACHE_VOLUME,
                    verdict=Verdict.KEPT,
                    id=each.id,
                    why=f"Its name is that of Cinder's image cache, of image {name[1]},"
                    f" which Glance does not have. It is in project {each.project_id}.",
                    volume_id=each.id,
                    image_id=name[1],
                    size_gib=each.size_gib,
                    since=remains.time_of(each.created_at),
                    keep=_OF_CINDER,
                )
    if not isinstance(facts.cache_files, Unknown):
        for file in facts.cache_files:
            if file.image_id not in images:
                yield Leftover(
                    kind=Kind.CACHE_FILE,
                    verdict=Verdict.KEPT,
                    id=file.name,
                    why=f"Cinder's driver keeps it on {file.export}, and Glance does"
                    " not have the image.",
                    image_id=file.image_id,
                    since=file.changed_at,
                    keep=_OF_DRIVER,
                )
