# SPDX-License-Identifier: Apache-2.0
"""The interface of a storage protocol: how an attached volume becomes a device."""

from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Any
from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.transfer.device import Device


@dataclasses.dataclass(frozen=True)
class Access:
    """The rights by which this host opened a volume that is a file.

    *owner* and *group* are numeric ids, and *mode* has the nine bits of permissions.
    """

    owner: int
    group: int
    mode: int
    # The helper opened the file as its owner, because Glance's user may not.
    through_helper: bool


class OpenVolume(Device, Protocol):
    """An attached volume, open on this host."""

    def access(self) -> Access | None:
        """Return by which rights the volume was opened; None if it is not a file."""

    def holds_qcow2(self) -> bool:
        """Return whether the volume's content begins with the qcow2 magic.

        A volume that Cinder keeps as a qcow2 file begins so, and so does a raw
        volume that holds a qcow2 image.
        """


class Attached(Protocol):
    """The attachment of a volume that a transport opens.

    While the host is connected to the volume, Cinder must not delete the attachment:
    the array would give the volume's number on the target to another volume, and what
    is written to the host's old device would land there. So a transport that connects
    the host says so before and after.
    """

    @property
    def volume_id(self) -> str:
        """The id of the volume."""

    @property
    def is_connected(self) -> bool:
        """Whether the host may be connected by this attachment."""

    def length(self, found: int) -> int:
        """Return the volume's length in bytes, which that of its device has to be.

        What Cinder said before is enough if it is *found*, the device's length. If it
        is not, Cinder is asked: the volume may have grown since then.
        """

    def extend(self, size_gib: int) -> None:
        """Extend the attached volume in Cinder; return when that is done.

        :raises errors.NoSpace: no pool or quota has room
        """

    def connecting(self, protocol: str) -> None:
        """Write down that the host is about to connect to the volume.

        :raises errors.Misconfigured: it cannot be written down: do not connect
        """

    def connected(self, device: str) -> None:
        """Write down the identity of the device that the host has for it.

        :raises errors.Misconfigured: it cannot be written down
        """

    def others(self, device: str, alive: bool = False) -> list[str]:
        """Return the ids of volumes for which this host holds the same device.

        They are those of other attachments. That of this volume itself is among them
        only if the process that attached it may live; with *alive* that is so of all.

        :raises errors.Misconfigured: the journals of this host cannot be read
        """

    def disconnected(self) -> None:
        """The host is not connected to the volume any more, or not by this."""


class Transport(Protocol):
    """Opens volumes that Cinder offers over one protocol, such as NFS."""

    def opened(
        self, info: Mapping[str, Any], mode: str, attached: Attached | None = None
    ) -> contextlib.AbstractContextManager[OpenVolume]:
        """Open the volume that *info* describes, until the block ends.

        *info* is the ``connection_info`` of an attachment, *mode* is ``ro`` or
        ``rw``. *attached* is the attachment; None: the volume is not attached, which
        is possible only in a place that `beside` has told.

        :raises errors.Misconfigured: the store does not support the protocol, or
            this host is not set up for it
        :raises errors.Broken: *info* is not accepted, or the volume cannot be reached
            or opened
        :raises errors.WriteDenied: this host may not open the volume
        """

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        """Return the ``connection_info`` of *other_id* in the same place, or None.

        *info* describes *volume_id*. The result describes *other_id* as if it were
        attached too; it says nothing about whether that volume exists. None means
        that *info* does not tell where other volumes of its place are.

        :raises errors.Misconfigured: the store does not support the protocol
        """

    def disconnect(self, info: Mapping[str, Any]) -> None:
        """Disconnect the host from the volume, which nobody has open on it any more.

        Nothing happens where the host is not connected.

        :raises errors.StillConnected: it may be connected yet
        """


class Transports:
    """A `Transport` for several protocols, by Cinder's ``driver_volume_type``."""

    def __init__(self, by_protocol: Mapping[str, Transport]) -> None:
        self._by_protocol = by_protocol

    def opened(
        self, info: Mapping[str, Any], mode: str, attached: Attached | None = None
    ) -> contextlib.AbstractContextManager[OpenVolume]:
        """Open the volume, as `Transport.opened` does."""
        return self._chosen(info).opened(info, mode, attached)

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        """Return the other volume's ``connection_info``, as `Transport.beside`."""
        return self._chosen(info).beside(info, volume_id, other_id)

    def disconnect(self, info: Mapping[str, Any]) -> None:
        """Disconnect the host, as `Transport.disconnect`."""
        self._chosen(info).disconnect(info)

    def _chosen(self, info: Mapping[str, Any]) -> Transport:
        if not isinstance(info, Mapping):
            raise errors.Broken(
                "Cinder's answer has no connection information for the image-volume,"
                f" but {info!r:.80}. Is there a proxy between? Check the endpoint in"
                " Keystone's catalog."
            )
        protocol = info.get("driver_volume_type")
        if not isinstance(protocol, str) or protocol not in self._by_protocol:
            supported = ", ".join(sorted(self._by_protocol))
            raise errors.Misconfigured(
                f"Cinder offers the image-volume over {protocol!r}; this release of"
                f" the store supports {supported}. Set ontap_volume_type to a type of"
                " a NetApp back end with one of these."
            )
        return self._by_protocol[protocol]
