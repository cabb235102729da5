# SPDX-License-Identifier: Apache-2.0
"""Compare the outcomes of a phase with the list of known failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from lab.suites.outcomes import Outcome
from lab.suites.outcomes import Status

LIST = Path(__file__).parent / "known_failures.yaml"
_FIELDS = {"phase", "test", "fault", "cause"}


class BadList(Exception):
    """An entry of the list of known failures is not complete, or is there twice."""


@dataclass(frozen=True)
class KnownFailure:
    """A test that fails, in one phase; ``fault`` is the project that has the defect."""

    phase: str
    test: str
    fault: str
    cause: str


@dataclass
class Verdict:
    """The outcomes of a phase, sorted by what they mean."""

    phase: str
    passed: list[Outcome] = field(default_factory=list)
    skipped: list[Outcome] = field(default_factory=list)
    failed_as_known: list[Outcome] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    # Known failures whose tests passed: the list is out of date.
    repaired: list[KnownFailure] = field(default_factory=list)
    seconds: float = 0
    # Why the phase is not complete, if it is not.
    broken: str = ""

    @property
    def is_good(self) -> bool:
        return not (self.failed or self.repaired or self.broken)


def read(text: str) -> list[KnownFailure]:
    """Return the known failures of a YAML text.

    :raises BadList: an entry lacks something, or there are two for a test
    """
    entries: list[dict[str, Any]] = yaml.safe_load(text) or []
    found: dict[tuple[str, str], KnownFailure] = {}
    for entry in entries:
        if set(entry) != _FIELDS or not all(entry.values()):
            raise BadList(f"{entry}: each entry has {', '.join(sorted(_FIELDS))}")
        failure = KnownFailure(**entry)
        key = (failure.phase, failure.test)
        if key in found:
            raise BadList(f"{failure.test}: there twice for phase {failure.phase}")
        found[key] = failure
    return list(found.values())


def judge(
    phase: str, outcomes: Sequence[Outcome], known: Sequence[KnownFailure]
) -> Verdict:
    """Return the outcomes of *phase*, compared with its known failures.

    A run without any passed test is broken, because nothing has been tested.
    """
    expected = {each.test: each for each in known if each.phase == phase}
    verdict = Verdict(phase)
    for outcome in outcomes:
        if outcome.status is Status.SKIPPED:
            verdict.skipped.append(outcome)
        elif outcome.status is Status.FAILED:
            as_known = outcome.test in expected
            (verdict.failed_as_known if as_known else verdict.failed).append(outcome)
        else:
            verdict.passed.append(outcome)
            if outcome.test in expected:
                verdict.repaired.append(expected[outcome.test])
    if not verdict.passed:
        verdict.broken = "no test passed"
    return verdict
