# SPDX-License-Identifier: Apache-2.0
import contextlib

import pytest

from benchmarks import running
from benchmarks.results import Run
from benchmarks.results import Sample
from benchmarks.running import CasePlan
from benchmarks.running import Line
from benchmarks.running import LinePlan

LINES = (
    LinePlan("a", "A", 1),
    LinePlan("b", "B", 2, most_repeats=2),
    LinePlan("c", "C", 3),
)


class Silence:
    def __init__(self):
        self.done_s = 0.0

    def doing(self, what):
        pass

    def done(self, about_s):
        self.done_s += about_s


def plan(takes, name="case", leaves=None):
    @contextlib.contextmanager
    def prepare(bench):
        yield takes
        if leaves:
            raise leaves

    return CasePlan(name, "store", "Title", LINES, prepare, about_prepare_s=10)


def new_run():
    return Run("now", {}, {}, {"repeats": 3})


def run_case(takes, **arguments):
    run = new_run()
    progress = Silence()
    running.run_case(plan(takes, **arguments), None, 3, progress, run)
    return run, progress


def taking(taken, name):
    def take(repeat):
        taken.append((repeat, name))
        return Sample(repeat, {"seconds": 1.0})

    return take


def test_repeats_are_interleaved_and_begin_with_another_line_each():
    taken = []
    run_case({name: taking(taken, name) for name in "abc"})
    assert taken == [
        (1, "a"), (1, "b"), (1, "c"),
        (2, "b"), (2, "c"), (2, "a"),
        (3, "c"), (3, "a"),
    ]  # fmt: skip


def test_what_fails_has_its_reason_and_the_rest_goes_on():
    def fail(repeat):
        raise ValueError("no\n room")

    taken = []
    takes = {"a": fail, "b": taking(taken, "b"), "c": taking(taken, "c")}
    run, _progress = run_case(takes)
    case = run.case("case")
    assert [sample.failure for sample in case.line("a").samples] == [
        "ValueError: no room"
    ] * 3
    assert len(case.line("b").samples) == 2
    assert len(case.line("c").samples) == 3
    assert len(list(run.failures())) == 3


def test_a_case_that_cannot_be_prepared_is_a_failure_of_the_case():
    run = new_run()
    progress = Silence()

    @contextlib.contextmanager
    def prepare(bench):
        raise OSError("no lab")
        yield

    running.run_case(
        CasePlan("case", "store", "T", LINES, prepare), None, 3, progress, run
    )
    assert run.case("case").failure == "OSError: no lab"
    assert progress.done_s == plan({}).about_s(3) - 10


def test_a_failed_clean_up_keeps_the_samples():
    takes = {name: taking([], name) for name in "abc"}
    run, progress = run_case(takes, leaves=OSError("still mounted"))
    assert "still mounted" in run.case("case").failure
    assert len(run.case("case").line("a").samples) == 3
    assert progress.done_s == plan({}).about_s(3)


def test_an_interrupt_ends_it_and_keeps_what_was_measured():
    def interrupt(repeat):
        raise KeyboardInterrupt

    run = new_run()
    takes = {"a": taking([], "a"), "b": interrupt, "c": taking([], "c")}
    with pytest.raises(KeyboardInterrupt):
        running.run_case(plan(takes), None, 3, Silence(), run)
    assert len(run.case("case").line("a").samples) == 1


def test_a_repeat_that_would_take_too_long_is_not_begun():
    clock = iter(range(0, 1000, 20))
    taken = []
    takes = {name: taking(taken, name) for name in "abc"}
    run = new_run()
    progress = Silence()
    # Asked at the beginning and before the second repeat: 20 s for what was to take
    # 16, so that the second would take 7.5 s.
    running.run_case(plan(takes), None, 3, progress, run, 27, clock.__next__)
    assert {repeat for repeat, _name in taken} == {1}
    assert "1 of 3" in run.case("case").note
    assert progress.done_s == plan({}).about_s(3)


def test_time_is_judged_by_the_pace():
    assert running.has_time(20, 16, 6, allowed_s=27.5)
    assert not running.has_time(20, 16, 6, allowed_s=27.4)


def test_the_expected_time_counts_each_sample():
    assert plan({}).about_s(3) == 10 + 3 * 1 + 2 * 2 + 3 * 3


def test_the_rest_is_estimated_by_the_pace():
    assert running.remaining(elapsed_s=200, done_s=100, expected_s=300) == 400
    # At the start the pace says nothing yet.
    assert running.remaining(elapsed_s=30, done_s=1, expected_s=300) == 299
    assert running.remaining(elapsed_s=900, done_s=310, expected_s=300) == 0


def test_choose():
    plans = [plan({}, name=name) for name in ("store-a", "store-b", "volume")]

    def names(wanted):
        return [each.name for each in running.choose(plans, wanted)]

    assert names(None) == ["store-a", "store-b", "volume"]
    assert names("volume,store-a") == ["store-a", "volume"]
    assert names("store") == ["store-a", "store-b"]
    with pytest.raises(ValueError, match=r"no case 'x'.*store-a"):
        names("store,x")


def test_progress_on_a_terminal_is_one_line():
    written = []
    line = Line(written.append, is_terminal=True)
    line.expect(100)
    line.doing("something")
    line.close()
    assert "something" in written[0]
    assert "about 1:40 left" in written[0]
    assert "\n" not in "".join(written)


def test_progress_in_a_log_is_a_line_each():
    written = []
    line = Line(written.append, is_terminal=False)
    line.doing("something")
    line.close()
    assert "".join(written).endswith("something\n")
    assert "\033" not in "".join(written)
