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
from glance_ontap_store.attach.block.bounded import BoundedConnector
from glance_ontap_store.attach.block.brick import BrickConnector
from glance_ontap_store.attach.block.connection import PROTOCOLS
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.block.transport import BlockTransport
from glance_ontap_store.attach.brick import Brick
from glance_ontap_store.attach.host_connections import HostConnections
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.attach.transport import Transport
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
from glance_ontap_store.transfer import memory

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


def build(settings: Settings, in_background: bool = True) -> Backend:
    """The store's parts, over the real Cinder and this host.

    No service is asked, and no thread, process, connection or mount is made:
    Glance starts without them, and a server may fork afterwards.

    *in_background*: readers do not wait for what Cinder need not do before they read,
    nor for what it does when they have read.
    """
    session = identity.session_for(settings)
    service = CinderClient(settings, session)
    return assemble(settings, session, service, in_background)


def build_for_command(settings: Settings) -> Backend:
    """The same for a command, which has let a volume go when it has read it.

    Its next step may need the volume, or be the end of the process.
    """
    return build(dataclasses.replace(settings, linger_s=0), in_background=False)


def assemble(
    settings: Settings,
    session: Session,
    service: VolumeService,
    in_background: bool = True,
) -> Backend:
    """The store's parts, over *service* as its Cinder and this host."""
    volumes, attacher = parts(settings, service, in_background)
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
        lifecycle(settings, volumes, attacher, recovery.free, in_background),
        Owners(settings, session),
        volumes,
        creator_for,
        Member(recovery, settings.recovery_interval_s, _mounts(settings).clean_up),
    )


def parts(
    settings: Settings, service: VolumeService, in_background: bool = False
) -> tuple[Volumes, Attacher]:
    """The volumes of *service*, and their attacher on this host."""
    journal = Journal(processes.of(settings.mount_point_base), settings.store_id)
    host = Brick(
        settings.rootwrap_config, settings.use_multipath, settings.enforce_multipath
    )
    connector = BoundedConnector(
        BrickConnector(settings.rootwrap_config, settings.use_multipath)
    )
    sysfs = Sysfs()
    transports = transports_over(
        NfsTransport(_mounts(settings), settings.nfs_mount_options),
        BlockTransport(connector, sysfs),
    )
    connections = HostConnections(journal, service, transports, sysfs)
    volumes = Volumes(
        service, SystemClock(), wait_policy(settings), journal, connections
    )
    return volumes, Attacher(volumes, host, transports, in_background)


def transports_over(nfs: Transport, block: Transport) -> Transports:
    """The transports of all protocols that the store supports."""
    return Transports({"nfs": nfs, **dict.fromkeys(PROTOCOLS, block)})


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
    in_background: bool = False,
) -> Lifecycle:
    """The store's image-volumes, by its settings; *free* as of `StoreRecovery.free`."""
    return Lifecycle(
        settings.store_id,
        settings.volume_type,
        volumes,
        Reading(volumes, attacher, free, settings.volume_type),
        StreamFiller(attacher, settings.thin_upload),
        settings.availability_zone,
        TRANSFERS,
        free=free,
        linger_s=settings.linger_s,
        in_background=in_background,
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
            settings = [each.settings for each in self._table.values()]
            memory.PROCESS.limit_to(min(each.transfer_memory for each in settings))
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
