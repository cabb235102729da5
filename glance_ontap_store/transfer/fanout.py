# SPDX-License-Identifier: Apache-2.0
"""Pass every block of a stream to several consumers, each on its own thread."""

from collections.abc import Callable
from collections.abc import Sequence
import queue
import threading

from glance_ontap_store import errors
from glance_ontap_store.transfer.buffers import Buffer
from glance_ontap_store.transfer.memory import Room

Consumer = Callable[[memoryview], None]


class Fanout:
    """One thread for each of *consumers*; they share the buffers *room*. Used once.

    Every consumer gets every block, in the stream's order. A buffer is filled again
    when all consumers are done with it, so the slowest sets the pace. After a
    failure the consumers are not called any more, and the buffers still pass
    through the threads, so that no thread waits for one that has failed.

    A `ThreadPoolExecutor` for each consumer would be shorter, but was tried and
    fails two tests. Its futures keep an error's traceback, and so the buffers
    (test_no_memory_of_an_upload_stays_after_its_failure). Repeated interrupts leave
    a thread behind (test_interrupts_do_not_end_the_wait_for_the_threads).
    """

    def __init__(self, consumers: Sequence[Consumer], room: Room) -> None:
        # The queues stay short: *room* bounds the first kind, the number of threads
        # bounds the second. SimpleQueue and Lock are used instead of Condition, because
        # their calls are atomic even if a signal handler raises in the calling thread.
        # So a lock cannot stay locked.
        self._room = room
        self._queues: list[queue.SimpleQueue[Buffer | None]] = [
            queue.SimpleQueue() for _ in consumers
        ]
        self._threads = [
            threading.Thread(target=self._thread, args=args, name="ontap-upload")
            for args in zip(consumers, self._queues, strict=True)
        ]
        # Gets an item whenever a thread ends.
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Guards the next three attributes.
        self._lock = threading.Lock()
        self._users: dict[Buffer, int] = {}
        self._running = 0
        self._ended = 0
        # Set once and read without a lock: a thread that reads it too early reads
        # it again before its next block.
        self._stop = False
        # In the order in which they happened; the first is raised.
        self._failures: list[BaseException] = []

    def run(self, read: Callable[[int], bytes]) -> None:
        """Read to the end, and return when every consumer has had every block.

        The calling thread calls *read*. The first error of *read* or a consumer is
        raised, and later errors become notes on it. But an exception that is not
        an Exception (KeyboardInterrupt, GreenletExit) is raised in any case.

        No thread of this object runs when this returns or raises. So it waits for
        the consumers' current calls: a thread that went on would write to a file
        descriptor that is closed, or that belongs to another file by then.
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
        """Wait for a free buffer and return it; return None after a failure."""
        buffer = self._room.take()
        return None if self._stop else buffer

    def _hand_out(self, buffer: Buffer) -> None:
        with self._lock:
            self._users[buffer] = len(self._queues)
        for blocks in self._queues:
            blocks.put(buffer)

    def _thread(
        self, consume: Consumer, blocks: "queue.SimpleQueue[Buffer | None]"
    ) -> None:
        # After a failure too, each thread takes its blocks up to the end: the
        # calling thread may be waiting for a free buffer.
        with self._lock:
            self._running += 1
        try:
            while (buffer := blocks.get()) is not None:
                if not self._stop:
                    try:
                        consume(buffer.block)
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
                # Its memory may be given to another upload.
                del self._users[buffer]
        if is_free:
            self._room.put_back(buffer)

    def _fail(self, error: BaseException) -> None:
        self._failures.append(error)
        self._stop = True

    def _end(self) -> None:
        """Wait for the threads, and wait again if the wait is interrupted."""
        try:
            self._wait()
        except BaseException as error:
            try:
                self._fail(error)
            finally:
                self._end()

    def _wait(self) -> None:
        """Return when no thread uses a consumer any more; safe to repeat.

        `Thread.join` alone is not enough. If it is interrupted, it may treat a
        running thread as dead (CPython issue 90882), and it fails on a thread whose
        start was interrupted.
        """
        for blocks in self._queues:
            blocks.put(None)
        while not self._is_over():
            self._ends.get()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _is_over(self) -> bool:
        with self._lock:
            # After _stop, a thread that has not started yet will only recycle its
            # buffers.
            return not self._running and (
                self._stop or self._ended == len(self._threads)
            )

    def _raise_first(self) -> None:
        # Emptied, because the error, its traceback, the traceback's frames and this
        # object would form a cycle and keep the buffers until a garbage collection.
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
