# SPDX-License-Identifier: Apache-2.0
"""Bar charts of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display is needed
from matplotlib import figure
from matplotlib import ticker

from benchmarks import figures
from benchmarks.figures import Spread
from benchmarks.results import Case
from benchmarks.results import Line
from benchmarks.results import Run

MIB = 1024**2
# A store has the same colour in all charts; limits are grey.
_OURS = "#1f6fb4"
_COLOURS = {
    "fv1": _OURS,
    "peer": "#d9762b",
    "file": "#7a9a3a",
    **dict.fromkeys(("iscsi1", "array", "sample", "replica", "storm"), _OURS),
    "copy": "#d9762b",
}
_LIMIT = "#a9a9a9"
_WRONG = "wrong bytes"


@dataclass(frozen=True)
class Bar:
    """One bar.

    *line* is the name of the line that it shows, *remark* a warning or "".
    """

    label: str
    value: Spread
    line: str
    remark: str = ""


@dataclass(frozen=True)
class Panel:
    """The bars of one case, side by side with another case's in a chart."""

    title: str
    unit: str
    bars: Sequence[Bar]


def draw(run: Run, directory: Path, kind: str = "svg") -> list[Path]:
    """Draw the charts that the run has cases for, and return their files.

    The files are written into *directory*, in the format *kind*. The same run gives
    the same files.
    """
    charts = {
        "uploads": ("Uploads, until durable", _panels(run, _UPLOADS)),
        "downloads": ("Downloads of 1 GiB", _panels(run, _DOWNLOADS)),
        "volumes": ("Volumes from an image", _panels(run, _VOLUMES)),
        "replicas": ("Replicas on another FlexVol", _panels(run, _REPLICAS)),
        "iscsi": ("Images on iSCSI, through Glance", _panels(run, _ISCSI)),
        "memory": ("Peak memory of one transfer", _panels(run, _MEMORY)),
    }
    written = []
    with matplotlib.rc_context({"svg.hashsalt": "benchmarks", "font.size": 9}):
        for name, (title, panels) in charts.items():
            if panels:
                path = directory / f"{name}.{kind}"
                drawn = _chart(title, panels, _caption(run))
                drawn.savefig(path, metadata={"Date": None} if kind == "svg" else None)
                written.append(path)
    return written


# A case, the panel's title, the metric ("speed" is bytes per second), and its unit.
_Spec = tuple[str, str, str, str]

_UPLOADS: tuple[_Spec, ...] = (
    ("store-upload", "1 GiB random, called directly", "speed", "MiB/s"),
    ("glance-upload", "1 GiB random, through Glance", "speed", "MiB/s"),
    ("store-sparse", "8 GiB with 1 GiB of data, called directly", "speed", "MiB/s"),
    ("glance-sparse", "8 GiB with 1 GiB of data, through Glance", "speed", "MiB/s"),
    ("store-unknown", "2.5 GiB, size unknown, called directly", "speed", "MiB/s"),
    ("glance-unknown", "2.5 GiB, size unknown, through Glance", "speed", "MiB/s"),
    ("store-uploads", "8 of 512 MiB together, called directly", "bytes_per_s", "MiB/s"),
)
_DOWNLOADS: tuple[_Spec, ...] = (
    ("store-download", "Warm, called directly", "speed", "MiB/s"),
    ("glance-download", "Warm, through Glance", "speed", "MiB/s"),
    ("store-download-cold", "Cold, called directly", "speed", "MiB/s"),
    ("store-download", "First byte, called directly", "first_byte_s", "seconds"),
    ("first-byte", "First byte, in two processes", "first_byte_s", "seconds"),
    ("store-readers", "8 readers together, called directly", "bytes_per_s", "MiB/s"),
    ("glance-readers", "8 readers together, through Glance", "bytes_per_s", "MiB/s"),
)
_VOLUMES: tuple[_Spec, ...] = (
    ("volume-same", "On the image's FlexVol", "seconds", "seconds"),
    ("volume-other", "On another FlexVol", "seconds", "seconds"),
    ("volumes-many", "20 at once on the image's FlexVol", "seconds", "seconds"),
    ("volumes-hundred", "100 at once on the image's FlexVol", "seconds", "seconds"),
    ("volumes-locations", "20 at once, by configuration", "seconds", "seconds"),
    ("volumes-locations", "The same, CPU time of the services", "cpu_s", "CPU seconds"),
)
_REPLICAS: tuple[_Spec, ...] = (
    ("replica", "Making one, random data", "seconds_per_gib", "seconds per GiB"),
    ("volume-replica", "A volume, with a replica there", "seconds", "seconds"),
    ("volumes-storm", "Many volumes at once", "seconds", "seconds"),
)
_ISCSI: tuple[_Spec, ...] = (
    ("iscsi-upload", "Upload of 1 GiB random data", "speed", "MiB/s"),
    ("iscsi-sparse", "Upload of 4 GiB with 512 MiB of data", "speed", "MiB/s"),
    ("iscsi-download", "Download of 1 GiB, warm", "speed", "MiB/s"),
    ("iscsi-volume", "Volume on the image's FlexVol", "seconds", "seconds"),
)
_MEMORY: tuple[_Spec, ...] = (
    ("memory-upload", "Upload of 512 MiB", "peak_bytes", "MiB"),
    ("memory-download", "Download of 1 GiB", "peak_bytes", "MiB"),
)


def _panels(run: Run, specs: Sequence[_Spec]) -> list[Panel]:
    panels = []
    for name, title, metric, unit in specs:
        case = run.case(name)
        if case is None:
            continue
        bars = []
        for line in case.lines:
            value = _value(case, line, metric, unit)
            if value is not None:
                wrong = any(sample.wrong for sample in line.samples)
                label = line.label.removeprefix("limit: ")
                bars.append(Bar(label, value, line.name, _WRONG if wrong else ""))
        if bars:
            panels.append(Panel(title, unit, bars))
    return panels


def _value(case: Case, line: Line, metric: str, unit: str) -> Spread | None:
    """Return the bar's value, or None if the line lacks the metric.

    A speed is computed from the spread of the times, as in the tables.
    """
    scale = MIB if unit.startswith("MiB") else 1
    if metric != "speed":
        return figures.spread([value / scale for value in line.values(metric).values()])
    times = figures.spread(list(line.values().values()))
    if times is None:
        return None
    size = case.bytes / scale
    return Spread(
        size / times.median, size / times.most, size / times.least, times.count
    )


def _chart(title: str, panels: Sequence[Panel], caption: str) -> figure.Figure:
    columns = 2 if len(panels) > 1 else 1
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(len(panel.bars) for panel in row) * 0.28 + 0.75 for row in rows]
    drawn = figure.Figure(
        figsize=(4.9 * columns, sum(heights) + 0.75), layout="constrained"
    )
    drawn.suptitle(title, fontsize=12, fontweight="bold")
    axes = drawn.subplots(
        len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for row, line in zip(rows, axes, strict=True):
        for panel, axis in zip(row, line, strict=False):
            _draw_panel(axis, panel)
            # All bars of a row have the same height.
            axis.set_ylim(max(len(neighbour.bars) for neighbour in row) - 0.5, -0.5)
        for axis in line[len(row) :]:
            axis.set_visible(False)
    drawn.supxlabel(caption, fontsize=7, color="#555555")
    return drawn


def _draw_panel(axis: Any, panel: Panel) -> None:
    """Draw horizontal bars, the first on top; there is room for long labels."""
    bars = panel.bars
    places = range(len(bars))
    medians = [bar.value.median for bar in bars]
    axis.barh(
        places,
        medians,
        xerr=[
            [bar.value.median - bar.value.least for bar in bars],
            [bar.value.most - bar.value.median for bar in bars],
        ],
        color=[_COLOURS.get(bar.line.partition("-")[0], _LIMIT) for bar in bars],
        error_kw={"ecolor": "#333333", "elinewidth": 0.9, "capsize": 2.5},
        height=0.7,
    )
    most = max(bar.value.most for bar in bars)
    for place, bar in zip(places, bars, strict=True):
        text = f"{bar.value.median:.{_digits(most)}f}"
        if bar.remark:
            text += f"  {bar.remark}"
        axis.text(
            bar.value.most + most * 0.02,
            place,
            text,
            va="center",
            color="#b00000" if bar.remark else "#222222",
        )
    axis.set_yticks(list(places), [bar.label for bar in bars])
    axis.set_xlim(0, most * (1.42 if any(bar.remark for bar in bars) else 1.2))
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axis.set_xlabel(panel.unit)
    axis.set_title(panel.title, fontsize=9.5, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)


def _digits(most: float) -> int:
    return 0 if most >= 100 else 1 if most >= 10 else 2


def _caption(run: Run) -> str:
    taken = max(len(line.samples) for case in run.cases for line in case.lines)
    extent = (
        "One repeat of each line."
        if taken == 1
        else f"Medians of up to {taken} repeats, whiskers from least to most."
    )
    return (
        f"{extent} Simulated array, bind mounts. "
        f"{run.machine.get('cores', '?')} cores, {run.began[:10]}."
    )
