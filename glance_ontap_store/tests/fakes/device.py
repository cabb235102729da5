# SPDX-License-Identifier: Apache-2.0
"""A device in memory."""

import sys
import threading

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.units import Extent

_PAGE = 64 * 1024
_ZEROS = bytes(_PAGE)


class MemoryDevice:
    """`transfer.device.Device`; pages of zeros take no memory.

    It grows in whole *unit*s of bytes.
    """

    is_file = True

    def __init__(
        self, length: int = 0, name: str = "memory", unit: int = units.GIB
    ) -> None:
        self.name = name
        self.remedies = errors.FILE
        self._unit = unit
        self.is_synced = True
        self._length = length
        self._pages: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def read_at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._length - offset))
        first = offset // _PAGE
        last = -(-(offset + length) // _PAGE)
        found = b"".join(self._pages.get(n, _ZEROS) for n in range(first, last))
        start = offset - first * _PAGE
        return found[start : start + length]

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        view = memoryview(data)
        with self._lock:
            self.is_synced = False
            if view:
                self._length = max(self._length, offset + len(view))
            while view:
                number, start = divmod(offset, _PAGE)
                part = view[: _PAGE - start]
                self._put(number, start, bytes(part))
                offset += len(part)
                view = view[len(part) :]

    def _put(self, number: int, start: int, data: bytes) -> None:
        old = self._pages.get(number, _ZEROS)
        new = old[:start] + data + old[start + len(data) :]
        if new == _ZEROS:
            self._pages.pop(number, None)
        else:
            self._pages[number] = new

    def extent(self, offset: int) -> Extent:
        if offset >= self._length:
            return Extent(False, sys.maxsize)
        number = offset // _PAGE
        is_hole = number not in self._pages
        while (number not in self._pages) is is_hole and number * _PAGE < self._length:
            number += 1
        return Extent(is_hole, min(number * _PAGE, self._length))

    def length(self) -> int:
        return self._length

    def ensure(self, size: int) -> None:
        with self._lock:
            self.is_synced = False
            full = max(1, -(-size // self._unit)) * self._unit
            self._length = max(self._length, full)

    def clear_from(self, offset: int) -> None:
        with self._lock:
            self.is_synced = False
            number, start = divmod(offset, _PAGE)
            for page in [page for page in self._pages if page > number]:
                del self._pages[page]
            self._put(number, start, bytes(_PAGE - start))

    def is_blank(self) -> bool:
        return not self._pages

    def holds_qcow2(self) -> bool:
        return self.read_at(0, 4) == b"QFI\xfb"

    def sync(self) -> None:
        self.is_synced = True

    def forget(self, offset: int, length: int) -> None:
        pass
