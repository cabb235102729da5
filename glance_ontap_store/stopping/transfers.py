# SPDX-License-Identifier: Apache-2.0
"""The uploads and downloads that run in this process, and their common end.

So does what is kept for the next download: an attachment that no transfer uses now.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import threading
import time
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)

_POLL_S = 0.05


class Reader(Protocol):
    """A stream of bytes."""

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes; b"" at the end."""


class Transfer:
    """One upload or download."""

    def __init__(self, all_: "Transfers") -> None:
        self._all = all_
        self.interrupt: Callable[[], None] = _nothing

    def on_stop(self, interrupt: Callable[[], None]) -> None:
        """Call *interrupt* when the process stops, or at once if it does already.

        It is not called once the transfer has ended. It must return at once.
        """
        self._all.set_interrupt(self, interrupt)


class Transfers:
    """The transfers of this process.

    *first_use* is called once in each process, before its first transfer.
    """

    def __init__(
        self, first_use: "Callable[[Transfers], None]" = lambda _transfers: None
    ) -> None:
        self._first_use = first_use
        # Guards all that follows. Reach: this process. A download that ends in the
        # thread that stops it comes back here, hence reentrant.
        self._lock = threading.RLock()
        self._running: set[Transfer] = set()
        # Each is set when what it stands for is to be released.
        self._kept: set[threading.Event] = set()
        # The process that has called *first_use*. A forked one has another id.
        self._process: int | None = None
        self.are_stopped = False

    @contextlib.contextmanager
    def begun(self) -> Iterator[Transfer]:
        """A transfer that runs until the end of the block.

        :raises errors.Stopping: this process takes no new one
        """
        with self._lock:
            self._prepare()
            self.check()
            transfer = Transfer(self)
            self._running.add(transfer)
        operation = recording.current()
        operation.record(catalogue.RUNNING)
        try:
            yield transfer
        finally:
            operation.record(catalogue.RUNNING, value=-1)
            with self._lock:
                self._running.discard(transfer)

    def keep(self, release: threading.Event) -> None:
        """Wait at the stop of the process until `let_go` is called with *release*.

        *release* is set when the process stops, or at once if it does already.
        """
        with self._lock:
            self._kept.add(release)
            if self.are_stopped:
                release.set()

    def let_go(self, release: threading.Event) -> None:
        """Nothing is kept under *release* any more. Safe to repeat."""
        with self._lock:
            self._kept.discard(release)

    def set_interrupt(self, transfer: Transfer, interrupt: Callable[[], None]) -> None:
        """As `Transfer.on_stop`."""
        with self._lock:
            transfer.interrupt = interrupt
            if self.are_stopped:
                interrupt()

    def _prepare(self) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            self._running = set()
            self._kept = set()
            self._first_use(self)

    def check(self) -> None:
        """Do nothing while the process goes on.

        :raises errors.Stopping: it stops
        """
        if self.are_stopped:
            raise errors.Stopping(
                "glance-api is stopping on this host, so the transfer was ended: repeat"
                " it."
            )

    def checked(self, reader: Reader) -> Reader:
        """Return *reader*, whose reads raise `errors.Stopping` when the process stops.

        A client's connection that was cut may look like the end of its stream. So
        each read is checked when it has returned.
        """
        return _CheckedReader(reader, self)

    def stop(self, patience_s: float) -> int:
        """End all transfers, and wait until they have released what they held.

        What is kept is released too. What takes longer than *patience_s* seconds is
        left to recovery. Safe to repeat; only the first call ends anything.

        :returns: the number of transfers that ran
        """
        deadline = time.monotonic() + patience_s
        with self._lock:
            if self.are_stopped or self._process != os.getpid():
                return 0
            self.are_stopped = True
            ended = list(self._running)
            for transfer in ended:
                transfer.interrupt()
            for release in self._kept:
                release.set()
        if ended:
            LOG.info("glance-api stops: %d transfers are ended", len(ended))
        # A transfer that ends may leave something that is kept.
        while (self._running or self._kept) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        left = len(self._running) + len(self._kept)
        if left:
            LOG.warning(
                "%d transfers or attachments have not ended in %g s: what they hold in"
                " Cinder, and mounts, stay until another glance-api on this host"
                " recovers them.",
                left,
                patience_s,
            )
        return len(ended)


class _CheckedReader:
    def __init__(self, reader: Reader, transfers: Transfers) -> None:
        self._reader = reader
        self._transfers = transfers

    def read(self, size: int) -> bytes:
        self._transfers.check()
        try:
            data = self._reader.read(size)
        except Exception as error:
            try:
                self._transfers.check()
            except errors.Stopping as stopping:
                raise stopping from error
            raise
        self._transfers.check()
        return data


def _nothing() -> None:
    pass


def in_a_thread(action: Callable[[], None]) -> None:
    """Run *action* in a thread of its own; here where no thread can start any more."""
    thread = threading.Thread(target=action, daemon=True, name="ontap-stop")
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends
        action()
