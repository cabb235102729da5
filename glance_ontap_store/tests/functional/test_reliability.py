# SPDX-License-Identifier: Apache-2.0
"""A part of the crash tests, and a short soak; see doc: contributor/tests.

``tox -e crash`` and ``tox -e soak`` run all of it.
"""

import subprocess
import sys


def run(module: str, *arguments: str) -> None:
    """Run a module of the tests in a process of its own, which it changes."""
    command = [sys.executable, "-m", f"glance_ontap_store.tests.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_next_process_cleans_up_after_a_killed_one() -> None:
    run("crash", "--scene", "add", "--scene", "get", "--every", "12")


def test_a_soak_loses_and_leaves_nothing() -> None:
    run("soak", "--minutes", "1", "--seed", "20261128")
