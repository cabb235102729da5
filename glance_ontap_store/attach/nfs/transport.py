# SPDX-License-Identifier: Apache-2.0
"""Open volumes of NetApp's NFS drivers: files on an export."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any

from glance_ontap_store.attach.nfs import connection
from glance_ontap_store.attach.nfs import file
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.transport import Attached


class NfsTransport:
    """`transport.Transport` for volumes that are files on an NFS export.

    *mount_options* are the store's own, which replace those that Cinder gives.
    """

    def __init__(self, mounts: Mounts, mount_options: str = "") -> None:
        self._mounts = mounts
        self._mount_options = mount_options

    @contextlib.contextmanager
    def opened(
        self, info: Mapping[str, Any], mode: str, attached: Attached | None = None
    ) -> Iterator[FileDevice]:
        """Mount the export and open the volume's file until the block ends.

        :raises errors.Misconfigured: the directory of the mounts cannot be used
        :raises errors.Broken: the export or the file cannot be reached
        :raises errors.WriteDenied: this host may not open the file
        """
        found = connection.parse(info, self._mount_options)
        with file.opened(found, self._mounts, mode) as device:
            yield device

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        """Return *info* with the other volume's file name; None if that is unknown.

        Cinder names files after volumes, so the file of *volume_id* shows the form of
        the name. A migrated volume keeps its id, but its file has another name.
        """
        name = connection.parse(info, self._mount_options).name
        if volume_id not in name:
            return None
        return {**info, "name": name.replace(volume_id, other_id)}

    def disconnect(self, info: Mapping[str, Any]) -> None:
        """Do nothing: the kernel forgets the open files of a process that ends."""
