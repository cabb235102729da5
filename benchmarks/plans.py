# SPDX-License-Identifier: Apache-2.0
"""Plans of what to measure: cases and their lines."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import field
from typing import TYPE_CHECKING

from benchmarks.disk import Disk
from benchmarks.results import Sample

if TYPE_CHECKING:
    # Not needed to list the cases, and slow to import.
    from benchmarks.cases.bench import Bench

# A function that takes the sample of one repeat, and cleans up after itself.
Take = Callable[[int], Sample]
# The functions of a case, by the names of its lines.
Takes = Mapping[str, Take]
# A function that prepares a case, and cleans up when the block ends.
Prepare = Callable[["Bench"], AbstractContextManager[Takes]]


@dataclass(frozen=True)
class LinePlan:
    """A line of a case.

    *name* is the name of a store or limit, followed by a hyphen and a variant if the
    case has variants. *expected_s* is the time in seconds that one sample took, with
    its clean-up, on the machine of the published results; only estimates use it.
    *most_repeats* limits the repeats of a slow line; the output shows it.
    """

    name: str
    label: str
    expected_s: float
    most_repeats: int | None = None

    def repeats(self, wanted: int) -> int:
        """Return the line's repeats in a run of *wanted* repeats."""
        return min(wanted, self.most_repeats or wanted)


@dataclass(frozen=True)
class CasePlan:
    """A case: its question, its lines, and the function that prepares it.

    *level* is "store" for calls of the store, "glance" for requests to the services.
    *bytes* returns the bytes that pass in a sample's seconds, or 0 if a speed has no
    meaning. *baseline* is the store or limit that the others are compared with.
    *disk* is the room that the case needs on the machine's disk, *lab* the options of
    ``python -m lab run`` that it needs.
    """

    name: str
    level: str
    title: str
    lines: tuple[LinePlan, ...]
    prepare: Prepare
    bytes: Callable[[Bench], int] = lambda _bench: 0
    baseline: str = ""
    prepare_s: float = 0
    disk: Disk = field(default_factory=Disk)
    lab: tuple[str, ...] = ()

    def expected_s(self, repeats: int) -> float:
        """Return the seconds that the case should take, at full size."""
        return self.prepare_s + sum(
            line.expected_s * line.repeats(repeats) for line in self.lines
        )


def named(plans: Sequence[CasePlan], names: Sequence[str]) -> list[CasePlan]:
    """Return the plans with exactly these names, in the order of *plans*."""
    return [plan for plan in plans if plan.name in names]


def choose(plans: Sequence[CasePlan], wanted: str | None) -> list[CasePlan]:
    """Return the plans whose names begin with one of *wanted*, separated by commas.

    None chooses all plans.

    :raises ValueError: no plan begins with one of *wanted*; the message lists all
    """
    if wanted is None:
        return list(plans)
    starts = [start.strip() for start in wanted.split(",") if start.strip()]
    for start in starts:
        if not any(plan.name.startswith(start) for plan in plans):
            names = ", ".join(plan.name for plan in plans)
            raise ValueError(f"no case begins with {start!r}; the cases are {names}")
    return [plan for plan in plans if plan.name.startswith(tuple(starts))]
