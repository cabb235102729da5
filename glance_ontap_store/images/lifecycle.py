# SPDX-License-Identifier: Apache-2.0
"""The life of an image-volume: created, filled, sealed; described, read, deleted."""

from collections.abc import Callable
import contextlib
import dataclasses
import socket
from typing import Protocol
import uuid

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import location
from glance_ontap_store import units
from glance_ontap_store.attach.leases import Leases
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.discarding import Trash
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.images import access
from glance_ontap_store.images import image_volume
from glance_ontap_store.images import reading
from glance_ontap_store.images import record as record_
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.digests import Verifier
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.transfer.source import Reader
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import ByteRange

LOG = logging.getLogger(__name__)


class Attacher(reading.Attacher, Protocol):
    """Makes a volume a device of this host for the length of a ``with``."""

    def writable(self, volume_id: str) -> contextlib.AbstractContextManager[Device]:
        """The new volume, open for writing."""


@dataclasses.dataclass(frozen=True)
class Upload:
    """An image as Glance hands it over; *size* in bytes, 0 for unknown."""

    image_id: str
    owner: str | None
    reader: Reader
    size: int
    hash_algo: str
    verifier: Verifier | None = None


@dataclasses.dataclass(frozen=True)
class Stored:
    """A sealed image-volume and what its bytes came to."""

    volume_id: str
    size: int
    checksum: str
    multihash: str


class Lifecycle:
    """The image-volumes of one store."""

    def __init__(
        self,
        store_id: str | None,
        volume_type: str | None,
        volumes: VolumeService,
        attacher: Attacher,
        clock: Clock,
        transition_timeout_s: float,
        attach_wait_s: float,
        delete_wait_s: float,
        thin_upload: bool,
    ) -> None:
        self._store_id = store_id
        self._volume_type = volume_type
        self._volumes = volumes
        self._attacher = attacher
        self._clock = clock
        self._transition_timeout_s = transition_timeout_s
        self._delete_wait_s = delete_wait_s
        self._thin_upload = thin_upload
        self._trash = Trash(volumes, clock, transition_timeout_s)
        self._leases = Leases[Device]()
        self._reading = Reading(
            volumes, attacher, clock, self._trash, transition_timeout_s, attach_wait_s
        )

    def store(self, upload: Upload, creator: Creator | None = None) -> Stored:
        """Write the image to a new image-volume and seal it.

        *creator* asks Cinder for the volume; None: the store itself.

        When this returns every byte is on the array. When it raises, nothing is
        left; when the process dies, a volume whose metadata says ``filling``.
        """
        digests = Digests(upload.hash_algo, upload.verifier)
        filling = Record(
            image_id=upload.image_id,
            owner=upload.owner,
            store=self._store_id,
            state=record_.FILLING,
            writer=socket.gethostname(),
            write_id=str(uuid.uuid4()),
        )
        with contextlib.ExitStack() as undo:
            volume = self._create(upload, filling, undo, creator)
            with self._attacher.writable(volume.id) as target:
                pipeline.run(
                    upload.reader,
                    upload.size,
                    digests,
                    Sink(target, self._thin_upload),
                )
            self._grow(volume, digests.size)
            self._seal(volume.id, filling, digests)
            undo.pop_all()
        LOG.info(
            "Image %s is sealed in image-volume %s: %d bytes",
            upload.image_id,
            volume.id,
            digests.size,
        )
        return Stored(volume.id, digests.size, digests.checksum(), digests.multihash())

    def _create(
        self,
        upload: Upload,
        record: Record,
        undo: contextlib.ExitStack,
        creator: Creator | None,
    ) -> Volume:
        """A volume that is ready to be filled; *undo* deletes it again."""
        new = NewVolume(
            name=f"image-{upload.image_id}",
            size_gib=units.gib_for(upload.size),
            volume_type=self._volume_type,
            metadata=record.to_metadata(),
        )
        volume = self._trash.create(new, creator)
        undo.push(_on_error(lambda error: self._trash.discard(volume.id, error)))
        LOG.info(
            "Image %s: image-volume %s of %d GiB, type %s, is being created",
            upload.image_id,
            volume.id,
            new.size_gib,
            new.volume_type,
        )
        volume = waiting.settled(
            self._volumes,
            self._clock,
            volume,
            waiting.CREATE_S,
            self._transition_timeout_s,
        )
        if volume.encrypted:
            raise errors.Misconfigured(
                f"Volume type {volume.volume_type!r} encrypts on the host, so a volume"
                " cannot be made from the image by a clone. Change ontap_volume_type to"
                " a type without encryption (NetApp Volume Encryption does no harm)."
            )
        return volume

    def _grow(self, volume: Volume, size: int) -> None:
        """Tell Cinder once how large an image of unknown size has become."""
        needed = units.gib_for(size)
        if needed <= volume.size_gib:
            return
        self._volumes.extend(volume.id, needed)
        waiting.settled(
            self._volumes,
            self._clock,
            dataclasses.replace(volume, status="extending"),
            waiting.EXTEND_S,
            self._transition_timeout_s,
        )

    def _seal(self, volume_id: str, filling: Record, digests: Digests) -> None:
        # Read-only first: what says ``sealed`` can be written by nobody.
        self._volumes.set_readonly(volume_id)
        sealed = dataclasses.replace(
            filling,
            state=record_.SEALED,
            size=digests.size,
            hash_algo=digests.algorithm,
            hash_value=digests.multihash(),
        )
        self._volumes.set_metadata(volume_id, sealed.to_metadata())

    def describe(self, volume_id: str) -> ImageVolume:
        """The image-volume, with the image's exact size.

        :raises errors.ImageVolumeGone, errors.Refused, errors.Broken: see
            `image_volume.image_volume`
        """
        return image_volume.image_volume(self._volumes.get(volume_id), self._store_id)

    def size_for(self, volume_id: str, requester: Requester) -> int:
        """The image's size, for who wants to name the volume as an image's data.

        Users hear the same words, whatever the volume is and whether it is there:
        they could learn it of any id otherwise.

        :raises errors.ImageVolumeGone: it may not be named, or is gone
        """
        if requester.is_trusted:
            return self.describe(volume_id).size
        nothing = errors.ImageVolumeGone(
            f"Project {requester.project_id} has no image-volume {volume_id} here."
        )
        try:
            volume = self._volumes.get(volume_id)
        except errors.ImageVolumeGone as error:
            raise nothing from error
        try:
            image = image_volume.image_volume(volume, self._store_id)
            access.check_owner(image, requester)
        except errors.StoreError as error:
            LOG.info("Not for project %s: %s", requester.project_id, error)
            raise nothing from error
        return image.size

    def read(
        self, volume_id: str, offset: int, length: int | None
    ) -> tuple[ImageStream, int]:
        """A stream of the image, already attached, and the bytes it will give."""
        image = self.describe(volume_id)
        wanted = ByteRange.clipped(offset, length, image.size)
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(
                self._leases.share(image.id, lambda: self._reading.opened(image))
            )
            release = stack.pop_all().close
        return ImageStream(opened, wanted, release), wanted.length

    def delete(
        self, volume_id: str, may_delete: Callable[[Record], bool] | None = None
    ) -> None:
        """Delete the image-volume; a reader is waited for a little.

        *may_delete* is asked before, with what the volume's metadata says.

        :raises errors.ImageVolumeGone: it is gone already
        :raises errors.ImageVolumeInUse: somebody keeps it attached
        :raises errors.ImageVolumeHasSnapshot: a snapshot keeps it
        :raises errors.Refused: it is no image-volume of this store
        """
        volume = self._volumes.get(volume_id)
        access.check_ours(volume, self._store_id)
        if volume.is_leaving:
            raise errors.ImageVolumeGone(f"Image-volume {volume_id} is being deleted.")
        if may_delete and not may_delete(Record.parse(volume.metadata)):
            raise access.refusal(volume_id)
        refusals: list[errors.ImageVolumeInUse] = []

        def delete() -> bool:
            try:
                self._volumes.delete(volume_id)
            except errors.ImageVolumeInUse as error:
                refusals.append(error)
                self._refuse_if_snapshots(volume_id, error)
                # A repeated request is refused for what the first one began.
                return self._volumes.get(volume_id).is_leaving
            return True

        if not waiting.until(self._clock, self._delete_wait_s, delete):
            raise errors.ImageVolumeInUse(
                f"Image-volume {volume_id} is still in use after"
                f" {self._delete_wait_s:g} s (ontap_delete_wait): {refusals[-1]}"
            ) from refusals[-1]
        LOG.info("Image-volume %s is being deleted", volume_id)

    def _refuse_if_snapshots(
        self, volume_id: str, refusal: errors.ImageVolumeInUse
    ) -> None:
        if self._volumes.has_snapshots(volume_id):
            raise errors.ImageVolumeHasSnapshot(
                f"Image-volume {volume_id} has snapshots in Cinder: delete them first."
            ) from refusal

    def belongs_here(self, volume_id: str) -> bool:
        """Whether the volume is this very store's, see `image_volume.belongs_to`.

        Errors mean no: Glance asks every store in turn, and the first that says
        yes keeps the image for good.
        """
        try:
            # Glance passes on whatever a location ends in.
            volume = self._volumes.get(location.parse_volume_id(volume_id))
            return image_volume.belongs_to(volume, self._store_id, self._volume_type)
        except errors.StoreError as error:
            LOG.info("Volume %s is not known to be this store's: %s", volume_id, error)
            return False


def _on_error(action: Callable[[BaseException], None]) -> Callable[..., None]:
    """An exit callback that runs only when the block failed."""

    def leave(_cls: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            action(error)

    return leave
