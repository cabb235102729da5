# SPDX-License-Identifier: Apache-2.0
"""Images that are made as they are read, cheaply and always the same."""

from collections.abc import Iterator
from dataclasses import dataclass
import functools
import hashlib
import os
import random

from lab.demo import blocks

MIB = 1024**2
GIB = 1024**3
PAGE = 4096
# What one read gives at most, as upstream's and this store's.
BLOCK = 4 * MIB
# Sparse images have one run of data in each such part.
PERIOD = 64 * MIB
_POOL = 64 * MIB
# Each block begins elsewhere in the pool: a prime, so that none repeats soon.
_STRIDE = 7_340_033
_ZEROS = bytes(BLOCK)


@functools.cache
def _pool() -> bytes:
    """Random bytes, the same in every process."""
    return random.Random(2026).randbytes(_POOL)


@dataclass(frozen=True)
class Image:
    """*size* bytes, of which about *data* are random and the others zeros.

    Without *data* all are random. Runs of data begin at pages, not at blocks.
    """

    size: int
    data: int | None = None

    @property
    def data_bytes(self) -> int:
        """Bytes that are not zeros by construction."""
        return sum(end - start for start, end in self.extents())

    def extents(self) -> Iterator[tuple[int, int]]:
        """Where the data lies: start and end, ascending."""
        if self.data is None:
            yield 0, self.size
            return
        for number in range(-(-self.size // PERIOD)):
            start, end = self._extent(number)
            if start < end:
                yield start, end

    def _extent(self, number: int) -> tuple[int, int]:
        """The run of data of one period of a sparse image."""
        assert self.data is not None
        length = PERIOD * self.data // self.size // PAGE * PAGE
        step = (PERIOD - length) // 7 // PAGE * PAGE
        start = number * PERIOD + number * 5 % 7 * step
        return min(start, self.size), min(start + length, self.size)

    def piece(self, offset: int, length: int) -> bytes:
        """At most *length* bytes at *offset*, up to where the kind of bytes changes
        or a block ends; b"" at the end."""
        if offset >= self.size:
            return b""
        end = min(offset + length, self.size, (offset // BLOCK + 1) * BLOCK)
        if self.data is not None:
            start_of_data, end_of_data = self._extent(offset // PERIOD)
            if offset < start_of_data:
                return _ZEROS[: min(end, start_of_data) - offset]
            if offset >= end_of_data:
                return _ZEROS[: end - offset]
            end = min(end, end_of_data)
        block, within = divmod(offset, BLOCK)
        start = block * _STRIDE % (_POOL - BLOCK) + within
        return _pool()[start : start + end - offset]

    def at(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), as far as there are any."""
        pieces = []
        while length and (piece := self.piece(offset, length)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    @functools.cached_property
    def sha512(self) -> str:
        """Glance's multihash of the image. Reads all of it the first time."""
        digest = hashlib.sha512()
        reader = Reader(self)
        while block := reader.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


class Reader:
    """One pass over an image, as Glance passes it to a store."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.position = 0

    def read(self, size: int = BLOCK) -> bytes:
        """At most *size* bytes; b"" at the end."""
        data = self._image.piece(self.position, size)
        self.position += len(data)
        return data


def difference(path: str | os.PathLike[str], image: Image) -> int | None:
    """The first block of the file that differs from *image*; None if none does.

    The file may be longer (whole GiB), but only by zeros. Holes are not read.
    """
    with open(path, "rb") as file:
        fd = file.fileno()
        length = os.fstat(fd).st_size
        if length < image.size:
            return length
        for offset in range(0, length, BLOCK):
            want = image.at(offset, BLOCK).ljust(min(BLOCK, length - offset), b"\0")
            if blocks.is_hole(fd, offset, len(want)):
                is_equal = want == _ZEROS[: len(want)]
            else:
                is_equal = os.pread(fd, len(want), offset) == want
            if not is_equal:
                return offset
    return None
