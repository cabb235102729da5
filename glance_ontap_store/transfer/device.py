# SPDX-License-Identifier: Apache-2.0
"""What a transfer needs of the place where an image lies."""

from typing import Protocol

from glance_ontap_store.units import Extent


class Device(Protocol):
    """Bytes at positions; several threads may use it at once.

    Errors of the operating system leave as OSError.
    """

    # For messages: where it is.
    name: str

    def read_at(self, offset: int, length: int) -> bytes:
        """At most *length* bytes; fewer only at the end."""

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """All of *data*; *data* is not kept."""

    def extent(self, offset: int) -> Extent:
        """What is known of the bytes from *offset* on without reading them.

        A hole ends at the device's end at the latest; all else may be no hole.
        """

    def length(self) -> int:
        """In bytes."""

    def ensure(self, size: int) -> None:
        """Make sure that *size* bytes fit, and return when they do.

        The device becomes as long as its volume has to be for them, at least. It
        is never cut; new bytes read as zeros. Growing may take a while.
        """

    def clear_from(self, offset: int) -> None:
        """Let every byte from *offset* on read as zero; the length stays."""

    def is_blank(self) -> bool:
        """True only if it is certain that every byte reads as zero."""

    def sync(self) -> None:
        """Return when what was written, and the length, are durable."""

    def forget(self, offset: int, length: int) -> None:
        """Advice: nobody will read these bytes here soon.

        What of them is not durable yet begins to become so, which is not waited
        for; what is may leave the host's memory. Never an error.
        """
