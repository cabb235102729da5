# SPDX-License-Identifier: Apache-2.0
"""An image-volume opened for reading, also where somebody else has it attached."""

from collections.abc import Iterator
import contextlib
import socket
from typing import Protocol
import uuid

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.discarding import Trash
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.images import record as record_
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.record import Record
from glance_ontap_store.transfer.device import Device

LOG = logging.getLogger(__name__)

# A volume that another reader is just letting go is free within this time, and one
# that it is just attaching can be cloned after it; later, a clone is there sooner.
_BRIEF_WAIT_S = 2.0


class Attacher(Protocol):
    """Makes a volume a device of this host for the length of a ``with``."""

    def readable(
        self, volume_id: str, known_raw: bool, wait_s: float
    ) -> contextlib.AbstractContextManager[Device]:
        """The volume, open for reading; others are waited for *wait_s*.

        :raises errors.ImageVolumeInUse: somebody still has it
        """


class Reading:
    """Opens image-volumes of one store for the readers of this process."""

    def __init__(
        self,
        volumes: VolumeService,
        attacher: Attacher,
        clock: Clock,
        trash: Trash,
        transition_timeout_s: float,
        attach_wait_s: float,
    ) -> None:
        self._volumes = volumes
        self._attacher = attacher
        self._clock = clock
        self._trash = trash
        self._transition_timeout_s = transition_timeout_s
        self._attach_wait_s = attach_wait_s

    @contextlib.contextmanager
    def opened(self, image: ImageVolume) -> Iterator[Device]:
        """The image-volume, or a temporary clone while another process has it.

        Only what this store sealed is cloned: of other volumes it is not known
        that nobody writes to them. Where no clone can be had, the other process
        is waited for, ``ontap_attach_wait`` seconds.

        :raises errors.ImageVolumeInUse: it was busy all that time
        """
        with contextlib.ExitStack() as stack:
            try:
                brief = min(_BRIEF_WAIT_S, self._attach_wait_s)
                device_ = stack.enter_context(self._attached(image, brief))
            except errors.ImageVolumeInUse as busy:
                device_ = stack.enter_context(self._opened_though(busy, image))
            yield device_

    def _attached(
        self, image: ImageVolume, wait_s: float
    ) -> contextlib.AbstractContextManager[Device]:
        return self._attacher.readable(image.id, image.is_ours, wait_s)

    @contextlib.contextmanager
    def _opened_though(
        self, busy: errors.ImageVolumeInUse, image: ImageVolume
    ) -> Iterator[Device]:
        with contextlib.ExitStack() as stack:
            try:
                if not image.is_ours:
                    raise busy  # and wait, as for a clone that cannot be had
                device_ = stack.enter_context(self._cloned(image))
            except errors.StoreError as error:
                LOG.info("%s; waiting for image-volume %s", error, image.id)
                device_ = stack.enter_context(
                    self._attached(image, self._attach_wait_s)
                )
            yield device_

    @contextlib.contextmanager
    def _cloned(self, image: ImageVolume) -> Iterator[Device]:
        """A clone of the image-volume, deleted afterwards.

        If the process dies meanwhile, a volume stays whose metadata says
        ``reading`` and which host read.
        """
        record = Record(
            store=image.record.store,
            state=record_.READING,
            writer=socket.gethostname(),
            write_id=str(uuid.uuid4()),
        )
        clone = self._trash.create(
            NewVolume(
                name=f"reading-{image.id}",
                size_gib=image.volume.size_gib,
                volume_type=None,
                metadata=record.to_metadata(),
                source_id=image.id,
            )
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._trash.discard, clone.id)
            LOG.info("Image-volume %s is busy: read from clone %s", image.id, clone.id)
            waiting.settled(
                self._volumes,
                self._clock,
                clone,
                waiting.CREATE_S,
                self._transition_timeout_s,
            )
            yield stack.enter_context(
                self._attacher.readable(clone.id, known_raw=True, wait_s=0)
            )
