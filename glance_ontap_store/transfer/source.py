# SPDX-License-Identifier: Apache-2.0
"""Glance's stream of an image, read once and no further than announced.

Reads are small, see `READ_SIZE`; blocks for hashing and writing are larger.
"""

from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.transfer import content

# The largest read of Glance's stream. Glance inspects every read with oslo.utils. Its
# inspector of vhdx finds in the first 256 KiB where the disk's metadata are (at 1 MiB
# or later), but looks for the size among them only in the reads after that one. If
# one read covers both, Glance refuses the image with 415. Reads of up to 768 KiB are
# safe however a socket cuts the stream; the other inspectors accept reads of any
# size. Larger reads take as much CPU time as these.
READ_SIZE = 256 * 1024


class Reader(Protocol):
    """The stream that Glance passes to `add`. It is read once and cannot seek."""

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes; b"" at the end."""


class PeekedReader:
    """A stream whose first piece has been read, to find out whether it has any.

    Errors of the stream pass unchanged.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._first = reader.read(READ_SIZE)
        self.is_empty = not self._first

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes, from the stream's beginning on."""
        if self._first or self.is_empty:
            piece, self._first = self._first[:size], self._first[size:]
            return piece
        return self._reader.read(size)


class BoundedReader:
    """Reads a stream up to its end once, and checks its length.

    *announced* is the image's size in bytes, 0 if Glance does not know it.
    Errors of the stream itself pass unchanged, because Glance knows them.
    """

    def __init__(self, reader: Reader, announced: int) -> None:
        self._reader = reader
        self._announced = announced
        self._ended = False
        # The bytes that came: the image's size once the stream has ended.
        self.count = 0
        # The image's first bytes, `content.HEAD` at most.
        self.head = b""

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes; b"" at the end, as often as it is called.

        :raises errors.WrongLength: more bytes came than announced (none of these
            is returned), or fewer (at the end)
        """
        if self._ended:
            return b""
        data = self._reader.read(min(size, READ_SIZE))
        self.count += len(data)
        if len(self.head) < content.HEAD:
            self.head += data[: content.HEAD - len(self.head)]
        self._ended = not data
        if self._announced and self.count > self._announced:
            raise errors.WrongLength(
                f"The image was announced with {self._announced} bytes, but more came."
                " Upload it again with its real size."
            )
        if self._ended and self.count < self._announced:
            raise errors.WrongLength(
                f"The image was announced with {self._announced} bytes, but only"
                f" {self.count} came. Upload it again."
            )
        return data
