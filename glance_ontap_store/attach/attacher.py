# SPDX-License-Identifier: Apache-2.0
"""Attaches volumes to this host: everything acquired, and undone in reverse order."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store import units
from glance_ontap_store.attach.transport import OpenVolume
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes

LOG = logging.getLogger(__name__)


class Host(Protocol):
    """This host, as Cinder must know it to let it connect."""

    @property
    def connector(self) -> Mapping[str, Any]:
        """The connector of an attachment."""


class Attacher:
    """Attaches volumes of one store to this host.

    If the process dies while a volume is attached, the attachment stays in Cinder.
    """

    def __init__(self, volumes: Volumes, host: Host, transport: Transport) -> None:
        self._volumes = volumes
        self._host = host
        self._transport = transport

    @contextlib.contextmanager
    def writable(self, volume: Volume) -> Iterator[OpenVolume]:
        """The new volume, open for writing. It must be raw and hold nothing.

        The device may be made longer than the volume (`Device.ensure`); Cinder is
        told of it after the detachment, since it extends no attached volume.

        :raises errors.Misconfigured: its type makes qcow2 files, or its
            protocol is not supported
        :raises errors.NoSpace: there is no room for the longer volume
        """
        with self._attached(volume.id, "rw", wait_s=0) as (_attachment, opened):
            if opened.holds_qcow2():
                raise errors.Misconfigured(
                    f"The volume type makes qcow2 files ({opened.name}), but an"
                    " image-volume must be raw. Set nfs_qcow2_volumes = false in that"
                    " back end of Cinder, or change ontap_volume_type."
                )
            yield opened
            with errors.writing(opened.name):
                needed_gib = units.gib_for(opened.length())
        if needed_gib > volume.size_gib:
            self._volumes.extend(volume, needed_gib)

    @contextlib.contextmanager
    def readable(
        self, volume_id: str, known_raw: bool, wait_s: float
    ) -> Iterator[OpenVolume]:
        """The volume, open for reading; other attachments are waited for *wait_s*.

        A volume that is not *known_raw* is asked about in Cinder: one that
        Cinder keeps as qcow2 cannot be served byte by byte.

        :raises errors.ImageVolumeInUse: others kept it attached for too long
        :raises errors.NotConnected: Cinder's driver does not connect it
        """
        with self._attached(volume_id, "ro", wait_s) as (attachment, opened):
            if not known_raw and opened.holds_qcow2():
                info = self._volumes.service.connection_info(attachment.id)
                # A raw volume may hold a qcow2 image: only Cinder knows which it is.
                if info.get("format") == "qcow2":
                    raise _qcow2(opened.name)
            yield opened

    @contextlib.contextmanager
    def beside(
        self, volume_id: str, neighbour_id: str, known_raw: bool
    ) -> Iterator[OpenVolume]:
        """The volume, open for reading in the place of its attached neighbour.

        Cinder's driver is not asked to connect it: it would look into an NFS volume
        that was made by cloning, whose format it does not record, and refuses the
        content of vmdk, vdi or vhd images. The volume is only reserved, so that it
        is not deleted meanwhile.

        :raises errors.NotConnected: no attachment of the neighbour tells the place
        :raises errors.ImageVolumeInUse: the volume's state permits no reservation
        """
        info = self._place(volume_id, neighbour_id)
        with contextlib.ExitStack() as stack:
            attachment_id = self._volumes.service.reserve(volume_id)
            self._detach_at_the_end(stack, volume_id, attachment_id)
            opened = stack.enter_context(self._transport.opened(info, "ro"))
            if not known_raw and opened.holds_qcow2():
                raise _qcow2(opened.name)
            LOG.debug("Volume %s opened as %s", volume_id, opened.name)
            yield opened

    def _place(self, volume_id: str, neighbour_id: str) -> Mapping[str, Any]:
        """The connection of *volume_id*, by what Cinder says of its neighbour."""
        for attachment_id in self._volumes.service.attachments(neighbour_id):
            info = self._volumes.service.connection_info(attachment_id)
            # Of an attachment that is only reserved Cinder tells the format at most.
            if "driver_volume_type" in info:
                found = self._transport.beside(info, neighbour_id, volume_id)
                if found is not None:
                    return found
        raise errors.NotConnected(
            f"No attachment of volume {neighbour_id} tells where volume {volume_id}"
            " lies."
        )

    @contextlib.contextmanager
    def _attached(
        self, volume_id: str, mode: str, wait_s: float
    ) -> Iterator[tuple[Attachment, OpenVolume]]:
        connector = self._host.connector
        with contextlib.ExitStack() as stack:
            attachment = self._volumes.attach(volume_id, connector, mode, wait_s)
            self._detach_at_the_end(stack, volume_id, attachment.id)
            info = attachment.connection_info
            opened = stack.enter_context(self._transport.opened(info, mode))
            self._volumes.service.complete(attachment.id)
            LOG.debug("Volume %s attached %s as %s", volume_id, mode, opened.name)
            yield attachment, opened

    def _detach_at_the_end(
        self, stack: contextlib.ExitStack, volume_id: str, attachment_id: str
    ) -> None:
        undo.always(
            stack,
            f"detach volume {volume_id}",
            lambda: self._volumes.service.detach(attachment_id),
        )


def _qcow2(name: str) -> errors.Broken:
    return errors.Broken(
        f"{name} is a qcow2 file, which holds the image in its own format. Set"
        " nfs_qcow2_volumes = false in that back end of Cinder and upload the image"
        " again."
    )
