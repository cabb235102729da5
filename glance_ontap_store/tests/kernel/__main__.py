# SPDX-License-Identifier: Apache-2.0
"""The command of the kernel tests; see ``--help``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import shlex
import sys
import tempfile
import time

import glance_ontap_store
from glance_ontap_store.tests.kernel import machine
from glance_ontap_store.tests.kernel import system
from glance_ontap_store.tests.kernel.errors import Unusable
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB

CHECKOUT = Path(glance_ontap_store.__file__).parent.parent
HOME = CHECKOUT / ".kernel"
CASES = Path(__file__).with_name("cases")
# The large one has the volumes, the small one becomes full.
DISKS = {"ubda": 16 * GIB, "ubdb": 400 * MIB}

RIGHT, WRONG, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sets; 0: all passed, 1: one failed, 2: the kernel cannot be had."""
    sets = [path.stem.removeprefix("test_") for path in sorted(CASES.glob("test_*.py"))]
    options = _parsed(arguments, sets)
    try:
        unpacked = system.ensure(HOME)
    except Unusable as error:
        return _unusable(error)
    outcomes = {}
    for name in options.sets or sets:
        began = time.monotonic()
        status = _run(unpacked, name, options)
        outcomes[name] = (status, time.monotonic() - began)
    words = {RIGHT: "passed", WRONG: "FAILED", UNUSABLE: "NOT RUN"}
    for name, (status, took) in outcomes.items():
        print(f"kernel: {name:16} {words[status]:12} {took:5.0f} s")
    return max(status for status, _took in outcomes.values())


def _parsed(arguments: Sequence[str] | None, sets: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kernel",
        description="Run the store's transports over real NFS and real iSCSI, in a"
        " kernel of their own. Each set boots it anew.",
        epilog="Exit status: 0 all passed, 1 a case failed, 2 the kernel did not run.",
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(sets))
    parser.add_argument("-k", metavar="EXPRESSION", help="cases, as of pytest")
    parser.add_argument("-x", action="store_true", help="end a set at its first error")
    parser.add_argument(
        "--minutes", type=float, default=15, help="limit of a set (default %(default)s)"
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
    return options


def _run(unpacked: Path, name: str, options: argparse.Namespace) -> int:
    print(f"kernel: {name}: booting", flush=True)
    with tempfile.TemporaryDirectory(prefix="kernel-") as directory:
        job = Path(directory)
        (job / "run").write_text(_script(name, options), encoding="utf-8")
        try:
            status = machine.run(
                unpacked,
                job,
                DISKS,
                options.memory,
                options.minutes * 60,
                lambda text: print(text, end="", flush=True),
            )
        except Unusable as error:
            return _unusable(error)
    return RIGHT if status == 0 else WRONG


def _unusable(error: Unusable) -> int:
    text = f"kernel: THE TESTS DID NOT RUN TO THEIR END: {error}"
    print(text, file=sys.stderr, flush=True)
    return UNUSABLE


def _script(name: str, options: argparse.Namespace) -> str:
    """The script of the kernel's first process: pytest with this Python."""
    arguments = [
        "-v",
        "--tb=short",
        "--durations=0",
        "--durations-min=1",
        "-p",
        "no:cacheprovider",
    ]
    # The names of the cases are relative to the root.
    arguments += ["-c", str(CHECKOUT / "pyproject.toml"), f"--rootdir={CASES}"]
    arguments += [str(CASES / f"test_{name}.py")]
    if options.k:
        arguments += ["-k", options.k]
    if options.x:
        arguments += ["-x"]
    path = str(Path(sys.executable).parent)
    return "\n".join(
        [
            f"cd {shlex.quote(str(CHECKOUT))}",
            f"export PYTHONPATH={shlex.quote(str(CHECKOUT))}",
            f"export PATH={shlex.quote(path)}:$PATH",
            "export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 COLUMNS=88",
            "set -o pipefail",
            # The console is a terminal, in which pytest would go back.
            f"{shlex.join([sys.executable, '-m', 'pytest', *arguments])} 2>&1 | cat",
        ]
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nkernel: interrupted, and the kernel is ended", file=sys.stderr)
        sys.exit(INTERRUPTED)
