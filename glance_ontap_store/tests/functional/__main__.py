# SPDX-License-Identifier: Apache-2.0
"""Run the functional tests in two parts, over one lab.

``python -m glance_ontap_store.tests.functional [PYTEST ARGUMENTS]``, inside a lab.
Tests marked ``shared`` use the lab only through its APIs, and look only at what they
made: they run first, some at once. All others run afterwards, one at a time: they
change the lab's configuration, stop its services, or compare all that it holds before
and after. A test marked ``exclusive`` in a module that is ``shared`` is one of them.
"""

from collections.abc import Sequence
import subprocess
import sys

import pytest

WORKERS = 3
PARTS = {
    "shared": (
        *("-m", "shared and not exclusive"),
        *("--numprocesses", str(WORKERS), "--dist", "worksteal"),
    ),
    "exclusive": ("-m", "not shared or exclusive"),
}
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def main(arguments: Sequence[str]) -> int:
    """Run both parts, also after failures; return the first exit code that says so."""
    codes = {}
    for part, options in PARTS.items():
        print(f"\nfunctional tests, {part} part", flush=True)
        codes[part] = subprocess.call(
            [sys.executable, "-m", "pytest", *arguments, *options]
        )
        if codes[part] == pytest.ExitCode.INTERRUPTED:
            break
    return verdict(codes)


def verdict(codes: dict[str, int]) -> int:
    """The exit code of the whole run; name the parts that failed.

    A part of which no test was selected has not failed, unless that is so of both.
    """
    failed = [part for part, code in codes.items() if code not in PASSED]
    if failed:
        print(f"functional tests: failed in the {' and the '.join(failed)} part")
        return codes[failed[0]]
    return min(codes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
