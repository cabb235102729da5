"""The fakes keep the contracts that the real adapters keep."""

from collections.abc import Iterator
import contextlib

import pytest

from glance_ontap_store.tests.conformance import device as device_contract
from glance_ontap_store.tests.conformance import mounts as mounts_contract
from glance_ontap_store.tests.conformance import store as store_contract
from glance_ontap_store.tests.conformance import volume_service
from glance_ontap_store.tests.fakes import cinder
from glance_ontap_store.tests.fakes import clock as clock_
from glance_ontap_store.tests.fakes import cloud as cloud_
from glance_ontap_store.tests.fakes import device as device_
from glance_ontap_store.tests.fakes import exports as exports_
from glance_ontap_store.tests.fakes import host
from glance_ontap_store.tests.fakes import mounter as mounter_


class TestFakeCinder(volume_service.VolumeServiceContract):
    volume_type = "ontap-fv1"
    full_volume_type = "ontap-fv3"

    @pytest.fixture
    def clock(self):
        return clock_.FakeClock()

    @pytest.fixture
    def volumes(self, clock, tmp_path):
        return cinder.FakeCinder(
            clock, exports_.Exports(str(tmp_path)), cloud_.TYPES, "ontap-fv1"
        )

    @pytest.fixture
    def connector(self):
        return host.FakeHost().connector

    @contextlib.contextmanager
    def full_quota(self, volumes: cinder.FakeCinder) -> Iterator[None]:
        before, volumes.quota_gib = volumes.quota_gib, 0
        yield
        volumes.quota_gib = before

    @contextlib.contextmanager
    def snapshot(self, volumes: cinder.FakeCinder, volume_id: str) -> Iterator[None]:
        snapshot_id = volumes.take_snapshot(volume_id)
        yield
        volumes.drop_snapshot(volume_id, snapshot_id)


class TestMemoryDevice(device_contract.DeviceContract):
    @pytest.fixture
    def device(self):
        return device_.MemoryDevice()


class _Links:
    """Mount points that are symbolic links into another file system."""

    @pytest.fixture
    def base(self, tmp_path):
        return str(tmp_path / "mnt")

    @pytest.fixture
    def root(self, tmp_path):
        root = exports_.on_another_file_system(tmp_path)
        yield root
        exports_.remove(root)

    @pytest.fixture
    def export(self):
        return "192.0.2.1:/fv1"

    @pytest.fixture
    def other_export(self):
        return "192.0.2.1:/fv2"

    @pytest.fixture
    def mounter(self, base, root):
        self._root = root
        return mounter_.FakeMounter(base, root)

    def is_mounted(self, mounter, export):
        return mounter.mount_point(export).rpartition("/")[2] in mounter.mounted()


class TestFakeMounter(_Links, mounts_contract.MounterContract):
    pass


class TestMountsOverFakeMounter(_Links, mounts_contract.MountsContract):
    other_imports = "from glance_ontap_store.tests.fakes import mounter"

    def other_mounter(self, base):
        return f"mounter.FakeMounter({base!r}, {self._root!r})"


class TestStoreOverFakes(store_contract.StoreContract):
    @pytest.fixture
    def rig(self, cloud):
        return cloud.rig("fv1")
