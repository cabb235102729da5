# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads and ratios of repeated measurements."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
import statistics

# What one repeat gave: repeat number to value.
Values = Mapping[int, float]


@dataclass(frozen=True)
class Spread:
    """Median, least and most of *count* values."""

    median: float
    least: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """None for no values."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(numerators: Values, denominators: Values) -> list[float]:
    """One ratio for each repeat that has both values.

    Repeats are compared with themselves: what slowed the machine down for a while
    slowed both.
    """
    return [
        numerators[repeat] / denominators[repeat]
        for repeat in sorted(numerators)
        if denominators.get(repeat)
    ]


def ratio(numerators: Values, denominators: Values) -> Spread | None:
    """The median of the repeats' ratios, and their spread."""
    return spread(ratios(numerators, denominators))


def slowest(*lines: Values) -> dict[int, float]:
    """For each repeat that all *lines* have, the most."""
    common = set.intersection(*(set(line) for line in lines))
    return {repeat: max(line[repeat] for line in lines) for repeat in sorted(common)}


def differences(values: Values, base: Values) -> dict[int, float]:
    """How much each repeat is above the same repeat of *base*."""
    return {
        repeat: values[repeat] - base[repeat] for repeat in values if repeat in base
    }
