# SPDX-License-Identifier: Apache-2.0
"""Sizes in bytes and GiB, and parts of an image."""

from typing import NamedTuple

from glance_ontap_store import errors

GIB = 1024**3


def gib_for(size_bytes: int) -> int:
    """The smallest Cinder size, in GiB and at least 1, that holds *size_bytes*."""
    return max(1, -(-size_bytes // GIB))


class ByteRange(NamedTuple):
    """A part of an image: *length* bytes from *offset*, both in bytes."""

    offset: int
    length: int

    @classmethod
    def clipped(cls, offset: int, length: int | None, size: int) -> "ByteRange":
        """What of the wanted range lies in an image of *size* bytes.

        *length* None means up to the end. A range that begins at or after the
        end is empty.
        """
        if offset < 0 or (length is not None and length < 0):
            raise errors.BadLocation(
                f"An image cannot be read from offset {offset} for {length} bytes."
            )
        rest = max(0, size - offset)
        return cls(offset, rest if length is None else min(length, rest))

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length


class Extent(NamedTuple):
    """What a file system says of the bytes from some offset up to *end*.

    All of a hole reads as zeros. What is no hole may be anything.
    """

    is_hole: bool
    end: int
