# SPDX-License-Identifier: Apache-2.0
"""An image-volume attached to this host: everything acquired, then all undone."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import connection
from glance_ontap_store.attach.nfs import file
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.waiting import Clock

LOG = logging.getLogger(__name__)


class Host(Protocol):
    """This host, as Cinder must know it to let it connect."""

    @property
    def connector(self) -> Mapping[str, Any]:
        """The connector of an attachment."""


class Attacher:
    """Attaches volumes of one store to this host."""

    def __init__(
        self,
        volumes: VolumeService,
        host: Host,
        mounts_: Mounts,
        clock: Clock,
    ) -> None:
        self._volumes = volumes
        self._host = host
        self._mounts = mounts_
        self._clock = clock

    @contextlib.contextmanager
    def writable(self, volume_id: str) -> Iterator[FileDevice]:
        """The new volume, open for writing. It must be raw and hold nothing.

        :raises errors.Misconfigured: its type makes qcow2 files, or its
            protocol is not supported
        """
        with self._attached(volume_id, "rw", wait_s=0) as (_attachment, opened):
            if opened.holds_qcow2():
                raise errors.Misconfigured(
                    f"The volume type makes qcow2 files ({opened.name}), but an"
                    " image-volume must be raw. Set nfs_qcow2_volumes = false in that"
                    " back end of Cinder, or change ontap_volume_type."
                )
            yield opened

    @contextlib.contextmanager
    def readable(
        self, volume_id: str, known_raw: bool, wait_s: float
    ) -> Iterator[FileDevice]:
        """The volume, open for reading; others who have it are waited for *wait_s*.

        A volume that is not *known_raw* is asked about in Cinder: one that
        Cinder keeps as qcow2 cannot be served byte by byte.

        :raises errors.ImageVolumeInUse: others kept it attached for too long
        """
        with self._attached(volume_id, "ro", wait_s) as held:
            attachment, opened = held
            if not known_raw and opened.holds_qcow2():
                self._refuse_qcow2(attachment, opened)
            yield opened

    def _refuse_qcow2(self, attachment: Attachment, opened: FileDevice) -> None:
        # A raw volume may hold a qcow2 image: only Cinder knows which it is.
        if self._volumes.volume_format(attachment.id) == "qcow2":
            raise errors.Broken(
                f"{opened.name} is a qcow2 file, which holds the image in its own"
                " format. Set nfs_qcow2_volumes = false in that back end of Cinder and"
                " upload the image again."
            )

    @contextlib.contextmanager
    def _attached(
        self, volume_id: str, mode: str, wait_s: float
    ) -> Iterator[tuple[Attachment, FileDevice]]:
        with contextlib.ExitStack() as stack:
            attachment = self._attach(volume_id, mode, wait_s)
            stack.push(_undo(f"detach volume {volume_id}", self._detach(attachment)))
            nfs = connection.parse(attachment.connection_info)
            opened = stack.enter_context(file.opened(nfs, self._mounts, mode))
            self._volumes.complete(attachment.id)
            LOG.debug("Volume %s attached %s as %s", volume_id, mode, opened.name)
            yield attachment, opened

    def _attach(self, volume_id: str, mode: str, wait_s: float) -> Attachment:
        """Attach, waiting for others who have the volume attached."""
        connector = self._host.connector
        got: list[Attachment] = []
        busy: list[errors.ImageVolumeInUse] = []

        def attach() -> bool:
            try:
                got.append(self._volumes.attach(volume_id, connector, mode))
            except errors.ImageVolumeInUse as error:
                busy.append(error)
            return bool(got)

        if not waiting.until(self._clock, wait_s, attach):
            raise busy[-1]
        return got[0]

    def _detach(self, attachment: Attachment) -> Callable[[], None]:
        return lambda: self._volumes.detach(attachment.id)


def _undo(what: str, action: Callable[[], None]) -> Any:
    """An exit callback whose own failure does not hide an earlier error."""

    def leave(_cls: Any, error: BaseException | None, _traceback: Any) -> None:
        try:
            action()
        except errors.StoreError as failed:
            if error is None:
                raise
            errors.note(error, f"Could not {what}: {failed}")

    return leave
