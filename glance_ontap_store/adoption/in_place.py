# SPDX-License-Identifier: Apache-2.0
"""Make an image-volume of another program one of ours, without copying its bytes."""

from collections.abc import Callable
import contextlib
import dataclasses

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.adoption import plan
from glance_ontap_store.attach.attacher import Attacher
from glance_ontap_store.attach.transport import OpenVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images import writer
from glance_ontap_store.images.record import State
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.transfer import content
from glance_ontap_store.transfer import digesting
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.units import GIB

# The algorithm for images of which Glance has no multihash: Glance's default.
_ALGORITHM = "sha512"
# Progress is told after so many bytes.
_PROGRESS = 4 * GIB


@dataclasses.dataclass(frozen=True)
class _Seen:
    """The content of a volume: its file's *length* in bytes, and the image's digest."""

    length: int
    format: str
    algorithm: str | None
    digest: str | None


class Adopter:
    """Seals image-volumes of other programs as those of one store.

    Each step can be repeated, and the seal comes last: whatever happens before leaves
    an image-volume that its old store reads as before.
    """

    def __init__(
        self,
        store_id: str,
        volumes: Volumes,
        attacher: Attacher,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        self._store_id = store_id
        self._volumes = volumes
        self._attacher = attacher
        self._stop = stop
        self._say = say

    def volume(self, volume_id: str) -> Volume:
        """Return the volume, released from dead processes of this host."""
        volume = self._volumes.service.get(volume_id)
        if plan.busy(volume) and StoreRecovery(self._volumes).free(volume_id):
            volume = self._volumes.service.get(volume_id)
        return volume

    def adopt(self, volume: Volume, image: Image, verify: bool) -> None:
        """Seal *volume* as the image's.

        *verify*: read the image and compare its digest with Glance's; otherwise
        Glance's digest is taken as it is.

        :raises errors.Broken: the volume is not the image, or a qcow2 file
        :raises errors.ImageVolumeInUse: somebody uses the volume
        :raises errors.NoSpace: the quota has no room for the file's length
        :raises interruption.Interrupted: the operator ended the command
        """
        # Nothing may write to it from now on, except the one step below.
        self._volumes.service.set_readonly(volume.id)
        seen = self._look(volume, image, verify)
        if seen.length != volume.size_gib * GIB:
            self._make_whole(volume)
        sealed = dataclasses.replace(
            writer.new_record(
                State.SEALED, self._store_id, self._volumes.journal.own()
            ),
            # It was not written by this store: audit tells it from a copy by that.
            write_id=None,
            image_id=image.id,
            owner=image.owner,
            size=image.size,
            hash_algo=seen.algorithm,
            hash_value=seen.digest,
            content=seen.format,
        )
        self._volumes.service.set_metadata(volume.id, sealed.to_metadata())

    def check(self, volume: Volume, image: Image) -> None:
        """Read a sealed image-volume, and compare it with Glance's digest.

        :raises errors.Broken: the volume is not the image
        """
        self._look(volume, image, verify=True)

    def _look(self, volume: Volume, image: Image, verify: bool) -> _Seen:
        size = image.size or 0
        with self._attacher.readable(volume.id, known_raw=True, wait_s=0) as opened:
            with errors.reading(opened.name, opened.remedies):
                length = opened.length()
                head = opened.read_at(0, min(size, content.HEAD))
            found = content.detect(head)
            if found == "qcow2":
                raise errors.Broken(
                    "the volume begins like a qcow2 file. Cinder cannot clone it: copy"
                    " the image, or convert it to raw"
                )
            if length < size:
                raise errors.Broken(
                    f"its file ends after {length} bytes, the image has {size}"
                )
            if not verify:
                return _Seen(length, found, image.hash_algo, image.hash_value)
            digests = self._digests(opened, image, size)
        _compare(image, digests)
        algorithm = image.hash_algo if image.hash_value else _ALGORITHM
        return _Seen(length, found, algorithm, digests.multihash())

    def _digests(self, opened: OpenVolume, image: Image, size: int) -> Digests:
        algorithm = image.hash_algo if image.hash_value else None
        before = 0

        def told(done: int) -> None:
            nonlocal before
            self._stop.check()
            if done // _PROGRESS > before // _PROGRESS:
                self._say(f"{image.id}: {100 * done // size} % read")
            before = done

        return digesting.of_device(opened, size, algorithm or _ALGORITHM, told)

    def _make_whole(self, volume: Volume) -> None:
        """Give the file whole GiB: the clones that Cinder makes keep its length."""
        with contextlib.ExitStack() as stack:
            # Cinder attaches a read-only volume for reading only.
            self._volumes.service.set_readonly(volume.id, False)
            undo.always(
                stack,
                f"make volume {volume.id} read-only",
                lambda: self._volumes.service.set_readonly(volume.id),
            )
            with self._attacher.writable(volume) as opened:
                with errors.writing(opened.name, opened.remedies):
                    opened.ensure(max(opened.length(), volume.size_gib * GIB))
                    opened.sync()


def _compare(image: Image, digests: Digests) -> None:
    """Compare the digests with those that Glance has.

    :raises errors.Broken: they differ, or Glance has none
    """
    if image.hash_value:
        is_same = image.hash_value == digests.multihash()
    elif image.checksum:
        is_same = image.checksum == digests.checksum()
    else:
        raise errors.Broken(
            "Glance has neither a multihash nor a checksum of it to compare:"
            " --trust-glance takes it as it is"
        )
    if not is_same:
        raise errors.Broken("its bytes are not those that Glance has the digest of")
