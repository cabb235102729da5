# SPDX-License-Identifier: Apache-2.0
"""A Glance host over fakes: stores that glance_store makes, and all that they use."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import copy
import pathlib
from typing import Any

from glance_store import location
from glance_store import multi_backend
from oslo_config import cfg
import pytest

from glance_ontap_store import backend
from glance_ontap_store import errors
from glance_ontap_store.attach.attacher import Attacher
from glance_ontap_store.attach.block.transport import BlockTransport
from glance_ontap_store.attach.host_connections import HostConnections
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.attach.transport import Transports
from glance_ontap_store.backend import Backend
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.images.filling import StreamFiller
from glance_ontap_store.images.lifecycle import Lifecycle
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.processes import Processes
from glance_ontap_store.recovery.rounds import Member
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.settings import Settings
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.store import Store
from glance_ontap_store.tests.fakes.cinder import FakeCinder
from glance_ontap_store.tests.fakes.cinder import VolumeType
from glance_ontap_store.tests.fakes.clock import FakeClock
from glance_ontap_store.tests.fakes.exports import Exports
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import FakeOwners
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.mounter import FakeMounter
from glance_ontap_store.tests.fakes.san import FakeKernel

TYPES = {
    "ontap-fv1": VolumeType("192.0.2.1:/fv1"),
    "ontap-fv2": VolumeType("192.0.2.1:/fv2", mount_options="-o vers=4.1"),
    "ontap-fv3": VolumeType("192.0.2.1:/fv3", room_gib=3),
    "ontap": VolumeType("192.0.2.1:/fv1", is_pinned=False),
    "elsewhere": VolumeType("192.0.2.1:/fv1", is_pinned=False, backend="other"),
    "private": VolumeType("192.0.2.1:/fv1", is_private=True),
    "encrypted": VolumeType("192.0.2.1:/fv1", is_encrypted=True),
    "qcow2": VolumeType("192.0.2.1:/fv1", is_qcow2=True),
    "multiattach": VolumeType("192.0.2.1:/fv1", is_multiattach=True),
    "broken": VolumeType("192.0.2.1:/fv1", defect="The array said no"),
    "az2": VolumeType("192.0.2.1:/fv1", zone="az2"),
    "rbd": VolumeType("192.0.2.1:/fv1", protocol="rbd"),
    "ontap-lun1": VolumeType("lun1", backend="iscsi", protocol="iscsi"),
    "ontap-fc1": VolumeType("fc1", backend="fc", protocol="fibre_channel"),
    "ontap-nvme1": VolumeType("nvme1", backend="nvme", protocol="nvmeof"),
    "ontap-shared1": VolumeType(
        "shared1", backend="iscsi", protocol="iscsi", is_multiattach=True
    ),
}

WAITS = WaitPolicy(state_transition_s=300, attach_s=120, delete_s=10)

PROJECT_OPTIONS = {
    "ontap_store_auth_address": "http://keystone.example.com/v3",
    "ontap_store_user_name": "glance",
    "ontap_store_password": "s3cret",
    "ontap_store_project_name": "images",
}


class FakeCloud:
    """One Cinder and one host; any number of stores."""

    def __init__(
        self, directory: pathlib.Path, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._monkeypatch = monkeypatch
        self.directory = directory
        # The directory of the directories that stand for FlexVols.
        self.root = root
        self.base = str(directory / "mnt")
        self.clock = FakeClock()
        self.cinder = FakeCinder(self.clock, Exports(root), TYPES, "ontap-fv1")
        # The stores' Cinder; a test can make its calls fail.
        self.volumes = Faulty(self.cinder)
        self.mounter = FakeMounter(self.base, root)
        self.mounts = Mounts(self.base, self.mounter)
        self.kernel = FakeKernel(self.cinder, root)
        # os-brick; a test may put something before the kernel.
        self.connector: Any = self.kernel
        self.processes = Processes(self.base)
        self._journals: dict[str | None, Journal] = {}
        self.built: list[Settings] = []
        self.owners = FakeOwners()

    def attacher(
        self,
        transport: Transport | None = None,
        mount_options: str = "",
        in_background: bool = False,
    ) -> Attacher:
        """This host's attacher; *transport* None means NFS over the fake mounts."""
        transport = transport or self._transports(mount_options)
        return Attacher(self.waiting_volumes(), FakeHost(), transport, in_background)

    def _transports(self, mount_options: str = "") -> Transports:
        return backend.transports_over(
            NfsTransport(self.mounts, mount_options),
            BlockTransport(
                self.connector, self.kernel.sysfs, self.kernel.open, self.clock
            ),
        )

    def waiting_volumes(
        self, waits: WaitPolicy = WAITS, store_id: str | None = "fv1"
    ) -> Volumes:
        """The volumes of a store with these waits."""
        journal = self.journal(store_id)
        connections = HostConnections(
            journal, self.volumes, self._transports(), self.kernel.sysfs
        )
        return Volumes(self.volumes, self.clock, waits, journal, connections)

    def another_process(self) -> "FakeCloud":
        """The same cloud, for another process of this host.

        It dies with ``processes.close()``.
        """
        other = copy.copy(self)
        other.processes = Processes(self.base)
        other._journals = {}
        return other

    def recovery(self, store_id: str | None = "fv1") -> StoreRecovery:
        """The recovery of a store in this process."""
        return StoreRecovery(self.waiting_volumes(store_id=store_id))

    def journal(self, store_id: str | None = "fv1") -> Journal:
        """The journal of this process for a store."""
        if store_id not in self._journals:
            self._journals[store_id] = Journal(self.processes, store_id)
        return self._journals[store_id]

    def build(self, settings: Settings) -> Backend:
        """`backend.build`, over the fakes."""
        self.built.append(settings)
        volumes = self.waiting_volumes(backend.wait_policy(settings), settings.store_id)
        recovery = StoreRecovery(volumes)
        return Backend(
            settings,
            backend.lifecycle(
                settings,
                volumes,
                self.attacher(mount_options=settings.nfs_mount_options),
                recovery.free,
            ),
            self.owners,
            volumes,
            lambda requester: self.volumes,
            Member(recovery, settings.recovery_interval_s, self.mounts.clean_up),
        )

    def lifecycle(
        self,
        store_id: str | None = "fv1",
        volume_type: str | None = "ontap-fv1",
        attacher: Any = None,
        waits: WaitPolicy = WAITS,
        thin_upload: bool = True,
        availability_zone: str | None = None,
        running: Transfers | None = None,
        linger_s: float = 0,
        in_background: bool = False,
    ) -> Lifecycle:
        """The image-volumes of one store."""
        volumes = self.waiting_volumes(waits, store_id)
        attacher = attacher or self.attacher(in_background=in_background)
        free = StoreRecovery(volumes).free
        return Lifecycle(
            store_id,
            volume_type,
            volumes,
            Reading(volumes, attacher, free, volume_type),
            StreamFiller(attacher, thin_upload),
            availability_zone,
            running,
            free=free,
            linger_s=linger_s,
            in_background=in_background,
        )

    def configure(
        self,
        enabled: Mapping[str, str],
        options: Mapping[str, Mapping[str, Any]],
    ) -> cfg.ConfigOpts:
        """Load stores as glance-api does at start, by ``enabled_backends``.

        *options*: group -> option -> value; they are read from a file.
        """
        path = self.directory / "glance-api.conf"
        lines = [
            "[DEFAULT]",
            "enabled_backends = " + ",".join(f"{k}:{v}" for k, v in enabled.items()),
        ]
        for group, values in options.items():
            lines.append(f"[{group}]")
            lines.extend(f"{name} = {value}" for name, value in values.items())
        path.write_text("\n".join(lines) + "\n")
        conf = cfg.ConfigOpts()
        conf.register_opts([cfg.DictOpt("enabled_backends")])
        conf(["--config-file", str(path)], project="glance")
        self._monkeypatch.setattr(Store, "build", staticmethod(self.build))
        # A test recovers when it wants to: `Store.stores.rounds.work`.
        self._monkeypatch.setattr(Store, "stores", backend.Stores(recovers=False))
        self._monkeypatch.setattr(location, "SCHEME_TO_CLS_BACKEND_MAP", {})
        self._monkeypatch.setattr(multi_backend, "CONF", conf)
        multi_backend.register_store_opts(conf)
        multi_backend.create_multi_stores(conf)
        return conf

    def rig(self, store_id: str = "fv1", **options: Any) -> "FakeRig":
        """One store named *store_id* of volume type ``ontap-<store_id>``."""
        self.configure(
            {store_id: "ontap"},
            {
                store_id: {
                    **PROJECT_OPTIONS,
                    "ontap_volume_type": f"ontap-{store_id}",
                    "ontap_mount_point_base": self.base,
                    **options,
                }
            },
        )
        return FakeRig(self, store_id)

    def holdings(self) -> set[str]:
        mounts = {f"mount {each}" for each in self.mounter.mounted()}
        devices = {f"device {each}" for each in self.kernel.devices}
        return self.cinder.holdings() | mounts | devices


class FakeRig:
    """`conformance.store.Rig` over a `FakeCloud`."""

    def __init__(self, cloud: FakeCloud, store_id: str) -> None:
        self._cloud = cloud
        self.store_id = store_id
        self.store = multi_backend.get_store_from_store_identifier(store_id)
        self._volume_type = f"ontap-{store_id}"
        self.has_devices = TYPES[self._volume_type].protocol != "nfs"

    def location(self, uri: str) -> Any:
        return location.get_location_from_uri_and_backend(
            uri, self.store_id, conf=self.store.conf
        )

    def holdings(self) -> set[str]:
        # A thread lets the volume go a moment after Cinder has detached it; a clock
        # whose time passes only in sleeps gives it no time for that.
        reading = self.store._backend.images._leases._table
        return self._cloud.holdings() | {f"reader of {each}" for each in tuple(reading)}

    def file_of(self, volume_id: str) -> str:
        return self._cloud.cinder.path_of(volume_id)

    def volume(self, volume_id: str) -> Volume:
        return self._cloud.cinder.get(volume_id)

    def settle(self) -> None:
        self._cloud.clock.sleep(60)

    def make_volume(self, metadata: dict[str, str]) -> str:
        new = NewVolume("foreign", 1, self._volume_type, metadata)
        made = self._cloud.cinder.create(new)
        self.settle()
        return made.id

    def set_metadata(self, volume_id: str, metadata: dict[str, str]) -> None:
        self._cloud.cinder.set_metadata(volume_id, metadata)

    def drop_metadata(self, volume_id: str, *keys: str) -> None:
        self._cloud.cinder.drop_metadata(volume_id, *keys)

    def remove_volume(self, volume_id: str) -> None:
        self._cloud.cinder.delete(volume_id)
        self.settle()
        with contextlib.suppress(errors.ImageVolumeGone):
            raise AssertionError(f"{self._cloud.cinder.get(volume_id)} is not gone")

    @contextlib.contextmanager
    def held(self, volume_id: str) -> Iterator[None]:
        connector = FakeHost().connector
        attachment = self._cloud.cinder.attach(volume_id, connector, "ro")
        self._cloud.cinder.complete(attachment.id)
        yield
        self._cloud.cinder.detach(attachment.id)

    @contextlib.contextmanager
    def with_snapshot(self, volume_id: str) -> Iterator[None]:
        snapshot_id = self._cloud.cinder.take_snapshot(volume_id)
        yield
        self._cloud.cinder.drop_snapshot(volume_id, snapshot_id)
