# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of a store together, and knows the stores of a process."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import threading

from keystoneauth1.session import Session
from oslo_log import log as logging

from glance_ontap_store import identity
from glance_ontap_store.attach.attacher import Attacher
from glance_ontap_store.attach.brick import Brick
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.attach.transport import Transports
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.volumes import RequesterCreator
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.images.filling import StreamFiller
from glance_ontap_store.images.lifecycle import Lifecycle
from glance_ontap_store.images.owners import Owners
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.liveness import processes
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.recovery.rounds import Member
from glance_ontap_store.recovery.rounds import Rounds
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings
from glance_ontap_store.stopping import hook
from glance_ontap_store.stopping.transfers import Transfers

LOG = logging.getLogger(__name__)

# The transfers of all stores of this process.
TRANSFERS = Transfers(hook.install)


@dataclasses.dataclass(frozen=True)
class Backend:
    """The parts of a configured store."""

    settings: Settings
    images: Lifecycle
    owners: Owners
    volumes: Volumes
    # The creator of the volume of a request's upload.
    creator_for: Callable[[Requester], Creator]
    # The store in the rounds of recovery. None: nothing recovers.
    member: Member | None = None


def build(settings: Settings) -> Backend:
    """The store's parts, over the real Cinder and this host.

    No service is asked, and no thread, process, connection or mount is made:
    Glance starts without them, and a server may fork afterwards.
    """
    session = identity.session_for(settings)
    return assemble(settings, session, CinderClient(settings, session))


def assemble(settings: Settings, session: Session, service: VolumeService) -> Backend:
    """The store's parts, over *service* as its Cinder and this host."""
    volumes, attacher = parts(settings, service)
    recovery = StoreRecovery(volumes)

    def creator_for(requester: Requester) -> Creator:
        if not settings.owned_by_project:
            return service
        if not requester.token:
            LOG.warning("The request has no token: the store creates its volume")
            return service
        theirs = CinderClient(settings, session, requester)
        return RequesterCreator(
            Volumes(theirs, volumes.clock, volumes.waits, volumes.journal), service
        )

    return Backend(
        settings,
        lifecycle(settings, volumes, attacher, recovery.free),
        Owners(settings, session),
        volumes,
        creator_for,
        Member(recovery, settings.recovery_interval_s, _mounts(settings).clean_up),
    )


def parts(settings: Settings, service: VolumeService) -> tuple[Volumes, Attacher]:
    """The volumes of *service*, and their attacher on this host."""
    journal = Journal(processes.of(settings.mount_point_base), settings.store_id)
    volumes = Volumes(service, SystemClock(), wait_policy(settings), journal)
    nfs = NfsTransport(_mounts(settings), settings.nfs_mount_options)
    transports = Transports({"nfs": nfs})
    return volumes, Attacher(volumes, Brick(settings.rootwrap_config), transports)


def _mounts(settings: Settings) -> Mounts:
    base = settings.mount_point_base
    return Mounts(base, NfsMounter(base))


def wait_policy(settings: Settings) -> WaitPolicy:
    """The waits that the store's options ask for."""
    return WaitPolicy(
        state_transition_s=settings.transition_timeout_s,
        attach_s=settings.attach_wait_s,
        delete_s=settings.delete_wait_s,
        http_retries=settings.http_retries,
    )


def lifecycle(
    settings: Settings,
    volumes: Volumes,
    attacher: Attacher,
    free: Callable[[str], bool],
) -> Lifecycle:
    """The store's image-volumes, by its settings; *free* as of `StoreRecovery.free`."""
    return Lifecycle(
        settings.store_id,
        settings.volume_type,
        volumes,
        Reading(volumes, attacher, free),
        StreamFiller(attacher, settings.thin_upload),
        settings.availability_zone,
        TRANSFERS,
        free=free,
    )


class Stores:
    """The configured stores of a process, by their id.

    A store finds its siblings here: one that has the same volume type, or an
    image-volume of the same image. The first use starts their recovery, unless they
    are made without (*recovers*).
    """

    def __init__(self, recovers: bool = True) -> None:
        self.recovers = recovers
        # Guards the table; reach: this process. Glance may load stores again.
        self._lock = threading.Lock()
        self._table: dict[str | None, Backend] = {}
        self.rounds = Rounds(self._members)

    def add(self, backend: Backend) -> None:
        """Make the store known, in place of one of the same id."""
        with self._lock:
            self._table[backend.settings.store_id] = backend
        if backend.member is not None:
            backend.member.recovery.journal.on_left = self.rounds.wake

    def __iter__(self) -> Iterator[Backend]:
        with self._lock:
            return iter(list(self._table.values()))

    def used(self) -> None:
        """A request came: start the recovery of this process, if it does not run."""
        if self.recovers:
            self.rounds.begin()

    def _members(self) -> list[Member]:
        return [backend.member for backend in self if backend.member is not None]

    def get(self, store_id: str | None) -> Backend | None:
        """The store of that id, if it is one of type ``ontap``."""
        with self._lock:
            return self._table.get(store_id)

    def siblings(self, store_id: str | None) -> list[Backend]:
        """All other stores."""
        return [backend for backend in self if backend.settings.store_id != store_id]
