# SPDX-License-Identifier: Apache-2.0
"""The blocks of files, as their file system reports them."""

from collections.abc import Iterable
from collections.abc import Iterator
import fcntl
import os
import struct

# FS_IOC_FIEMAP and its structures: Linux, Documentation/filesystems/fiemap.rst
_FIEMAP = 0xC020660B
_HEADER = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQQQLLLL")
_SYNC = 0x1
_LAST = 0x1
_UNWRITTEN = 0x800
_BATCH = 512

Span = tuple[int, int]


def extents(path: str) -> list[Span]:
    """Return where the file's data is on its device: (start, end) in bytes, sorted.

    Places that the file system has only reserved hold no data, and are left out.
    """
    found: list[Span] = []
    with open(path, "rb") as file:
        for physical, length in _mapped(file.fileno()):
            found.append((physical, physical + length))
    return sorted(found)


def _mapped(fd: int) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        buffer = bytearray(_HEADER.size + _BATCH * _EXTENT.size)
        _HEADER.pack_into(buffer, 0, start, 2**64 - 1 - start, _SYNC, 0, _BATCH, 0)
        fcntl.ioctl(fd, _FIEMAP, buffer)
        count = _HEADER.unpack_from(buffer)[3]
        if not count:
            return
        for index in range(count):
            logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(
                buffer, _HEADER.size + index * _EXTENT.size
            )
            if not flags & _UNWRITTEN:
                yield physical, length
            start = logical + length
            if flags & _LAST:
                return


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same bytes as sorted spans that do not overlap."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def total(spans: Iterable[Span]) -> int:
    """Return the number of bytes in *spans*, each counted once."""
    return sum(end - start for start, end in union(spans))


def not_in(spans: Iterable[Span], others: Iterable[Span]) -> int:
    """Return the number of bytes of *spans* outside *others*."""
    others = list(others)
    return total([*spans, *others]) - total(others)


def first_difference(path: str, image: str, chunk: int = 4 << 20) -> int | None:
    """Return the offset at which *path* differs from *image* and zeros after it.

    None if they are equal. Holes in both files are equal without being read.
    """
    with open(path, "rb") as volume, open(image, "rb") as source:
        image_size = os.fstat(source.fileno()).st_size
        if os.fstat(volume.fileno()).st_size < image_size:
            return os.fstat(volume.fileno()).st_size
        for offset in range(0, os.fstat(volume.fileno()).st_size, chunk):
            if is_hole(volume.fileno(), offset, chunk) and (
                offset >= image_size or is_hole(source.fileno(), offset, chunk)
            ):
                continue
            got = os.pread(volume.fileno(), chunk, offset)
            want = os.pread(source.fileno(), chunk, offset).ljust(len(got), b"\0")
            if got != want:
                return offset
    return None


def is_hole(fd: int, offset: int, length: int) -> bool:
    """Return whether the file has a hole there."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + length
    except OSError:  # ENXIO: no data from there to the end
        return True
