# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads through a transport, with the store's own transfer code."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from glance_ontap_store.attach.transport import Attached
from glance_ontap_store.attach.transport import OpenVolume
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import pieces
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.pipeline import Written
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import MIB
from glance_ontap_store.units import ByteRange

_STRIPE = 16 * MIB


@dataclasses.dataclass(frozen=True)
class Striped:
    """Random bytes in every *every*-th stripe of 16 MiB, and zeros in the others."""

    size: int
    every: int = 2

    def at(self, offset: int, length: int) -> bytes:
        """As `Content.at`; a piece ends with its stripe at the latest."""
        length = min(length, self.size - offset, _STRIPE - offset % _STRIPE)
        if offset // _STRIPE % self.every:
            return bytes(max(0, length))
        return Pattern(self.size).at(offset, length)


class Eventful:
    """A content during which something happens: *event*, once, before byte *at*."""

    def __init__(self, content: Content, at: int, event: Callable[[], object]) -> None:
        self._content = content
        self._at = at
        self._event: Callable[[], object] | None = event
        self.size = content.size

    @property
    def has_happened(self) -> bool:
        """Whether the event has happened."""
        return self._event is None

    def at(self, offset: int, length: int) -> bytes:
        """As `Content.at`."""
        event = self._event
        if event is not None and offset >= self._at:
            self._event = None
            event()
        return self._content.at(offset, length)


def write(device: OpenVolume, content: Content, announced: bool = True) -> Written:
    """Upload *content*; Glance does not know its size unless *announced*."""
    return pipeline.run(
        OnePass(content),
        content.size if announced else 0,
        Digests("sha256"),
        Sink(device, thin=True),
    )


def misread(
    transport: Transport,
    info: Mapping[str, Any],
    content: Content,
    attached: Attached | None = None,
) -> int | None:
    """Return where a download differs from *content*, or None.

    The kernel's memory is emptied before.
    """
    forget()
    with transport.opened(info, "ro", attached) as device:
        wanted = ByteRange(0, content.size)
        return mismatch(ImageStream(device, wanted, lambda: None), content)


def mismatch(found: Iterable[bytes], content: Content) -> int | None:
    """Return where the pieces *found* differ from *content*, or None."""
    offset = 0
    for piece in found:
        if not _is_at(content, offset, piece):
            return offset
        offset += len(piece)
    return None if offset == content.size else offset


def forget() -> None:
    """Drop all clean pages from the kernel's memory."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")


def sha256(content: Content) -> str:
    """The digest of a content."""
    digest = hashlib.sha256()
    for piece in pieces(content):
        digest.update(piece)
    return digest.hexdigest()


def difference(path: Path, content: Content) -> int | None:
    """Return where the file differs from *content* and zeros after it, or None."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < content.size:
            return size
        for offset in range(0, size, MIB):
            if not _is_at(content, offset, file.read(MIB)):
                return offset
    return None


def _is_at(content: Content, offset: int, data: bytes) -> bool:
    """Return whether *data* is that part of *content*, and of zeros after it."""
    at = 0
    while at < len(data):
        part = content.at(offset + at, len(data) - at)
        if not part:
            return data.count(0, at) == len(data) - at
        if data[at : at + len(part)] != part:
            return False
        at += len(part)
    return True


def allocated(path: Path) -> int:
    """Return the bytes that the file takes of its file system."""
    os.sync()
    return path.stat().st_blocks * 512
