# SPDX-License-Identifier: Apache-2.0
"""Sizes in bytes and GiB, durations, and parts of an image."""

import re
from typing import NamedTuple

from glance_ontap_store import errors

MIB = 1024**2
GIB = 1024**3

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})\s?(s|m|min|h|d)")


def seconds(text: str) -> float | None:
    """Return the seconds of a duration such as ``12h`` or ``7d``; None if it is none.

    The units are s, m or min, h and d.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) * _SECONDS[found[2]] if found else None


def gib_for(size_bytes: int) -> int:
    """Return the smallest size of a Cinder volume, in GiB, that holds *size_bytes*."""
    return max(1, -(-size_bytes // GIB))


class ByteRange(NamedTuple):
    """A part of an image: *length* bytes from *offset*, both in bytes."""

    offset: int
    length: int

    @classmethod
    def clipped(cls, offset: int, length: int | None, size: int) -> "ByteRange":
        """Return the part of the wanted range that an image of *size* bytes has.

        *length* None means up to the end. A range that begins at or after the
        end is empty.

        :raises errors.BadLocation: *offset* or *length* is negative
        """
        if offset < 0 or (length is not None and length < 0):
            raise errors.BadLocation(
                f"An image cannot be read from offset {offset} for {length} bytes:"
                " neither may be negative."
            )
        rest = max(0, size - offset)
        return cls(offset, rest if length is None else min(length, rest))

    @property
    def end(self) -> int:
        """The offset of the first byte after the range."""
        return self.offset + self.length


class Extent(NamedTuple):
    """The bytes from some offset up to *end*, as a file system describes them.

    A hole reads as zeros. Any bytes, zeros too, may be outside of holes.
    """

    is_hole: bool
    end: int
