"""Glance's stream of an image, read once and no further than announced."""

from collections.abc import Iterator
from typing import Protocol

from glance_ontap_store import errors

CHUNK = 4 * 1024 * 1024


class Reader(Protocol):
    """What Glance passes to `add`: one pass, no seeking."""

    def read(self, size: int) -> bytes:
        """At most *size* bytes; b"" at the end."""


def chunks(reader: Reader, announced: int, size: int = CHUNK) -> Iterator[bytes]:
    """The stream in pieces of at most *size* bytes.

    *announced* is the image's size in bytes, 0 when Glance does not know it.
    The reader's own errors pass unchanged: Glance knows them.

    :raises errors.WrongLength: when more bytes come than announced (that is
        noticed before any of them is yielded), or fewer (at the end)
    """
    total = 0
    while data := reader.read(size):
        total += len(data)
        if announced and total > announced:
            raise errors.WrongLength(
                f"The image was announced with {announced} bytes, but more came."
            )
        yield data
    if announced and total < announced:
        raise errors.WrongLength(
            f"The image was announced with {announced} bytes, but only {total} came."
        )
