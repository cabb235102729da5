# SPDX-License-Identifier: Apache-2.0
"""Images whose bytes are made while they are read: quickly, and always the same."""

from collections.abc import Iterator
from dataclasses import dataclass
import functools
import hashlib
import os
import random
import time

from lab.demo import blocks

MIB = 1024**2
GIB = 1024**3
PAGE = 4096
# The longest read, in upstream's stores and in this one.
BLOCK = 4 * MIB
# A sparse image has one run of data in each part of this length.
PERIOD = 64 * MIB
_POOL = 64 * MIB
# From one block to the next, the start in the pool advances by this prime number, so
# that no two blocks near each other are equal.
_STRIDE = 7_340_033


@functools.cache
def _pool() -> bytes:
    """Return random bytes, the same in every process."""
    return random.Random(2026).randbytes(_POOL)


@functools.lru_cache(maxsize=256)
def _zeros(length: int) -> bytes:
    """Return zeros, made once: a store that reads less at a time pays no copies."""
    return bytes(length)


@dataclass(frozen=True)
class Image:
    """*size* bytes, of which about *data* bytes are random and the others zero.

    All bytes are random if *data* is None. Runs of data begin at pages, and not
    always at blocks.
    """

    size: int
    data: int | None = None

    @property
    def data_bytes(self) -> int:
        """The number of random bytes."""
        return sum(end - start for start, end in self.extents())

    def extents(self) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each run of data, in ascending order."""
        if self.data is None:
            yield 0, self.size
            return
        for number in range(-(-self.size // PERIOD)):
            start, end = self._extent(number)
            if start < end:
                yield start, end

    def _extent(self, number: int) -> tuple[int, int]:
        """Return the start and end of the data in one period of a sparse image."""
        assert self.data is not None
        length = PERIOD * self.data // self.size // PAGE * PAGE
        # The run begins at one of seven places in its period, in a mixed order.
        step = (PERIOD - length) // 7 // PAGE * PAGE
        start = number * PERIOD + number * 5 % 7 * step
        return min(start, self.size), min(start + length, self.size)

    def piece(self, offset: int, length: int) -> bytes:
        """Return at most *length* bytes at *offset*; b"" at the image's end.

        The bytes end where data and zeros meet, and at the end of a block.
        """
        if offset >= self.size:
            return b""
        end = min(offset + length, self.size, (offset // BLOCK + 1) * BLOCK)
        if self.data is not None:
            start_of_data, end_of_data = self._extent(offset // PERIOD)
            if offset < start_of_data:
                return _zeros(min(end, start_of_data) - offset)
            if offset >= end_of_data:
                return _zeros(end - offset)
            end = min(end, end_of_data)
        block, within = divmod(offset, BLOCK)
        start = block * _STRIDE % (_POOL - BLOCK) + within
        return _pool()[start : start + end - offset]

    def at(self, offset: int, length: int) -> bytes:
        """Return *length* bytes at *offset*, or fewer at the image's end."""
        pieces = []
        while length and (piece := self.piece(offset, length)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    @functools.cached_property
    def sha512(self) -> str:
        """The image's multihash in Glance. The first use reads the whole image."""
        digest = hashlib.sha512()
        reader = Reader(self)
        while block := reader.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


class Reader:
    """A stream of an image's bytes, as Glance passes it to a store.

    *first_at* and *last_at* are readings of the monotonic clock: when the store asked
    for the first bytes, and when it had the last ones.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self.position = 0
        self.first_at: float | None = None
        self.last_at: float | None = None

    def read(self, size: int = BLOCK) -> bytes:
        """Return at most *size* bytes; b"" at the end."""
        if self.first_at is None:
            self.first_at = time.monotonic()
        data = self._image.piece(self.position, size)
        self.position += len(data)
        if data:
            self.last_at = time.monotonic()
        return data


def mistake(path: str | os.PathLike[str], image: Image) -> str:
    """Return how the file differs from *image*, as text; "" if it does not."""
    offset = difference(path, image)
    return "" if offset is None else f"bytes differ from offset {offset} on"


def difference(path: str | os.PathLike[str], image: Image) -> int | None:
    """Return the offset of the first block of the file that differs from *image*.

    None if there is none. The file of a volume is longer than the image (whole GiB):
    the bytes after the image must be zero. Holes are not read.
    """
    with open(path, "rb") as file:
        fd = file.fileno()
        length = os.fstat(fd).st_size
        if length < image.size:
            return length
        for offset in range(0, length, BLOCK):
            want = image.at(offset, BLOCK).ljust(min(BLOCK, length - offset), b"\0")
            if blocks.is_hole(fd, offset, len(want)):
                is_equal = want == _zeros(len(want))
            else:
                is_equal = os.pread(fd, len(want), offset) == want
            if not is_equal:
                return offset
    return None
