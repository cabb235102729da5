# SPDX-License-Identifier: Apache-2.0
"""Run the functional tests in two parts, over one lab or over several.

``python -m glance_ontap_store.tests.functional [--labs N] [PYTEST ARGUMENTS]`` starts
the labs. Tests marked ``shared`` use a lab only through its APIs, and look only at what
they made: they run first, some at once, in the first lab. All others run one at a time
in their lab: they change its configuration, stop its services, or compare all that it
holds before and after. A test marked ``exclusive`` in a module that is ``shared`` is
one of them. The labs take their modules in turn, see `claims`. The last lines name the
tests that failed.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from typing import IO

import pytest

WORKERS = 3
PARTS = {
    "shared": (
        *("-m", "shared and not exclusive"),
        *("--numprocesses", str(WORKERS), "--dist", "worksteal"),
    ),
    "exclusive": ("-m", "not shared or exclusive"),
}
# How the lines of pytest's short summary begin.
FAILURES = ("FAILED glance", "ERROR glance")
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
_HERE = "glance_ontap_store.tests.functional"


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return 0 or the first exit code that says that some failed."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--labs", type=int, default=1)
    # The labs get these two.
    parser.add_argument("--claims")
    parser.add_argument("--parts", default=",".join(PARTS))
    options, rest = parser.parse_known_args(arguments)
    if "LAB_FACTS" in os.environ:
        return run_parts(options.parts.split(","), options.claims, rest)
    with tempfile.TemporaryDirectory() as claims:
        codes, failures = in_labs(options.labs, claims, rest)
    print("\n" + "\n".join(f"{lab}: exit {code}" for lab, code in codes.items()))
    print("".join(failures), end="")
    return overall(codes)


def in_labs(
    count: int, claims: str, arguments: Sequence[str]
) -> tuple[dict[str, int], list[str]]:
    """Run the tests in so many labs at once.

    Return the labs' exit codes, and the lines of the short summaries.
    """
    failures: list[str] = []
    lab = (sys.executable, "-m", "lab", "run", "--broker")
    running = {}
    with contextlib.ExitStack() as stack:
        for number in range(1, count + 1):
            parts = ",".join(PARTS) if number == 1 else "exclusive"
            inner = ("-m", _HERE, "--claims", claims, "--parts", parts, *arguments)
            process = subprocess.Popen(
                [*lab, sys.executable, *inner],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.terminate)
            running[f"lab {number}"] = process
        followed = _printed(running, failures)
        return {name: _followed(*pair) for name, *pair in followed}, failures


def _printed(
    running: Mapping[str, "subprocess.Popen[str]"], failures: list[str]
) -> list[tuple[str, "subprocess.Popen[str]", threading.Thread]]:
    """Begin to print what the labs print, each line with the lab's name."""
    found = []
    for name, process in running.items():
        assert process.stdout is not None
        thread = threading.Thread(target=_print, args=(name, process.stdout, failures))
        thread.start()
        found.append((name, process, thread))
    return found


def _print(name: str, lines: IO[str], failures: list[str]) -> None:
    for line in lines:
        if line.startswith(FAILURES):
            failures.append(f"{name} | {line}")
        # One write, so that the lines of two labs do not mix.
        sys.stdout.write(f"{name} | {line}")
        sys.stdout.flush()


def _followed(process: "subprocess.Popen[str]", printing: threading.Thread) -> int:
    """Wait for the lab's end; after ctrl-C, which it gets too, as well."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            code = process.wait()
            printing.join()
            return code


def run_parts(
    parts: Sequence[str], claims: str | None, arguments: Sequence[str]
) -> int:
    """Run the parts in this lab, also after failures; return as `main` does."""
    codes = {}
    for part in parts:
        print(f"\nfunctional tests, {part} part", flush=True)
        options = list(PARTS[part])
        if claims and part == "exclusive":
            options += ["-p", f"{_HERE}.claims", "--claims", claims]
        codes[part] = subprocess.call(
            [sys.executable, "-m", "pytest", *arguments, *options]
        )
        if codes[part] == pytest.ExitCode.INTERRUPTED:
            break
    return verdict(codes)


def verdict(codes: dict[str, int]) -> int:
    """The exit code of a lab's whole run; name the parts that failed.

    A part of which no test was selected has not failed, unless that is so of both.
    """
    failed = [part for part, code in codes.items() if code not in PASSED]
    if failed:
        print(f"functional tests: failed in the {' and the '.join(failed)} part")
    return overall(codes)


def overall(codes: Mapping[str, int]) -> int:
    """The first exit code that says failure; else 0, or 5 where nothing was run."""
    return next(
        (code for code in codes.values() if code not in PASSED), min(codes.values())
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
