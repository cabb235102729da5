# SPDX-License-Identifier: Apache-2.0
"""Runs that nobody measured, for tests."""

from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Run
from benchmarks.results import Sample


def line(name, seconds, **metrics):
    """A line with a sample for each of *seconds*; *metrics* are lists alike."""
    samples = []
    for index, value in enumerate(seconds):
        more = {metric: values[index] for metric, values in metrics.items()}
        samples.append(Sample(index + 1, {"seconds": value, **more}))
    return Line(name, f"label of {name}", len(seconds), samples)


def case(name, *lines, **arguments):
    level = name.partition("-")[0] if name.startswith(("store", "glance")) else "glance"
    arguments = {"baseline": "peer", **arguments}
    return Case(name, level, f"Title of {name}", lines=[*lines], **arguments)


def run(*cases):
    return Run(
        "2026-01-02 03:04:05", {"cores": "2", "array": "Simulated."},
        {"python": "3"}, {"repeats": 2, "scale": 1}, [*cases], 61.0, True,
    )  # fmt: skip
