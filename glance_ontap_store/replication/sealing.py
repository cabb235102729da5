# SPDX-License-Identifier: Apache-2.0
"""Compare a replica with what it was made of, and seal it."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import random

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images import image_volume
from glance_ontap_store.images import sealing
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import verifying
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.units import GIB

LOG = logging.getLogger(__name__)

# Progress is told after so many bytes.
_PROGRESS = 4 * GIB


class Sealer:
    """Compares and seals replicas. *stores* are all stores, by their ids.

    *chance* chooses the blocks of a sample.
    """

    def __init__(
        self,
        stores: Mapping[str, StoreParts],
        stop: Stop,
        say: Callable[[str], object],
        chance: random.Random,
    ) -> None:
        self._stores = stores
        self._stop = stop
        self._say = say
        self._chance = chance

    def seal(
        self, parts: StoreParts, volume: Volume, image: Image, how: Verify
    ) -> None:
        """Compare the replica with *volume* as its volume, and seal it.

        Without its source, a sample cannot be taken: all of it is read then.

        :raises verifying.Mismatch: it is not the image
        :raises verifying.Astray: its file is not where Cinder says
        :raises errors.ImageVolumeInUse: somebody uses the volume, or its source
        :raises errors.Broken: the bytes could not be read
        :raises interruption.Interrupted: the operator ended the command
        """
        done = self._compared(parts, volume, image, how)
        sealed = dataclasses.replace(
            Record.parse(volume.metadata),
            state=State.SEALED,
            owner=image.owner,
            size=image.size,
            hash_algo=image.hash_algo,
            hash_value=image.hash_value,
            verified=_verified(done),
        )
        # What a process that took the replica over has written stays.
        marks = {"writer": None, "process": None, "started": None, "lock": None}
        sealed = dataclasses.replace(sealed, **marks)
        sealing.seal(parts.volumes.steadfast, volume.id, sealed)
        LOG.info("Volume %s is sealed as a replica of image %s", volume.id, image.id)

    def _compared(
        self, parts: StoreParts, volume: Volume, image: Image, how: Verify
    ) -> Verify:
        """Compare the replica; return how it was done.

        However little is to be compared, its file must be there: Cinder calls a
        migration a success after which it lies elsewhere.
        """
        record = Record.parse(volume.metadata)
        size = image.size or 0
        with contextlib.ExitStack() as stack:
            replica = stack.enter_context(self._opened(parts, volume, record, size))
            verifying.check_length(replica, volume.size_gib)
            if how is Verify.NONE:
                return how
            source = self._source(parts, record) if how is Verify.SAMPLE else None
            if source is None:
                verifying.compare_all(replica, image, self._told(image))
                return Verify.FULL
            reading = self._stores[source.record.store or ""].reading
            verifying.compare_sample(
                replica,
                stack.enter_context(reading.opened(source)).device,
                size,
                self._stop.check,
                self._chance,
            )
            return how

    @contextlib.contextmanager
    def _opened(
        self, parts: StoreParts, volume: Volume, record: Record, size: int
    ) -> Iterator[Device]:
        """The replica's file.

        :raises verifying.Astray: it is not where Cinder says
        """
        with contextlib.ExitStack() as stack:
            try:
                opened = parts.reading.opened(ImageVolume(volume, record, size))
                replica = stack.enter_context(opened).device
            except (errors.FileMissing, errors.NotConnected) as error:
                # Cinder looks into clones before it connects them. The file itself is
                # looked for after that.
                for each in (error, error.__cause__):
                    if isinstance(each, errors.FileMissing):
                        raise verifying.Astray(volume.backing_id, str(each)) from error
                raise
            verifying.check_place(replica, volume)
            yield replica

    def _source(self, parts: StoreParts, record: Record) -> ImageVolume | None:
        """What the replica is a copy of; None if it is gone, or of no store here."""
        try:
            volume = parts.volumes.service.get(record.replica_of or "")
            store_id = Record.parse(volume.metadata).store or ""
            if store_id in self._stores:
                return image_volume.image_volume(volume, store_id)
        except (errors.ImageVolumeGone, errors.Refused, errors.Broken) as error:
            LOG.info("Nothing to compare a sample with: %s", error)
        return None

    def _told(self, image: Image) -> Callable[[int], None]:
        before = 0

        def told(done: int) -> None:
            nonlocal before
            self._stop.check()
            if done // _PROGRESS > before // _PROGRESS:
                percent = 100 * done // (image.size or 1)
                self._say(f"{image.id}: {percent} % of the replica is compared")
            before = done

        return told


def _verified(how: Verify) -> str | None:
    if how is Verify.NONE:
        return None
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{how.value} {now:%Y-%m-%dT%H:%M:%SZ}"
