# SPDX-License-Identifier: Apache-2.0
"""Tables of a run, for a terminal and for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
import itertools
import textwrap
from typing import Protocol

from benchmarks import figures
from benchmarks import machine
from benchmarks import progress
from benchmarks import targets
from benchmarks.figures import Spread
from benchmarks.plans import CasePlan
from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Run

MIB = 1024**2
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
    columns = [column for column in _COLUMNS if column.is_in(case)]
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


def targets_table(run: Run) -> Table:
    """Return the verdicts on the targets."""
    rows = [
        [verdict.target, verdict.measured, verdict.outcome]
        for verdict in targets.verdicts(run)
    ]
    return Table(
        "targets",
        "Targets (medians of the repeats' ratios, with least and most)",
        ["target", "measured", "verdict"],
        rows,
    )


class _Column(Protocol):
    """A column of the cases' tables."""

    def is_in(self, case: Case) -> bool:
        """Return whether the table of *case* has this column."""

    def title(self, case: Case) -> str:
        """Return the column's title."""

    def show(self, case: Case, line: Line) -> str:
        """Return the cell of *line*, or "" if there is nothing to show."""


class _Metric:
    """The median of a metric of the samples, with the least and most."""

    def __init__(self, metric: str, title: str, unit: float, digits: int) -> None:
        self._metric = metric
        self._title = title
        self._unit = unit
        self._digits = digits

    def is_in(self, case: Case) -> bool:
        return _has(case, self._metric)

    def title(self, _case: Case) -> str:
        return self._title

    def show(self, _case: Case, line: Line) -> str:
        found = figures.spread(list(line.values(self._metric).values()))
        return "" if found is None else self._number(found)

    def _number(self, found: Spread) -> str:
        median, least, most = (
            f"{value / self._unit:.{self._digits}f}"
            for value in (found.median, found.least, found.most)
        )
        if found.count == 1 or least == most:
            return median
        return f"{median} ({least} to {most})"


class _Speed:
    """The speed: the bytes of the case in the median of the times."""

    def is_in(self, case: Case) -> bool:
        return bool(case.bytes)

    def title(self, _case: Case) -> str:
        return "MiB/s"

    def show(self, case: Case, line: Line) -> str:
        found = figures.spread(list(line.values().values()))
        return "" if found is None else f"{case.bytes / MIB / found.median:.0f}"


class _Speedup:
    """The speed relative to the baseline's."""

    def is_in(self, case: Case) -> bool:
        return bool(case.baseline) and not _has(case, "peak_bytes")

    def title(self, _case: Case) -> str:
        return "times as fast as upstream"

    def show(self, case: Case, line: Line) -> str:
        base = case.baseline_of(line)
        if base is None or base is line:
            return ""
        if speeds := line.values("bytes_per_s"):
            found = figures.ratio(speeds, base.values("bytes_per_s"))
        else:
            found = figures.ratio(base.values(), line.values())
        return "" if found is None else f"{found.median:.2f}"


class _MoreMemory:
    """The peak memory above the baseline's."""

    def is_in(self, case: Case) -> bool:
        return bool(case.baseline) and _has(case, "peak_bytes")

    def title(self, _case: Case) -> str:
        return "MiB above 'no store'"

    def show(self, case: Case, line: Line) -> str:
        base = case.baseline_of(line)
        if base is None or base is line:
            return ""
        more = figures.differences(line.values("peak_bytes"), base.values("peak_bytes"))
        found = figures.spread([value / MIB for value in more.values()])
        return "" if found is None else f"{found.median:.0f}"


class _Finished:
    """The readers that finished, of all repeats."""

    def is_in(self, case: Case) -> bool:
        return _has(case, "finished")

    def title(self, _case: Case) -> str:
        return "readers finished"

    def show(self, _case: Case, line: Line) -> str:
        if not (finished := line.values("finished")):
            return ""
        return (
            f"{sum(finished.values()):.0f}"
            f" of {sum(line.values('readers').values()):.0f}"
        )


class _Requests:
    """The requests of an operation, and in brackets its polls."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def is_in(self, case: Case) -> bool:
        return _has(case, f"{self._operation}_requests")

    def title(self, _case: Case) -> str:
        return f"{self._operation} (and polls)"

    def show(self, _case: Case, line: Line) -> str:
        requests = line.values(f"{self._operation}_requests")
        polls = line.values(f"{self._operation}_polls")
        if not requests:
            return ""
        return f"{max(requests.values()):.0f} ({max(polls.values()):.0f})"


def _has(case: Case, metric: str) -> bool:
    return any(line.values(metric) for line in case.lines)


_COLUMNS: tuple[_Column, ...] = (
    _Metric("seconds", "seconds", 1, 2),
    _Speed(),
    _Metric("bytes_per_s", "MiB/s together", MIB, 0),
    _Metric("peak_bytes", "peak MiB", MIB, 0),
    _Speedup(),
    _MoreMemory(),
    _Finished(),
    _Metric("first_byte_s", "first byte, s", 1, 3),
    _Metric("after_first_s", "the rest, s", 1, 3),
    _Metric("stored_bytes", "stored MiB", MIB, 0),
    _Metric("new_bytes", "new MiB on the FlexVol", MIB, 1),
    _Requests("upload"),
    _Requests("download"),
    _Requests("delete"),
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
    text = f"{run.options['repeats']} repeats"
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
    """Return the tables by file name, for a page of the documentation to include."""
    texts = {
        f"{table.name}.rst.inc": _list_table(table)
        for table in tables(run)
        if table.rows
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
