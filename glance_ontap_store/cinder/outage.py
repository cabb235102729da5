# SPDX-License-Identifier: Apache-2.0
"""How long an operation waits for services that fail, over all its requests."""

from collections.abc import Iterator
import contextlib
import contextvars
import math
from typing import Protocol

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording


class _Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds since some moment."""


class Budget:
    """What is left of the *timeout_s* seconds that an operation's requests share.

    When they are over the operation fails, and its clean-up has as many again. After
    that each request is sent once.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # When the outermost repetition began.
        self._begun: float | None = None
        # Whether a request of it failed for a reason that may pass.
        self.has_failed = False
        self.renew()

    def renew(self) -> None:
        """Forget the failures so far."""
        self._left_s = self._for_clean_up_s = self._timeout_s

    @contextlib.contextmanager
    def repetition(self, clock: _Clock) -> Iterator[float]:
        """Count the block's time if a request fails in it; its deadline, by *clock*.

        A repetition within another is a part of it.
        """
        if self._begun is not None:
            yield self._begun + self._left_s
            return
        self._begun, self.has_failed = clock.monotonic(), False
        end = "failed"
        try:
            yield self._begun + self._left_s
            end = "survived"
        finally:
            if self.has_failed:
                took_s = clock.monotonic() - self._begun
                self._left_s -= took_s
                recording.record(catalogue.OUTAGES, end)
                recording.record(catalogue.OUTAGE_SECONDS, value=took_s)
            if self._left_s <= 0:
                self.give_up()
            self._begun = None

    def give_up(self) -> None:
        """The operation fails now: its clean-up begins."""
        self._left_s, self._for_clean_up_s = self._for_clean_up_s, 0


# Of the request of Glance that this thread serves.
_current: contextvars.ContextVar[Budget | None] = contextvars.ContextVar(
    "outage", default=None
)


def current() -> Budget:
    """The budget of the thread's operation; one without end if there is none."""
    return _current.get() or Budget(math.inf)


@contextlib.contextmanager
def operation(timeout_s: float) -> Iterator[None]:
    """Bound the repetitions of the block by *timeout_s* seconds in all, in this thread.

    Waits for Cinder's work do not count, failures do. The clean-up of a block that
    fails has as many seconds again. A block within another is a part of it.
    """
    if _current.get() is not None:
        yield
        return
    token = _current.set(Budget(timeout_s))
    try:
        yield
    finally:
        _current.reset(token)


def renew() -> None:
    """Begin to count anew: bytes were moved, for hours perhaps, since the last failure.

    An outage before them is no reason not to wait for the end of one after them.
    """
    current().renew()
