# SPDX-License-Identifier: Apache-2.0
"""Cinder with its state in memory and its volumes as files.

It models cinder/volume/api.py: the actions that each status permits, attachments that
reserve a volume, and the readonly flag, which makes attachments read-only. It models
the NFS drivers, too: they record the format of a volume that they create, and guess
that of a clone from its content; they make a clone beside its source, and move a volume
to another pool. It does not model retype and other projects' policies.
"""

import collections
from collections.abc import Mapping
import dataclasses
import datetime
import enum
import itertools
import os
import threading
from typing import Any
import uuid

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.tests.fakes.exports import Exports

# Cinder's message codes: cinder/message/message_field.py.
NO_BACKEND = "VOLUME_VOLUME_001_003"
UNKNOWN_FAULT = "VOLUME_VOLUME_001_001"
# The cinder-volume of every back end.
HOST = "cinder@"
_BEGINNING = datetime.datetime(2026, 1, 31, 12)
# The block protocols, and the name by which their drivers know a host.
_NAMES = {"iscsi": "initiator", "fibre_channel": "wwpns", "nvmeof": "nqn"}
CHAP_PASSWORD = "chap-s3cret"
# A migration that may be followed by another one.
_AT_REST = ("", "error", "success")


class Migration(enum.Enum):
    """What becomes of a migration."""

    MOVED = enum.auto()
    HOST_COPY = enum.auto()
    FAILED = enum.auto()
    # Cinder's volume service was restarted meanwhile.
    HANGS = enum.auto()
    # The driver took a junction path for a FlexVol's name: the file is in another one.
    ASTRAY = enum.auto()


@dataclasses.dataclass(frozen=True)
class VolumeType:
    """A volume type and the FlexVol that it is pinned to.

    A type without a pin makes its volumes there too, and lets them lie elsewhere.
    """

    export: str
    is_pinned: bool = True
    backend: str = "ontap"
    is_private: bool = False
    is_encrypted: bool = False
    is_qcow2: bool = False
    is_multiattach: bool = False
    # The FlexVol's room, in GiB.
    room_gib: int = 1000
    # The reason why the back end creates no volumes; None if it creates them.
    defect: str | None = None
    # The connection's protocol, in Cinder's word.
    protocol: str = "nfs"
    mount_options: str | None = None
    # The availability zone of the FlexVol's back end.
    zone: str = "nova"
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))


@dataclasses.dataclass
class _Volume:
    id: str
    name: str
    status: str
    size_gib: int
    metadata: dict[str, str]
    type_name: str
    path: str
    zone: str
    export: str
    created_at: str
    is_readonly: bool = False
    # Attachment id -> mode.
    attachments: dict[str, str] = dataclasses.field(default_factory=dict)
    # The attachments that have a connection: id -> connector.
    connected: dict[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    # The ids of those that are complete; the answer for a volume shows no others.
    complete: set[str] = dataclasses.field(default_factory=set)
    snapshots: set[str] = dataclasses.field(default_factory=set)
    # Cinder records no format for a clone.
    is_format_recorded: bool = True
    name_id: str | None = None
    fault: Fault | None = None
    migration: str = ""
    # The export that it is on its way to, when it arrives, and what becomes of it.
    target: str | None = None
    arrives_at: float | None = None
    outcome: Migration = Migration.MOVED
    # The time when the present action ends, and the status then; None: it is gone.
    ends_at: float | None = None
    status_then: str | None = None


class FakeCinder:
    """`cinder.api.VolumeService`; an action takes *action_s* seconds of the clock."""

    def __init__(
        self,
        clock: Clock,
        exports: Exports,
        types: Mapping[str, VolumeType],
        default_type: str,
        action_s: float = 0.5,
    ) -> None:
        self._clock = clock
        self._exports = exports
        self._types = dict(types)
        self._default_type = default_type
        self.action_s = action_s
        self._volumes: dict[str, _Volume] = {}
        # Guards all state: stores call from several threads.
        self._lock = threading.RLock()
        # The paths of files that belong to no volume.
        self.orphans: list[str] = []
        self.quota_gib = 10_000
        # Volumes of other projects, which the stores' users do not see.
        self.foreign: set[str] = set()
        self.migration_s = 10.0
        # The numbers of the LUNs that the host sees, and their volumes.
        self.luns: dict[int, str] = {}
        # What becomes of the next migrations; after them, volumes are moved.
        self.migrations: collections.deque[Migration] = collections.deque()

    # The requests of the store.

    def create(self, new: NewVolume) -> Volume:
        with self._lock:
            source = self._source(new)
            type_name = new.volume_type or (
                source.type_name if source else self._default_type
            )
            kind = self._types.get(type_name)
            if kind is None or kind.is_private:
                raise errors.Misconfigured(f"Volume type {type_name!r} does not exist.")
            self._check_compatible(source, kind)
            self._check_quota(new.size_gib)
            zone = self._zone(new, source)
            export = source.export if source else kind.export
            volume = self._make(new, type_name, kind, zone, export)
            if source:
                _copy_data(source.path, volume.path)
                volume.is_format_recorded = False
            if kind.defect:
                volume.status_then = "error"
                volume.fault = Fault(UNKNOWN_FAULT, kind.defect)
            elif (
                zone != kind.zone
                or (kind.is_pinned and export != kind.export)
                or self._used_gib(export) > self._room_gib(export)
            ):
                volume.status_then = "error"
                volume.fault = Fault(
                    NO_BACKEND, "schedule allocate volume: No weighed backends"
                )
            return self._shown(volume)

    def _source(self, new: NewVolume) -> _Volume | None:
        if new.source_id is None:
            return None
        source = self._find(new.source_id)
        if source.status not in ("available", "in-use"):
            raise errors.ImageVolumeInUse(
                f"Originating source volume is {source.status}. (HTTP 400)"
            )
        return source

    def _check_compatible(self, source: _Volume | None, kind: VolumeType) -> None:
        if source and kind.backend != self._types[source.type_name].backend:
            raise errors.Misconfigured(
                "Invalid volume_type provided: requested type is not compatible"
            )

    def _zone(self, new: NewVolume, source: _Volume | None) -> str:
        default = source.zone if source else "nova"
        zone = new.availability_zone or default
        if zone not in {kind.zone for kind in self._types.values()}:
            raise errors.Misconfigured(f"Availability zone {zone!r} is invalid.")
        if source and zone != source.zone:
            raise errors.ImageVolumeInUse(
                "Volume must be in the same availability zone as the source volume"
                " (HTTP 400)"
            )
        return zone

    def _make(
        self,
        new: NewVolume,
        type_name: str,
        kind: VolumeType,
        zone: str,
        export: str,
    ) -> _Volume:
        volume_id = str(uuid.uuid4())
        path = os.path.join(self._exports.directory(export), f"volume-{volume_id}")
        now = _BEGINNING + datetime.timedelta(seconds=self._clock.monotonic())
        volume = _Volume(
            id=volume_id,
            name=new.name,
            status="creating",
            size_gib=new.size_gib,
            metadata=dict(new.metadata),
            type_name=type_name,
            path=path,
            zone=zone,
            export=export,
            created_at=now.isoformat(timespec="microseconds"),
            ends_at=self._clock.monotonic() + self.action_s,
            status_then="available",
        )
        with open(path, "wb") as file:
            if kind.is_qcow2:
                file.write(b"QFI\xfb" + bytes(196_604))
            else:
                file.truncate(new.size_gib * units.GIB)
        self._volumes[volume_id] = volume
        return volume

    def get(self, volume_id: str) -> Volume:
        with self._lock:
            return self._shown(self._find(volume_id))

    def find(self, name: str) -> list[Volume]:
        return [
            volume
            for volume in self._all()
            if volume.name == name and volume.id not in self.foreign
        ]

    def search(
        self,
        status: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> list[Volume]:
        return [
            volume
            for volume in self._all()
            if status in (None, volume.status)
            and (metadata or {}).items() <= volume.metadata.items()
        ]

    def _all(self) -> list[Volume]:
        with self._lock:
            found = [self._settled(volume) for volume in list(self._volumes.values())]
            return [self._shown(volume) for volume in found if volume]

    def type_name(self, text: str | None) -> str | None:
        return next(
            (name for name, kind in self._types.items() if kind.id == text), text
        )

    def delete(self, volume_id: str) -> None:
        with self._lock:
            volume = self._find(volume_id)
            if volume.status == "creating":
                # The scheduler has not placed it yet: Cinder forgets it, but makes
                # its file.
                del self._volumes[volume_id]
                if volume.ends_at is None:
                    # The scheduler has never heard of it, so nobody makes a file.
                    os.unlink(volume.path)
                else:
                    self.orphans.append(volume.path)
                return
            permitted = volume.status == "available" or volume.status.startswith("err")
            is_migrating = volume.migration not in _AT_REST
            if not permitted or volume.attachments or volume.snapshots or is_migrating:
                raise errors.ImageVolumeInUse(
                    f"Cannot delete volume {volume_id}: it is {volume.status}, with"
                    f" {len(volume.attachments)} attachments and"
                    f" {len(volume.snapshots)} snapshots. (HTTP 400)"
                )
            self._begin(volume, "deleting", None)

    def extend(self, volume_id: str, size_gib: int) -> None:
        with self._lock:
            volume = self._find(volume_id)
            before = volume.status
            permitted = (
                ("available", "in-use") if self._is_block(volume) else ("available",)
            )
            if before not in permitted or size_gib <= volume.size_gib:
                raise errors.ImageVolumeInUse(f"Cannot extend {volume_id}: HTTP 400")
            self._check_quota(size_gib - volume.size_gib)
            more_gib = size_gib - volume.size_gib
            if self._used_gib(volume.export) + more_gib > self._room_gib(volume.export):
                self._begin(volume, "extending", "error_extending")
                volume.fault = Fault(UNKNOWN_FAULT, "No room to extend")
                return
            volume.size_gib = size_gib
            # Like the NFS drivers, it grows the file; it never cuts one.
            if os.path.getsize(volume.path) < size_gib * units.GIB:
                os.truncate(volume.path, size_gib * units.GIB)
            self._begin(volume, "extending", before)

    def set_metadata(self, volume_id: str, metadata: Mapping[str, str]) -> None:
        with self._lock:
            volume = self._find(volume_id)
            assert all(len(value) <= 255 for value in metadata.values())
            volume.metadata.update(metadata)

    def set_readonly(self, volume_id: str, is_readonly: bool = True) -> None:
        with self._lock:
            volume = self._find(volume_id)
            if volume.status != "available":
                raise errors.Broken(f"Volume {volume_id} is {volume.status}: HTTP 400")
            volume.is_readonly = is_readonly

    def has_snapshots(self, volume_id: str) -> bool:
        with self._lock:
            found = self._volumes.get(volume_id)
            return found is not None and bool(found.snapshots)

    def last_fault(self, volume_id: str) -> Fault | None:
        with self._lock:
            return self._find(volume_id).fault

    def attach(
        self, volume_id: str, connector: Mapping[str, Any], mode: str
    ) -> Attachment:
        """For tests: reserve and connect the volume, as somebody else does."""
        attachment_id = self.reserve(volume_id, mode)
        try:
            info = self.connect(volume_id, attachment_id, connector)
        except errors.NotConnected:
            self.detach(attachment_id)
            raise
        return Attachment(attachment_id, volume_id, info)

    def reserve(self, volume_id: str, mode: str) -> str:
        with self._lock:
            return self._reserve(volume_id, mode)

    def connect(
        self, volume_id: str, attachment_id: str, connector: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        assert connector["host"], "a connector without a host"
        with self._lock:
            volume = self._attached(attachment_id)
            if volume is None:
                raise errors.ImageVolumeGone(f"No attachment {attachment_id}.")
            assert volume.id == volume_id, "the attachment of another volume"
            if not volume.is_format_recorded and _looks_foreign(volume.path):
                raise errors.NotConnected(
                    f"Cannot connect volume {volume_id}: nfs volume must be a valid"
                    " raw or qcow2 image. (HTTP 500)"
                )
            name = _NAMES.get(self._types[volume.type_name].protocol)
            if name is not None:
                if not connector.get(name):
                    raise errors.NotConnected(
                        f"Cannot connect volume {volume_id}: no {name} (HTTP 500)"
                    )
                self._map(volume_id)
            volume.connected[attachment_id] = dict(connector)
            if volume.status == "reserved":
                volume.status = "attaching"
            return self._connection(volume)

    def reservations(self, volume_id: str) -> list[str]:
        with self._lock:
            volume = self._find(volume_id)
            begun = {*volume.connected, *volume.complete}
            return [key for key in volume.attachments if key not in begun]

    def _reserve(self, volume_id: str, mode: str) -> str:
        volume = self._find(volume_id)
        kind = self._types[volume.type_name]
        shares = kind.is_multiattach and volume.status in ("attaching", "in-use")
        if volume.status != "available" and not shares:
            raise errors.ImageVolumeInUse(
                f"Volume {volume_id} is {volume.status}, not available. (HTTP 400)"
            )
        attachment_id = str(uuid.uuid4())
        volume.attachments[attachment_id] = "ro" if volume.is_readonly else mode
        if not shares:
            volume.status = "reserved"
        return attachment_id

    def _connection(self, volume: _Volume) -> dict[str, Any]:
        kind = self._types[volume.type_name]
        if self._is_block(volume):
            return self._block_connection(volume, kind.protocol)
        return {
            "driver_volume_type": kind.protocol,
            "export": volume.export,
            "name": os.path.basename(volume.path),
            "options": kind.mount_options,
            "format": "qcow2" if kind.is_qcow2 else "raw",
        }

    def _is_block(self, volume: _Volume) -> bool:
        return self._types[volume.type_name].protocol in _NAMES

    def _map(self, volume_id: str) -> None:
        """Give the LUN the lowest number that is free, as ONTAP does."""
        if volume_id not in self.luns.values():
            number = next(n for n in itertools.count() if n not in self.luns)
            self.luns[number] = volume_id

    def _block_connection(self, volume: _Volume, protocol: str) -> dict[str, Any]:
        number = next(
            (number for number, mapped in self.luns.items() if mapped == volume.id), 0
        )
        found: dict[str, Any] = {"driver_volume_type": protocol, "encrypted": False}
        match protocol:
            case "iscsi":
                found |= {
                    "target_iqn": "iqn.1992-08.com.netapp:sn.1",
                    "target_portal": "192.0.2.1:3260",
                    "target_lun": number,
                    "auth_method": "CHAP",
                    "auth_username": "NetApp_iSCSI_CHAP_Username",
                    "auth_password": CHAP_PASSWORD,
                }
            case "fibre_channel":
                found |= {"target_wwn": ["500a098280feeba5"], "target_lun": number}
            case _:
                found |= {
                    "target_nqn": "nqn.1992-08.com.netapp:sn.1:subsystem.openstack",
                    "portals": [["192.0.2.1", 4420, "tcp"]],
                    "vol_uuid": volume.id,
                    # No driver tells it: for the fake kernel.
                    "target_lun": number,
                }
        return found

    def volume_at(self, number: int) -> str:
        """For a host: the volume whose LUN has the number.

        :raises LookupError: the host sees none there
        """
        with self._lock:
            return self.luns[number]

    def attachments(self, volume_id: str) -> list[str]:
        with self._lock:
            return list(self._find(volume_id).attachments)

    def complete(self, attachment_id: str) -> None:
        with self._lock:
            volume = self._attached(attachment_id)
            if volume is None:
                raise errors.ImageVolumeGone(f"No attachment {attachment_id}.")
            volume.status = "in-use"
            volume.complete.add(attachment_id)

    def detach(self, attachment_id: str) -> None:
        with self._lock:
            volume = self._attached(attachment_id)
            if volume is None:
                return
            del volume.attachments[attachment_id]
            volume.connected.pop(attachment_id, None)
            volume.complete.discard(attachment_id)
            if not volume.connected:
                self.luns = {
                    number: mapped
                    for number, mapped in self.luns.items()
                    if mapped != volume.id
                }
            if not volume.attachments:
                volume.status = "available"

    def connection_info(self, attachment_id: str) -> Mapping[str, Any]:
        with self._lock:
            volume = self._attached(attachment_id)
            if volume is None:
                raise api.taken_back(attachment_id)
            found = self._connection(volume)
            if attachment_id not in volume.connected:
                return {"format": found["format"]} if "format" in found else {}
            return found

    # The requests of an administrator; see `FakeOperator`.

    def begin_migration(self, volume_id: str, pool: str) -> None:
        with self._lock:
            volume = self._find(volume_id)
            service, _hash, target = pool.partition("#")
            if service != self.service_of(volume.type_name):
                raise errors.ImageVolumeInUse(f"No service {service!r} (HTTP 400)")
            if (
                volume.status not in ("available", "in-use")
                or volume.migration not in _AT_REST
                or volume.snapshots
                or target == volume.export
            ):
                raise errors.ImageVolumeInUse(f"Cannot migrate {volume_id}: HTTP 400")
            kind = self._types[volume.type_name]
            fits = self._used_gib(target) + volume.size_gib <= self._room_gib(target)
            if not fits or (kind.is_pinned and target != kind.export):
                volume.migration = "error"
                return
            outcome = self.migrations.popleft() if self.migrations else Migration.MOVED
            if volume.attachments:
                outcome = Migration.HOST_COPY
            volume.migration, volume.target = "migrating", target
            volume.outcome = outcome
            volume.arrives_at = self._clock.monotonic() + self.migration_s

    def _arrive(self, volume: _Volume) -> None:
        """End a migration whose time has come."""
        if volume.arrives_at is None or self._clock.monotonic() < volume.arrives_at:
            return
        if volume.outcome is Migration.HANGS:
            return
        volume.arrives_at = None
        if volume.outcome is Migration.FAILED:
            volume.migration = "error"
            volume.fault = Fault(UNKNOWN_FAULT, "The array did not copy it")
            return
        if volume.outcome is Migration.HOST_COPY:
            volume.name_id = str(uuid.uuid4())
        volume.export = volume.target or volume.export
        name = f"volume-{volume.name_id or volume.id}"
        path = os.path.join(self._exports.directory(volume.export), name)
        with open(path, "wb"):
            pass
        _copy_data(volume.path, path)
        os.unlink(volume.path)
        if volume.outcome is Migration.ASTRAY:
            stray = self._exports.directory(f"{volume.export}_new")
            os.rename(path, os.path.join(stray, name))
        volume.path, volume.migration = path, "success"

    def service_of(self, type_name: str) -> str:
        """The cinder-volume of the back end that a type leads to."""
        return f"{HOST}{self._types[type_name].backend}"

    def seen_by_operator(self, name: str | None = None) -> list[Volume]:
        """All volumes, or those of that name, as an administrator sees them."""
        with self._lock:
            return [
                dataclasses.replace(
                    shown,
                    pool=f"{self.service_of(volume.type_name)}#{volume.export}",
                    project_id="images",
                    migration=volume.migration,
                )
                for shown in self._all()
                if name in (None, shown.name)
                for volume in [self._volumes[shown.id]]
            ]

    # For tests: they look at the state, and change it behind the store's back.

    def path_of(self, volume_id: str) -> str:
        """The volume's file on its FlexVol."""
        return self._find(volume_id).path

    def is_readonly(self, volume_id: str) -> bool:
        return self._find(volume_id).is_readonly

    def volume_of(self, attachment_id: str) -> str:
        """The id of the attachment's volume, as Cinder finds it for a request."""
        with self._lock:
            volume = self._attached(attachment_id)
            if volume is None:
                raise errors.ImageVolumeGone(f"No attachment {attachment_id}.")
            return volume.id

    def used_gib(self) -> int:
        """The part of the quota that is used."""
        return sum(volume.size_gib for volume in self._volumes.values())

    def holdings(self) -> set[str]:
        """Every volume that is not being deleted, and every attachment."""
        with self._lock:
            found = set()
            for volume in list(self._volumes.values()):
                if self._settled(volume) and volume.status != "deleting":
                    found.add(f"volume {volume.id} {volume.status}")
                    found |= {f"attachment {key}" for key in volume.attachments}
            return found

    def reset_migration(self, volume_id: str) -> None:
        """As ``cinder reset-state --reset-migration-status`` does."""
        volume = self._find(volume_id)
        volume.migration, volume.arrives_at = "", None

    def migrate(self, volume_id: str) -> None:
        """Give the volume another file, as a migration by a host does."""
        volume = self._find(volume_id)
        volume.name_id = str(uuid.uuid4())
        path = os.path.join(os.path.dirname(volume.path), f"volume-{volume.name_id}")
        os.rename(volume.path, path)
        volume.path = path

    def take_snapshot(self, volume_id: str) -> str:
        snapshot_id = str(uuid.uuid4())
        self._find(volume_id).snapshots.add(snapshot_id)
        return snapshot_id

    def drop_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self._find(volume_id).snapshots.discard(snapshot_id)

    def set_status(self, volume_id: str, status: str) -> None:
        """As ``openstack volume set --state`` does."""
        volume = self._find(volume_id)
        volume.status, volume.ends_at = status, None

    def drop_metadata(self, volume_id: str, *keys: str) -> None:
        for key in keys:
            self._find(volume_id).metadata.pop(key, None)

    # Helpers.

    def _begin(self, volume: _Volume, status: str, then: str | None) -> None:
        volume.status = status
        volume.ends_at = self._clock.monotonic() + self.action_s
        volume.status_then = then

    def _settled(self, volume: _Volume) -> _Volume | None:
        """The volume as it is by now; None when it is gone."""
        self._arrive(volume)
        if volume.ends_at is None or self._clock.monotonic() < volume.ends_at:
            return volume
        volume.ends_at = None
        if volume.status_then is None:
            del self._volumes[volume.id]
            os.unlink(volume.path)
            return None
        volume.status = volume.status_then
        return volume

    def _find(self, volume_id: str) -> _Volume:
        # In the URL of a real request, another text would make another request.
        assert str(uuid.UUID(volume_id)) == volume_id, "not the id of a volume"
        volume = self._volumes.get(volume_id)
        found = volume and self._settled(volume)
        if not found:
            raise errors.ImageVolumeGone(f"Volume {volume_id} could not be found.")
        return found

    def _attached(self, attachment_id: str) -> _Volume | None:
        for volume in self._volumes.values():
            if attachment_id in volume.attachments:
                return volume
        return None

    def _shown(self, volume: _Volume) -> Volume:
        return Volume(
            id=volume.id,
            status=volume.status,
            size_gib=volume.size_gib,
            metadata=dict(volume.metadata),
            volume_type=volume.type_name,
            encrypted=self._types[volume.type_name].is_encrypted,
            is_shared=self._types[volume.type_name].is_multiattach,
            name=volume.name,
            name_id=volume.name_id,
            created_at=volume.created_at,
            availability_zone=volume.zone,
            attachments=tuple(
                _connected(attachment_id, volume.connected.get(attachment_id, {}))
                for attachment_id in volume.attachments
                if attachment_id in volume.complete
            ),
        )

    def _check_quota(self, more_gib: int) -> None:
        used = sum(volume.size_gib for volume in self._volumes.values())
        if used + more_gib > self.quota_gib:
            raise errors.NoSpace(
                f"VolumeSizeExceedsAvailableQuota: {used} of {self.quota_gib} GiB used."
            )

    def _used_gib(self, export: str) -> int:
        return sum(
            volume.size_gib
            for volume in self._volumes.values()
            if volume.export == export
        )

    def _room_gib(self, export: str) -> int:
        return next(
            (each.room_gib for each in self._types.values() if each.export == export), 0
        )


class FakeOperator:
    """`cinder.api.Operator`: an administrator of a fake Cinder."""

    def __init__(self, cinder: FakeCinder) -> None:
        self._cinder = cinder

    def list_volumes(self, search: Mapping[str, Any]) -> list[Volume]:
        assert search["all_tenants"] == 1
        assert search.keys() <= {"all_tenants", "name"}
        return self._cinder.seen_by_operator(search.get("name"))

    def migrate(self, volume_id: str, pool: str) -> None:
        self._cinder.begin_migration(volume_id, pool)

    def last_fault(self, volume_id: str) -> Fault | None:
        return self._cinder.last_fault(volume_id)


def _connected(attachment_id: str, connector: Mapping[str, Any]) -> Connected:
    """An attachment as Cinder shows it; one without a connector has no device."""
    return Connected(
        attachment_id,
        device=connector.get("mountpoint"),
        host_name=connector.get("host"),
        attached_at="2026-01-31T12:00:00.000000",
    )


# The magic of some formats that Cinder finds in a volume, and its offset.
_FOREIGN = (
    (b"KDMV", 0),
    (b"conectix", 0),
    (b"vhdxfile", 0),
    (b"\x7f\x10\xda\xbe", 0x40),
)


def _looks_foreign(path: str) -> bool:
    if not os.path.exists(path):
        # qemu-img fails, and so does the driver.
        return True
    with open(path, "rb") as file:
        head = file.read(4096)
    return any(head.startswith(magic, at) for magic, at in _FOREIGN)


def _copy_data(source: str, target: str) -> None:
    """Copy a file and keep its holes: the fakes' files lie in memory."""
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        size = os.fstat(reader.fileno()).st_size
        end = 0
        while end < size:
            try:
                start = os.lseek(reader.fileno(), end, os.SEEK_DATA)
            except OSError:  # only a hole is left
                break
            end = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            reader.seek(start)
            writer.seek(start)
            writer.write(reader.read(end - start))
        writer.truncate(size)
