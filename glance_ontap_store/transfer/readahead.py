# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image-volume, read before they are asked for."""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import functools

from glance_ontap_store import errors
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.units import ByteRange
from glance_ontap_store.units import Extent

# The most that one read of NFS brings; larger pieces were no faster.
PIECE = 1024 * 1024
# Pieces that a reader has under way or waiting, and the threads that fetch them:
# two reads cover each other's latency. With the piece that the reader works on,
# a reader takes 5 MiB.
AHEAD = 4
_THREADS = 2
_ZEROS = bytes(PIECE)


class Readahead:
    """The pieces of *wanted* in their order. Used by one thread at a time.

    Pieces are read by threads of this object's own, at most `AHEAD` of them beyond
    what was taken: a slow reader keeps no more memory, and nobody else waiting.
    Where threads are green, each piece is read when it is taken. Pieces end at
    multiples of *piece*, a number of bytes; what the file system says is a hole
    is not read.
    """

    def __init__(self, device: Device, wanted: ByteRange, piece: int = PIECE) -> None:
        self._device = device
        self._end = wanted.offset + wanted.length
        self._parts = parts(wanted, piece)
        self._known = Extent(is_hole=False, end=wanted.offset)
        self._coming: collections.deque[Callable[[], bytes]] = collections.deque()
        self._pool: futures.ThreadPoolExecutor | None = None
        if threads.are_real() and wanted.length > piece:
            self._pool = futures.ThreadPoolExecutor(_THREADS, "ontap-download")

    def take(self) -> bytes:
        """The next piece; b"" at the end.

        :raises errors.ShortRead: the device ended before the image did
        :raises errors.Broken: the device could not be read
        """
        while len(self._coming) < AHEAD and (part := next(self._parts, None)):
            self._coming.append(self._begin(part))
        return self._coming.popleft()() if self._coming else b""

    def stop(self) -> None:
        """Return when the device is not used any more. Safe to repeat.

        That takes as long as the reads that are under way.
        """
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _begin(self, part: ByteRange) -> Callable[[], bytes]:
        if self._is_hole(part):
            return functools.partial(_zeros, part.length)
        if self._pool is None:
            return functools.partial(self._read, part)
        return self._pool.submit(self._read, part).result

    def _is_hole(self, part: ByteRange) -> bool:
        """Asked once for an extent, and at most once for a piece."""
        if part.offset >= self._known.end:
            with self._reading(part):
                self._known = self._device.extent(part.offset)
        return self._known.is_hole and part.end <= self._known.end

    def _read(self, part: ByteRange) -> bytes:
        with self._reading(part):
            data = self._device.read_at(part.offset, part.length)
        if len(data) < part.length:
            raise errors.ShortRead(
                f"{self._device.name} ends at {part.offset + len(data)} bytes, the"
                f" image at {self._end}: it is damaged or was cut."
            )
        return data

    def _reading(self, part: ByteRange) -> contextlib.AbstractContextManager[None]:
        return errors.reading(f"{self._device.name} at {part.offset}")


def parts(wanted: ByteRange, piece: int) -> Iterator[ByteRange]:
    """*wanted* cut at every multiple of *piece* bytes."""
    at = wanted.offset
    while at < wanted.end:
        end = min((at // piece + 1) * piece, wanted.end)
        yield ByteRange(at, end - at)
        at = end


def _zeros(length: int) -> bytes:
    return _ZEROS if length == PIECE else bytes(length)
