# SPDX-License-Identifier: Apache-2.0
"""The interface through which a transfer uses an attached volume."""

from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.units import Extent


class Device(Protocol):
    """An attached volume, read and written at offsets by any number of threads.

    Methods raise OSError if the operating system reports an error.
    """

    # For messages: where the device is.
    name: str
    # An open file has the bytes of its volume as long as it is open. The device of a
    # LUN or a namespace may become another volume's, once the attachment is gone.
    is_file: bool
    # For messages: what to do if it fails.
    remedies: errors.Remedies

    def read_at(self, offset: int, length: int) -> bytes:
        """Return *length* bytes; fewer only at the end."""

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of *data*; *data* is not kept."""

    def extent(self, offset: int) -> Extent:
        """Return whether the bytes from *offset* on are a hole, and up to where.

        The answer comes without reading. A hole ends at the device's end at the
        latest; bytes that are not a known hole may still be zeros.
        """

    def length(self) -> int:
        """Return the length in bytes."""

    def ensure(self, size: int) -> None:
        """Make sure that *size* bytes fit, and return when they do.

        The device becomes as long as its volume has to be for them, at least. It
        is never cut; new bytes read as zeros. Growing may take a while.
        """

    def clear_from(self, offset: int) -> None:
        """Make every byte from *offset* on read as zero; keep the length."""

    def is_blank(self) -> bool:
        """Return True only if every byte is certain to read as zero."""

    def sync(self) -> None:
        """Return when all written bytes and the length are durable."""

    def forget(self, offset: int, length: int) -> None:
        """Advise that these bytes will not be read here soon. Never raises.

        Start writeback of dirty pages without waiting, and let clean pages leave
        the host's memory.
        """
