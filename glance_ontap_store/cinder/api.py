# SPDX-License-Identifier: Apache-2.0
"""Cinder's values, and the interface of requests to it.

`cinder.client` implements the interface over python-cinderclient, and the tests with
a fake that keeps state. Both pass the same contract
(``tests/conformance/volume_service.py``).
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Protocol

from glance_ontap_store import errors

# Statuses that end by themselves, so that waiting makes sense. Source:
# cinder/objects/fields.py, VolumeStatus, without those that an operator must end
# (maintenance, awaiting-transfer, managing, the errors). ``available`` is among
# them because a volume may have become so after it refused something.
_PASSING = frozenset(
    {
        "available",
        "attaching",
        "backing-up",
        "creating",
        "deleting",
        "detaching",
        "downloading",
        "extending",
        "in-use",
        "reserved",
        "restoring-backup",
        "retyping",
        "uploading",
    }
)

# Statuses of a migration that has ended. Source: cinder/volume/api.py,
# AVAILABLE_MIGRATION_STATUS. All others are taken to be at work.
_AT_REST = ("", "deleting", "error", "success")


@dataclasses.dataclass(frozen=True)
class Connected:
    """An attachment in status ``attached``, as the answer for its volume shows it.

    *device* is the ``mountpoint`` of the connector that made it: see `Mark.of_device`
    of `liveness.marks`. *host_name* is shown to administrators and to role ``service``,
    and is None for others. *attached_at* is Cinder's text, in UTC without a
    zone. *server_id* is that of a server that has it attached.
    """

    id: str
    device: str | None = None
    host_name: str | None = None
    attached_at: str | None = None
    server_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Volume:
    """A Cinder volume as an answer shows it.

    *pool*, *host*, *project_id*, *name_id* and *migration* are shown to administrators,
    and are None for others. *pool* is the pool's name in `Pool`, and *host* the
    cinder-volume that made the volume, ``host@backend#pool``: they differ where
    cinder-volume runs as a cluster. *name_id* is set once a host has copied the
    volume to another pool. *migration* is the status of its last migration, with "" for
    a volume that was never migrated. *created_at* and *updated_at* are
    Cinder's text, in UTC without a zone (``2026-01-31T12:00:00.000000``).
    *attachments* are those that are complete; `VolumeService.attachments` has the
    others too. *image_id* is the image that Cinder made it from, if it did. One that
    *is_shared* can have attachments of several processes (``multiattach``).
    """

    id: str
    status: str
    size_gib: int
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volume_type: str | None = None
    encrypted: bool = False
    name: str | None = None
    pool: str | None = None
    host: str | None = None
    project_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    name_id: str | None = None
    migration: str | None = None
    availability_zone: str | None = None
    attachments: tuple[Connected, ...] = ()
    image_id: str | None = None
    is_shared: bool = False

    @property
    def is_leaving(self) -> bool:
        """Return whether its deletion has begun."""
        return self.status == "deleting"

    @property
    def is_broken(self) -> bool:
        """Return whether Cinder gave up on it."""
        return self.status.startswith("error")

    @property
    def is_migrating(self) -> bool:
        """Return whether Cinder moves it, or moves another volume into it."""
        return (self.migration or "") not in _AT_REST

    @property
    def is_passing(self) -> bool:
        """Return whether its status ends by itself, so that a wait may help."""
        return self.status in _PASSING

    @property
    def backing_id(self) -> str:
        """The id in the name of its file or LUN: another one after a migration."""
        return self.name_id or self.id


@dataclasses.dataclass(frozen=True)
class NewVolume:
    """A volume for Cinder to create.

    *metadata* has a value that no other volume has, such as a ``write_id``: by it
    the volume is found if the answer to the creation is lost.
    """

    name: str
    size_gib: int
    volume_type: str | None
    metadata: Mapping[str, str]
    # The volume that it is a clone of; without a type of its own it has the source's.
    source_id: str | None = None
    # None: that of the type (``RESKEY:availability_zones``), or Cinder's default.
    availability_zone: str | None = None


@dataclasses.dataclass(frozen=True)
class Attachment:
    """A volume made reachable for this host.

    *connection_info* is the way to reach it, in the words of the volume's driver;
    `attach.transport` understands them.
    """

    id: str
    volume_id: str
    connection_info: Mapping[str, Any] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class AttachmentState:
    """An attachment in Cinder's list, in any status.

    *instance* is the server's id where Nova attached it, and None otherwise.
    """

    id: str
    volume_id: str
    status: str
    instance: str | None = None


@dataclasses.dataclass(frozen=True)
class Fault:
    """A user message of Cinder: *event_id* is a code, *text* for people."""

    event_id: str
    text: str

    @property
    def is_lack_of_room(self) -> bool:
        """Return whether no pool could take the volume, or the quota could not.

        The code ends in Cinder's detail: 003 no backend available, 006 quota
        exceeded (cinder/message/message_field.py).
        """
        return self.event_id.endswith(("_003", "_006"))


@dataclasses.dataclass(frozen=True)
class VolumeType:
    """*extra_specs* and *qos_specs_id* are complete for an administrator only."""

    id: str
    name: str
    is_public: bool
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    qos_specs_id: str | None = None

    def is_called(self, text: str | None) -> bool:
        """Return whether *text* is its name or its id: options may hold either."""
        return text in (self.id, self.name)

    def allows(self, pool: "Pool") -> bool:
        """Return whether back end and pool are those that the type asks for, if any."""
        return _matches(
            self.extra_specs.get("volume_backend_name"), pool.backend_name
        ) and _matches(self.extra_specs.get("pool_name"), pool.pool_name)


def _matches(spec: str | None, value: str | None) -> bool:
    """Return whether a pool's *value* is what an extra spec asks for.

    A spec is a value, or several: ``<or> A <or> B``.
    """
    if spec is None or not spec.lstrip().startswith("<or>"):
        return spec in (None, value)
    return value in [word.strip() for word in spec.split("<or>")[1:]]


@dataclasses.dataclass(frozen=True)
class Room:
    """One quota of a project; *limit* -1 means unlimited."""

    limit: int
    used: int

    @property
    def left(self) -> float:
        """The part that is not used yet; infinite without a limit."""
        return float("inf") if self.limit < 0 else self.limit - self.used


@dataclasses.dataclass(frozen=True)
class Pool:
    """One pool of Cinder's scheduler: with ONTAP over NFS, one FlexVol or FlexGroup.

    *name* is ``host@backend#pool_name``, with the cluster's name for the host's where
    cinder-volume runs as a cluster. *shared_blocks_percent* is the part that is
    used of the blocks that files of the FlexVol may share; the driver knows it with
    cluster credentials only. *total_gib* and *free_gib* are None where the back end
    tells no number.
    """

    name: str
    pool_name: str | None
    backend_name: str | None
    vendor: str | None
    protocol: str | None
    is_flexgroup: bool = False
    is_replicated: bool = False
    shared_blocks_percent: float = 0.0
    # The driver clones volumes of other pools too (``clone_across_pools``).
    clones_across_pools: bool = False
    # LUNs take their full size of a FlexVol that takes its own of the aggregate.
    is_thick: bool = False
    total_gib: float | None = None
    free_gib: float | None = None

    @property
    def is_ontap_nfs(self) -> bool:
        """Return whether NetApp's driver reports it, over NFS."""
        return self._is_ontap and self.protocol == "nfs"

    @property
    def has_luns(self) -> bool:
        """Return whether NetApp's driver reports it, over iSCSI or FC."""
        return self._is_ontap and self.protocol in ("iscsi", "fc")

    @property
    def is_ontap_block(self) -> bool:
        """Return whether NetApp's driver reports it, with LUNs or namespaces."""
        return self.has_luns or (self._is_ontap and self.protocol == "nvme")

    @property
    def _is_ontap(self) -> bool:
        return (self.vendor or "").lower() == "netapp"

    @property
    def section(self) -> str:
        """The section of the back end in cinder.conf."""
        return self.service.rpartition("@")[2]

    @property
    def service(self) -> str:
        """The ``host@backend`` of the cinder-volume, or cluster, that reports it."""
        return self.name.partition("#")[0]


@dataclasses.dataclass(frozen=True)
class Service:
    """A cinder-volume: *host* and *cluster* are ``name@backend``."""

    host: str
    zone: str
    cluster: str | None = None


# The requests that must not simply be sent again: they make something, which a lost
# answer leaves without a known id, or need a state that they end themselves.
ONCE = frozenset({"connect", "create", "extend", "migrate", "reserve"})


class Creator(Protocol):
    """Creates volumes in a project; the store may do anything with them."""

    def create(self, new: NewVolume) -> Volume:
        """See `VolumeService.create`."""


class Operator(Protocol):
    """The requests that Cinder permits to administrators only, unless told otherwise.

    Their errors are those of `VolumeService`.
    """

    def list_volumes(self, search: Mapping[str, Any]) -> list[Volume]:
        """The volumes that match Cinder's filters, on however many pages.

        ``all_tenants`` 1 is all projects.
        """

    def migrate(self, volume_id: str, pool: str) -> None:
        """Begin to move the volume to *pool* (``host@backend#pool``).

        Its back end moves it if it can. Otherwise, or if the volume is attached, a host
        copies it. `Volume.migration` tells how it goes.

        :raises errors.ImageVolumeInUse: its state, or that of the pool's cinder-volume,
            does not permit it now
        """

    def last_fault(self, volume_id: str) -> Fault | None:
        """The message that Cinder kept about the volume's last failure, if any."""


class HostSide(Protocol):
    """The devices that this host has of attached volumes; see `attach`."""

    def release(self, volume_id: str, attachment_id: str) -> None:
        """Disconnect this host, if it is connected, before the attachment is deleted.

        :raises errors.StillConnected: the host, or another one, may be connected: the
            attachment must stay
        :raises errors.StoreError: Cinder does not tell how the volume is connected
        """


class NoDevices:
    """`HostSide` of a host without devices: files of NFS do no harm."""

    def release(self, volume_id: str, attachment_id: str) -> None:
        """Do nothing."""


class VolumeService(Protocol):
    """The requests of the store. Each call is one request, unless it says otherwise.

    All of them raise `errors.CinderUnreachable` when no answer comes,
    `errors.Refused` when Cinder or Keystone refuses the user
    (`errors.NotAuthenticated`: Cinder refuses the token), and `errors.Broken` for
    an answer that makes no sense; those with a volume's id raise
    `errors.ImageVolumeGone` when there is no such volume. They may be called from
    any thread.
    """

    def create(self, new: NewVolume) -> Volume:
        """Begin to create a volume; its status is ``creating``.

        After `errors.Broken`, which includes a lost answer, a volume may exist all the
        same: see `find`.

        :raises errors.NoSpace: the project's quota is full
        :raises errors.Misconfigured: the volume type or availability zone does not
            exist, or the type is none for a clone of the source
        :raises errors.ImageVolumeInUse: the source's status does not permit a clone
        """

    def get(self, volume_id: str) -> Volume:
        """The volume as it is now."""

    def find(self, name: str) -> list[Volume]:
        """The volumes of that name, in all projects that the store writes for."""

    def search(
        self,
        status: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> list[Volume]:
        """The volumes in that status and with that metadata, as far as they are given.

        In all projects that the store writes for, on however many pages.
        """

    def type_name(self, text: str | None) -> str | None:
        """The name of the volume type whose name or id is *text*.

        *text* itself if no type that the store may see is called so. At most one
        request for a text, ever.
        """

    def delete(self, volume_id: str) -> None:
        """Begin to delete the volume.

        :raises errors.ImageVolumeInUse: its state does not permit it now
        """

    def extend(self, volume_id: str, size_gib: int) -> None:
        """Begin to extend a volume; its status is ``extending``.

        It is available, or attached to a back end with a block protocol.

        :raises errors.NoSpace: the project's quota is full
        """

    def set_metadata(self, volume_id: str, metadata: Mapping[str, str]) -> None:
        """Set these keys and keep the others. Safe to repeat."""

    def set_readonly(self, volume_id: str, is_readonly: bool = True) -> None:
        """Let Cinder attach it read-only from now on, or not. Safe to repeat."""

    def has_snapshots(self, volume_id: str) -> bool:
        """Return whether a snapshot depends on the volume."""

    def last_fault(self, volume_id: str) -> Fault | None:
        """The message that Cinder kept about the volume's last failure, if any."""

    def reserve(self, volume_id: str, mode: str) -> str:
        """Reserve the volume for mode ``ro`` or ``rw``; the attachment's id.

        A volume that is reserved cannot be deleted.

        :raises errors.ImageVolumeInUse: its state does not permit it now
        """

    def connect(
        self, volume_id: str, attachment_id: str, connector: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Connect a reserved volume to the host of *connector*; the way to reach it.

        It takes long and may fail.

        :raises errors.ImageVolumeGone: the attachment does not exist any more
        :raises errors.NotConnected: Cinder's driver could not connect the volume
        """

    def reservations(self, volume_id: str) -> list[str]:
        """Ids of the volume's attachments that are reserved and not yet connected."""

    def attachments(self, volume_id: str) -> list[str]:
        """Ids of all the volume's attachments, of any host and in any state.

        A volume that Cinder shows lists only those that were connected.
        """

    def connection_info(self, attachment_id: str) -> Mapping[str, Any]:
        """Return the way to reach an attached volume.

        While it is only reserved, ``driver_volume_type`` and what belongs to it are
        missing. For a volume on NFS ``format`` is ``raw`` or ``qcow2`` where Cinder
        knows it.

        :raises errors.ImageVolumeInUse: the attachment is gone, see `taken_back`
        """

    def complete(self, attachment_id: str) -> None:
        """Say that the host has connected: the volume is ``in-use``."""

    def detach(self, attachment_id: str) -> None:
        """Delete the attachment. One that is gone already is not an error.

        The volume is ``available`` when this returns, if it was the last one.
        """


def taken_back(attachment_id: str) -> errors.ImageVolumeInUse:
    """The error for an attachment that is gone: its volume is there."""
    return errors.ImageVolumeInUse(
        f"Attachment {attachment_id} was deleted by somebody before it was complete."
        " Try again."
    )
