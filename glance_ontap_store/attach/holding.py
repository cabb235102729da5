# SPDX-License-Identifier: Apache-2.0
"""One attachment of this host, from its reservation to its deletion."""

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.liveness.journal import Entry
from glance_ontap_store.liveness.journal import Handle
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate


class Holding:
    """`transport.Attached`, and whether the attachment may be deleted.

    *handle* is its entry in the journal. The id is known when `told` was called.
    *size_gib* is the volume's size as Cinder told it before, None if it did not.
    """

    def __init__(
        self,
        volumes: Volumes,
        volume_id: str,
        handle: Handle,
        size_gib: int | None = None,
    ) -> None:
        self._volumes = volumes
        self._volume_id = volume_id
        self._size_gib = size_gib
        self._handle = handle
        self._protocol: str | None = None
        self._is_connected = False
        self.attachment_id: str | None = None

    @property
    def volume_id(self) -> str:
        """The id of the volume."""
        return self._volume_id

    @property
    def is_connected(self) -> bool:
        """Whether the host may be connected by this attachment."""
        return self._is_connected

    def told(self, attachment_id: str) -> None:
        """Take the id of the attachment; of a second one, the first was taken back."""
        self.attachment_id = attachment_id
        self._handle.complete(attachment_id)

    def length(self, found: int) -> int:
        """As `Attached.length`."""
        if self._size_gib is not None and self._size_gib * units.GIB == found:
            return found
        return self._volumes.steadfast.get(self._volume_id).size_gib * units.GIB

    def extend(self, size_gib: int) -> None:
        """As `Attached.extend`."""
        self._volumes.extend_attached(self._volume_id, size_gib)

    def connecting(self, protocol: str) -> None:
        """As `Attached.connecting`."""
        self._handle.connect(protocol)
        self._protocol = protocol
        self._is_connected = True

    def connected(self, device: str) -> None:
        """As `Attached.connected`."""
        self._handle.connect(self._protocol, device)

    def others(self, device: str, alive: bool = False) -> list[str]:
        """As `Attached.others`."""
        return [
            entry.thing.volume_id
            for entry in self._volumes.journal.attachings()
            if isinstance(entry.thing, Attaching)
            and entry.thing.device == device
            and entry.thing.attachment_id != self.attachment_id
            and self._is_rival(entry, entry.thing, alive)
        ]

    def _is_rival(self, entry: Entry, thing: Attaching, alive: bool) -> bool:
        """Return whether the device must not be shared with that attachment.

        A dead process has it no more: if it had the same volume, it is the device.
        """
        if thing.volume_id != self._volume_id and not alive:
            return True
        processes = self._volumes.journal.processes
        mark = Mark(processes.own().base_id, entry.token)
        return processes.fate(mark) is not Fate.DEAD

    def disconnected(self) -> None:
        """As `Attached.disconnected`."""
        self._is_connected = False

    def detach(self) -> None:
        """Delete the attachment.

        :raises errors.StillConnected: the host is connected yet, so it stays
        :raises errors.StoreError: as `Volumes.detach`
        """
        if self._is_connected:
            raise errors.StillConnected(
                f"Attachment {self.attachment_id} stays in Cinder, because this host"
                " has the device of the volume yet. Recovery tries again; see"
                " glance-ontap sweep. Do not delete the attachment by hand before the"
                " device is gone: another volume would get its place on the target."
            )
        if self.attachment_id is not None:
            self._volumes.detach(self.attachment_id)
