# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
import contextlib

import pytest

from benchmarks import plans
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes

LINES = (LinePlan("a", "A", 1), LinePlan("b", "B", 2, most_repeats=2))


@contextlib.contextmanager
def prepare(_bench: object) -> Iterator[Takes]:
    yield {}


def plan(name: str, prepare_s: float = 0) -> CasePlan:
    return CasePlan(name, "store", "Title", LINES, prepare, prepare_s=prepare_s)


PLANS = [plan("store-a"), plan("store-b"), plan("volume")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["store-a", "store-b", "volume"]),
        ("store", ["store-a", "store-b"]),
        ("volume, store-a,", ["store-a", "volume"]),
    ],
)
def test_cases_are_chosen_by_the_beginnings_of_their_names(
    wanted: str | None, names: list[str]
) -> None:
    assert [chosen.name for chosen in plans.choose(PLANS, wanted)] == names


def test_the_error_for_an_unknown_case_lists_the_cases() -> None:
    with pytest.raises(ValueError, match=r"'x'; the cases are store-a, store-b"):
        plans.choose(PLANS, "store,x")


def test_the_expected_time_counts_every_sample() -> None:
    assert plan("case", prepare_s=10).expected_s(3) == 10 + 3 * 1 + 2 * 2
