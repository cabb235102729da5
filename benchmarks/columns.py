# SPDX-License-Identifier: Apache-2.0
"""The columns of the cases' tables."""

from typing import Protocol

from benchmarks import figures
from benchmarks.figures import Spread
from benchmarks.results import Case
from benchmarks.results import Line

MIB = 1024**2


class Column(Protocol):
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
        return "" if found is None else str(round(found.median))


class _Finished:
    """The transfers at once that finished, of all repeats; *what* is their name."""

    def __init__(self, what: str) -> None:
        self._what = what

    def is_in(self, case: Case) -> bool:
        return _has(case, self._what)

    def title(self, _case: Case) -> str:
        return f"{self._what} finished"

    def show(self, _case: Case, line: Line) -> str:
        if not (finished := line.values("finished")):
            return ""
        return (
            f"{sum(finished.values()):.0f}"
            f" of {sum(line.values(self._what).values()):.0f}"
        )


class _Fallbacks:
    """The volumes that are no clones of the image, of all repeats."""

    def is_in(self, case: Case) -> bool:
        return _has(case, "fallbacks")

    def title(self, _case: Case) -> str:
        return "not clones"

    def show(self, _case: Case, line: Line) -> str:
        if not (fallbacks := line.values("fallbacks")):
            return ""
        return (
            f"{sum(fallbacks.values()):.0f}"
            f" of {sum(line.values('volumes').values()):.0f}"
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


# In the order of the tables; a table has only some of them.
COLUMNS: tuple[Column, ...] = (
    _Metric("seconds", "seconds", 1, 2),
    _Speed(),
    _Metric("seconds_per_gib", "seconds per GiB", 1, 2),
    _Metric("bytes_per_s", "MiB/s together", MIB, 0),
    _Metric("peak_bytes", "peak MiB", MIB, 0),
    _Speedup(),
    _MoreMemory(),
    _Finished("readers"),
    _Finished("uploads"),
    _Metric("one_volume_s", "one volume, s", 1, 2),
    _Metric("cpu_s", "CPU seconds", 1, 1),
    _Metric("keystone_cpu_s", "of it Keystone", 1, 1),
    _Metric("first_byte_s", "first byte, s", 1, 3),
    # Of runs that did not separate reading and detaching.
    _Metric("after_first_s", "the rest, s", 1, 3),
    _Metric("reading_s", "reading, s", 1, 3),
    _Metric("detach_s", "detaching, s", 1, 3),
    _Metric("before_data_s", "before the first byte, s", 1, 2),
    _Metric("after_data_s", "after the last byte, s", 1, 2),
    _Metric("stored_bytes", "stored MiB", MIB, 0),
    _Metric("new_bytes", "new MiB on the FlexVol", MIB, 1),
    _Metric("glance_bytes", "MiB through Glance's API", MIB, 0),
    _Metric("host_bytes", "MiB read and written by hosts", MIB, 0),
    _Fallbacks(),
    _Metric("unshared_bytes", "new MiB of blocks", MIB, 1),
    _Requests("upload"),
    _Requests("download"),
    _Requests("delete"),
)
