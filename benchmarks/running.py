# SPDX-License-Identifier: Apache-2.0
"""Takes the samples of cases, interleaved, whatever goes wrong."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
import logging
import math
import time
from typing import Any
from typing import Protocol

from benchmarks import results
from benchmarks.results import Case
from benchmarks.results import Run
from benchmarks.results import Sample

LOG = logging.getLogger(__name__)

# What takes one sample. It cleans up behind itself.
Take = Callable[[int], Sample]


@dataclass(frozen=True)
class LinePlan:
    """A line of a case.

    *about_s* is what one sample took on the machine that the page of results is
    from, clean-up included: for the estimate alone. *most_repeats* is set where
    more would take too long; the output says so.
    """

    name: str
    label: str
    about_s: float
    most_repeats: int | None = None

    def repeats(self, wanted: int) -> int:
        return min(wanted, self.most_repeats or wanted)


@dataclass(frozen=True)
class CasePlan:
    """A case: what it asks, its lines, and what prepares it.

    *prepare* gives for each line's name what takes its samples.
    """

    name: str
    level: str
    title: str
    lines: tuple[LinePlan, ...]
    prepare: Callable[[Any], contextlib.AbstractContextManager[Mapping[str, Take]]]
    bytes: Callable[[Any], int] = lambda _bench: 0
    # The line that the others are compared with.
    baseline: str = ""
    about_prepare_s: float = 0

    def about_s(self, repeats: int) -> float:
        """Seconds that the case is expected to take, at full size."""
        return self.about_prepare_s + sum(
            line.about_s * line.repeats(repeats) for line in self.lines
        )


def choose(plans: Sequence[CasePlan], wanted: str | None) -> list[CasePlan]:
    """The plans whose names begin with one of *wanted*, separated by commas.

    :raises ValueError: one of them fits no plan; says which there are
    """
    if wanted is None:
        return list(plans)
    starts = [each.strip() for each in wanted.split(",") if each.strip()]
    for start in starts:
        if not any(plan.name.startswith(start) for plan in plans):
            names = ", ".join(plan.name for plan in plans)
            raise ValueError(f"no case {start!r}; there are {names}")
    return [plan for plan in plans if plan.name.startswith(tuple(starts))]


class Progress(Protocol):
    """Is told what is going on."""

    def doing(self, what: str) -> None:
        """Something begins."""

    def done(self, about_s: float) -> None:
        """Something ended that had been expected to take *about_s*."""


def order(lines: Sequence[LinePlan], repeat: int) -> list[LinePlan]:
    """The lines of a repeat, another one first each time."""
    first = (repeat - 1) % len(lines)
    return [*lines[first:], *lines[:first]]


def of_repeat(lines: Sequence[LinePlan], repeat: int, repeats: int) -> list[LinePlan]:
    """The lines that repeat *repeat* of *repeats* has, in their order."""
    return [line for line in order(lines, repeat) if repeat <= line.repeats(repeats)]


def has_time(
    elapsed_s: float, about_done_s: float, about_next_s: float, allowed_s: float
) -> bool:
    """Whether the next repeat ends in time, at the pace so far."""
    pace = elapsed_s / about_done_s if about_done_s else 1
    return elapsed_s + about_next_s * pace <= allowed_s


def run_case(
    plan: CasePlan,
    bench: Any,
    repeats: int,
    progress: Progress,
    run: Run,
    allowed_s: float = math.inf,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Add the case to *run* at once, and its samples as they come.

    What fails is written down with its reason, and the next one is taken. After the
    first, a repeat that would not end within *allowed_s* is not begun.
    """
    case = Case(
        name=plan.name,
        level=plan.level,
        title=plan.title,
        bytes=plan.bytes(bench),
        baseline=plan.baseline,
        lines=[
            results.Line(line.name, line.label, line.repeats(repeats))
            for line in plan.lines
        ],
    )
    run.cases.append(case)
    began = now()
    about_s = plan.about_s(repeats)
    about_done_s = plan.about_prepare_s
    try:
        progress.doing(f"{plan.name}: preparing")
        with plan.prepare(bench) as takes:
            progress.done(plan.about_prepare_s)
            for repeat in range(1, repeats + 1):
                lines = of_repeat(plan.lines, repeat, repeats)
                about_next_s = sum(line.about_s for line in lines)
                if repeat > 1 and not has_time(
                    now() - began, about_done_s, about_next_s, allowed_s
                ):
                    case.note = f"{repeat - 1} of {repeats} repeats: no time for more."
                    break
                for line in lines:
                    progress.doing(
                        f"{plan.name}: {line.label},"
                        f" {repeat} of {line.repeats(repeats)}"
                    )
                    found = case.line(line.name)
                    assert found is not None
                    found.samples.append(_taken(takes[line.name], repeat))
                    progress.done(line.about_s)
                    about_done_s += line.about_s
    except Exception as error:
        LOG.debug("case %s", plan.name, exc_info=True)
        case.failure = describe(error)
    progress.done(about_s - about_done_s)


def _taken(take: Take, repeat: int) -> Sample:
    try:
        return take(repeat)
    except Exception as error:
        LOG.debug("a sample", exc_info=True)
        return Sample(repeat, failure=describe(error))


def describe(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else f"{text[:297]}..."


class Line:
    """Progress on the terminal: one line that is redrawn, or a line for each."""

    def __init__(self, write: Callable[[str], Any], is_terminal: bool) -> None:
        self._write = write
        self._is_terminal = is_terminal
        self._began = time.monotonic()
        self._expected_s = 0.0
        self._done_s = 0.0

    def expect(self, about_s: float) -> None:
        """There is work for *about_s*."""
        self._expected_s += about_s

    def doing(self, what: str) -> None:
        elapsed = time.monotonic() - self._began
        rest = remaining(elapsed, self._done_s, self._expected_s)
        text = f"{minutes(elapsed)} elapsed, about {minutes(rest)} left   {what}"
        self._write(f"\r\033[K{text}" if self._is_terminal else f"{text}\n")

    def done(self, about_s: float) -> None:
        self._done_s += about_s

    def close(self) -> None:
        if self._is_terminal:
            self._write("\r\033[K")


def remaining(elapsed_s: float, done_s: float, expected_s: float) -> float:
    """Seconds that the rest takes if it is as much slower than expected as what is
    done was; the expectation while little is known."""
    pace = elapsed_s / done_s if done_s > 60 else 1
    return max(0.0, expected_s - done_s) * pace


def minutes(seconds: float) -> str:
    """Minutes and seconds, as 3:07."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
