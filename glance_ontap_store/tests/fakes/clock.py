# SPDX-License-Identifier: Apache-2.0
"""A clock whose time passes only in sleeps."""

from collections.abc import Callable
import threading
import time


class FakeClock:
    """`cinder.waiting.Clock`: `sleep` moves the time forward and returns at once.

    `at` plans an action, so that a test can change the world while the code under
    test waits.
    """

    def __init__(self) -> None:
        self._now = 1000.0
        self._planned: list[tuple[float, Callable[[], None]]] = []
        # Guards time and plans: threads of one test may share the clock.
        self._lock = threading.RLock()

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "a sleep of no time is a busy loop"
        with self._lock:
            self._now += seconds
            due = [plan for plan in self._planned if plan[0] <= self._now]
            self._planned = [plan for plan in self._planned if plan[0] > self._now]
        for _moment, action in due:
            action()
        # Threads of the code under test get their turn, as they do in a real pause.
        time.sleep(0)

    def at(self, seconds_from_now: float, action: Callable[[], None]) -> None:
        """Call *action* in the first sleep that ends at that time or later."""
        self._planned.append((self._now + seconds_from_now, action))
