# SPDX-License-Identifier: Apache-2.0
"""The command of the kernel tests; see ``--help``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import time

from glance_ontap_store.tests.kernel import jobs
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB

CASES = Path(__file__).with_name("cases")
# The names of the cases of --quick, as pytest has them.
QUICK = CASES / "quick.txt"
# Two have volumes, of NFS and of iSCSI; the small one becomes full.
DISKS = {"ubda": 16 * GIB, "ubdb": 400 * MIB, "ubdc": 16 * GIB}

_WORDS = {jobs.RIGHT: "passed", jobs.WRONG: "FAILED", jobs.UNUSABLE: "NOT RUN"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sets; 0: all passed, 1: one failed, 2: the kernel cannot be had."""
    sets = [path.stem.removeprefix("test_") for path in sorted(CASES.glob("test_*.py"))]
    options = _parsed(arguments, sets)
    if options.quick:
        boots = {"quick": QUICK.read_text(encoding="utf-8").split()}
    else:
        boots = {name: [f"test_{name}.py"] for name in options.sets or sets}
    outcomes = {}
    for name, cases in boots.items():
        print(f"kernel: {name}: booting", flush=True)
        began = time.monotonic()
        line = jobs.python("-m", "pytest", *_of_pytest(cases, options))
        status = jobs.run([line], DISKS, options.memory, options.minutes * 60)
        outcomes[name] = (status, time.monotonic() - began)
    for name, (status, took) in outcomes.items():
        print(f"kernel: {name:16} {_WORDS[status]:12} {took:5.0f} s")
    return max(status for status, _took in outcomes.values())


def _parsed(arguments: Sequence[str] | None, sets: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kernel",
        description="Run the store's transports over real NFS and real iSCSI, in a"
        " kernel of their own. Each set boots it anew.",
        epilog="Exit status: 0 all passed, 1 a case failed, 2 the kernel did not run.",
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(sets))
    parser.add_argument(
        "--quick", action="store_true", help="some cases of each set, in one kernel"
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="cases, as of pytest")
    parser.add_argument("-x", action="store_true", help="end a set at its first error")
    parser.add_argument(
        "--minutes", type=float, default=30, help="limit of a set (default %(default)s)"
    )
    parser.add_argument(
        "--case-minutes", type=float, default=5, help="limit of a case (%(default)s)"
    )
    parser.add_argument(
        "--memory", type=int, default=2048, help="MiB of the kernel (%(default)s)"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.sets) - set(sets))
    if unknown:
        parser.error(f"no such set: {', '.join(unknown)}; there are {', '.join(sets)}")
    if options.quick and options.sets:
        parser.error("--quick has cases of all sets, and takes no set")
    return options


def _of_pytest(cases: Sequence[str], options: argparse.Namespace) -> list[str]:
    arguments = ["-v", "--tb=short", "--durations=0", "--durations-min=1"]
    arguments += ["-p", "no:cacheprovider"]
    # By a thread, which ends the set: the case may wait in the kernel.
    arguments += [f"--timeout={options.case_minutes * 60:g}", "--timeout-method=thread"]
    # The names of the cases are relative to the root.
    arguments += ["-c", str(jobs.CHECKOUT / "pyproject.toml"), f"--rootdir={CASES}"]
    arguments += [str(CASES / case) for case in cases]
    if options.k:
        arguments += ["-k", options.k]
    if options.x:
        arguments += ["-x"]
    return arguments


if __name__ == "__main__":
    jobs.finish(main)
