# SPDX-License-Identifier: Apache-2.0
"""The objects that Glance hands to a store: readers, verifiers, contexts."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import random
from typing import Any
from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.images.owners import Owners
from glance_ontap_store.requester import Requester

# No chunk is a multiple of it, so that misplaced bytes differ from the right ones.
_PERIOD = 1024 * 1024 + 17
_BLOCK = random.Random(20260101).randbytes(_PERIOD)


class Content(Protocol):
    """An image's bytes, which are made when they are asked for."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def at(self, offset: int, length: int) -> bytes:
        """At most *length* bytes from *offset* on; fewer at the end."""


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Random bytes without holes; a large size takes no memory."""

    size: int

    def at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        start = offset % _PERIOD
        blocks = -(-(start + length) // _PERIOD)
        return (_BLOCK * blocks)[start : start + length]


@dataclasses.dataclass(frozen=True)
class Sparse:
    """Zeros, except for the *marks*: offset -> bytes."""

    size: int
    marks: Mapping[int, bytes]

    def at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        found = bytearray(length)
        for place, mark in self.marks.items():
            for index, byte in enumerate(mark, place - offset):
                if 0 <= index < length:
                    found[index] = byte
        return bytes(found)


def pieces(content: Content, size: int = 1024 * 1024) -> Iterator[bytes]:
    """The whole *content*, in pieces and in order."""
    for offset in range(0, content.size, size):
        yield content.at(offset, size)


class OnePass:
    """A reader as Glance passes it to `add`: it cannot seek or be read twice.

    A read returns at most *most* bytes, as from a socket. From *breaks_at* on, reads
    raise *error*.
    """

    def __init__(
        self,
        content: Content,
        most: int = 2**30,
        breaks_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self._content = content
        self._most = most
        self._breaks_at = breaks_at
        self._error = error or OSError("the client went away")
        self._position = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        assert size > 0
        assert not self._ended, "read again after the end"
        if self._breaks_at is not None and self._position >= self._breaks_at:
            raise self._error
        found = self._content.at(self._position, min(size, self._most))
        self._position += len(found)
        self._ended = not found
        return found


class RecordingVerifier:
    """The verifier of a signature; it keeps the bytes that it gets."""

    def __init__(self) -> None:
        self.taken = b""

    def update(self, data: bytes) -> None:
        self.taken += data


@dataclasses.dataclass(frozen=True)
class Context:
    """The part of a request's context that a store uses."""

    project_id: str | None = "acme"
    is_admin: bool = False
    roles: tuple[str, ...] = ("member",)
    auth_token: str | None = None
    service_catalog: tuple[Any, ...] | None = None


class FakeOwners(Owners):
    """`Owners` with a fake Glance; *told*: image id -> project that owns it."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def owner_of(self, image_id: str, requester: Requester) -> str | None:
        owner = requester.project_id
        return self.told.get(image_id, owner) if requester.is_trusted else owner

    def ask(self, image_id: str, requester: Requester) -> str | None:
        if image_id not in self.told:
            raise errors.Refused(f"Glance does not tell who owns image {image_id}.")
        return self.told[image_id]
