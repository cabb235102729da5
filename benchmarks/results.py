# SPDX-License-Identifier: Apache-2.0
"""What a run has measured, as it is written to results.json."""

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
    """One measurement of one line.

    *metrics* maps names to numbers; ``seconds`` is the time that the case is about.
    *wrong* says which bytes were wrong, *failure* why there is no measurement.
    """

    repeat: int
    metrics: dict[str, float] = field(default_factory=dict)
    wrong: str = ""
    failure: str = ""
    note: str = ""


@dataclass
class Line:
    """One store of a case, perhaps in variants; *repeats* is how many are asked."""

    name: str
    label: str
    repeats: int
    samples: list[Sample] = field(default_factory=list)

    def values(self, metric: str = SECONDS) -> dict[int, float]:
        """Repeat to value, of the repeats that were measured."""
        return {
            sample.repeat: sample.metrics[metric]
            for sample in self.samples
            if metric in sample.metrics
        }

    def texts(self) -> list[str]:
        """What there is to say beside the numbers, each once."""
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
    """One question, and the lines that answer it."""

    name: str
    level: str
    title: str
    # What passes in `seconds`, for a speed; 0 where a speed means nothing.
    bytes: int = 0
    # The store that the others are compared with.
    baseline: str = ""
    lines: list[Line] = field(default_factory=list)
    failure: str = ""
    note: str = ""

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.name == name), None)

    def baseline_of(self, line: Line) -> Line | None:
        """What *line* is compared with: the baseline's line of the same variant.

        A line's name is a store's, and perhaps a variant's behind a hyphen.
        """
        _store, hyphen, variant = line.name.partition("-")
        return self.line(f"{self.baseline}{hyphen}{variant}")

    def values(self, name: str, metric: str = SECONDS) -> dict[int, float]:
        """A line's values; none where the line was not measured."""
        line = self.line(name)
        return line.values(metric) if line else {}


@dataclass
class Run:
    """All of a run: where, with what, which results."""

    began: str
    machine: dict[str, str]
    versions: dict[str, str]
    options: dict[str, Any]
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0
    is_whole: bool = False

    def case(self, name: str) -> Case | None:
        return next((case for case in self.cases if case.name == name), None)

    def failures(self) -> Iterator[str]:
        """Each failure of this run, also of upstream."""
        for case in self.cases:
            if case.failure:
                yield f"{case.name}: {case.failure}"
            for line in case.lines:
                for sample in line.samples:
                    if sample.failure:
                        yield f"{case.name}, {line.label}: {sample.failure}"

    def write(self, path: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Run":
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["cases"] = [_case(each) for each in raw["cases"]]
        return cls(**raw)


def _case(raw: dict[str, Any]) -> Case:
    raw["lines"] = [
        Line(**{**line, "samples": [Sample(**sample) for sample in line["samples"]]})
        for line in raw["lines"]
    ]
    return Case(**raw)
