# SPDX-License-Identifier: Apache-2.0
"""Compute the digests of what a device holds."""

from collections.abc import Callable
import contextlib

from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.readahead import Readahead
from glance_ontap_store.units import ByteRange


def of_device(
    device: Device,
    size: int,
    algorithm: str,
    told: Callable[[int], object],
) -> Digests:
    """Return the digests of the device's first *size* bytes, all of which are read.

    *told* gets the number of bytes so far before each piece; what it raises ends the
    reading.

    :raises errors.ShortRead: the device ends before that
    :raises errors.Broken: the device could not be read
    :raises errors.UnknownHash: hashlib on this host cannot make *algorithm*
    """
    digests = Digests(algorithm)
    ahead = Readahead(device, ByteRange.clipped(0, None, size))
    done = 0
    with contextlib.ExitStack() as stack:
        stack.callback(ahead.stop)
        while piece := ahead.next_piece():
            done += len(piece)
            told(done)
            digests.update(piece)
    return digests
