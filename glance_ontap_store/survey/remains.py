# SPDX-License-Identifier: Apache-2.0
"""The facts by which leftovers are found, as values; other modules gather them."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import functools

from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image


@dataclasses.dataclass(frozen=True)
class Hold:
    """An attachment of a volume.

    *mark* is that of the process that attached it, if a store did: from the attachment
    itself once it is ``attached``, and from the journals of this host before. *since*
    is None before it is ``attached``. *instance* is set by Nova alone.
    """

    id: str
    volume_id: str
    status: str
    mark: Mark | None = None
    host: str | None = None
    since: datetime.datetime | None = None
    instance: str | None = None


@dataclasses.dataclass(frozen=True)
class Held:
    """A volume, its metadata, and its attachments."""

    volume: Volume
    holds: tuple[Hold, ...] = ()

    @functools.cached_property
    def record(self) -> Record:
        """The volume's metadata, parsed."""
        return Record.parse(self.volume.metadata)


@dataclasses.dataclass(frozen=True)
class StaleMount:
    """An export that is mounted on this host, and that no process uses."""

    export: str
    point: str
    base: str


@dataclasses.dataclass(frozen=True)
class DeadProcess:
    """The lock files of a process of this host that is dead.

    *open_entries* is the number of things that it held.
    """

    token: str
    base: str
    open_entries: int


@dataclasses.dataclass(frozen=True)
class CacheFile:
    """A file in which Cinder's driver keeps an image for its next volume."""

    export: str
    name: str
    size: int
    changed_at: datetime.datetime

    @property
    def image_id(self) -> str:
        """The image's id, from the file's name."""
        return self.name.removeprefix(CACHE_FILE)


# The driver's name for such a file, before the image's id.
CACHE_FILE = "img-cache-"


@dataclasses.dataclass(frozen=True)
class StoreRemains:
    """The volumes of one store. *seen_twice* are the ids of reservations that stayed.

    *at_glance* is whether Glance has a store of this id.
    """

    store_id: str
    volumes: tuple[Held, ...]
    seen_twice: frozenset[str] = frozenset()
    at_glance: Answer[bool] = True


@dataclasses.dataclass(frozen=True)
class Remains:
    """Everything that is known when leftovers are judged.

    *fates* has every mark that was found. *urls* are the locations of the images that
    were asked for, by the image's id. The lists of this host are empty, and
    *cache_volumes* and *cache_files* are `Unknown`, where nobody looked.
    """

    now: datetime.datetime
    stores: tuple[StoreRemains, ...]
    fates: Mapping[Mark, Fate]
    images: Answer[Mapping[str, Image]]
    urls: Mapping[str, Answer[tuple[str, ...]]] = dataclasses.field(
        default_factory=dict
    )
    delays_deletion: bool = False
    mounts: tuple[StaleMount, ...] = ()
    processes: tuple[DeadProcess, ...] = ()
    cache_volumes: Answer[tuple[Volume, ...]] = ()
    cache_files: Answer[tuple[CacheFile, ...]] = ()

    @functools.cached_property
    def _by_content(
        self,
    ) -> Mapping[int | None, Mapping[str | None, Mapping[str | None, list[Image]]]]:
        """The images by their size, the algorithm of their digest, and the digest."""
        found: dict[int | None, dict[str | None, dict[str | None, list[Image]]]] = {}
        if not isinstance(self.images, Unknown):
            for image in self.images.values():
                digests = found.setdefault(image.size, {})
                images = digests.setdefault(image.hash_algo, {})
                images.setdefault(image.hash_value, []).append(image)
        return found

    def images_that_may_be(self, record: Record) -> Iterator[Image]:
        """Yield the images that can be what a sealed volume with *record* holds.

        Of thousands of images few have the same size, and fewer the same digest.
        """
        for algo, images in self._by_content.get(record.size, {}).items():
            wanted: Iterable[str | None] = images
            if None not in (algo, record.hash_value) and algo == record.hash_algo:
                wanted = (record.hash_value, None)
            for digest in wanted:
                for image in images.get(digest, ()):
                    if image.may_be(record):
                        yield image


def rivals(remains: Remains) -> Iterator[Image]:
    """Yield images that may use a sealed volume whose own image does not exist.

    Their locations must be known before such a volume is deleted.
    """
    images = remains.images
    if isinstance(images, Unknown):
        return
    found: set[str] = set()
    for store in remains.stores:
        for held in store.volumes:
            record = held.record
            if record.state is State.SEALED and record.image_id not in images:
                for image in remains.images_that_may_be(record):
                    if image.id not in found:
                        found.add(image.id)
                        yield image


def time_of(text: str | None) -> datetime.datetime | None:
    """Return the time in a text of Cinder or of a record, in UTC; None without one."""
    if not text:
        return None
    try:
        found = datetime.datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None
    return found.replace(tzinfo=datetime.timezone.utc)
