# SPDX-License-Identifier: Apache-2.0
"""Tells the operator how far a run is, and how long the rest takes at that rate."""

from collections.abc import Callable
from collections.abc import Sequence
import threading

from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.replication.queueing import MAKING
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.units import GIB

_MADE = (Result.DONE, Result.HOST_COPY)


class Progress:
    """The steps of one run. Threads may tell it of their steps at the same time."""

    def __init__(
        self, steps: Sequence[Step], clock: Clock, say: Callable[[str], object]
    ) -> None:
        self._clock = clock
        self._say = say
        self._begun = clock.monotonic()
        self._steps = len(steps)
        # Guards the rest.
        self._lock = threading.Lock()
        self._left_bytes = sum(_moved(step) for step in steps)
        self._moved_bytes = 0
        self._ended = 0

    def ended(self, outcome: Outcome) -> None:
        """Tell of a step that has ended."""
        with self._lock:
            self._ended += 1
            moved = _moved(outcome.step)
            self._left_bytes -= moved
            if outcome.result in _MADE:
                self._moved_bytes += moved
            elapsed = self._clock.monotonic() - self._begun
            text = line(self._ended, self._steps, outcome)
            rest = estimate(self._left_bytes, self._moved_bytes, elapsed)
            self._say(f"{text}{rest}")


def line(number: int, steps: int, outcome: Outcome) -> str:
    """Return a line about a step that has ended."""
    step = outcome.step
    what = f"{step.action.value} {step.image.id} -> {step.store_id}"
    took = f" in {outcome.seconds:.0f} s" if outcome.seconds >= 1 else ""
    return f"{number} of {steps}: {what}: {outcome.result.value}{took}"


def estimate(left_bytes: int, moved_bytes: int, elapsed_s: float) -> str:
    """Return how long the rest takes at the rate so far, as the end of a line.

    Nothing was learned where nothing was moved, and nothing is to be said about
    nothing.
    """
    if not left_bytes or not moved_bytes or elapsed_s <= 0:
        return ""
    rate = moved_bytes / elapsed_s
    minutes = left_bytes / rate / 60
    return (
        f"; {left_bytes / GIB:.1f} GiB are left, about {max(1, round(minutes))} min at"
        f" {rate / 2**20:.0f} MiB/s"
    )


def _moved(step: Step) -> int:
    return step.moved_bytes if step.action in MAKING else 0
