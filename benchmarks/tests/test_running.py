# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any

import pytest

from benchmarks import running
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Take
from benchmarks.plans import Takes
from benchmarks.results import Case
from benchmarks.results import Sample
from benchmarks.tests import runs

LINES = (
    LinePlan("a", "A", 1),
    LinePlan("b", "B", 2, most_repeats=2),
    LinePlan("c", "C", 3),
)
PREPARE_S = 10
# Three repeats of a and c, two of b.
EXPECTED_S = PREPARE_S + 3 * 1 + 2 * 2 + 3 * 3
# The cases of this module need no lab.
BENCH: Any = None


class DoneSeconds:
    """A progress that adds up the expected seconds of the steps that are done."""

    def __init__(self) -> None:
        self.done_s = 0.0

    def doing(self, what: str) -> None:
        pass

    def done(self, expected_s: float) -> None:
        self.done_s += expected_s


def plan(takes: Takes, clean_up_error: Exception | None = None) -> CasePlan:
    @contextlib.contextmanager
    def prepare(_bench: object) -> Iterator[Takes]:
        yield takes
        if clean_up_error:
            raise clean_up_error

    return CasePlan("case", "store", "Title", LINES, prepare, prepare_s=PREPARE_S)


def measured(case_plan: CasePlan) -> tuple[Case, DoneSeconds]:
    """Run three repeats of the case."""
    run = runs.run()
    progress = DoneSeconds()
    running.run_case(case_plan, BENCH, 3, progress, run)
    (case,) = run.cases
    return case, progress


def samples(case: Case, line: str) -> list[Sample]:
    found = case.line(line)
    assert found is not None
    return found.samples


def recording(taken: list[tuple[int, str]], name: str) -> Take:
    def take(repeat: int) -> Sample:
        taken.append((repeat, name))
        return Sample(repeat, {"seconds": 1.0})

    return take


def takes_of(taken: list[tuple[int, str]]) -> Mapping[str, Take]:
    return {name: recording(taken, name) for name in "abc"}


def failing(_repeat: int) -> Sample:
    raise ValueError("no\n room")


def test_repeats_are_interleaved_and_each_begins_with_another_line() -> None:
    taken: list[tuple[int, str]] = []
    measured(plan(takes_of(taken)))
    assert taken == [
        (1, "a"), (1, "b"), (1, "c"),
        (2, "b"), (2, "c"), (2, "a"),
        (3, "c"), (3, "a"),
    ]  # fmt: skip


def test_a_failed_sample_has_its_reason_and_the_others_are_still_taken() -> None:
    case, _progress = measured(plan({**takes_of([]), "a": failing}))
    failures = [sample.failure for sample in samples(case, "a")]
    assert failures == ["ValueError: no room"] * 3
    assert len(samples(case, "b")) == 2
    assert len(samples(case, "c")) == 3
    assert not any(sample.failure for sample in samples(case, "c"))


def test_every_failed_sample_is_a_failure_of_the_run() -> None:
    run = runs.run()
    running.run_case(plan({**takes_of([]), "a": failing}), BENCH, 3, DoneSeconds(), run)
    assert list(run.failures()) == ["case, A: ValueError: no room"] * 3


def test_a_case_that_cannot_be_prepared_is_a_failure_of_the_case() -> None:
    @contextlib.contextmanager
    def prepare(_bench: object) -> Iterator[Takes]:
        raise OSError("no lab")
        yield {}

    case, progress = measured(
        CasePlan("case", "store", "Title", LINES, prepare, prepare_s=PREPARE_S)
    )
    assert case.failure == "OSError: no lab"
    assert progress.done_s == EXPECTED_S


def test_a_failed_clean_up_keeps_the_samples() -> None:
    case, progress = measured(plan(takes_of([]), OSError("still mounted")))
    assert "still mounted" in case.failure
    assert len(samples(case, "a")) == 3
    assert progress.done_s == EXPECTED_S


def test_an_interrupt_ends_the_case_and_keeps_its_samples() -> None:
    def interrupt(_repeat: int) -> Sample:
        raise KeyboardInterrupt

    run = runs.run()
    takes = {**takes_of([]), "b": interrupt}
    with pytest.raises(KeyboardInterrupt):
        running.run_case(plan(takes), BENCH, 3, DoneSeconds(), run)
    assert len(samples(run.cases[0], "a")) == 1


def test_a_repeat_that_would_take_too_long_is_not_started() -> None:
    # The clock is read at the start and before the second repeat. Until then 20 s
    # have passed for an expected 16 s, so the second repeat would take 7.5 s.
    clock = iter([0, 20])
    taken: list[tuple[int, str]] = []
    run = runs.run()
    progress = DoneSeconds()
    running.run_case(plan(takes_of(taken)), BENCH, 3, progress, run, 27, clock.__next__)
    assert {repeat for repeat, _name in taken} == {1}
    assert "1 of 3" in run.cases[0].note
    assert progress.done_s == EXPECTED_S


def test_the_next_repeat_is_expected_at_the_pace_so_far() -> None:
    assert running.has_time(20, 16, 6, allowed_s=27.5)
    assert not running.has_time(20, 16, 6, allowed_s=27.4)


def test_a_long_error_is_cut() -> None:
    assert running.describe(OSError("x" * 1000)).endswith("...")
    assert len(running.describe(OSError("x" * 1000))) == 300
