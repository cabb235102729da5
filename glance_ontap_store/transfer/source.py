# SPDX-License-Identifier: Apache-2.0
"""Glance's stream of an image, read once and no further than announced."""

from typing import Protocol

from glance_ontap_store import errors

CHUNK = 4 * 1024 * 1024


class Reader(Protocol):
    """What Glance passes to `add`: one pass, no seeking."""

    def read(self, size: int) -> bytes:
        """At most *size* bytes; b"" at the end."""


class BoundedReader:
    """A reader that is not asked again after its end, and held to its word.

    *announced* is the image's size in bytes, 0 when Glance does not know it.
    The reader's own errors pass unchanged: Glance knows them.
    """

    def __init__(self, reader: Reader, announced: int) -> None:
        self._reader = reader
        self._announced = announced
        self._total = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """At most *size* bytes; b"" at the end, however often.

        :raises errors.WrongLength: when more bytes come than announced (none of
            those is returned), or fewer (at the end)
        """
        if self._ended:
            return b""
        data = self._reader.read(size)
        self._total += len(data)
        self._ended = not data
        if self._announced and self._total > self._announced:
            raise errors.WrongLength(
                f"The image was announced with {self._announced} bytes, but more came."
            )
        if self._ended and self._total < self._announced:
            raise errors.WrongLength(
                f"The image was announced with {self._announced} bytes, but only"
                f" {self._total} came."
            )
        return data
