# SPDX-License-Identifier: Apache-2.0
"""The benchmark's command line; see ``--help``."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import datetime
import importlib.util
import logging
import os
from pathlib import Path
import signal
import sys
import time
from typing import TYPE_CHECKING
from typing import NoReturn
import warnings

from benchmarks import disk
from benchmarks import plans
from benchmarks import report
from benchmarks import running
from benchmarks.plans import CasePlan
from benchmarks.progress import ProgressLine
from benchmarks.results import Run
from lab.cli import temporary_base

if TYPE_CHECKING:
    from lab.client import Lab

DEFAULT_REPEATS = 5
DEFAULT_MINUTES = 120
# Of a quick run; with the lab's start it ends within ten minutes.
QUICK_REPEATS = 3
QUICK_MINUTES = 9
RESULTS = "results.json"
# Exit codes.
FAILED = 1
MISUSED = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or what the options ask for instead.

    Return 0 if all was measured, 1 if something failed, 2 if an option is wrong or
    cannot be met. An interrupt ends the process with 130.
    """
    options = _parse(argv)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.CRITICAL, stream=sys.stderr
    )
    if options.render:
        source, directory = options.render
        _publish(Run.read(Path(source)), Path(directory), options.rst)
        return 0
    # Upstream's libraries warn of eventlet when they are imported.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    # Not at the top: --render and --help need neither a lab nor the lab's packages.
    from benchmarks.cases import CASES
    from benchmarks.cases import QUICK

    try:
        chosen = (
            plans.named(CASES, QUICK)
            if options.quick
            else plans.choose(CASES, options.cases)
        )
    except ValueError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return MISUSED
    if options.list:
        print(report.listing(chosen, options.repeats))
        return 0
    if problem := _problem(chosen, options):
        print(f"benchmarks: {problem}", file=sys.stderr)
        return MISUSED
    if "LAB_FACTS" not in os.environ:
        _enter_a_lab(chosen, sys.argv[1:] if argv is None else argv)
    return _measure(chosen, options)


def _problem(chosen: Sequence[CasePlan], options: argparse.Namespace) -> str:
    """Return what would fail only at the end of the run, or late in it; "" if nothing.

    Nothing has been made yet, not even a lab.
    """
    if options.output and importlib.util.find_spec("matplotlib") is None:
        return (
            "--output draws charts and needs matplotlib: "
            "pip install -r bench-requirements.txt"
        )
    needed = disk.needed_gib([plan.disk for plan in chosen], options.scale)
    return disk.lack(needed, Path(temporary_base()))


def _enter_a_lab(chosen: Sequence[CasePlan], arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a new lab, as the cases need it, with the benchmark."""
    options = dict.fromkeys(option for plan in chosen for option in plan.lab)
    lab = [sys.executable, "-m", "lab", "run", "--broker", *options]
    os.execv(sys.executable, [*lab, sys.executable, "-m", "benchmarks", *arguments])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare this store's transfers with those of upstream's stores, "
        "inside the lab: tox -e bench -- [options]",
    )
    _add_run_options(parser)
    _add_output_options(parser)
    options = parser.parse_args(argv)
    if options.repeats is None:
        options.repeats = QUICK_REPEATS if options.quick else DEFAULT_REPEATS
    if options.minutes is None:
        options.minutes = QUICK_MINUTES if options.quick else DEFAULT_MINUTES
    if options.repeats < 1 or options.scale <= 0:
        parser.error("--repeats and --scale must be positive")
    if options.rst and not (options.output or options.render):
        parser.error("--rst needs --output or --render")
    return options


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeats",
        type=int,
        help=f"how often each line is measured (default: {DEFAULT_REPEATS})",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="make fewer repeats if the run would take longer than this (default: "
        f"{DEFAULT_MINUTES})",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--quick",
        action="store_true",
        help="some of the cases, within ten minutes: each kind of operation, with "
        f"{QUICK_REPEATS} repeats",
    )
    which.add_argument(
        "--cases",
        help="comma-separated names of cases, or beginnings of names (see --list)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1,
        metavar="FACTOR",
        help="multiply the sizes of the images by this, for a trial run; the figures "
        "of such a run mean nothing",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"write {RESULTS} and the charts into this directory",
    )
    parser.add_argument(
        "--rst",
        action="store_true",
        help="also write the tables for the documentation into that directory",
    )
    parser.add_argument("--list", action="store_true", help="list the cases and exit")
    parser.add_argument(
        "--render",
        nargs=2,
        metavar=(RESULTS, "DIR"),
        help="measure nothing; print the tables and draw the charts of this file",
    )
    parser.add_argument("--debug", action="store_true", help="log everything")


def _measure(chosen: Sequence[CasePlan], options: argparse.Namespace) -> int:
    """Measure the cases *chosen* in the lab of this process, and publish the run."""
    from benchmarks.cases.bench import Bench
    from lab.client import Lab

    lab = Lab.from_facts()
    run = _new_run(lab, options)
    print(report.head(run), flush=True)
    progress = ProgressLine(
        lambda text: print(text, end="", file=sys.stderr, flush=True),
        sys.stderr.isatty(),
    )
    for plan in chosen:
        progress.expect(plan.expected_s(options.repeats))
    bench = Bench(lab, options.scale)
    began = time.monotonic()

    def finish() -> None:
        run.seconds = round(time.monotonic() - began, 1)
        progress.close()
        if options.output:
            _write(run, options.output)
        _publish(run, options.output, options.rst)

    _on_interrupt(finish)
    for index, plan in enumerate(chosen):
        left_s = options.minutes * 60 - (time.monotonic() - began)
        allowed_s = share(chosen[index:], options.repeats, left_s)
        running.run_case(plan, bench, options.repeats, progress, run, allowed_s)
    run.is_whole = True
    finish()
    return FAILED if list(run.failures()) else 0


def _new_run(lab: "Lab", options: argparse.Namespace) -> Run:
    from benchmarks import machine

    return Run(
        began=datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "seconds"),
        machine=machine.facts(lab.flexvol("fv1")),
        versions=machine.versions(),
        options={"repeats": options.repeats, "scale": options.scale},
    )


def share(rest: Sequence[CasePlan], repeats: int, left_s: float) -> float:
    """Return the first case's share of *left_s*, the time for all cases in *rest*.

    So a case may use the time that earlier ones have left over.
    """
    rest_s = sum(plan.expected_s(repeats) for plan in rest)
    return left_s * rest[0].expected_s(repeats) / rest_s


def _on_interrupt(finish: Callable[[], None]) -> None:
    """Make ctrl-C call *finish* and end the process at once.

    The benchmark cleans up nothing then: images, volumes and mounts end with the
    lab, which is faster than deleting them one by one.
    """

    def end(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            finish()
            sys.stdout.flush()
        finally:
            os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)


def _write(run: Run, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    run.write(directory / RESULTS)


def _publish(run: Run, directory: Path | None, with_rst: bool) -> None:
    """Print the tables; draw the charts and write the RST files into *directory*."""
    print(report.text(run), flush=True)
    if directory is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    if with_rst:
        for name, text in report.rst(run).items():
            (directory / name).write_text(text, encoding="utf-8")
    from benchmarks import charts  # matplotlib takes a second to import

    for path in charts.draw(run, directory):
        print(f"Chart: {path}")


if __name__ == "__main__":
    sys.exit(main())
