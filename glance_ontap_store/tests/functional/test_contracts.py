# SPDX-License-Identifier: Apache-2.0
"""The contracts of the fakes, run by the real adapters."""

from collections.abc import Iterator
import contextlib
import os
from typing import Any
import uuid

from glance_store import location
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.identity import session_for
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.tests.conformance.device import DeviceContract
from glance_ontap_store.tests.conformance.mounts import MounterContract
from glance_ontap_store.tests.conformance.mounts import MountsContract
from glance_ontap_store.tests.conformance.operator import OperatorContract
from glance_ontap_store.tests.conformance.store import StoreContract
from glance_ontap_store.tests.conformance.volume_service import VolumeServiceContract
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.transfer import buffers
from lab import stores
from lab import svms
from lab.polling import wait_until

# What tells a host where a volume is.
CONNECTION_KEYS = {
    "nfs": ("export", "name"),
    "iscsi": ("target_iqn", "target_portal", "target_lun"),
    "fc": ("target_wwn", "target_lun"),
    "nvme": ("target_nqn", "portals", "vol_uuid"),
}


@pytest.fixture
def base() -> str:
    """A base of mounts for this test alone."""
    return stores.new_base()


@pytest.mark.shared
class TestCinder(VolumeServiceContract):
    volume_type = "ontap-fv1"
    unpinned_type = "ontap"
    # The scheduler bounds even thin volumes to 20 times the FlexVol.
    full_volume_type = "ontap-fv3"

    @pytest.fixture(autouse=True)
    def place(self, lab: Any, admin: Any) -> None:
        self._admin = admin
        self.connection_keys = ("driver_volume_type", *CONNECTION_KEYS[lab.protocol])

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def volumes(self) -> CinderClient:
        return stores.cinder("fv1")

    @pytest.fixture
    def connector(self) -> Any:
        return FakeHost().connector

    @contextlib.contextmanager
    def full_quota(self, _volumes: Any) -> Iterator[None]:
        project = self._admin.identity.find_project("service")
        used = direct.used_gib(self._admin, project.id)
        with direct.quota(self._admin, project.id, gigabytes=used):
            yield

    @contextlib.contextmanager
    def snapshot(self, _volumes: Any, volume_id: str) -> Iterator[None]:
        with direct.snapshot("fv1", volume_id):
            yield

    @pytest.mark.exclusive
    def test_a_full_quota_is_lack_of_space(self, volumes: Any, make: Any) -> None:
        super().test_a_full_quota_is_lack_of_space(volumes, make)

    @pytest.mark.exclusive
    def test_extending_over_the_quota_is_lack_of_space(
        self, volumes: Any, make: Any
    ) -> None:
        super().test_extending_over_the_quota_is_lack_of_space(volumes, make)


class _AsRequester(TestCinder):
    """With a user's token beside the store's."""

    @pytest.fixture
    def volumes(self) -> CinderClient:
        return direct.requesters_volumes("alice")

    @contextlib.contextmanager
    def full_quota(self, _volumes: Any) -> Iterator[None]:
        project = self._admin.identity.find_project("acme")
        used = direct.used_gib(self._admin, project.id)
        with direct.quota(self._admin, project.id, gigabytes=used):
            yield

    @contextlib.contextmanager
    def snapshot(self, _volumes: Any, volume_id: str) -> Iterator[None]:
        with direct.snapshot_as(direct.cloud_of("alice"), volume_id):
            yield


@pytest.mark.long
class TestCinderAsRequester(_AsRequester):
    pass


@pytest.mark.long
class TestCinderForRequesters(_AsRequester):
    """Alice creates the volumes, and the store has every right over them."""

    @pytest.fixture
    def volumes(self) -> Any:
        theirs = direct.requesters_volumes("alice")

        class Both(CinderClient):
            def create(self, new: NewVolume) -> Volume:
                return theirs.create(new)

        settings = stores.settings("own")
        return Both(settings, session_for(settings))


@pytest.mark.shared
@pytest.mark.exclusive
class TestOperator(OperatorContract):
    """An administrator's Cinder."""

    @pytest.fixture(autouse=True)
    def place(self, lab: Any) -> None:
        self.other_pool = svms.FIRST.by(lab.protocol).pool("/fv2")

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def volumes(self) -> CinderClient:
        return stores.cinder("fv1")

    @pytest.fixture
    def operator(self, admin: Any) -> CinderClient:
        return CinderClient(stores.settings("fv1"), admin.session)


@pytest.mark.nfs_only("a device that is a file; test_block_devices has LUNs")
class TestFileDevice(DeviceContract):
    """On a FlexVol's own file system."""

    @pytest.fixture
    def device(self, lab: Any) -> Iterator[FileDevice]:
        path = os.path.join(lab.flexvol("fv1"), f"contract-{uuid.uuid4()}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        yield FileDevice(fd, path)
        os.close(fd)
        os.unlink(path)


class _Exports:
    """The lab's exports, mounted by os-brick and the privileged helper."""

    @pytest.fixture
    def base(self) -> str:
        return stores.new_base()

    @pytest.fixture
    def export(self) -> str:
        return "127.0.0.1:/fv1"

    @pytest.fixture
    def other_export(self) -> str:
        return "127.0.0.1:/fv2"

    @pytest.fixture
    def mounter(self, lab: Any, base: str) -> NfsMounter:
        stores.prepare_privileges(lab)
        os.makedirs(base, exist_ok=True)
        return NfsMounter(base)

    @pytest.fixture(autouse=True)
    def tidy(self, lab: Any) -> Iterator[None]:
        before = {name: set(lab.flexvol(name).iterdir()) for name in ("fv1", "fv2")}
        yield
        for name, files in before.items():
            for path in set(lab.flexvol(name).iterdir()) - files:
                path.unlink()

    def is_mounted(self, mounter: NfsMounter, export: str) -> bool:
        point = mounter.mount_point(export)
        return point in direct.mounted_below(os.path.dirname(point))


@pytest.mark.nfs_only("mounts")
class TestNfsMounter(_Exports, MounterContract):
    def test_the_options_reach_the_mount(
        self, mounter: NfsMounter, export: str
    ) -> None:
        """The lab's mount.nfs knows one option that can be seen in a bind mount."""
        mounter.mount(export, "ro,nconnect=8")
        try:
            flags = os.statvfs(mounter.mount_point(export)).f_flag
            assert flags & os.ST_RDONLY
        finally:
            mounter.unmount(export)

    @pytest.mark.parametrize("options", ["bind", "vers=3,remount", "vers=3 4"])
    def test_the_helper_refuses_other_options(
        self, mounter: NfsMounter, export: str, options: str
    ) -> None:
        with pytest.raises(errors.Broken, match="not an option of NFS"):
            mounter.mount(export, options)
        assert not self.is_mounted(mounter, export)


@pytest.mark.nfs_only("mounts")
class TestMounts(_Exports, MountsContract):
    other_imports = (
        "from lab import stores\n"
        "from lab.client import Lab\n"
        "from glance_ontap_store.attach.nfs.mounter import NfsMounter\n"
        "stores.prepare_privileges(Lab.from_facts())"
    )

    def other_mounter(self, base: str) -> str:
        return f"NfsMounter({base!r})"


class Rig:
    """`conformance.store.Rig` over the lab."""

    store_id = "fv1"

    def __init__(self, lab: Any, admin: Any, base: str) -> None:
        self._lab = lab
        self.has_devices = lab.protocol != "nfs"
        self.store = stores.make_store(lab, mount_point_base=base)
        self._volumes = stores.cinder(self.store_id)
        self._leftovers = Leftovers(lab, admin, base)

    def location(self, uri: str) -> location.Location:
        return location.Location(
            "cinder", StoreLocation, None, uri=uri, backend=self.store_id
        )

    def holdings(self) -> set[str]:
        self.settle()
        now = self._leftovers.now()
        del now["files"]
        return {f"{kind} {name}" for kind, found in now.items() for name in found}

    def file_of(self, volume_id: str) -> str:
        return os.path.join(self._lab.flexvol("fv1"), f"volume-{volume_id}")

    def volume(self, volume_id: str) -> Volume:
        return self._volumes.get(volume_id)

    def settle(self) -> None:
        """Wait for deletions, which Cinder does after the store has returned."""

        def is_settled() -> bool:
            return not any(
                volume["status"] == "deleting"
                for volume in direct.owner(self.store_id)
                .block_storage.get("/volumes/detail")
                .json()["volumes"]
            )

        wait_until(is_settled, "Cinder has deleted what it should")

    def make_volume(self, metadata: dict[str, str]) -> str:
        made = self._volumes.create(NewVolume("foreign", 1, "ontap-fv1", metadata))
        clock = SystemClock()
        return waiting.settled(self._volumes, clock, made, 0.2, 60).id

    def set_metadata(self, volume_id: str, metadata: dict[str, str]) -> None:
        self._volumes.set_metadata(volume_id, metadata)

    def drop_metadata(self, volume_id: str, *keys: str) -> None:
        storage = direct.owner(self.store_id).block_storage
        for key in keys:
            storage.delete(f"/volumes/{volume_id}/metadata/{key}")

    def remove_volume(self, volume_id: str) -> None:
        self._volumes.delete(volume_id)

        def is_gone() -> bool:
            try:
                self._volumes.get(volume_id)
            except errors.ImageVolumeGone:
                return True
            return False

        wait_until(is_gone, f"volume {volume_id} is deleted")

    @contextlib.contextmanager
    def held(self, volume_id: str) -> Iterator[None]:
        attachment_id = self._volumes.reserve(volume_id, "ro")
        self._volumes.connect(volume_id, attachment_id, FakeHost().connector)
        self._volumes.complete(attachment_id)
        yield
        self._volumes.detach(attachment_id)

    @contextlib.contextmanager
    def with_snapshot(self, volume_id: str) -> Iterator[None]:
        with direct.snapshot(self.store_id, volume_id):
            yield


class TestStore(StoreContract):
    # Larger sizes go through Glance's API in images.
    sizes = (1, buffers.BLOCK, 2 * buffers.BLOCK + 12_345, GIB + 1)

    @pytest.fixture
    def rig(self, lab: Any, admin: Any, base: str) -> Rig:
        return Rig(lab, admin, base)
