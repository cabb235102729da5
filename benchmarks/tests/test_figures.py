# SPDX-License-Identifier: Apache-2.0
from benchmarks import figures
from benchmarks.figures import Spread


def test_a_spread_has_median_least_and_most() -> None:
    assert figures.spread([3, 1, 2]) == Spread(2, 1, 3, 3)


def test_no_values_have_no_spread() -> None:
    assert figures.spread([]) is None


def test_a_ratio_is_the_median_of_the_repeats_ratios() -> None:
    """It is not the ratio of the medians, which would be 2 here."""
    found = figures.ratio({1: 1, 2: 4, 3: 9}, {1: 1, 2: 2, 3: 3})
    assert found == Spread(2, 1, 3, 3)
    found = figures.ratio({1: 10, 2: 1, 3: 4}, {1: 1, 2: 2, 3: 4})
    assert found == Spread(1, 0.5, 10, 3)


def test_only_repeats_that_both_have_are_compared() -> None:
    assert figures.ratios({1: 6, 2: 8, 4: 1}, {2: 4, 3: 1, 4: 0}) == [2]
    assert figures.ratio({1: 1}, {2: 1}) is None


def test_slowest_takes_the_greatest_value_of_each_common_repeat() -> None:
    assert figures.slowest({1: 1, 2: 5}, {1: 3, 2: 4, 3: 9}) == {1: 3, 2: 5}


def test_differences_are_those_of_common_repeats() -> None:
    assert figures.differences({1: 5, 2: 7}, {2: 3, 3: 1}) == {2: 4}
