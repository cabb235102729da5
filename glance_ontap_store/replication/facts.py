# SPDX-License-Identifier: Apache-2.0
"""The facts that a plan for replicas is made from, as values."""

from collections.abc import Mapping
import dataclasses
import datetime
import functools

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image


@dataclasses.dataclass(frozen=True)
class ReplicaType:
    """The volume type of a store's replicas. *option* is its name or id as configured.

    *found* is None if Cinder has no such type. *encrypts*: the host encrypts its
    volumes. *is_visible*: the store's user may use it.
    """

    option: str | None = None
    found: VolumeType | None = None
    encrypts: Answer[bool] = False
    is_visible: bool = True


@dataclasses.dataclass(frozen=True)
class Target:
    """A store of ours, and the pools that its volume type leads to.

    *volume_type* is that type's name. *project_id* is the project of its image-volumes,
    None if each is in that of its uploader. *allowed_projects* are those whose images
    the store takes; empty: all.
    """

    store_id: str
    pools: tuple[Pool, ...]
    volume_type: str | None = None
    replica_type: ReplicaType = ReplicaType()
    project_id: str | None = None
    allowed_projects: frozenset[str] = frozenset()

    @property
    def pool(self) -> Pool | None:
        """The FlexVol of its image-volumes; None if that is not certain."""
        return self.pools[0] if len(self.pools) == 1 else None


@dataclasses.dataclass(frozen=True)
class Copy:
    """An image-volume of an image in a store, whole or half made."""

    store_id: str
    volume: Volume

    @functools.cached_property
    def record(self) -> Record:
        """The volume's metadata, parsed."""
        return Record.parse(self.volume.metadata)

    @property
    def is_whole(self) -> bool:
        """Return whether it holds the image. One that Cinder registered has no state.

        Uploads that have not ended, and half-made replicas, are not whole.
        """
        return self.record.state in (State.SEALED, None)

    @property
    def is_half_made(self) -> bool:
        """Return whether it is a replica that is not complete."""
        return self.record.state is State.REPLICATING

    @property
    def is_original(self) -> bool:
        """Return whether it was uploaded, copied by Glance, or taken over."""
        return self.is_whole and self.record.replica_of is None

    @property
    def made_at(self) -> datetime.datetime | None:
        """The time when Cinder made it; None if Cinder did not tell."""
        return remains.time_of(self.volume.created_at)

    @property
    def age(self) -> tuple[str, str]:
        """A key that sorts the oldest first."""
        return self.volume.created_at or "", self.volume.id


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that a plan is made from.

    *images* are those that Glance shows, by id. *copies* are the image-volumes of all
    stores, whole and half made. *quotas* are those of projects, by id and by Cinder's
    names. *uses* has the time when Cinder last made a volume of an image in a pool, by
    the image's id and the pool's name. *occupied* are the bytes that the files of
    image-volumes occupy, by the volume's id, where they were measured.
    """

    now: datetime.datetime
    images: Mapping[str, Image]
    targets: tuple[Target, ...]
    copies: tuple[Copy, ...] = ()
    pools: tuple[Pool, ...] = ()
    services: Answer[tuple[Service, ...]] = ()
    quotas: Mapping[str, Answer[Mapping[str, Room]]] = dataclasses.field(
        default_factory=dict
    )
    uses: Mapping[tuple[str, str], datetime.datetime] = dataclasses.field(
        default_factory=dict
    )
    occupied: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def bytes_of(self, copy: Copy) -> int:
        """Return the bytes that a copy occupies, or at most does."""
        measured = self.occupied.get(copy.volume.id)
        if measured is not None:
            return measured
        size = copy.record.size
        return copy.volume.size_gib * units.GIB if size is None else size

    def pool_of(self, copy: Copy) -> Pool | None:
        """Return the pool where a copy lies; None if Cinder does not show it."""
        return self._pools.get(copy.volume.pool or "")

    @functools.cached_property
    def _pools(self) -> Mapping[str, Pool]:
        return {pool.name: pool for pool in self.pools}

    def is_in_cluster(self, pool: Pool) -> bool:
        """Return whether several nodes of a Cinder cluster run the pool's back end."""
        return pool.service in self._clusters

    @functools.cached_property
    def _clusters(self) -> frozenset[str]:
        if isinstance(self.services, Unknown):
            return frozenset()
        return frozenset(each.cluster for each in self.services if each.cluster)
