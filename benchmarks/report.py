# SPDX-License-Identifier: Apache-2.0
"""Tables of a run, for a terminal and for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
import itertools
import textwrap

from benchmarks import machine
from benchmarks import progress
from benchmarks import targets
from benchmarks.columns import COLUMNS
from benchmarks.plans import CasePlan
from benchmarks.results import Case
from benchmarks.results import Run

_WIDTH = 100
# Longer cells are wrapped.
_CELL = 44


@dataclass(frozen=True)
class Table:
    """A table of text.

    *name* can be part of a file's name. The first column has the labels of the lines.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def tables(run: Run) -> list[Table]:
    """Return the tables of the cases, then that of the targets."""
    return [*(case_table(case) for case in run.cases), targets_table(run)]


def case_table(case: Case) -> Table:
    """Return the medians and spreads of a case.

    The notes below them tell what failed and which bytes were wrong.
    """
    columns = [column for column in COLUMNS if column.is_in(case)]
    rows = []
    notes = []
    for line in case.lines:
        texts = line.texts()
        notes += [f"{line.label}: {text}" for text in texts]
        label = line.label
        if any(sample.wrong for sample in line.samples):
            label += "  [WRONG]"
        measured = sum(not sample.failure for sample in line.samples)
        rows.append(
            [
                label,
                *(column.show(case, line) for column in columns),
                f"{measured} of {line.repeats}",
            ]
        )
    if case.note:
        notes.append(case.note)
    if case.failure:
        notes.append(f"The case failed: {case.failure}")
    return Table(
        case.name,
        f"{case.title} ({_LEVELS[case.level]})",
        ["", *(column.title(case) for column in columns), "repeats"],
        rows,
        notes,
    )


_LEVELS = {"store": "calls of the store", "glance": "through Glance's API"}


def targets_table(run: Run, is_measured_only: bool = False) -> Table:
    """Return the verdicts on the targets, on all of them or on those measured."""
    rows = [
        [verdict.target, verdict.measured, verdict.outcome]
        for verdict in targets.verdicts(run)
        if not is_measured_only or verdict.outcome != targets.UNKNOWN
    ]
    return Table(
        "targets",
        "Targets (medians of the repeats' ratios, with least and most)",
        ["target", "measured", "verdict"],
        rows,
    )


def head(run: Run) -> str:
    """Return the machine, the versions, and a warning about the simulated array."""
    lines = [f"Benchmark started {run.began}, {_extent(run)}"]
    facts = {name: text for name, text in run.machine.items() if name != "array"}
    lines += _wrapped("Machine: ", ", ".join(f"{k} {v}" for k, v in facts.items()))
    versions = ", ".join(f"{name} {text}" for name, text in run.versions.items())
    lines += _wrapped("Versions: ", versions)
    lines += _wrapped("", run.machine.get("array", machine.SIMULATED))
    return "\n".join(lines)


def _extent(run: Run) -> str:
    repeats = run.options["repeats"]
    text = f"{repeats} repeat" if repeats == 1 else f"{repeats} repeats"
    if run.options.get("scale", 1) != 1:
        text += f", SIZES TIMES {run.options['scale']:g}: A TRIAL, NOT A RESULT"
    return text


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(start + text, _WIDTH, subsequent_indent="  ")


def text(run: Run) -> str:
    """Return all tables, for a terminal."""
    parts = [head(run), *(_plain(table) for table in tables(run))]
    if not run.is_whole:
        parts.append("This run was interrupted.")
    parts.append(f"The run took {progress.minutes(run.seconds)} minutes.")
    return "\n\n".join(parts)


def _plain(table: Table) -> str:
    rows = [table.columns, *table.rows]
    widths = [
        min(_CELL, max(len(row[i]) for row in rows)) for i in range(len(table.columns))
    ]

    def lines_of(row: Sequence[str]) -> list[str]:
        cells = [textwrap.wrap(cell, _CELL) for cell in row]
        return [
            "  ".join(
                part.ljust(width) for part, width in zip(parts, widths, strict=True)
            ).rstrip()
            for parts in itertools.zip_longest(*cells, fillvalue="")
        ]

    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    lines = [table.title, rule, *lines_of(table.columns), rule]
    for row in table.rows:
        lines += lines_of(row)
    lines.append(rule)
    for note in table.notes:
        lines += textwrap.wrap(note, _WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def rst(run: Run) -> dict[str, str]:
    """Return the tables by file name, for a page of the documentation to include.

    The table of targets has only those that were measured.
    """
    found = [
        *(case_table(case) for case in run.cases),
        targets_table(run, is_measured_only=True),
    ]
    texts = {
        f"{table.name}.rst.inc": _list_table(table) for table in found if table.rows
    }
    facts = [(name, text) for name, text in run.machine.items() if name != "array"]
    rows = [
        *facts,
        *run.versions.items(),
        ("run", f"{run.began}, {_extent(run)}"),
    ]
    machine_table = Table("machine", "Machine and versions", ["", ""], rows)
    texts["machine.rst.inc"] = _list_table(machine_table)
    return texts


def _list_table(table: Table) -> str:
    lines = [f".. list-table:: {table.title}", "   :header-rows: 1", ""]
    for row in [table.columns, *table.rows]:
        for index, cell in enumerate(row):
            bullet = "*" if index == 0 else " "
            lines.append(f"   {bullet} - {_escaped(cell)}".rstrip())
    if table.notes:
        lines += ["", *(f"* {_escaped(note)}" for note in table.notes)]
    return "\n".join([*lines, ""])


def _escaped(cell: str) -> str:
    """Return *cell* with the characters escaped that mean something in RST."""
    for character in "\\*`|_":
        cell = cell.replace(character, f"\\{character}")
    return cell


def listing(plans: Sequence[CasePlan], repeats: int) -> str:
    """Return the names, expected times and lines of the cases, for a terminal."""
    lines = []
    for plan in plans:
        expected = progress.minutes(plan.expected_s(repeats))
        lines.append(f"{plan.name:20} {expected:>6}  {plan.title} ({plan.level})")
        for line in plan.lines:
            few = line.repeats(repeats)
            said = "" if few == repeats else f", repeats: {few}"
            lines.append(f"{'':29}{line.label}{said}")
    total = progress.minutes(sum(plan.expected_s(repeats) for plan in plans))
    lines.append(f"{'all':20} {total:>6}  minutes, at full size, {repeats} repeats")
    return "\n".join(lines)
