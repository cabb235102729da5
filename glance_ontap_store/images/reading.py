# SPDX-License-Identifier: Apache-2.0
"""Opens image-volumes for readers, also those that another process has attached."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
from typing import NamedTuple
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.images import making
from glance_ontap_store.images import writer
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer.device import Device

LOG = logging.getLogger(__name__)

# A reader that attaches or detaches the volume needs less; after this time its process
# is taken to be dead, or not to come on.
_BLOCKED_AFTER_S = 10.0
# The statuses in which Cinder permits neither an attachment nor a clone.
_BLOCKED = ("reserved", "attaching", "detaching")

Opened = contextlib.AbstractContextManager[Device]


class Seen(NamedTuple):
    """An image-volume as Cinder showed it, and when: seconds of `Clock.monotonic`."""

    image: ImageVolume
    at: float


@dataclasses.dataclass
class OpenImage:
    """An image-volume that is open for readers.

    *is_attached*: it is the image-volume itself that is attached, so that it may stay
    so for later readers. *seen*: the image-volume, which was this one's when it was
    opened, or a later look at it with the attachment.
    """

    device: Device
    is_attached: bool
    seen: Seen

    def needs_no_look(self, now: float, seconds: float) -> bool:
        """Return whether a reader can use it without asking Cinder for the volume.

        It can for *seconds* after Cinder was asked last, if it is a file: that stays
        the image's even if somebody deletes the attachment.
        """
        return self.is_attached and self.device.is_file and now - self.seen.at < seconds

    def is_still_attached(self, now: Volume, mark: Mark) -> bool:
        """Return whether *now* shows the attachment of the process *mark*."""
        return now.backing_id == self.seen.image.volume.backing_id and any(
            Mark.of_device(attachment.device) == mark for attachment in now.attachments
        )


_Way = contextlib.AbstractContextManager[OpenImage]


class ReadableVolumes(Protocol):
    """Opens volumes for reading on this host; see `attach.attacher.Attacher`."""

    def readable(
        self,
        volume_id: str,
        known_raw: bool,
        wait_s: float,
        size_gib: int | None = None,
    ) -> Opened:
        """The volume, attached."""

    def beside(self, volume: Volume, neighbour: Volume, known_raw: bool) -> Opened:
        """The volume, in the place of a neighbour that is attached."""

    def unattached(self, volume: Volume, neighbour: Volume) -> Opened:
        """The same, and the volume is not attached."""


class Reading:
    """Opens image-volumes of one store for the readers of this process.

    *free* releases a volume from dead processes of this host, and returns whether
    there was anything to release. *volume_type* leads to where the store's replicas
    lie: their own type is not pinned.
    """

    def __init__(
        self,
        volumes: Volumes,
        attacher: ReadableVolumes,
        free: Callable[[str], bool] = lambda _volume_id: False,
        volume_type: str | None = None,
    ) -> None:
        self._volumes = volumes
        self._attacher = attacher
        self._free = free
        self._volume_type = volume_type

    @contextlib.contextmanager
    def opened(self, image: ImageVolume) -> Iterator[OpenImage]:
        """The image-volume, or a temporary clone while another process has it.

        Only what this store sealed is cloned: something may be writing to other
        volumes. Where no clone can be had, the other process is waited for,
        ``ontap_attach_wait`` seconds.

        :raises errors.ImageVolumeInUse: it was busy all that time
        :raises errors.ImageVolumeStuck: its status does not end by itself
        """
        with contextlib.ExitStack() as stack:
            try:
                opened = self._opened_by_cinder(stack, image)
            except errors.NotConnected as refusal:
                device = stack.enter_context(
                    self._beside_a_new_volume(image, image.volume, refusal)
                )
                _count("neighbour")
                opened = self._not_kept(image, device)
            yield opened

    def _opened_by_cinder(
        self, stack: contextlib.ExitStack, image: ImageVolume
    ) -> OpenImage:
        """The image-volume or its clone, as Cinder connects them."""
        # What is sealed can be cloned, which is faster than to wait for a reader.
        wait_s = 0 if image.is_sealed else self._volumes.waits.attach_s
        try:
            _raise_if_taken(image)
            return stack.enter_context(self._attached(image, wait_s))
        except errors.ImageVolumeInUse as busy:
            if self._free(image.id):
                with contextlib.suppress(errors.ImageVolumeInUse):
                    return stack.enter_context(self._attached(image, wait_s))
            if not image.is_sealed:
                raise
            return self._cloned_or_attached(stack, image, busy)

    @contextlib.contextmanager
    def _attached(self, image: ImageVolume, wait_s: float) -> Iterator[OpenImage]:
        size_gib = image.volume.size_gib
        with self._attacher.readable(
            image.id, image.is_sealed, wait_s, size_gib
        ) as device:
            _count("attached")
            yield OpenImage(device, is_attached=True, seen=self._seen(image))

    def _cloned_or_attached(
        self,
        stack: contextlib.ExitStack,
        image: ImageVolume,
        busy: errors.ImageVolumeInUse,
    ) -> OpenImage:
        """A clone, or the image-volume itself if that comes free first.

        Cinder clones no volume that is just being attached or detached, so a clone
        that is refused for that is tried again. A volume that stays so is read
        without an attachment. A way that fails for another reason (a full quota,
        say) is given up, and the volume itself is waited for.
        """
        clock = self._volumes.clock
        blocked_from = clock.monotonic() + _BLOCKED_AFTER_S

        def unattached() -> _Way:
            if clock.monotonic() < blocked_from:
                raise busy
            now = self._same(image)
            if now.status not in _BLOCKED:
                raise busy
            return self._unattached(image, now.status)

        ways: list[Callable[[], _Way]] = [
            lambda: self._cloned(image),
            unattached,
            lambda: self._attached(image, 0),
        ]

        def ask() -> OpenImage | None:
            for way in tuple(ways):
                try:
                    return stack.enter_context(way())
                except errors.ImageVolumeInUse as error:
                    LOG.debug("Image-volume %s: %s", image.id, error)
                except errors.ImageVolumeStuck:
                    raise
                except errors.ImageVolumeGone as error:
                    # It may be the clone that somebody has deleted.
                    self._same(image)
                    LOG.info("%s; image-volume %s is there", error, image.id)
                except errors.StoreError as error:
                    if way is ways[-1]:
                        raise
                    LOG.info("%s; waiting for image-volume %s", error, image.id)
                    ways.remove(way)
            return None

        opened = waiting.first(clock, self._volumes.waits.attach_s, ask)
        if opened is None:
            raise busy
        return opened

    @contextlib.contextmanager
    def _unattached(self, image: ImageVolume, status: str) -> Iterator[OpenImage]:
        """The image-volume, which stays in *status*, without an attachment.

        The attachment of others tells the place of the volume if it was connected.
        Otherwise a new volume of the type does, as in `_beside_a_new_volume`.
        """
        with contextlib.ExitStack() as stack:
            device = self._found_unattached(stack, image)
            self._same(image)
            LOG.warning(
                "Image-volume %s is %s and does not leave that state, so it is read"
                " without an attachment. Its attachment is of a process that died"
                " or hangs: if it stays, see glance-ontap sweep.",
                image.id,
                status,
            )
            _count("unattached")
            yield self._not_kept(image, device)

    def _found_unattached(
        self, stack: contextlib.ExitStack, image: ImageVolume
    ) -> Device:
        try:
            opened = self._attacher.unattached(image.volume, image.volume)
            return stack.enter_context(opened)
        except errors.NotConnected as error:
            LOG.debug("Image-volume %s: %s", image.id, error)
        made = stack.enter_context(self._temporary(image, 1, clone=False))
        stack.enter_context(self._attacher.readable(made.id, True, wait_s=0))
        return stack.enter_context(self._attacher.unattached(image.volume, made))

    def _same(self, image: ImageVolume) -> Volume:
        """The volume as it is now; the file that is opened must still be its.

        :raises errors.ImageVolumeGone: it is being deleted, or gone
        :raises errors.Broken: it has another file by now
        """
        now = self._volumes.service.get(image.id)
        if now.is_leaving:
            raise errors.ImageVolumeGone(f"Image-volume {image.id} is being deleted.")
        if now.backing_id != image.volume.backing_id:
            raise errors.Broken(f"Image-volume {image.id} was migrated meanwhile.")
        return now

    @contextlib.contextmanager
    def _cloned(self, image: ImageVolume) -> Iterator[OpenImage]:
        """A clone of the image-volume, which is deleted afterwards."""
        with self._temporary(image, size_gib=image.volume.size_gib, clone=True) as made:
            LOG.info("Image-volume %s is busy: read from clone %s", image.id, made.id)
            with contextlib.ExitStack() as stack:
                device = self._clone_opened(stack, image, made)
                _count("clone")
                yield self._not_kept(image, device)

    def _clone_opened(
        self, stack: contextlib.ExitStack, image: ImageVolume, clone: Volume
    ) -> Device:
        try:
            opened = self._attacher.beside(clone, image.volume, known_raw=True)
            return stack.enter_context(opened)
        except errors.Broken as error:
            # The other process has let the image-volume go meanwhile, or has no
            # connection itself, its protocol knows no neighbours, the clone lies
            # elsewhere, or an answer was lost.
            LOG.info("Clone %s is attached: %s", clone.id, error)
        try:
            opened = self._attacher.readable(clone.id, True, 0, clone.size_gib)
            return stack.enter_context(opened)
        except errors.NotConnected as refusal:
            return stack.enter_context(self._beside_a_new_volume(image, clone, refusal))

    @contextlib.contextmanager
    def _beside_a_new_volume(
        self, image: ImageVolume, volume: Volume, refusal: errors.NotConnected
    ) -> Iterator[Device]:
        """The image-volume or its clone, in the place of a new volume of its type.

        Cinder makes volumes of images by cloning, without a record of their format,
        and refuses to connect one whose content looks like vmdk, vdi, vhd and others.
        Where the type may put the new volume on another FlexVol, this may fail.

        :raises errors.NotConnected: *refusal*, with a note of what failed here
        """
        with contextlib.ExitStack() as stack:
            try:
                made = stack.enter_context(self._temporary(image, 1, clone=False))
                stack.enter_context(self._attacher.readable(made.id, True, wait_s=0))
                opened = self._attacher.beside(volume, made, image.is_sealed)
                device = stack.enter_context(opened)
            except errors.StoreError as error:
                errors.note(refusal, f"Nor can it be read another way: {error}")
                raise refusal from error
            yield device

    def _type_beside(self, image: ImageVolume) -> str | None:
        """The volume type of a new volume that is to lie beside the image-volume."""
        own = image.volume.volume_type
        return (self._volume_type or own) if image.record.replica_of else own

    @contextlib.contextmanager
    def _temporary(
        self, image: ImageVolume, size_gib: int, clone: bool
    ) -> Iterator[Volume]:
        """A volume of the image-volume's type, or its clone, deleted afterwards.

        If the process dies meanwhile, a volume stays whose metadata says
        ``reading``, and which process of which host read.
        """
        record = writer.new_record(
            State.READING, image.record.store, self._volumes.journal.own()
        )
        new = NewVolume(
            name=f"reading-{image.id}",
            size_gib=size_gib,
            volume_type=None if clone else self._type_beside(image),
            metadata=record.to_metadata(),
            source_id=image.id if clone else None,
            # Cinder clones into no other zone, and the option may have changed.
            availability_zone=image.volume.availability_zone,
        )
        with making.made(
            self._volumes, new, str(record.write_id), is_temporary=True
        ) as made:
            yield made

    def _not_kept(self, image: ImageVolume, device: Device) -> OpenImage:
        return OpenImage(device, is_attached=False, seen=self._seen(image))

    def _seen(self, image: ImageVolume) -> Seen:
        return Seen(image, self._volumes.clock.monotonic())


def _raise_if_taken(image: ImageVolume) -> None:
    """Spare the requests for an attachment that Cinder is known to refuse.

    :raises errors.ImageVolumeInUse: another process has a volume that can be cloned
    """
    volume = image.volume
    if image.is_sealed and volume.status == "in-use" and not volume.is_shared:
        raise errors.ImageVolumeInUse(f"Image-volume {volume.id} is in use.")


def _count(way: str) -> None:
    recording.current().record(catalogue.READS, way)
