# SPDX-License-Identifier: Apache-2.0
"""A finding of `check`: a problem, how severe it is, and what to do about it."""

from collections.abc import Iterable
import dataclasses
import enum


class Severity(enum.IntEnum):
    """The severity of a finding. The worst one is the exit code of `check`."""

    # Worth knowing; nothing has to be repaired.
    INFO = 0
    # It works, but not for long, or not as well as it could.
    WARNING = 1
    # Something does not work, or Cinder never clones an image.
    ERROR = 2


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    *code* is for programs and stays the same between releases (`codes`).
    *subject* is a store's id, ``host``, ``glance`` or ``cinder``. *remedy* is
    empty if there is nothing to do.
    """

    severity: Severity
    code: str
    subject: str
    problem: str
    remedy: str


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if there are no findings or only notes, 1 for warnings, 2 for errors."""
    return max((int(finding.severity) for finding in findings), default=0)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, the worst first, otherwise in the order given."""
    return sorted(findings, key=lambda finding: -finding.severity)
