# SPDX-License-Identifier: Apache-2.0
"""Share one attached image-volume among the readers of this process.

After its last reader it can stay attached for the next one: it lingers. A thread closes
it when its time is over, or as soon as somebody needs it closed: a deletion, or the end
of the process.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses
import functools
import os
import threading
from typing import Any
from typing import Generic
from typing import TypeVar
import weakref

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.stopping import hook
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)

# Seconds that a reader waits for another one of this process to open the volume. To
# open it takes seconds, and longer where other processes are waited for; it takes for
# ever if the FlexVol does not answer.
PATIENCE_S = 300.0

# The name of threads that close volumes.
THREAD = "ontap-linger"

# The device of an attached image-volume.
Opened = TypeVar("Opened")


class _Rest:
    """The time of an open image-volume after its last reader.

    *close* is what a thread then calls, with this object.
    """

    def __init__(self, seconds: float, close: Callable[["_Rest"], None]) -> None:
        self.seconds = seconds
        # Set when the volume is to be closed before its time, or has a reader again.
        self.is_over = threading.Event()
        # A copy of the context: the thread records for the operation of the reader.
        context = contextvars.copy_context()
        self.thread = threading.Thread(
            target=context.run, args=(close, self), daemon=True, name=THREAD
        )


@dataclasses.dataclass
class _Shared(Generic[Opened]):
    """The state that the readers of one image-volume share."""

    # Held while the device is opened or closed, so that a volume is not attached
    # while it is being detached. Reach: this process.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    # Threads that read, wait to read, or close. Guarded by `Leases._lock`.
    claims: int = 0
    readers: int = 0
    opened: Opened | None = None
    stack: contextlib.ExitStack = dataclasses.field(
        default_factory=contextlib.ExitStack
    )
    # None while it has readers, and while it is not open.
    rest: _Rest | None = None
    # A reader had an error, so the device is not kept for later ones.
    is_spoiled: bool = False


class Leases(Generic[Opened]):
    """The image-volumes that this process has open for reading.

    A device takes positional reads from any number of threads, so a slow reader
    does not delay the others.

    After its last reader a volume lingers for *linger_s* seconds, if *may_linger* says
    so of its device. One that does not linger is closed by its last reader, or by a
    thread (*in_background*). *running* ends all that lingers when the process stops.
    A forked process begins without any.
    """

    def __init__(
        self,
        linger_s: float = 0,
        may_linger: Callable[[Opened], bool] = lambda _opened: True,
        running: Transfers | None = None,
        in_background: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._linger_s = linger_s
        self._may_linger = may_linger
        self._running = running or Transfers()
        self._in_background = in_background
        self._patience_s = patience_s
        # Guards the table and the claims. Reach: this process.
        self._lock = threading.Lock()
        self._table: dict[str, _Shared[Opened]] = {}
        _ALL.add(self)

    @contextlib.contextmanager
    def share(
        self,
        volume_id: str,
        open_: Callable[[], contextlib.AbstractContextManager[Opened]],
        is_good: Callable[[Opened], bool] = lambda _opened: True,
    ) -> Iterator[Opened]:
        """Yield the device of *volume_id*; the first opens it, the last closes it.

        Only the reader that opened gets an error of *open_*; the next one tries
        again. Only the last reader gets an error of closing; one that comes after it
        is logged. A device that lingers is used again if *is_good* says so of it, and
        is opened anew otherwise.

        :raises errors.Broken: another reader of this process has been opening or
            closing it for too long
        """
        shared = self._claim(volume_id)
        try:
            with self._held(shared, volume_id):
                self._wake(volume_id, shared, is_good)
                if shared.opened is None:
                    shared.opened = shared.stack.enter_context(open_())
                opened = shared.opened
                shared.readers += 1
            try:
                yield opened
            finally:
                self._let_go(volume_id, shared)
        finally:
            self._unclaim(volume_id, shared)

    def opened(self, volume_id: str) -> Opened | None:
        """What is open of *volume_id*, with readers or without; None if nothing is.

        It may be closed at any time, unless the caller shares it. A device whose reader
        had an error is not shown.
        """
        with self._lock:
            shared = self._table.get(volume_id)
        return None if shared is None or shared.is_spoiled else shared.opened

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

    def _wake(
        self,
        volume_id: str,
        shared: _Shared[Opened],
        is_good: Callable[[Opened], bool],
    ) -> None:
        """Let a reader use what is open; close what lingers and is not good."""
        if shared.opened is None:
            return
        operation = recording.current()
        if shared.rest is None:
            operation.record(catalogue.READS, "shared")
        elif is_good(shared.opened):
            self._end_rest(shared)
            operation.record(catalogue.READS, "lingering")
        else:
            LOG.info("Image-volume %s is attached again: it was detached", volume_id)
            self._close_resting(volume_id, shared)

    @staticmethod
    def _end_rest(shared: _Shared[Opened]) -> None:
        rest, shared.rest = shared.rest, None
        if rest is not None:
            if rest.seconds:
                recording.current().record(catalogue.LINGERING, value=-1)
            rest.is_over.set()

    def _close_resting(self, volume_id: str, shared: _Shared[Opened]) -> None:
        try:
            self._close(shared)
        except errors.StoreError as error:
            # No reader is there to hear of it. Recovery detaches the volume.
            LOG.warning("Image-volume %s, after reading: %s", volume_id, error)
        finally:
            self._end_rest(shared)

    @staticmethod
    def _close(shared: _Shared[Opened]) -> None:
        shared.opened, shared.is_spoiled = None, False
        shared.stack.close()

    def wait_until_free(self, volume_id: str, clock: Clock, timeout_s: float) -> bool:
        """Wait until no reader of this process has *volume_id*; whether it is so.

        A reader that is just opening or closing the volume counts too. What lingers
        is closed. It says nothing about readers of other processes.
        """
        deadline = clock.monotonic() + timeout_s

        def is_free() -> bool:
            self._close_soon(volume_id, deadline - clock.monotonic())
            return not self._is_claimed(volume_id)

        return waiting.until(clock, timeout_s, is_free)

    def _close_soon(self, volume_id: str, timeout_s: float) -> None:
        """Have the volume closed if it has no reader; wait for it, *timeout_s*."""
        with self._lock:
            shared = self._table.get(volume_id)
            rest = shared.rest if shared else None
        if rest is not None:
            rest.is_over.set()
            rest.thread.join(max(timeout_s, 0))

    def _is_claimed(self, volume_id: str) -> bool:
        with self._lock:
            return volume_id in self._table

    def _claim(self, volume_id: str) -> _Shared[Opened]:
        with self._lock:
            shared = self._table.setdefault(volume_id, _Shared())
            shared.claims += 1
            return shared

    def _let_go(self, volume_id: str, shared: _Shared[Opened]) -> None:
        with shared.lock:
            shared.readers -= 1
            if shared.readers == 0 and not self._rests(volume_id, shared):
                self._close(shared)

    def _rests(self, volume_id: str, shared: _Shared[Opened]) -> bool:
        """Let a thread close the open volume, in time; return whether one will."""
        rest_s = self._rest_s(shared)
        if rest_s is None:
            return False
        rest = _Rest(rest_s, functools.partial(self._end_after, volume_id, shared))
        # Before the thread runs, so that a stop of the process waits for it.
        self._running.keep(rest.is_over)
        with self._lock:
            shared.claims += 1
        try:
            rest.thread.start()
        except RuntimeError:  # the interpreter ends, or there are too many threads
            self._gone(volume_id, shared, rest)
            return False
        # The thread sees it, since the lock is held.
        shared.rest = rest
        if rest.seconds:
            recording.current().record(catalogue.LINGERING)
        return True

    def _rest_s(self, shared: _Shared[Opened]) -> float | None:
        """Seconds until a thread closes the volume; None if its last reader does."""
        opened = shared.opened
        if opened is None or shared.is_spoiled or not hook.threads_run():
            return None
        if self._linger_s and self._may_linger(opened):
            return self._linger_s
        return 0 if self._in_background else None

    def spoil(self, volume_id: str) -> None:
        """Let the device of *volume_id* not linger: a reader had an error."""
        with self._lock:
            shared = self._table.get(volume_id)
        if shared is not None:
            shared.is_spoiled = True

    def _end_after(self, volume_id: str, shared: _Shared[Opened], rest: _Rest) -> None:
        """Close the volume when its time is over, unless a reader came meanwhile."""
        try:
            rest.is_over.wait(rest.seconds)
            with shared.lock:
                if shared.rest is rest:
                    self._close_resting(volume_id, shared)
        finally:
            self._gone(volume_id, shared, rest)

    def _gone(self, volume_id: str, shared: _Shared[Opened], rest: _Rest) -> None:
        self._running.let_go(rest.is_over)
        self._unclaim(volume_id, shared)

    def _unclaim(self, volume_id: str, shared: _Shared[Opened]) -> None:
        with self._lock:
            shared.claims -= 1
            # After a fork it is not in the table of the child.
            if shared.claims == 0 and self._table.get(volume_id) is shared:
                del self._table[volume_id]

    def after_fork(self) -> None:
        """Leave all to the parent, in a child that was forked just now."""
        # Kept, and never closed: to end it would release what is the parent's.
        _OF_PARENTS.append(self._table)
        self._lock = threading.Lock()
        self._table = {}


# All objects of this process, for the hook after a fork.
_ALL: "weakref.WeakSet[Leases[Any]]" = weakref.WeakSet()
_OF_PARENTS: list[object] = []


def _after_fork() -> None:
    for leases in list(_ALL):
        leases.after_fork()


os.register_at_fork(after_in_child=_after_fork)
