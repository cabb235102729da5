# SPDX-License-Identifier: Apache-2.0
"""A fake Cinder whose volumes lie on the kernel's own NFS server and iSCSI target."""

import os
from typing import Any

from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.tests.fakes import cinder
from glance_ontap_store.tests.fakes.cinder import FakeCinder
from glance_ontap_store.tests.fakes.cinder import VolumeType
from glance_ontap_store.tests.fakes.exports import Exports
from glance_ontap_store.tests.kernel import iscsi
from glance_ontap_store.tests.kernel.iscsi import Array
from glance_ontap_store.tests.kernel.nfs import VERSIONS
from glance_ontap_store.tests.kernel.nfs import NfsServer

_LUNS = "luns"
_NFS = "nfs-4.2"
TYPES = {
    f"nfs-{version}": VolumeType("127.0.0.1:/large", mount_options=f"-o vers={version}")
    for version in VERSIONS
} | {"iscsi": VolumeType(_LUNS, backend="iscsi", protocol="iscsi")}


class _Directories(Exports):
    """Where the servers have the files of volumes."""

    def directory(self, export: str) -> str:
        if export == _LUNS:
            return str(iscsi.FILES)
        return str(NfsServer.path(export.partition(":/")[2], ""))


class KernelCinder(FakeCinder):
    """`FakeCinder` on a real clock; it maps and unmaps real LUNs."""

    def __init__(self, array: Array) -> None:
        super().__init__(SystemClock(), _Directories("/"), TYPES, _NFS, action_s=0.1)
        self._array = array
        # The volumes whose LUNs the host sees, and how it connects to them.
        self._seen: dict[str, dict[str, Any]] = {}

    def _make(self, *arguments: Any) -> cinder._Volume:
        volume = super()._make(*arguments)
        if self._is_block(volume):
            self._array.serve(_name(volume))
        return volume

    def _map(self, volume_id: str) -> None:
        super()._map(volume_id)
        if volume_id not in self._seen:
            self._seen[volume_id] = self._array.map(_name(self._find(volume_id)))

    def _block_connection(
        self, volume: cinder._Volume, protocol: str
    ) -> dict[str, Any]:
        return {**self._seen[volume.id], "encrypted": False}

    def detach(self, attachment_id: str) -> None:
        with self._lock:
            super().detach(attachment_id)
            for volume_id in set(self._seen) - set(self.luns.values()):
                del self._seen[volume_id]
                self._array.unmap(_name(self._find(volume_id)))

    def extend(self, volume_id: str, size_gib: int) -> None:
        with self._lock:
            super().extend(volume_id, size_gib)
            volume = self._find(volume_id)
            if self._is_block(volume):
                self._array.extend(_name(volume), size_gib)


def _name(volume: cinder._Volume) -> str:
    return os.path.basename(volume.path)
