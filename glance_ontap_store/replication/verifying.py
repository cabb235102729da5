# SPDX-License-Identifier: Apache-2.0
"""Compare a replica with what it was made of, before it is sealed."""

from collections.abc import Callable
from collections.abc import Iterator
import random

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.transfer import digesting
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.units import GIB
from glance_ontap_store.units import ByteRange

BLOCK = 1024 * 1024
# The blocks of a sample, besides the first and the last one.
COUNT = 64


class Mismatch(errors.Broken):
    """The replica is not what it was made of."""


class Astray(errors.Broken):
    """The file of a replica is not where Cinder says. *found* says what is wrong."""

    def __init__(self, backing_id: str, found: str) -> None:
        super().__init__(
            f"{found.rstrip('.')}. The array may have copied the file"
            f" volume-{backing_id} into another FlexVol, where nobody deletes it: look"
            " for it on all FlexVols (is a junction path the name of another one?)."
            " Delete it there, then delete the volume, and let the array copy no more"
            " to that FlexVol."
        )


def check_place(device: Device, volume: Volume) -> None:
    """Check that an NFS file is on the export of its volume's pool.

    Other protocols' devices do not tell where they lie.

    :raises Astray: it is on another export
    """
    export = (volume.pool or "").partition("#")[2]
    is_file = ":/" in export and not device.name.startswith("/dev/")
    if is_file and not device.name.startswith(f"{export}/"):
        raise Astray(
            volume.backing_id, f"Cinder connects {device.name}, and not {export}"
        )


def check_length(device: Device, size_gib: int) -> None:
    """Check that the file is as long as its volume.

    :raises Mismatch: it is not: the clones that Cinder makes of it would be as short
    """
    with errors.reading(device.name, device.remedies):
        length = device.length()
    if length != size_gib * GIB:
        raise Mismatch(
            f"{device.name} has {length} bytes, and its volume {size_gib} GiB"
        )


def compare_all(device: Device, image: Image, told: Callable[[int], object]) -> None:
    """Read the image, and compare its multihash with the one that Glance has.

    *told* is as of `digesting.of_device`.

    :raises Mismatch: they differ
    :raises errors.Broken: Glance has none, or the device could not be read
    """
    if not image.hash_algo or not image.hash_value:
        raise errors.Broken("Glance has no multihash of the image to compare")
    size = image.size or 0
    digests = digesting.of_device(device, size, image.hash_algo, told)
    if digests.multihash() != image.hash_value:
        raise Mismatch(
            f"the bytes of {device.name} are not those that Glance has the digest of"
        )


def compare_sample(
    device: Device,
    source: Device,
    size: int,
    told: Callable[[], object],
    chance: random.Random,
) -> None:
    """Compare blocks of the first *size* bytes with those of the source.

    *told* is called before each block; what it raises ends the comparison.

    :raises Mismatch: a block differs
    :raises errors.Broken: a device could not be read
    """
    for block in sampled(source, size, chance):
        told()
        if _read(device, block) != _read(source, block):
            raise Mismatch(
                f"{device.name} differs from {source.name} in the"
                f" {block.length} bytes from {block.offset} on"
            )


def sampled(source: Device, size: int, chance: random.Random) -> Iterator[ByteRange]:
    """Yield the first and the last block, and `COUNT` others with data, none twice.

    There are fewer where the source has less data.
    """
    if not size:
        return
    seen = {0, (size - 1) // BLOCK}
    for _time in range(COUNT):
        at = _with_data(source, chance.randrange(size), size)
        if at is not None:
            seen.add(at // BLOCK)
    for number in sorted(seen):
        yield ByteRange.clipped(number * BLOCK, BLOCK, size)


def _with_data(source: Device, offset: int, size: int) -> int | None:
    """Return where the next data are from *offset* on, or from the beginning on."""
    for start in (offset, 0):
        with errors.reading(source.name, source.remedies):
            extent = source.extent(start)
        if not extent.is_hole:
            return start
        if extent.end < size:
            return extent.end
    return None


def _read(device: Device, block: ByteRange) -> bytes:
    with errors.reading(f"{device.name} at {block.offset}", device.remedies):
        return device.read_at(block.offset, block.length)
