# SPDX-License-Identifier: Apache-2.0
"""Take the samples of a case, with the repeats of its lines interleaved."""

from collections.abc import Callable
from collections.abc import Sequence
import logging
import math
import time
from typing import TYPE_CHECKING

from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Take
from benchmarks.plans import Takes
from benchmarks.progress import Progress
from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Run
from benchmarks.results import Sample

if TYPE_CHECKING:
    from benchmarks.cases.bench import Bench

LOG = logging.getLogger(__name__)
_LONGEST_ERROR = 300


def run_case(
    plan: CasePlan,
    bench: "Bench",
    repeats: int,
    progress: Progress,
    run: Run,
    allowed_s: float = math.inf,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Measure *plan* and add its case to *run*; the samples are added one by one.

    A sample that fails is recorded with its reason, and the next one is taken. A
    case that cannot be prepared is recorded likewise. The first repeat always runs;
    a later one runs only if it should end within *allowed_s* seconds.
    """
    case = Case(
        name=plan.name,
        level=plan.level,
        title=plan.title,
        bytes=plan.bytes(bench),
        baseline=plan.baseline,
        lines=[
            Line(line.name, line.label, line.repeats(repeats)) for line in plan.lines
        ],
    )
    run.cases.append(case)
    running = _Running(plan, case, repeats, progress, allowed_s, now)
    try:
        progress.doing(f"{plan.name}: preparing")
        with plan.prepare(bench) as takes:
            running.take_all(takes)
    except Exception as error:
        LOG.debug("case %s", plan.name, exc_info=True)
        case.failure = describe(error)
    running.finish()


class _Running:
    """The repeats of one case, and the time that they take."""

    def __init__(
        self,
        plan: CasePlan,
        case: Case,
        repeats: int,
        progress: Progress,
        allowed_s: float,
        now: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._case = case
        self._repeats = repeats
        self._progress = progress
        self._allowed_s = allowed_s
        self._now = now
        self._began = now()
        self._done_s = 0.0

    def take_all(self, takes: Takes) -> None:
        """Take the samples of all repeats for which there is time."""
        self._done(self._plan.prepare_s)
        for repeat in range(1, self._repeats + 1):
            lines = of_repeat(self._plan.lines, repeat, self._repeats)
            if repeat > 1 and not self._has_time(lines):
                self._case.note = (
                    f"{repeat - 1} of {self._repeats} repeats: no time for more."
                )
                return
            for line in lines:
                self._take(line, takes[line.name], repeat)

    def finish(self) -> None:
        """Tell the progress that the rest of the case is done, too."""
        self._done(self._plan.expected_s(self._repeats) - self._done_s)

    def _has_time(self, lines: Sequence[LinePlan]) -> bool:
        next_s = sum(line.expected_s for line in lines)
        elapsed_s = self._now() - self._began
        return has_time(elapsed_s, self._done_s, next_s, self._allowed_s)

    def _take(self, line: LinePlan, take: Take, repeat: int) -> None:
        self._progress.doing(
            f"{self._plan.name}: {line.label},"
            f" {repeat} of {line.repeats(self._repeats)}"
        )
        measured = self._case.line(line.name)
        assert measured is not None
        measured.samples.append(_sample(take, repeat))
        self._done(line.expected_s)

    def _done(self, expected_s: float) -> None:
        self._progress.done(expected_s)
        self._done_s += expected_s


def _sample(take: Take, repeat: int) -> Sample:
    try:
        return take(repeat)
    except Exception as error:
        LOG.debug("a sample", exc_info=True)
        return Sample(repeat, failure=describe(error))


def order(lines: Sequence[LinePlan], repeat: int) -> list[LinePlan]:
    """Return the lines in the order for *repeat*: each repeat begins with another."""
    first = (repeat - 1) % len(lines)
    return [*lines[first:], *lines[:first]]


def of_repeat(lines: Sequence[LinePlan], repeat: int, repeats: int) -> list[LinePlan]:
    """Return the lines that repeat *repeat* of *repeats* measures, in order."""
    return [line for line in order(lines, repeat) if repeat <= line.repeats(repeats)]


def has_time(elapsed_s: float, done_s: float, next_s: float, allowed_s: float) -> bool:
    """Return whether the next repeat should end within *allowed_s* seconds.

    *done_s* expected seconds took *elapsed_s*; the next repeat is expected to take
    *next_s*, and is judged at the same pace.
    """
    pace = elapsed_s / done_s if done_s else 1
    return elapsed_s + next_s * pace <= allowed_s


def describe(error: BaseException) -> str:
    """Return the error's class and message in one line, cut if it is long."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if len(text) > _LONGEST_ERROR:
        return f"{text[: _LONGEST_ERROR - 3]}..."
    return text
