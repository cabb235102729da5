# SPDX-License-Identifier: Apache-2.0
"""The progress of a run, on the terminal."""

from collections.abc import Callable
import time
from typing import Any
from typing import Protocol

# The pace of the first minute says little about the rest.
_PACE_KNOWN_S = 60


class Progress(Protocol):
    """An observer of a run."""

    def doing(self, what: str) -> None:
        """A step begins."""

    def done(self, expected_s: float) -> None:
        """A step has ended that was expected to take *expected_s* seconds."""


class ProgressLine:
    """Progress as text: one line that is redrawn, or one line for each step.

    *write* gets the text; *is_terminal* chooses the line that is redrawn.
    """

    def __init__(self, write: Callable[[str], Any], is_terminal: bool) -> None:
        self._write = write
        self._is_terminal = is_terminal
        self._began = time.monotonic()
        self._expected_s = 0.0
        self._done_s = 0.0

    def expect(self, expected_s: float) -> None:
        """Add *expected_s* seconds to the expected time of the run."""
        self._expected_s += expected_s

    def doing(self, what: str) -> None:
        """Show the step *what*, the elapsed time and the estimated rest."""
        elapsed = time.monotonic() - self._began
        rest = remaining(elapsed, self._done_s, self._expected_s)
        text = f"{minutes(elapsed)} elapsed, about {minutes(rest)} left   {what}"
        self._write(f"\r\033[K{text}" if self._is_terminal else f"{text}\n")

    def done(self, expected_s: float) -> None:
        """Count *expected_s* seconds of the expected time as done."""
        self._done_s += expected_s

    def close(self) -> None:
        """Clear the line that is redrawn."""
        if self._is_terminal:
            self._write("\r\033[K")


def remaining(elapsed_s: float, done_s: float, expected_s: float) -> float:
    """Return an estimate in seconds of the remaining time.

    *done_s* of *expected_s* took *elapsed_s*. The rest is estimated at the same pace
    once a minute of the expected time is done, and as expected before that.
    """
    pace = elapsed_s / done_s if done_s > _PACE_KNOWN_S else 1
    return max(0.0, expected_s - done_s) * pace


def minutes(seconds: float) -> str:
    """Return minutes and seconds as text, such as 3:07."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
