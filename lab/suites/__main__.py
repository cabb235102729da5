# SPDX-License-Identifier: Apache-2.0
"""Run the suites in the lab that this command runs in; see `lab.suites`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from lab.client import Lab
from lab.errors import LabError
from lab.progress import say
from lab.suites import files
from lab.suites import known
from lab.suites import phases
from lab.suites import report
from lab.suites.known import Verdict
from lab.suites.running import Runner


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if no test failed but the known ones, 1 if not, 130 after ctrl-C."""
    options = _parse(argv)
    failures = known.read(known.LIST.read_text(encoding="utf-8"))
    try:
        lab = Lab.from_facts()
    except LabError as error:
        print(f"suites: {error}", file=sys.stderr)
        return 2
    verdicts: list[Verdict] = []
    interrupted = False
    images = Path(lab.facts["root"]) / "suites-images"
    files.make_images(images)
    with files.served(images) as url:
        try:
            runner = Runner(lab, images, url, failures, options.quick)
            for phase in phases.chosen(options.phases, options.quick):
                say("suites", f"phase {phase.name}")
                verdicts.append(runner.run(phase))
        except KeyboardInterrupt:
            interrupted = True
            say("suites", "interrupted: the table has the complete phases only")
    if options.json:
        options.json.write_text(report.as_json(verdicts), encoding="utf-8")
    complaints = report.complaints(verdicts)
    if complaints:
        print(f"\n{complaints}")
    print(f"\n{report.table(verdicts)}", flush=True)
    if interrupted:
        return 130
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [phase.name for phase in phases.PHASES]
    parser = argparse.ArgumentParser(
        prog="python -m lab.suites",
        description="Other projects' tests against the lab, fv1 being Glance's default "
        "store. Failures are compared with lab/suites/known_failures.yaml.",
    )
    parser.add_argument("--quick", action="store_true", help="a short selection")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the outcome of each test here"
    )
    parser.add_argument(
        "phases", nargs="*", metavar="PHASE", help=f"of {', '.join(names)} (all)"
    )
    options = parser.parse_args(argv)
    unknown = sorted(set(options.phases) - set(names))
    if unknown:
        parser.error(f"unknown phases: {', '.join(unknown)}; there are {names}")
    if not phases.chosen(options.phases, options.quick):
        parser.error("none of these phases has a short selection")
    return options


if __name__ == "__main__":
    sys.exit(main())
