# SPDX-License-Identifier: Apache-2.0
"""The result of a run as text."""

from collections.abc import Sequence
import json

from lab.suites.known import Verdict

_HEADER = ("phase", "passed", "failed: known", "unexpected", "skipped", "time")


def table(verdicts: Sequence[Verdict]) -> str:
    """Return a table with a line for each phase, and one for all."""
    rows = [_row(verdict.phase, [verdict]) for verdict in verdicts]
    rows.append(_row("all", verdicts))
    lines = [_HEADER, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _row(name: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    counts = (
        sum(len(verdict.passed) for verdict in verdicts),
        sum(len(verdict.failed_as_known) for verdict in verdicts),
        sum(len(verdict.failed) for verdict in verdicts),
        sum(len(verdict.skipped) for verdict in verdicts),
    )
    seconds = sum(verdict.seconds for verdict in verdicts)
    return (name, *map(str, counts), f"{seconds:.0f} s")


def complaints(verdicts: Sequence[Verdict]) -> str:
    """Return a text with everything that makes the run fail; empty if nothing does."""
    lines = []
    for verdict in verdicts:
        for outcome in verdict.failed:
            lines += [f"--- {verdict.phase}: {outcome.test}", outcome.reason.rstrip()]
        for failure in verdict.repaired:
            lines.append(
                f"--- {verdict.phase}: {failure.test} passed. "
                "Remove it from lab/suites/known_failures.yaml."
            )
        if verdict.broken:
            lines.append(f"--- {verdict.phase}: {verdict.broken}")
    return "\n".join(lines)


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Return all outcomes, for comparing two runs."""
    rows = [
        {
            "phase": verdict.phase,
            "test": outcome.test,
            "status": outcome.status.value,
            "seconds": round(outcome.seconds, 1),
            "summary": outcome.summary,
        }
        for verdict in verdicts
        for outcomes in (
            verdict.passed,
            verdict.failed_as_known,
            verdict.failed,
            verdict.skipped,
        )
        for outcome in outcomes
    ]
    return json.dumps(rows, indent=1) + "\n"
