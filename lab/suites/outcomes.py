# SPDX-License-Identifier: Apache-2.0
"""The results of tests, from the streams and files that the runners write."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
import re
from typing import Any
from xml.etree import ElementTree

# The id under which a stream has what the tests print.
OUTPUT = "output"
# Tempest appends a test's id and kind: test_x[id-…,smoke].
_ATTRIBUTES = re.compile(r"\[.*\]$")


class Status(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """The result of a test; ``reason`` is its traceback, or why it was skipped."""

    test: str
    status: Status
    reason: str = ""
    seconds: float = 0

    @property
    def summary(self) -> str:
        """The last line of the reason, which names the error."""
        lines = [line.strip() for line in self.reason.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def from_subunit(test: Mapping[str, Any], texts: Sequence[str]) -> Outcome | None:
    """Return the outcome of a test in a subunit stream, None for what is no result.

    *test* is a dict of `testtools.StreamToDict`; *texts* are its attachments. A test
    that was still running when the stream ended has failed.
    """
    if test["id"] == OUTPUT or test["status"] == "exists":
        return None
    statuses = {"success": Status.PASSED, "skip": Status.SKIPPED}
    status = statuses.get(test["status"], Status.FAILED)
    reason = "\n".join(texts)
    if status is Status.FAILED and not reason:
        reason = f"ended as {test['status']}"
    begun, ended = test["timestamps"]
    seconds = (ended - begun).total_seconds() if begun and ended else 0
    return Outcome(_ATTRIBUTES.sub("", test["id"]), status, reason, seconds)


def read_junit(path: Path) -> list[Outcome]:
    """Return the outcomes in a JUnit XML file that pytest wrote."""
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        status, reason = Status.PASSED, ""
        for kind, meaning in (
            ("skipped", Status.SKIPPED),
            ("failure", Status.FAILED),
            ("error", Status.FAILED),
        ):
            for part in case.iter(kind):
                status = meaning
                reason = f"{part.text or ''}\n{part.get('message', '')}"
        name = f"{case.get('classname')}.{case.get('name')}"
        found.append(Outcome(name, status, reason, float(case.get("time", 0))))
    return found
