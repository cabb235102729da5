# SPDX-License-Identifier: Apache-2.0
"""The life of an image-volume: created, filled, sealed; described, read, deleted."""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import weakref

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach.leases import Leases
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.images import access
from glance_ontap_store.images import image_volume
from glance_ontap_store.images import making
from glance_ontap_store.images import sealing
from glance_ontap_store.images import writer
from glance_ontap_store.images.filling import Filler
from glance_ontap_store.images.filling import Upload
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.reading import OpenImage
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.images.reading import Seen
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.location import EMPTY
from glance_ontap_store.location import parse_volume_id
from glance_ontap_store.requester import Requester
from glance_ontap_store.stopping import hook
from glance_ontap_store.stopping import transfers
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer import stream
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.pipeline import Written
from glance_ontap_store.transfer.source import PeekedReader
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import ByteRange

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stored:
    """A sealed image-volume, and the size and digests of its image.

    *volume_id* is `location.EMPTY` for an image of zero bytes, which has no volume.
    """

    volume_id: str
    size: int
    checksum: str
    multihash: str


class Lifecycle:
    """The image-volumes of one store.

    *store_id* is written into their metadata, and *volume_type*, a name or an id,
    is theirs; both may be None. *availability_zone* is Cinder's; None means its
    default. *filler* is the way in which an upload is stored
    unless its caller has another. *running* are the transfers of the process, which
    end together when it stops. *free* releases a volume from dead processes of this
    host, and returns whether there was anything to release. *linger_s*: seconds that an
    image-volume stays attached after its last reader. *in_background*: a reader does
    not wait for the detachment.
    """

    def __init__(
        self,
        store_id: str | None,
        volume_type: str | None,
        volumes: Volumes,
        reading: Reading,
        filler: Filler,
        availability_zone: str | None = None,
        running: Transfers | None = None,
        free: Callable[[str], bool] = lambda _volume_id: False,
        linger_s: float = 0,
        in_background: bool = False,
    ) -> None:
        self._store_id = store_id
        self._volume_type = volume_type
        self._volumes = volumes
        self._reading = reading
        self._filler = filler
        self._availability_zone = availability_zone
        self._running = running or Transfers()
        self._free = free
        self._linger_s = linger_s
        self._leases = Leases[OpenImage](
            linger_s,
            lambda opened: opened.is_attached,
            self._running,
            in_background,
        )

    def store(
        self,
        upload: Upload,
        creator: Creator | None = None,
        filler: Filler | None = None,
    ) -> Stored:
        """Bring the image into a new image-volume and seal it.

        *creator* asks Cinder for the volume; None: the store itself.

        When this returns every byte is on the array. When it raises, nothing is
        left; when the process dies, a volume whose metadata says ``filling``. An
        image of zero bytes gets no volume: Nova makes one for each snapshot of a
        server that boots from a volume.

        :raises errors.Stopping: this process was told to stop meanwhile
        """
        with self._patience(), self._running.begun() as transfer:
            connection = hook.connection_of_request()
            if connection is not None:
                # Ends a read that waits for the client.
                transfer.on_stop(functools.partial(hook.cut, connection))
            reader = self._running.checked(upload.reader)
            return self._store(
                dataclasses.replace(upload, reader=reader), creator, filler
            )

    def _patience(self) -> contextlib.AbstractContextManager[None]:
        """All requests of an operation wait together for services that fail."""
        return outage.operation(self._volumes.waits.state_transition_s)

    def _store(
        self, upload: Upload, creator: Creator | None, filler: Filler | None
    ) -> Stored:
        # A hash that hashlib cannot make is found out before anything is created.
        digests = Digests(upload.hash_algo, upload.verifier)
        if not upload.size:
            # Glance says 0 for an unknown size too.
            reader = PeekedReader(upload.reader)
            if reader.is_empty:
                LOG.info("Image %s has no bytes and needs no volume", upload.image_id)
                return Stored(EMPTY, 0, digests.checksum(), digests.multihash())
            upload = dataclasses.replace(upload, reader=reader)
        filling = dataclasses.replace(
            writer.new_record(
                State.FILLING, self._store_id, self._volumes.journal.own()
            ),
            image_id=upload.image_id,
            owner=upload.owner,
        )
        new = self._new_volume(upload, filling)
        with making.made(self._volumes, new, str(filling.write_id), creator) as volume:
            _check_not_encrypted(volume)
            written = (filler or self._filler).fill(volume, upload, digests)
            with recording.step("seal"):
                self._seal(volume.id, filling, upload.hash_algo, written)
        LOG.info(
            "Image %s is sealed in image-volume %s: %d bytes, content %s",
            upload.image_id,
            volume.id,
            written.size,
            written.content or "not looked at",
        )
        return Stored(volume.id, written.size, written.checksum, written.multihash)

    def _new_volume(self, upload: Upload, record: Record) -> NewVolume:
        return NewVolume(
            name=f"image-{upload.image_id}",
            size_gib=units.gib_for(upload.size),
            volume_type=self._volume_type,
            metadata=record.to_metadata(),
            availability_zone=self._availability_zone,
        )

    def _seal(
        self, volume_id: str, filling: Record, hash_algo: str, written: Written
    ) -> None:
        sealed = dataclasses.replace(
            filling,
            state=State.SEALED,
            size=written.size,
            hash_algo=hash_algo,
            hash_value=written.multihash,
            content=written.content,
        )
        sealing.seal(self._volumes.steadfast, volume_id, sealed)

    def describe(self, volume_id: str) -> ImageVolume:
        """The image-volume, with the image's exact size.

        :raises errors.ImageVolumeGone, errors.Refused, errors.Broken: see
            `image_volume.image_volume`
        """
        volume = self._volumes.service.get(volume_id)
        return image_volume.image_volume(volume, self._store_id)

    def size_for(self, volume_id: str, requester: Requester) -> int:
        """The image's size, for a requester who names the volume as an image's data.

        Users get the same error whether or not the volume exists, so that ids cannot
        be probed.

        :raises errors.ImageVolumeGone: the requester may not use the volume, or it does
            not exist
        """
        if volume_id == EMPTY:
            return 0
        if requester.is_trusted:
            return self.describe(volume_id).size
        hidden = errors.ImageVolumeGone(
            f"Project {requester.project_id} has no image-volume {volume_id} here."
        )
        try:
            volume = self._volumes.service.get(volume_id)
        except errors.ImageVolumeGone as error:
            raise hidden from error
        try:
            image = image_volume.image_volume(volume, self._store_id)
        except errors.StoreError as error:
            LOG.info("Not for project %s: %s", requester.project_id, error)
            raise hidden from error
        if not access.may_name(image.record, requester):
            LOG.info("Not for project %s: volume %s", requester.project_id, volume_id)
            raise hidden
        return image.size

    def read(
        self, volume_id: str, offset: int, length: int | None
    ) -> tuple[ImageStream | Generator[bytes], int]:
        """A stream of the image, already attached, and the bytes it will give.

        :raises errors.Stopping: this process was told to stop
        """
        if volume_id == EMPTY:
            return stream.nothing(), ByteRange.clipped(offset, length, 0).length
        with self._patience(), contextlib.ExitStack() as stack:
            seen = self._seen(volume_id)
            wanted = ByteRange.clipped(offset, length, seen.image.size)
            transfer = stack.enter_context(self._running.begun())
            opened = stack.enter_context(self._shared(seen))
            release = stack.pop_all().close
        part = "image" if wanted.length == seen.image.size else "range"
        spoil = functools.partial(self._leases.spoil, volume_id)
        made = ImageStream(opened.device, wanted, release, part=part, on_error=spoil)
        # Only the reader keeps the stream: it is released when the reader drops it.
        transfer.on_stop(functools.partial(_end, weakref.ref(made)))
        return made, wanted.length

    def _seen(self, volume_id: str) -> Seen:
        """The image-volume, without a request if it is open and was seen lately."""
        opened = self._leases.opened(volume_id)
        now = self._volumes.clock.monotonic()
        if opened is not None and opened.needs_no_look(now, self._linger_s):
            return opened.seen
        return Seen(self.describe(volume_id), now)

    @contextlib.contextmanager
    def _shared(self, seen: Seen) -> Iterator[OpenImage]:
        """The image-volume, open. What *seen* shows is not asked for again."""
        own = self._volumes.journal.own()

        def is_good(opened: OpenImage) -> bool:
            if opened.is_still_attached(seen.image.volume, own):
                opened.seen = seen
            return opened.seen is seen

        opening = functools.partial(self._reading.opened, seen.image)
        with self._leases.share(seen.image.id, opening, is_good) as opened:
            yield opened

    def record_to_delete(self, volume_id: str) -> Record:
        """The record of an image-volume that is to be deleted.

        Only ownership is checked: a volume whose state, size or status cannot be
        understood can be deleted too.

        :raises errors.ImageVolumeGone: it is gone already
        :raises errors.Refused: it is not an image-volume of this store
        """
        volume = self._volumes.service.get(volume_id)
        record = Record.parse(volume.metadata)
        access.check_is_of_store(volume_id, record, self._store_id)
        if volume.is_leaving:
            raise errors.ImageVolumeGone(f"Image-volume {volume_id} is being deleted.")
        return record

    def delete(self, volume_id: str) -> None:
        """Delete the image-volume; wait ``ontap_delete_wait`` seconds for readers.

        Those of this process are known without a request, also those that read a
        volume that is not attached.

        The caller has found out that it may be deleted: see `record_to_delete`.

        :raises errors.ImageVolumeGone: it is gone already
        :raises errors.ImageVolumeInUse: it stays attached
        :raises errors.ImageVolumeStuck: its status does not end by itself
        :raises errors.ImageVolumeHasSnapshot: a snapshot keeps it
        """
        wait_s = self._volumes.waits.delete_s
        if not self._leases.wait_until_free(volume_id, self._volumes.clock, wait_s):
            raise errors.ImageVolumeInUse(
                f"Image-volume {volume_id} is still being downloaded from this host"
                f" after {wait_s:g} s (ontap_delete_wait)."
            )
        with self._patience():
            try:
                self._volumes.delete(volume_id, wait_s=0)
            except errors.ImageVolumeInUse:
                self._free(volume_id)
                self._volumes.delete(volume_id)
        LOG.info("Image-volume %s is being deleted", volume_id)

    def belongs_here(self, volume_id: str) -> bool:
        """Return whether the volume is this store's, see `access.claims`.

        Errors mean no: Glance asks every store in turn, and the first that says
        yes keeps the image permanently.
        """
        try:
            # Glance passes the end of the URL without checking it.
            volume = self._volumes.service.get(parse_volume_id(volume_id))
            record = Record.parse(volume.metadata)
            type_name = None
            if not record.is_by_this_store:
                # The option may hold the type's id; Cinder shows the name.
                type_name = self._volumes.service.type_name(self._volume_type)
            return access.claims(volume, record, self._store_id, type_name)
        except errors.StoreError as error:
            LOG.info("Volume %s is not known to be this store's: %s", volume_id, error)
            return False


def _end(ref: "weakref.ref[ImageStream]") -> None:
    made = ref()
    if made is not None:
        error = errors.Stopping(
            "glance-api is stopping on this host, so the download was ended: repeat it."
        )
        # Cinder is asked to detach the volume.
        transfers.in_a_thread(functools.partial(made.end, error))


def _check_not_encrypted(volume: Volume) -> None:
    if volume.encrypted:
        raise errors.Misconfigured(
            f"Volume type {volume.volume_type!r} encrypts on the host, so a volume"
            " cannot be made from the image by a clone. Change ontap_volume_type to a"
            " type without encryption (NetApp Volume Encryption does no harm)."
        )
