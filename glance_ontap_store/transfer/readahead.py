# SPDX-License-Identifier: Apache-2.0
"""Read an image-volume's bytes before its reader asks for them."""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import functools

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.memory import PROCESS
from glance_ontap_store.transfer.memory import Memory
from glance_ontap_store.units import ByteRange
from glance_ontap_store.units import Extent

# NFS reads at most this much in one request; larger pieces were not faster.
PIECE = 1024 * 1024
# The pieces that are being read or wait for the reader, and the threads that read
# them. Two reads at once hide the array's latency. Together with the piece that the
# reader works on, a reader needs 5 MiB.
AHEAD = 4
_THREADS = 2
_ZEROS = bytes(PIECE)


class Readahead:
    """The pieces of *wanted* in order. Use it from one thread at a time.

    This object has its own threads, which read at most `AHEAD` pieces beyond the
    one returned last. So a slow reader needs no more memory than that, and does
    not delay other readers. Where threads are green, or the memory of all transfers
    has no room, each piece is read when it is asked for. Pieces end at multiples of
    *piece* bytes. A piece that the file system reports as a hole is not read.
    """

    def __init__(
        self,
        device: Device,
        wanted: ByteRange,
        piece: int = PIECE,
        memory: Memory = PROCESS,
    ) -> None:
        self._device = device
        self._end = wanted.offset + wanted.length
        self._parts = parts(wanted, piece)
        self._known = Extent(is_hole=False, end=wanted.offset)
        self._coming: collections.deque[Callable[[], bytes]] = collections.deque()
        self._operation = recording.current()
        self._pool: futures.ThreadPoolExecutor | None = None
        # The pieces ahead, and the one that the reader works on.
        needs = (AHEAD + 1) * piece
        self._memory, self._lent = memory, 0
        if threads.are_real() and wanted.length > piece and memory.lend(needs):
            self._lent = needs
            self._pool = futures.ThreadPoolExecutor(_THREADS, "ontap-download")

    def next_piece(self) -> bytes:
        """Return the next piece; b"" at the end.

        :raises errors.ShortRead: the device ends before the image does
        :raises errors.Broken: the device could not be read
        """
        while len(self._coming) < AHEAD and (part := next(self._parts, None)):
            self._coming.append(self._begin(part))
        return self._coming.popleft()() if self._coming else b""

    def stop(self) -> None:
        """Stop reading, and return when the current reads have ended.

        The device is not used any more then. Safe to repeat.
        """
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        lent, self._lent = self._lent, 0
        if lent:
            self._memory.give_back(lent)

    def _begin(self, part: ByteRange) -> Callable[[], bytes]:
        if self._is_hole(part):
            self._operation.record(catalogue.HOLE_BYTES, value=part.length)
            return functools.partial(_zeros, part.length)
        if self._pool is None:
            return functools.partial(self._read, part)
        return self._pool.submit(self._read, part).result

    def _is_hole(self, part: ByteRange) -> bool:
        """Return whether the whole of *part* is known to be a hole.

        The device is asked once for each extent, and at most once for each piece.
        """
        if part.offset >= self._known.end:
            with self._reading(part):
                self._known = self._device.extent(part.offset)
        return self._known.is_hole and part.end <= self._known.end

    def _read(self, part: ByteRange) -> bytes:
        with self._reading(part):
            data = self._device.read_at(part.offset, part.length)
        if len(data) < part.length:
            raise errors.ShortRead(
                f"{self._device.name} ends at {part.offset + len(data)} bytes, but"
                f" the image ends at {self._end}: the volume is damaged or was cut."
                " Restore it, or upload the image again."
            )
        return data

    def _reading(self, part: ByteRange) -> contextlib.AbstractContextManager[None]:
        return errors.reading(
            f"{self._device.name} at {part.offset}", self._device.remedies
        )


def parts(wanted: ByteRange, piece: int) -> Iterator[ByteRange]:
    """Yield the parts of *wanted*, cut at every multiple of *piece* bytes."""
    at = wanted.offset
    while at < wanted.end:
        end = min((at // piece + 1) * piece, wanted.end)
        yield ByteRange(at, end - at)
        at = end


def _zeros(length: int) -> bytes:
    return _ZEROS if length == PIECE else bytes(length)
