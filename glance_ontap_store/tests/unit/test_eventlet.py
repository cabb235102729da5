# SPDX-License-Identifier: Apache-2.0
"""A glance-api before 2025.2 may run with the standard library patched."""

import pathlib
import subprocess
import sys

_PATCHED = """
import eventlet
eventlet.monkey_patch()
import sys
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_the_contracts_hold_under_eventlet():
    unit = pathlib.Path(__file__).parent
    # And what threads do, which are green then.
    tests = [unit.parent / "conformance", unit / "test_lingering.py"]
    run = subprocess.run(
        [sys.executable, "-c", _PATCHED, "-q", "-p", "no:cacheprovider", *tests],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_an_upload_knows_that_threads_are_green():
    told = """
import eventlet
from glance_ontap_store.transfer import threads
assert threads.are_real()
eventlet.monkey_patch()
assert not threads.are_real()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", told], check=True)
