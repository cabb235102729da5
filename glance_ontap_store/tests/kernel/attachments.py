# SPDX-License-Identifier: Apache-2.0
"""The attachments of an array's LUNs, as the store's attacher keeps them."""

from typing import Any

from glance_ontap_store.liveness.journal import Handle
from glance_ontap_store.tests.kernel import iscsi
from glance_ontap_store.tests.kernel.iscsi import Array
from glance_ontap_store.units import GIB


class Attachments:
    """All attachments of this host; it maps a LUN for each."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.living: list[LunAttachment] = []

    def attach(
        self, name: str, portals: tuple[str, ...] = iscsi.PORTALS
    ) -> "LunAttachment":
        """Map a LUN."""
        found = LunAttachment(self, self._array, name, portals)
        self.living.append(found)
        return found


class LunAttachment:
    """`transport.Attached` of a LUN; *info* is its ``connection_info``."""

    def __init__(
        self,
        attachments: Attachments,
        array: Array,
        name: str,
        portals: tuple[str, ...],
    ) -> None:
        self._attachments = attachments
        self._array = array
        self.volume_id = name
        self.is_connected = False
        self.device: str | None = None
        self.info: dict[str, Any] = array.map(name, portals)
        self._handle: Handle | None = None

    def write_down(self, handle: Handle, attachment_id: str) -> None:
        """Keep the attachment in a journal, too, as the store does."""
        handle.complete(attachment_id)
        self._handle = handle

    def length(self, _found: int) -> int:
        """As `Attached.length`."""
        return self._array.size_gib(self.volume_id) * GIB

    def extend(self, size_gib: int) -> None:
        """As `Attached.extend`."""
        self._array.extend(self.volume_id, size_gib)

    def connecting(self, protocol: str) -> None:
        """As `Attached.connecting`."""
        if self._handle is not None:
            self._handle.connect(protocol)
        self.is_connected = True

    def connected(self, device: str) -> None:
        """As `Attached.connected`."""
        if self._handle is not None:
            self._handle.connect("iscsi", device)
        self.device = device

    def others(self, device: str, alive: bool = False) -> list[str]:
        """As `Attached.others`; all that are written down are alive."""
        return [
            other.volume_id
            for other in self._attachments.living
            if other is not self and other.device == device
        ]

    def disconnected(self) -> None:
        """As `Attached.disconnected`."""
        self.is_connected = False

    def detach(self) -> None:
        """Unmap the LUN, as Cinder does when the attachment is deleted."""
        assert not self.is_connected, "the host has the device yet"
        self._attachments.living.remove(self)
        self.forget()

    def forget(self) -> None:
        """Unmap the LUN, whatever the host has; it knows nothing of it."""
        self._array.unmap(self.volume_id)
