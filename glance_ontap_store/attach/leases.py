# SPDX-License-Identifier: Apache-2.0
"""Share one attached image-volume among the readers of this process."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import threading
from typing import Generic
from typing import TypeVar

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.waiting import Clock

# Seconds that a reader waits for another one of this process to open the volume. To
# open it takes seconds, and longer where other processes are waited for; it takes for
# ever if the FlexVol does not answer.
PATIENCE_S = 300.0

# The device of an attached image-volume.
Opened = TypeVar("Opened")


@dataclasses.dataclass
class _Shared(Generic[Opened]):
    """The state that the readers of one image-volume share."""

    # Held while the device is opened or closed, so that a volume is not attached
    # while it is being detached. Reach: this process.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    # Threads that read, wait to read, or are closing. Guarded by `Leases._lock`.
    claims: int = 0
    readers: int = 0
    opened: Opened | None = None
    stack: contextlib.ExitStack = dataclasses.field(
        default_factory=contextlib.ExitStack
    )


class Leases(Generic[Opened]):
    """The image-volumes that this process has open for reading.

    A device takes positional reads from any number of threads, so a slow reader
    does not delay the others.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        # Guards the table and the claims. Reach: this process.
        self._lock = threading.Lock()
        self._table: dict[str, _Shared[Opened]] = {}

    @contextlib.contextmanager
    def share(
        self,
        volume_id: str,
        open_: Callable[[], contextlib.AbstractContextManager[Opened]],
    ) -> Iterator[Opened]:
        """Yield the device of *volume_id*; the first opens it, the last closes it.

        Only the reader that opened gets an error of *open_*; the next one tries
        again. Only the last reader gets an error of closing.

        :raises errors.Broken: another reader of this process has been opening or
            closing it for too long
        """
        shared = self._claim(volume_id)
        try:
            with self._held(shared, volume_id):
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

    @contextlib.contextmanager
    def _held(self, shared: _Shared[Opened], volume_id: str) -> Iterator[None]:
        if not shared.lock.acquire(timeout=self._patience_s):
            raise errors.Broken(
                f"Another download of this process has been opening or closing"
                f" image-volume {volume_id} for {self._patience_s:g} s. Does its"
                " FlexVol answer?"
            )
        try:
            yield
        finally:
            shared.lock.release()

    def wait_until_free(self, volume_id: str, clock: Clock, timeout_s: float) -> bool:
        """Wait until no reader of this process has *volume_id*; whether it is so.

        A reader that is just opening or closing the volume counts too. It says
        nothing about readers of other processes.
        """
        return waiting.until(clock, timeout_s, lambda: not self._is_claimed(volume_id))

    def _is_claimed(self, volume_id: str) -> bool:
        with self._lock:
            return volume_id in self._table

    def _claim(self, volume_id: str) -> _Shared[Opened]:
        with self._lock:
            shared = self._table.setdefault(volume_id, _Shared())
            shared.claims += 1
            return shared

    def _let_go(self, shared: _Shared[Opened]) -> None:
        with shared.lock:
            shared.readers -= 1
            if shared.readers == 0:
                shared.opened = None
                shared.stack.close()

    def _unclaim(self, volume_id: str, shared: _Shared[Opened]) -> None:
        with self._lock:
            shared.claims -= 1
            if shared.claims == 0:
                del self._table[volume_id]
