# SPDX-License-Identifier: Apache-2.0
"""The simulated array: frozen values, and the one class that changes them.

:class:`Array` is the only thing with state. Its errors are
:class:`~.errors.OntapError`, with ONTAP's codes.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
import datetime
import logging
from pathlib import Path
import threading
from typing import Any
import uuid as uuid_module

from lab.ontapsim import errors
from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import FlexVol
from lab.ontapsim.jobs import JobTable
from lab.ontapsim.san import San

LOG = logging.getLogger(__name__)

_NAMESPACE = uuid_module.UUID("6f6e7461-7073-496d-8000-000000000000")


def stable_uuid(*parts: str) -> str:
    """Return the same uuid for the same names, also after a restart."""
    return str(uuid_module.uuid5(_NAMESPACE, "/".join(parts)))


@dataclass(frozen=True)
class User:
    """A login. Roles: admin, readonly, vsadmin (SVM only), none."""

    name: str
    password: str = field(repr=False)
    role: str = "admin"


@dataclass(frozen=True)
class Cluster:
    """The cluster, and the ONTAP release that it claims to run."""

    name: str = "ontapsim"
    version: tuple[int, int, int] = (9, 14, 1)

    @property
    def uuid(self) -> str:
        """The cluster's uuid."""
        return stable_uuid("cluster", self.name)

    @property
    def release(self) -> str:
        """The release as ONTAP writes it."""
        return "NetApp Release {}.{}.{}".format(*self.version)


@dataclass(frozen=True)
class Node:
    """A controller."""

    name: str = "ontapsim-01"
    model: str = "AFF-A400"

    @property
    def uuid(self) -> str:
        """The node's uuid."""
        return stable_uuid("node", self.name)


@dataclass(frozen=True)
class Aggregate:
    """Disks that FlexVols are cut from. All FlexVols are thin: it never fills."""

    name: str = "aggr1"
    node: str = "ontapsim-01"
    size_bytes: int = 10 << 40

    @property
    def uuid(self) -> str:
        """The aggregate's uuid."""
        return stable_uuid("aggregate", self.name)


@dataclass(frozen=True)
class Svm:
    """A storage VM. Its one logical interface has ``address``."""

    name: str
    address: str = "127.0.0.1"

    @property
    def uuid(self) -> str:
        """The SVM's uuid."""
        return stable_uuid("svm", self.name)


@dataclass(frozen=True)
class Lif:
    """A logical interface with its address."""

    name: str
    address: str
    svm: str
    services: tuple[str, ...] = ("data_core", "data_nfs")

    @property
    def uuid(self) -> str:
        """The interface's uuid."""
        return stable_uuid("lif", self.svm, self.name)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of one FlexVol."""

    uuid: str
    name: str
    create_time: datetime.datetime


@dataclass(frozen=True)
class Volume:
    """A FlexVol as it is configured. Its space is asked of ``files``.

    A FlexGroup is one with ``style`` "flexgroup": its constituents are not modelled.
    """

    uuid: str
    name: str
    svm: str
    aggregate: str
    size_bytes: int
    files: FlexVol = field(repr=False, compare=False)
    junction: str | None = None
    style: str = "flexvol"
    create_time: datetime.datetime = field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).replace(
            microsecond=0
        )
    )
    comment: str = ""
    dedupe: str = "background"
    compression: str = "none"
    snapshots: tuple[Snapshot, ...] = ()
    file_qos: tuple[tuple[str, str], ...] = ()  # (path, policy name)

    @property
    def directory(self) -> Path:
        """The directory of its files."""
        return self.files.directory


@dataclass(frozen=True)
class QosPolicy:
    """A QoS policy: kept, never enforced. ``limits`` is what the client sent."""

    uuid: str
    name: str
    svm: str
    limits: dict[str, Any]


@dataclass(frozen=True)
class ConsistencyGroup:
    """FlexVols that are snapshot together."""

    uuid: str
    name: str
    svm: str
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class SvmPeer:
    """One SVM's side of a peering with another SVM of this cluster."""

    uuid: str
    svm: str
    peer: str
    applications: tuple[str, ...]


# So many interfaces for block protocols has each SVM.
SAN_LIFS = 2
_SAN_SERVICES = ("data_core", "data_iscsi", "data_nvme_tcp")


def _san_lifs(svms: Iterable[str]) -> Iterator[Lif]:
    """Return interfaces for iSCSI and NVMe/TCP; nothing listens at their addresses."""
    for number, svm in enumerate(svms):
        for n in range(1, SAN_LIFS + 1):
            yield Lif(f"lif_{svm}_san{n}", f"127.1.{number}.{n}", svm, _SAN_SERVICES)


# Of the names of SVM and FlexVol, and the size in bytes.
MakeFlexVol = Callable[[str, str, int], FlexVol]


class Array:
    """The state of one simulated cluster with one SVM or more.

    ``_lock`` guards the dicts and the set, in this process. It is held for look-ups and
    replacements only, never while a file system works, so that a long copy blocks
    no other request.

    Leaving a ``with`` ends the jobs and unmounts the FlexVols.
    """

    def __init__(
        self,
        svms: Iterable[Svm],
        users: Iterable[User],
        make_flexvol: MakeFlexVol,
        jobs_file: Path | None = None,
        san_file: Path | None = None,
    ) -> None:
        self.cluster = Cluster()
        self.node = Node()
        self.aggregate = Aggregate(node=self.node.name)
        self.svms = {svm.name: svm for svm in svms}
        self.lifs = (
            *(Lif(f"lif_{s.name}", s.address, s.name) for s in self.svms.values()),
            *_san_lifs(self.svms),
        )
        self.users = {user.name: user for user in users}
        self.jobs = JobTable(jobs_file)
        self.ems: list[dict[str, Any]] = []
        self._make_flexvol = make_flexvol
        self._lock = threading.Lock()
        self._volumes: dict[str, Volume] = {}
        self._being_made: set[tuple[str, str]] = set()
        self._policies: dict[str, QosPolicy] = {}
        self._groups: dict[str, ConsistencyGroup] = {}
        self._peers: dict[str, SvmPeer] = {}
        self.san = San(san_file)

    def __enter__(self) -> "Array":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the jobs, then unmount the FlexVols. A second call does nothing."""
        self.jobs.close()
        with self._lock:
            volumes, self._volumes = self._volumes, {}
        for volume in volumes.values():
            try:
                volume.files.close()
            except OSError:
                LOG.exception("FlexVol %s does not unmount", volume.name)

    # FlexVols

    def volumes(self, svm: str | None = None) -> list[Volume]:
        """Return the FlexVols, of one SVM or all."""
        with self._lock:
            found = list(self._volumes.values())
        return [volume for volume in found if svm in (None, volume.svm)]

    def volume(self, uuid: str, svm: str | None = None) -> Volume:
        """Return one FlexVol.

        :raises OntapError: 404, the FlexVol does not exist, or not in this SVM
        """
        with self._lock:
            volume = self._volumes.get(uuid)
        if volume is None or svm not in (None, volume.svm):
            raise errors.no_entry()
        return volume

    def add_volume(
        self,
        svm: str,
        name: str,
        size_bytes: int,
        junction: str | None = None,
        style: str = "flexvol",
    ) -> Volume:
        """Make a FlexVol and mount it. Blocks while the file system is made.

        :raises OntapError: the SVM does not exist, or has a FlexVol of this name
        :raises OSError: the file system could not be made
        """
        if svm not in self.svms:
            raise errors.no_svm(svm)
        self.check_volume_name(svm, name)
        with self._lock:
            if (svm, name) in self._being_made:
                raise errors.duplicate(name, "name")
            self._being_made.add((svm, name))
        try:
            return self._add(svm, name, size_bytes, junction, style)
        finally:
            with self._lock:
                self._being_made.discard((svm, name))

    def _add(
        self, svm: str, name: str, size_bytes: int, junction: str | None, style: str
    ) -> Volume:
        files = self._make_flexvol(svm, name, size_bytes)
        files.open()
        self.san.check_flexvol(svm, name, files.directory)
        volume = Volume(
            uuid=stable_uuid("volume", svm, name),
            name=name,
            svm=svm,
            aggregate=self.aggregate.name,
            size_bytes=size_bytes,
            files=files,
            junction=junction,
            style=style,
        )
        with self._lock:
            self._volumes[volume.uuid] = volume
        return volume

    def check_volume_name(self, svm: str, name: str) -> None:
        """Refuse a name that is taken (917831) or that ONTAP does not allow."""
        if not name.replace("_", "a").isalnum() or name[0].isdigit():
            raise errors.bad_value("name", name)
        if any(volume.name == name for volume in self.volumes(svm)):
            message = f'Volume "{name}" already exists in SVM "{svm}".'
            raise OntapError(409, 917831, message, "name")

    def change_volume(self, uuid: str, **changes: Any) -> Volume:
        """Replace fields of a FlexVol and return the new value."""
        with self._lock:
            if uuid not in self._volumes:
                raise errors.no_entry()
            self._volumes[uuid] = replace(self._volumes[uuid], **changes)
            return self._volumes[uuid]

    def remove_volume(self, uuid: str) -> None:
        """Unmount a FlexVol and remove its data."""
        volume = self.volume(uuid)
        volume.files.destroy()
        with self._lock:
            self._volumes.pop(uuid, None)
        self.san.drop_flexvol(volume.svm, volume.name)

    # SVM peers

    def peers(self, svm: str | None = None) -> list[SvmPeer]:
        """Return the peerings, each from both sides, or those of one SVM's side."""
        with self._lock:
            found = list(self._peers.values())
        return [peer for peer in found if svm in (None, peer.svm)]

    def add_peers(self, svm: str, peer: str, applications: Iterable[str]) -> None:
        """Peer two SVMs of this cluster.

        :raises OntapError: they are peers already, or one is unknown
        """
        for name in (svm, peer):
            if name not in self.svms:
                raise errors.no_svm(name)
        sides = [
            SvmPeer(stable_uuid("peer", *names), *names, tuple(applications))
            for names in ((svm, peer), (peer, svm))
        ]
        with self._lock:
            if sides[0].uuid in self._peers or svm == peer:
                raise errors.duplicate(peer, "peer.svm.name")
            self._peers.update({side.uuid: side for side in sides})

    def remove_peers(self, uuid: str) -> None:
        """End a peering, of which ``uuid`` is one side.

        :raises OntapError: 404, it does not exist
        """
        with self._lock:
            if uuid not in self._peers:
                raise errors.no_entry()
            gone = self._peers.pop(uuid)
            self._peers.pop(stable_uuid("peer", gone.peer, gone.svm), None)

    # QoS policies

    def policies(self, svm: str | None = None) -> list[QosPolicy]:
        """Return the QoS policies, of one SVM or all."""
        with self._lock:
            found = list(self._policies.values())
        return [policy for policy in found if svm in (None, policy.svm)]

    def put_policy(self, policy: QosPolicy) -> None:
        """Add or replace a QoS policy.

        :raises OntapError: another policy has its name
        """
        with self._lock:
            for other in self._policies.values():
                same = (other.svm, other.name) == (policy.svm, policy.name)
                if same and other.uuid != policy.uuid:
                    raise errors.duplicate(policy.name, "name")
            self._policies[policy.uuid] = policy

    def remove_policy(self, uuid: str) -> None:
        """Remove a QoS policy; nothing happens if there is none."""
        with self._lock:
            self._policies.pop(uuid, None)

    # Consistency groups

    def groups(self, svm: str | None = None) -> list[ConsistencyGroup]:
        """Return the consistency groups, of one SVM or all."""
        with self._lock:
            found = list(self._groups.values())
        return [group for group in found if svm in (None, group.svm)]

    def put_group(self, group: ConsistencyGroup) -> None:
        """Add a consistency group."""
        with self._lock:
            self._groups[group.uuid] = group

    def remove_group(self, uuid: str) -> None:
        """Remove a consistency group; its FlexVols and snapshots stay."""
        with self._lock:
            self._groups.pop(uuid, None)
