# SPDX-License-Identifier: Apache-2.0
"""One attached image-volume, shared by all who read it in this process."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import threading
from typing import Generic
from typing import TypeVar

Device = TypeVar("Device")


@dataclasses.dataclass
class _Shared(Generic[Device]):
    """What the readers of one image-volume have in common."""

    # Held while it is opened or closed, so that nobody attaches a volume that is
    # just being detached; reach: this process.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    # Who reads, waits to read, or lets go; guarded by `Leases._lock`.
    claims: int = 0
    readers: int = 0
    opened: Device | None = None
    stack: contextlib.ExitStack = dataclasses.field(
        default_factory=contextlib.ExitStack
    )


class Leases(Generic[Device]):
    """The image-volumes that this process has open for reading.

    A device takes positional reads of any number of threads, so a slow reader
    hinders no other.
    """

    def __init__(self) -> None:
        # Guards the table and the claims; reach: this process.
        self._lock = threading.Lock()
        self._table: dict[str, _Shared[Device]] = {}

    @contextlib.contextmanager
    def share(
        self,
        volume_id: str,
        open_: Callable[[], contextlib.AbstractContextManager[Device]],
    ) -> Iterator[Device]:
        """The device of *volume_id*, opened by the first and closed by the last.

        An error of *open_* is that of the reader who opened; the next tries for
        itself. An error of closing is that of the last reader.
        """
        shared = self._claim(volume_id)
        try:
            with shared.lock:
                if shared.opened is None:
                    shared.opened = shared.stack.enter_context(open_())
                opened = shared.opened
                shared.readers += 1
            try:
                yield opened
            finally:
                self._let_go(shared)
        finally:
            self._unclaim(volume_id, shared)

    def _claim(self, volume_id: str) -> _Shared[Device]:
        with self._lock:
            shared = self._table.setdefault(volume_id, _Shared())
            shared.claims += 1
            return shared

    def _let_go(self, shared: _Shared[Device]) -> None:
        with shared.lock:
            shared.readers -= 1
            if shared.readers == 0:
                shared.opened = None
                shared.stack.close()

    def _unclaim(self, volume_id: str, shared: _Shared[Device]) -> None:
        with self._lock:
            shared.claims -= 1
            if shared.claims == 0:
                del self._table[volume_id]
