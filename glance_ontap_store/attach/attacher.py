# SPDX-License-Identifier: Apache-2.0
"""Attaches volumes to this host, and detaches them in reverse order."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import os
import threading
from typing import Any
from typing import Protocol
from typing import TypeVar

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store import units
from glance_ontap_store.attach.block.connection import PROTOCOLS
from glance_ontap_store.attach.holding import Holding
from glance_ontap_store.attach.transport import OpenVolume
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Host(Protocol):
    """This host, as Cinder must know it to let it connect."""

    @property
    def connector(self) -> Mapping[str, Any]:
        """The connector of an attachment."""

    def forget(self) -> None:
        """Look at the host again at the next use, if it has no name for block volumes.

        Cinder's driver refused its connector.
        """


class Attacher:
    """Attaches volumes of one store to this host.

    If the process dies while a volume is attached, the attachment stays in Cinder, and
    recovery of another process releases it: by the journal, or by its mark.

    *in_background*: readers do not wait until Cinder knows that they have connected.
    """

    def __init__(
        self,
        volumes: Volumes,
        host: Host,
        transport: Transport,
        in_background: bool = False,
    ) -> None:
        self._volumes = volumes
        self._host = host
        self._transport = transport
        self._in_background = in_background

    @contextlib.contextmanager
    def writable(self, volume: Volume) -> Iterator[OpenVolume]:
        """The new volume, open for writing. It must be raw and hold nothing.

        The device may be made longer than the volume (`Device.ensure`). If it is a
        file, Cinder is told of it after the detachment, since its NFS drivers extend no
        attached volume. A block device grows with its volume.

        :raises errors.Misconfigured: its type makes qcow2 files, or its
            protocol is not supported
        :raises errors.NoSpace: there is no room for the longer volume
        """
        size_gib = volume.size_gib
        with self._attached(volume.id, "rw", 0, size_gib) as (attachment, opened):
            if _holds_qcow2(opened):
                raise errors.Misconfigured(
                    f"The volume type makes qcow2 files ({opened.name}), but an"
                    " image-volume must be raw. Set nfs_qcow2_volumes = false in that"
                    " back end of Cinder, or change ontap_volume_type."
                )
            yield opened
            with errors.writing(opened.name, opened.remedies):
                needed_gib = units.gib_for(opened.length())
        protocol = attachment.connection_info.get("driver_volume_type")
        if needed_gib > size_gib and protocol not in PROTOCOLS:
            self._volumes.extend(volume, needed_gib)

    @contextlib.contextmanager
    def readable(
        self,
        volume_id: str,
        known_raw: bool,
        wait_s: float,
        size_gib: int | None = None,
    ) -> Iterator[OpenVolume]:
        """The volume, open for reading; other attachments are waited for *wait_s*.

        *size_gib* is its size, if Cinder has told it before.

        For a volume that is not *known_raw*, Cinder is asked for its format: one that
        Cinder keeps as qcow2 cannot be served byte by byte.

        :raises errors.ImageVolumeInUse: others kept it attached for too long
        :raises errors.NotConnected: Cinder's driver does not connect it
        """
        with self._attached(volume_id, "ro", wait_s, size_gib) as (attachment, opened):
            if not known_raw and _holds_qcow2(opened):
                info = self._volumes.steadfast.connection_info(attachment.id)
                # A raw volume may hold a qcow2 image: only Cinder knows which it is.
                if info.get("format") == "qcow2":
                    raise _qcow2(opened.name)
            yield opened

    @contextlib.contextmanager
    def unattached(self, volume: Volume, neighbour: Volume) -> Iterator[OpenVolume]:
        """The raw volume, open for reading beside *neighbour*, and not attached.

        For a volume whose state permits no attachment. Its own attachment can tell
        the place, so that *neighbour* may be the volume itself. Nothing keeps it from
        being deleted: reads fail then, since a server of NFS knows a deleted file's
        handle no more.

        :raises errors.NotConnected: no attachment of the neighbour tells the place
        :raises errors.Broken: the volume's file is not there, or cannot be opened
        """
        info = self._place(volume, neighbour)
        with contextlib.ExitStack() as stack:
            yield self._opened(stack, info, "ro", None)

    @contextlib.contextmanager
    def beside(
        self, volume: Volume, neighbour: Volume, known_raw: bool
    ) -> Iterator[OpenVolume]:
        """The volume, open for reading in the place of its attached neighbour.

        Cinder's driver is not asked to connect it: it would look into an NFS volume
        that was made by cloning, whose format it does not record, and refuses the
        content of vmdk, vdi or vhd images. An attachment without a connector keeps
        the volume from being deleted meanwhile. It is completed, which makes the
        volume ``in-use``: a volume that is only reserved cannot be cloned for others.

        :raises errors.NotConnected: no attachment of the neighbour tells the place
        :raises errors.ImageVolumeInUse: the volume's state permits no reservation
        """
        info = self._place(volume, neighbour)
        with contextlib.ExitStack() as stack:
            attachment_id, _holding = self._acquired(
                stack,
                volume.id,
                lambda told: self._volumes.reserve(volume.id, told),
            )
            complete = self._completing(stack, attachment_id, "ro")
            opened = self._opened(stack, info, "ro", None)
            if not known_raw and _holds_qcow2(opened):
                raise _qcow2(opened.name)
            complete()
            LOG.debug("Volume %s opened as %s", volume.id, opened.name)
            yield opened

    def _place(self, volume: Volume, neighbour: Volume) -> Mapping[str, Any]:
        """The connection of *volume*, by what Cinder says of its neighbour."""
        for attachment_id in self._volumes.steadfast.attachments(neighbour.id):
            try:
                info = self._volumes.steadfast.connection_info(attachment_id)
            except errors.ImageVolumeInUse:
                continue  # its reader has ended meanwhile
            # Of an attachment that is only reserved Cinder tells the format at most.
            if "driver_volume_type" in info:
                found = self._transport.beside(
                    info, neighbour.backing_id, volume.backing_id
                )
                if found is not None:
                    return found
        raise errors.NotConnected(
            f"No attachment of volume {neighbour.id} tells where volume {volume.id}"
            " lies."
        )

    @contextlib.contextmanager
    def _attached(
        self, volume_id: str, mode: str, wait_s: float, size_gib: int | None = None
    ) -> Iterator[tuple[Attachment, OpenVolume]]:
        mark = self._volumes.journal.own()
        connector = {**self._host.connector, "mountpoint": mark.mountpoint}
        with contextlib.ExitStack() as stack:
            attachment, holding = self._acquired(
                stack,
                volume_id,
                lambda told: self._volumes.attach(
                    volume_id, connector, mode, wait_s, told
                ),
                size_gib,
            )
            complete = self._completing(stack, attachment.id, mode)
            info = attachment.connection_info
            opened = self._opened(stack, info, mode, holding)
            complete()
            LOG.debug("Volume %s attached %s as %s", volume_id, mode, opened.name)
            yield attachment, opened

    def _completing(
        self, stack: contextlib.ExitStack, attachment_id: str, mode: str
    ) -> Callable[[], None]:
        """Begin to complete the attachment; return what is left to do once it is open.

        A thread completes that of a reader, who needs only the device. It has ended
        before the detachment: Cinder would say ``in-use`` for ever of a volume whose
        attachment is completed while it is deleted.
        """
        if mode == "ro" and self._in_background:
            thread = threading.Thread(
                target=self._complete_for_reader,
                args=(attachment_id,),
                daemon=True,
                name="ontap-complete",
            )
            with contextlib.suppress(RuntimeError):  # too many threads
                thread.start()
                stack.callback(thread.join)
                return lambda: None
        return lambda: self._volumes.complete(attachment_id)

    def _complete_for_reader(self, attachment_id: str) -> None:
        try:
            with outage.operation(self._volumes.waits.state_transition_s):
                self._volumes.complete(attachment_id)
        except errors.StoreError as error:
            # The reader has the device. Other processes wait longer: Cinder permits
            # them neither an attachment nor a clone.
            LOG.warning("Attachment %s is not complete: %s", attachment_id, error)

    def _opened(
        self,
        stack: contextlib.ExitStack,
        info: Mapping[str, Any],
        mode: str,
        holding: Holding | None,
    ) -> OpenVolume:
        with recording.step("mount"):
            return stack.enter_context(self._transport.opened(info, mode, holding))

    def _acquired(
        self,
        stack: contextlib.ExitStack,
        volume_id: str,
        acquire: Callable[[Callable[[str], object]], T],
        size_gib: int | None = None,
    ) -> tuple[T, Holding]:
        """What *acquire* returns; the attachment is deleted when *stack* ends.

        *acquire* tells the attachment's id to its argument. If this process dies
        meanwhile, or Cinder does not do it, recovery does it by the journal; so too if
        the host cannot be disconnected: then the attachment stays until it is.
        """
        handle = self._volumes.journal.attaching(volume_id)
        holding = Holding(self._volumes, volume_id, handle, size_gib)
        try:
            with recording.step("attach"):
                found = acquire(holding.told)
        except BaseException as error:
            if isinstance(error, errors.NotConnected):
                self._host.forget()
            if isinstance(error, errors.StoreError) and not error.may_leave:
                handle.done()
            else:
                handle.leave()
            raise

        process = os.getpid()

        def detach() -> None:
            if process != os.getpid():
                return  # After a fork, the attachment is the parent's.
            try:
                with recording.step("detach"):
                    holding.detach()
            except BaseException:
                handle.leave()
                raise
            handle.done()

        undo.always(stack, f"detach volume {volume_id}", detach)
        return found, holding


def _holds_qcow2(opened: OpenVolume) -> bool:
    with errors.reading(opened.name, opened.remedies):
        return opened.holds_qcow2()


def _qcow2(name: str) -> errors.Broken:
    return errors.Broken(
        f"{name} is a qcow2 file, which holds the image in its own format. Set"
        " nfs_qcow2_volumes = false in that back end of Cinder and upload the image"
        " again."
    )
