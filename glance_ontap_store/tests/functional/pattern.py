# SPDX-License-Identifier: Apache-2.0
"""Image data that is made as it is read, and compared without being kept."""

from collections.abc import Iterator
import hashlib
import os

from glance_ontap_store.tests.fakes import glance

MIB = 1024**2
GIB = 1024**3
_ENDLESS = glance.Pattern(2**62)


class Pattern:
    """One pass over the first *size* bytes of one pattern, hashed on the way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.position = 0
        self.sha512 = hashlib.sha512()
        self.md5 = hashlib.md5(usedforsecurity=False)

    def read(self, size: int = MIB) -> bytes:
        size = min(size, self.size - self.position)
        data = at(self.position, size)
        self.position += size
        self.sha512.update(data)
        self.md5.update(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data


class Sized(Pattern):
    """The same with a length, so that requests announces it."""

    def __len__(self) -> int:
        return self.size - self.position


def at(offset: int, length: int) -> bytes:
    """Return the bytes [offset, offset + length) of every pattern."""
    return _ENDLESS.at(offset, length)


def first_difference(path: str | os.PathLike[str], size: int) -> int | None:
    """Return where the file differs from a pattern of *size* and zeros, or None."""
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        if end < size:
            return end
        for offset in range(0, end, 4 * MIB):
            got = os.pread(file.fileno(), min(4 * MIB, end - offset), offset)
            want = at(offset, max(0, min(len(got), size - offset)))
            if got != want.ljust(len(got), b"\0"):
                return offset
    return None
