# SPDX-License-Identifier: Apache-2.0
"""A transport whose volumes are one device in memory."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any


class MemoryTransport:
    """`attach.transport.Transport`: every volume is *device*.

    *opened_count* is the number of times that it was opened.
    """

    def __init__(self, device: Any) -> None:
        self.device = device
        self.opened_count = 0

    @contextlib.contextmanager
    def opened(
        self, info: Mapping[str, Any], mode: str, attached: Any = None
    ) -> Iterator[Any]:
        self.opened_count += 1
        yield self.device

    def beside(
        self, info: Mapping[str, Any], volume_id: str, other_id: str
    ) -> Mapping[str, Any] | None:
        return None

    def disconnect(self, info: Mapping[str, Any]) -> None:
        pass
