# SPDX-License-Identifier: Apache-2.0
"""Threads that each do something with every block of a stream."""

from collections.abc import Callable
from collections.abc import Sequence
import queue
import threading

from glance_ontap_store import errors
from glance_ontap_store.transfer.buffers import Buffer

Work = Callable[[memoryview], None]


class Fanout:
    """One thread for each of *works*; *room* is what they share. Used once.

    A block goes to every work, and to each in the stream's order. Its buffer is
    filled again when all are done with it, so that the slowest sets the pace.
    After a failure the rest of the blocks only pass through: nobody ever waits
    for a thread that has given up.
    """

    def __init__(self, works: Sequence[Work], room: Sequence[Buffer]) -> None:
        # None of the queues can grow: *room* bounds two kinds, the threads' number
        # the third. SimpleQueue and Lock are used, and no Condition, since their
        # calls are whole even when a signal's exception comes into the calling
        # thread: no lock stays taken.
        self._free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
        for buffer in room:
            self._free.put(buffer)
        self._queues: list[queue.SimpleQueue[Buffer | None]] = [
            queue.SimpleQueue() for _ in works
        ]
        self._threads = [
            threading.Thread(target=self._thread, args=each, name="ontap-upload")
            for each in zip(works, self._queues, strict=True)
        ]
        # Told whenever a thread ends.
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Guards the next three, among the threads of this crew.
        self._lock = threading.Lock()
        self._users: dict[Buffer, int] = {}
        self._running = 0
        self._ended = 0
        # Set once, and looked at without a lock: a look that comes too early is
        # followed by another one.
        self._stop = False
        # In the order in which they happened: the first is the one that counts.
        self._failures: list[BaseException] = []

    def pass_on(self, read: Callable[[int], bytes]) -> None:
        """Read to the end and return when every work has had every block.

        *read* is called by the calling thread. What it or a work raises first is
        raised here, the others' failures are notes on it; but an exception that
        is no Exception (KeyboardInterrupt, GreenletExit) leaves in any case.
        No thread runs any more when this returns or raises. That takes as long
        as the call of a work that was under way: going earlier would leave a
        thread writing to a file that is closed or, worse, another by then.
        """
        is_whole = False
        try:
            for thread in self._threads:
                thread.start()
            while (buffer := self._next()) and buffer.fill(read):
                self._hand_out(buffer)
            is_whole = True
        except BaseException as error:
            self._fail(error)
        finally:
            self._stop = self._stop or not is_whole
            self._end()
        self._raise_first()

    def _next(self) -> Buffer | None:
        """A free buffer as soon as there is one; None after a failure."""
        buffer = self._free.get()
        return None if self._stop else buffer

    def _hand_out(self, buffer: Buffer) -> None:
        with self._lock:
            self._users[buffer] = len(self._queues)
        for each in self._queues:
            each.put(buffer)

    def _thread(self, work: Work, blocks: "queue.SimpleQueue[Buffer | None]") -> None:
        # Also one that begins after a failure goes on to the end: its blocks must
        # come free, since the calling thread may wait for one.
        with self._lock:
            self._running += 1
        try:
            while (buffer := blocks.get()) is not None:
                if not self._stop:
                    try:
                        work(buffer.block)
                    except BaseException as error:
                        self._fail(error)
                self._done_with(buffer)
        finally:
            with self._lock:
                self._running -= 1
                self._ended += 1
            self._ends.put(None)

    def _done_with(self, buffer: Buffer) -> None:
        with self._lock:
            self._users[buffer] -= 1
            is_free = not self._users[buffer]
        if is_free:
            self._free.put(buffer)

    def _fail(self, error: BaseException) -> None:
        self._failures.append(error)
        self._stop = True

    def _end(self) -> None:
        """Wait for the threads, and again if something is raised meanwhile."""
        try:
            self._wait()
        except BaseException as error:
            try:
                self._fail(error)
            finally:
                self._end()

    def _wait(self) -> None:
        """Return when no thread does anything any more; safe to repeat.

        `Thread.join` alone would not do: interrupted, it may take a running
        thread for dead (CPython issue 90882), and it cannot be asked of a thread
        whose start was interrupted.
        """
        for each in self._queues:
            each.put(None)
        while not self._is_over():
            self._ends.get()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _is_over(self) -> bool:
        with self._lock:
            # Having stopped, a thread that begins only now only passes blocks on.
            return not self._running and (
                self._stop or self._ended == len(self._threads)
            )

    def _raise_first(self) -> None:
        # Taken out of here: an error, its traceback, the traceback's frames and
        # this object would else keep the buffers until the garbage collector came.
        failures, self._failures = self._failures, []
        if not failures:
            return
        first = next((e for e in failures if not isinstance(e, Exception)), failures[0])
        try:
            others = [repr(e) for e in failures if e is not first]
            for other in others:
                errors.note(first, f"Meanwhile: {other}")
            raise first
        finally:
            del first, failures
