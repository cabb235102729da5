# SPDX-License-Identifier: Apache-2.0
"""Open volumes of NetApp's iSCSI, FC and NVMe drivers: block devices of this host.

The order is what keeps bytes where they belong. Before the first one: the host is
connected, the kernel asks the array once more what the device is, its identity and its
length are compared, and it is opened for this process alone. After the last one: it is
synced by its user, closed, and the host is disconnected; only then Cinder may delete
the attachment. If the array gave the volume's number to another volume before the
device is gone, the kernel would take the old device for the new volume.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store import units
from glance_ontap_store.attach.block import connection as block_connection
from glance_ontap_store.attach.block import identity
from glance_ontap_store.attach.block import opening
from glance_ontap_store.attach.block.brick import Connector
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.attach.block.connection import BlockConnection
from glance_ontap_store.attach.block.device import BlockDevice
from glance_ontap_store.attach.block.sysfs import Seen
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.transport import Attached
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.cinder.waiting import SystemClock

# Seconds in which a device gets its new length after the kernel was told of it.
_GROWTH_S = 15.0
# Path, whether it is written, and whether others may have it -> descriptor.
Opener = Callable[[str, bool, bool], int]


class BlockTransport:
    """`transport.Transport` for volumes that are LUNs or namespaces."""

    def __init__(
        self,
        connector: Connector,
        sysfs: Sysfs,
        opener: Opener = opening.open_device,
        clock: Clock | None = None,
    ) -> None:
        self._connector = connector
        self._sysfs = sysfs
        self._opener = opener
        self._clock = clock or SystemClock()

    @contextlib.contextmanager
    def opened(
        self, info: Mapping[str, Any], mode: str, attached: Attached | None = None
    ) -> Iterator[BlockDevice]:
        """Connect this host, and open the device until the block ends.

        :raises errors.Misconfigured: the volume is encrypted, or the journal cannot be
            written
        :raises errors.Broken: the host cannot be connected, or its device is not the
            volume's for certain
        :raises errors.StillConnected: the block ended, and the device is there yet
        :raises errors.ImageVolumeInUse: another process of this host uses the device
        """
        connection = block_connection.parse(info)
        if attached is None:
            raise errors.NotConnected(
                f"{connection.place} can be reached through its own attachment only."
            )
        with contextlib.ExitStack() as stack:
            found = self._connected(stack, connection, attached)
            seen = self._certain(connection, found, attached)
            name = f"{found.path} ({connection.place})"
            remedies = connection.remedies
            fd = self._open(found, seen, mode)
            undo.always(stack, f"close {name}", lambda: _close(fd, name, remedies))
            _check(fd, name, remedies, seen, attached.length(_length(fd)))

            def grow(size_gib: int) -> None:
                os.fsync(fd)
                attached.extend(size_gib)
                self._connector.extend(connection)
                wanted = size_gib * units.GIB
                waiting.until(self._clock, _GROWTH_S, lambda: _length(fd) == wanted)
                _check(fd, name, remedies, seen, wanted)

            yield BlockDevice(fd, name, remedies, grow, seen.unmaps_when_zeroed)

    def _connected(
        self,
        stack: contextlib.ExitStack,
        connection: BlockConnection,
        attached: Attached,
    ) -> Found:
        """The device; the host is disconnected when *stack* ends."""
        held: list[Found] = []
        process = os.getpid()

        def disconnect() -> None:
            if process != os.getpid():
                return  # After a fork, the device is the parent's.
            if attached.is_connected:
                self._connector.disconnect(connection, held[-1] if held else None)
                attached.disconnected()

        attached.connecting(connection.protocol)
        undo.always(stack, f"disconnect from {connection.place}", disconnect)
        held.append(self._connector.connect(connection))
        return held[-1]

    def _certain(
        self, connection: BlockConnection, found: Found, attached: Attached
    ) -> Seen:
        """What the kernel says of the device, if it can only be the volume's.

        :raises errors.Broken: it has the identity of another volume
        :raises errors.ImageVolumeInUse: another attachment of the volume has it
        """
        name = os.path.basename(os.path.realpath(found.path))
        self._connector.ask_again(self._sysfs.look(name).disks)
        seen = self._sysfs.look(name)
        ids = identity.known(found, seen)
        if len(ids) > 1:
            # Its user disconnects the host: without its paths, its map would stay.
            for one in sorted(ids):
                _leave_to(attached.others(one, alive=True), found, one, attached)
        device = identity.certain(connection, found, ids)
        if device is not None:
            # In this order: of two that connect at once, both see the other.
            attached.connected(device)
            _leave_to(attached.others(device), found, device, attached)
        return seen

    def _open(self, found: Found, seen: Seen, mode: str) -> int:
        """A descriptor of the device, which is this process's alone.

        Of a device that is read only, multipath-tools may have made devices of the
        image's partitions (kpartx); nobody writes to the image through them.
        """
        shared = mode == "ro" and seen.is_partitioned
        try:
            return self._opener(found.path, mode == "rw", shared)
        except errors.Broken as error:
            if self._sysfs.look(seen.name).is_path:
                raise errors.Misconfigured(
                    f"multipathd has taken {found.path}. Set ontap_use_multipath ="
                    " true, or exclude the array in multipath.conf."
                ) from error
            raise

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        """Return None: a LUN is reached by the map that its own attachment makes."""
        return None

    def disconnect(self, info: Mapping[str, Any]) -> None:
        """Disconnect this host from the volume, as `Connector.disconnect`."""
        self._connector.disconnect(block_connection.parse(info))


def _leave_to(
    others: Sequence[str], found: Found, device: str, attached: Attached
) -> None:
    """Leave the device to *others*, the volumes for which this host has it, if any.

    The attachment gives the place on the target up at once.

    :raises errors.Broken: another volume has it
    :raises errors.ImageVolumeInUse: another attachment of the volume has it
    """
    if others:
        attached.disconnected()
        raise identity.taken(found, device, attached.volume_id, others)


def _close(fd: int, name: str, remedies: errors.Remedies) -> None:
    with errors.writing(name, remedies):
        os.close(fd)


def _length(fd: int) -> int:
    return os.lseek(fd, 0, os.SEEK_END)


def _check(
    fd: int, name: str, remedies: errors.Remedies, seen: Seen, wanted: int
) -> None:
    """Refuse a device that is not the one that was looked at, or has another length.

    :raises errors.Broken: it is another one
    """
    status = os.fstat(fd)
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if seen.number is not None and seen.number != number:
        raise errors.Broken(
            f"{name} became another device while it was opened ({seen.number} and then"
            f" {number}). Try again."
        )
    length = _length(fd)
    if not length:
        # The kernel makes the device of a LUN that does not tell its capacity, too.
        raise errors.Broken(
            f"{name} has 0 bytes: its LUN or namespace is offline, or no path to it"
            " works. Nothing was read or written. A full FlexVol can take it offline."
            f" {remedies.failed}"
        )
    if length != wanted:
        raise errors.Broken(
            f"{name} has {length} bytes, and Cinder's volume {wanted}: it is the device"
            " of another volume, or does not have its new length yet. Nothing was"
            " read or written. See the log of this host's kernel (dmesg)."
        )
