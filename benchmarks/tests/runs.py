# SPDX-License-Identifier: Apache-2.0
"""Runs for tests, with made-up figures."""

from collections.abc import Sequence
from typing import Any

from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Run
from benchmarks.results import Sample


def line(name: str, seconds: Sequence[float], **metrics: Sequence[float]) -> Line:
    """Return a line with one sample for each of *seconds*.

    *metrics* are further metrics, with as many values as *seconds*.
    """
    samples = []
    for index, value in enumerate(seconds):
        more = {metric: values[index] for metric, values in metrics.items()}
        samples.append(Sample(index + 1, {"seconds": value, **more}))
    return Line(name, f"label of {name}", len(seconds), samples)


def case(name: str, *lines: Line, **arguments: Any) -> Case:
    """Return a case whose level follows from its name."""
    level = name.partition("-")[0] if name.startswith(("store", "glance")) else "glance"
    arguments = {"baseline": "peer", **arguments}
    return Case(name, level, f"Title of {name}", lines=[*lines], **arguments)


def run(*cases: Case) -> Run:
    """Return a whole run of *cases*."""
    return Run(
        "2026-01-02 03:04:05", {"cores": "2", "array": "Simulated."},
        {"python": "3"}, {"repeats": 2, "scale": 1}, [*cases], 61.0, True,
    )  # fmt: skip
