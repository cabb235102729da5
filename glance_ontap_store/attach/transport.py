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


class Transport(Protocol):
    """Opens volumes that Cinder offers over one protocol, such as NFS."""

    def opened(
        self, info: Mapping[str, Any], mode: str
    ) -> contextlib.AbstractContextManager[OpenVolume]:
        """Open the volume that *info* describes, until the block ends.

        *info* is the ``connection_info`` of an attachment, *mode* is ``ro`` or
        ``rw``.

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


class Transports:
    """A `Transport` for several protocols, by Cinder's ``driver_volume_type``."""

    def __init__(self, by_protocol: Mapping[str, Transport]) -> None:
        self._by_protocol = by_protocol

    def opened(
        self, info: Mapping[str, Any], mode: str
    ) -> contextlib.AbstractContextManager[OpenVolume]:
        """Open the volume, as `Transport.opened` does."""
        return self._chosen(info).opened(info, mode)

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        """Return the other volume's ``connection_info``, as `Transport.beside`."""
        return self._chosen(info).beside(info, volume_id, other_id)

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
                " a NetApp NFS back end."
            )
        return self._by_protocol[protocol]
