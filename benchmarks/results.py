# SPDX-License-Identifier: Apache-2.0
"""The results of a run, as they are written to results.json."""

from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass
from dataclasses import field
import json
from pathlib import Path
from typing import Any

SECONDS = "seconds"


@dataclass
class Sample:
    """One measurement of one line, in one repeat.

    *metrics* maps names to numbers; ``seconds`` is the time that the case is about.
    *wrong* tells which bytes were wrong, *failure* the reason why nothing was
    measured. *note* is any other remark for the report. Each is "" if there is none.
    """

    repeat: int
    metrics: dict[str, float] = field(default_factory=dict)
    wrong: str = ""
    failure: str = ""
    note: str = ""


@dataclass
class Line:
    """One store or limit of a case, or one of its variants.

    *repeats* is the number of repeats that were asked for.
    """

    name: str
    label: str
    repeats: int
    samples: list[Sample] = field(default_factory=list)

    def values(self, metric: str = SECONDS) -> dict[int, float]:
        """Return the values of *metric* by repeat, without repeats that lack it."""
        return {
            sample.repeat: sample.metrics[metric]
            for sample in self.samples
            if metric in sample.metrics
        }

    def texts(self) -> list[str]:
        """Return the samples' remarks, without duplicates."""
        said = []
        for sample in self.samples:
            if sample.wrong:
                said.append(f"WRONG: {sample.wrong}")
            if sample.failure:
                said.append(f"failed: {sample.failure}")
            if sample.note:
                said.append(sample.note)
        return list(dict.fromkeys(said))


@dataclass
class Case:
    """One question, and the lines that answer it.

    For *bytes* and *baseline* see `benchmarks.plans.CasePlan`.
    """

    name: str
    level: str
    title: str
    bytes: int = 0
    baseline: str = ""
    lines: list[Line] = field(default_factory=list)
    failure: str = ""
    note: str = ""

    def line(self, name: str) -> Line | None:
        """Return the line of this name, or None."""
        return next((line for line in self.lines if line.name == name), None)

    def baseline_of(self, line: Line) -> Line | None:
        """Return the line that *line* is compared with, or None.

        It is the baseline's line of the same variant: ``peer-4`` for ``fv1-4``.
        """
        _store, hyphen, variant = line.name.partition("-")
        return self.line(f"{self.baseline}{hyphen}{variant}")

    def values(self, name: str, metric: str = SECONDS) -> dict[int, float]:
        """Return the values of a line by repeat; {} if the case lacks the line."""
        line = self.line(name)
        return line.values(metric) if line else {}


@dataclass
class Run:
    """One run: the machine, the software, and the results."""

    began: str
    machine: dict[str, str]
    versions: dict[str, str]
    options: dict[str, Any]
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0
    is_whole: bool = False

    def case(self, name: str) -> Case | None:
        """Return the case of this name, or None."""
        return next((case for case in self.cases if case.name == name), None)

    def failures(self) -> Iterator[str]:
        """Yield the failures of all cases and samples, also those of upstream."""
        for case in self.cases:
            if case.failure:
                yield f"{case.name}: {case.failure}"
            for line in case.lines:
                for sample in line.samples:
                    if sample.failure:
                        yield f"{case.name}, {line.label}: {sample.failure}"

    def write(self, path: Path) -> None:
        """Write the run as JSON."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Return the run that `write` has written to *path*."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["cases"] = [_case(case) for case in raw["cases"]]
        return cls(**raw)


def _case(raw: dict[str, Any]) -> Case:
    raw["lines"] = [
        Line(**{**line, "samples": [Sample(**sample) for sample in line["samples"]]})
        for line in raw["lines"]
    ]
    return Case(**raw)
