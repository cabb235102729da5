# SPDX-License-Identifier: Apache-2.0
"""Cinder's SAN drivers start green threads, and so need a process of their own."""

from pathlib import Path
import subprocess
import sys

import pytest

pytestmark = pytest.mark.shared


def test_the_cases_of_the_san_drivers_pass_in_their_process() -> None:
    """Their results are in the output, one line each."""
    cases = Path(__file__).with_name("san_driver_cases.py")
    code = subprocess.call(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(cases)]
    )
    assert code == pytest.ExitCode.OK
