# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads and ratios of repeated measurements."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
import statistics

# Values by repeat number, from 1.
Values = Mapping[int, float]


@dataclass(frozen=True)
class Spread:
    """The median, the least and the most of *count* values."""

    median: float
    least: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of *values*, or None if there are none."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(numerators: Values, denominators: Values) -> list[float]:
    """Return the ratio of each repeat that has both values and no zero below.

    Values of the same repeat were measured one soon after the other, so a busy
    machine slowed both and their ratio is still right.
    """
    return [
        numerators[repeat] / denominators[repeat]
        for repeat in sorted(numerators)
        if denominators.get(repeat)
    ]


def ratio(numerators: Values, denominators: Values) -> Spread | None:
    """Return the spread of the repeats' ratios, or None if there are none."""
    return spread(ratios(numerators, denominators))


def slowest(*lines: Values) -> dict[int, float]:
    """Return the greatest value of each repeat that all *lines* have."""
    common = set.intersection(*(set(line) for line in lines))
    return {repeat: max(line[repeat] for line in lines) for repeat in sorted(common)}


def differences(values: Values, base: Values) -> dict[int, float]:
    """Return *values* less *base*, for each repeat that both have."""
    return {
        repeat: values[repeat] - base[repeat] for repeat in values if repeat in base
    }
