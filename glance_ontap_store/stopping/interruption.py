# SPDX-License-Identifier: Apache-2.0
"""End the work at a signal: between steps, and within those that take long."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The operator ended the command; the same command goes on with the work."""


class Stop:
    """Whether the work is to end; any thread may ask."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the work soon. Safe to repeat."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Return whether the work is to end."""
        return self._event.is_set()

    def check(self) -> None:
        """
        :raises Interrupted: the work is to end
        """
        if self._event.is_set():
            raise Interrupted("interrupted: run the command again to go on")

    @contextlib.contextmanager
    def at_signals(self, say: Callable[[str], None]) -> Iterator[None]:
        """End the work at ctrl-C and the like, instead of ending the process.

        No exception comes out of it, so that what was begun is cleaned up.
        """

        def stop(_number: int, _frame: object) -> None:
            if not self._event.is_set():
                self._event.set()
                say("Interrupted: ending what was begun ...")

        with handled(stop):
            yield


@contextlib.contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have *handler* called at the signals that end a command, until the block ends."""
    before = {
        number: signal.signal(number, handler)
        for number in SIGNALS
        # Under nohup(1) SIGHUP is ignored, and must stay so.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
