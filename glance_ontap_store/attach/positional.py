# SPDX-License-Identifier: Apache-2.0
"""Reads and writes at positions of an open descriptor, of a file or of a device."""

import contextlib
import os

from glance_ontap_store import errors


class Positional:
    """The part of `transfer.device.Device` that files and block devices share.

    *fd* stays open as long as this is used; *name* and *remedies* are for messages.
    Any number of threads may use it.
    """

    def __init__(self, fd: int, name: str, remedies: errors.Remedies) -> None:
        self._fd = fd
        self.name = name
        self.remedies = remedies

    def read_at(self, offset: int, length: int) -> bytes:
        """Return *length* bytes, or fewer at the end."""
        data = os.pread(self._fd, length, offset)
        while data and len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of *data*; a file grows if it ends before that."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset += written
            view = view[written:]

    def forget(self, offset: int, length: int) -> None:
        """Start to write dirty pages and drop clean ones (Linux, mm/fadvise.c)."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)
