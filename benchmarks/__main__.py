# SPDX-License-Identifier: Apache-2.0
"""The benchmark's command line; see ``--help``."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import datetime
import logging
import os
from pathlib import Path
import signal
import sys
import time
import warnings

from benchmarks import report
from benchmarks import running
from benchmarks.results import Run
from benchmarks.running import Line

DEFAULT_REPEATS = 5
DEFAULT_MINUTES = 90
RESULTS = "results.json"
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """0: all was measured; 1: something failed; 130: interrupted."""
    options = _parse(argv)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.CRITICAL, stream=sys.stderr
    )
    if options.render:
        source, directory = options.render
        _publish(Run.read(Path(source)), Path(directory), options.rst)
        return 0
    return _measure(options)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures this store beside upstream's, inside the lab: "
        "tox -e bench -- [options]",
    )
    parser.add_argument(
        "--repeats", type=int, default=DEFAULT_REPEATS, help="default: %(default)s"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=DEFAULT_MINUTES,
        help="where it would take longer, make fewer repeats (default: %(default)s)",
    )
    parser.add_argument(
        "--cases",
        help="comma-separated names, or beginnings of names, of cases (see --list)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1,
        metavar="FACTOR",
        help="sizes times this, to try it; such results mean nothing",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"write {RESULTS} and the charts there",
    )
    parser.add_argument(
        "--rst",
        action="store_true",
        help="write the tables for the documentation there, too",
    )
    parser.add_argument("--list", action="store_true", help="list the cases, and end")
    parser.add_argument(
        "--render",
        nargs=2,
        metavar=(RESULTS, "DIR"),
        help="measure nothing: print the tables and draw the charts of such a file",
    )
    parser.add_argument("--debug", action="store_true", help="log everything")
    options = parser.parse_args(argv)
    if options.repeats < 1 or options.scale <= 0:
        parser.error("--repeats and --scale must be positive")
    if options.rst and not (options.output or options.render):
        parser.error("--rst needs --output")
    return options


def _measure(options: argparse.Namespace) -> int:
    # What upstream's libraries say at their import, about eventlet.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    # Not at the top: --render and --help need no lab and none of its packages.
    from benchmarks import cases
    from benchmarks import machine
    from benchmarks.cases import Bench
    from lab.client import Lab

    try:
        chosen = running.choose(cases.CASES, options.cases)
    except ValueError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if options.list:
        print(report.listing(chosen, options.repeats))
        return 0
    lab = Lab.from_facts()
    run = Run(
        began=datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "seconds"),
        machine=machine.facts(lab.flexvol("fv1")),
        versions=machine.versions(),
        options={"repeats": options.repeats, "scale": options.scale},
    )
    print(report.head(run), flush=True)
    progress = Line(
        lambda text: print(text, end="", file=sys.stderr, flush=True),
        sys.stderr.isatty(),
    )
    for plan in chosen:
        progress.expect(plan.about_s(options.repeats))
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
        rest_s = sum(each.about_s(options.repeats) for each in chosen[index:])
        left_s = options.minutes * 60 - (time.monotonic() - began)
        # What earlier cases did not use is for the later ones.
        allowed_s = left_s * plan.about_s(options.repeats) / rest_s
        running.run_case(plan, bench, options.repeats, progress, run, allowed_s)
    run.is_whole = True
    finish()
    return 1 if list(run.failures()) else 0


def _on_interrupt(finish: Callable[[], None]) -> None:
    """At ctrl-C *finish* and end at once, whatever goes on.

    Nothing is cleaned up: images, volumes and mounts end with the lab, and faster
    than by asking for each.
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
    """Print the tables; draw the charts and write the rst into *directory*."""
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
