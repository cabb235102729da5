# SPDX-License-Identifier: Apache-2.0
"""The fakes pass the contracts that the real adapters pass."""

from collections.abc import Iterator
import contextlib

import pytest

from glance_ontap_store.tests.conformance.device import DeviceContract
from glance_ontap_store.tests.conformance.mounts import MounterContract
from glance_ontap_store.tests.conformance.mounts import MountsContract
from glance_ontap_store.tests.conformance.operator import OperatorContract
from glance_ontap_store.tests.conformance.store import StoreContract
from glance_ontap_store.tests.conformance.volume_service import VolumeServiceContract
from glance_ontap_store.tests.fakes.cinder import FakeCinder
from glance_ontap_store.tests.fakes.cinder import FakeOperator
from glance_ontap_store.tests.fakes.clock import FakeClock
from glance_ontap_store.tests.fakes.cloud import TYPES
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.exports import Exports
from glance_ontap_store.tests.fakes.exports import on_another_file_system
from glance_ontap_store.tests.fakes.exports import remove
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.mounter import FakeMounter


class TestFakeCinder(VolumeServiceContract):
    volume_type = "ontap-fv1"
    unpinned_type = "ontap"
    full_volume_type = "ontap-fv3"

    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def volumes(self, clock, tmp_path):
        return FakeCinder(clock, Exports(str(tmp_path)), TYPES, "ontap-fv1")

    @pytest.fixture
    def connector(self):
        return FakeHost().connector

    @contextlib.contextmanager
    def full_quota(self, volumes: FakeCinder) -> Iterator[None]:
        before, volumes.quota_gib = volumes.quota_gib, 0
        yield
        volumes.quota_gib = before

    @contextlib.contextmanager
    def snapshot(self, volumes: FakeCinder, volume_id: str) -> Iterator[None]:
        snapshot_id = volumes.take_snapshot(volume_id)
        yield
        volumes.drop_snapshot(volume_id, snapshot_id)


class TestFakeOperator(OperatorContract):
    other_pool = "192.0.2.1:/fv2"

    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def volumes(self, clock, tmp_path):
        return FakeCinder(clock, Exports(str(tmp_path)), TYPES, "ontap-fv1")

    @pytest.fixture
    def operator(self, volumes):
        return FakeOperator(volumes)


class TestMemoryDevice(DeviceContract):
    @pytest.fixture
    def device(self):
        return MemoryDevice()


class _Links:
    """Mount points that are symbolic links into another file system."""

    @pytest.fixture
    def base(self, tmp_path):
        return str(tmp_path / "mnt")

    @pytest.fixture
    def root(self, tmp_path):
        root = on_another_file_system(tmp_path)
        yield root
        remove(root)

    @pytest.fixture
    def export(self):
        return "192.0.2.1:/fv1"

    @pytest.fixture
    def other_export(self):
        return "192.0.2.1:/fv2"

    @pytest.fixture
    def mounter(self, base, root):
        self._root = root
        return FakeMounter(base, root)

    def is_mounted(self, mounter, export):
        return mounter.mount_point(export).rpartition("/")[2] in mounter.mounted()


class TestFakeMounter(_Links, MounterContract):
    pass


class TestMountsOverFakeMounter(_Links, MountsContract):
    other_imports = "from glance_ontap_store.tests.fakes import mounter"

    def other_mounter(self, base):
        return f"mounter.FakeMounter({base!r}, {self._root!r})"


class TestStoreOverFakes(StoreContract):
    @pytest.fixture
    def rig(self, cloud):
        return cloud.rig("fv1")


class TestStoreOverFakesOnBlockDevices(StoreContract):
    """The same store, whose volumes are LUNs or namespaces."""

    @pytest.fixture(params=["lun1", "fc1", "nvme1"])
    def rig(self, cloud, request):
        return cloud.rig(request.param)
