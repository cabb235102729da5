# SPDX-License-Identifier: Apache-2.0
"""What `check` reports: a problem, how bad it is, and what to do about it."""

from collections.abc import Iterable
import dataclasses
import enum


class Severity(enum.IntEnum):
    """The exit code of `check` is that of its worst finding."""

    # Worth knowing, or not known; nothing that must be mended.
    INFO = 0
    # Works, and will not do so for long or not as well as it could.
    WARNING = 1
    # Does not work, or no volume is ever cloned.
    ERROR = 2


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    *code* is for programs and stays the same between releases; *subject* is a
    store's id, ``host``, ``glance`` or ``cinder``. *remedy* is empty where there
    is nothing to do.
    """

    severity: Severity
    code: str
    subject: str
    problem: str
    remedy: str


def error(code: str, subject: str, problem: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, code, subject, problem, remedy)


def warning(code: str, subject: str, problem: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, code, subject, problem, remedy)


# The code of everything that could not be asked.
NOT_ASKED = "not-asked"


def not_asked(subject: str, what: str, why: str, remedy: str) -> Finding:
    """*what* is not known: said, and never taken for good."""
    return Finding(Severity.INFO, NOT_ASKED, subject, f"Unknown: {what}: {why}", remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 nothing (or notes), 1 warnings, 2 errors."""
    return max((int(each.severity) for each in findings), default=0)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, else as they were found."""
    return sorted(findings, key=lambda each: -each.severity)
