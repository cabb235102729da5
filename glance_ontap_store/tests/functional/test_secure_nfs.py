# SPDX-License-Identifier: Apache-2.0
"""Secure NFS needs a lab of its own, in which the services run as ordinary users."""

from pathlib import Path
import subprocess
import sys

import pytest


def test_the_cases_of_secure_nfs_pass_in_their_lab() -> None:
    """Their results are in the output, one line each."""
    cases = Path(__file__).with_name("secure_nfs_cases.py")
    code = subprocess.call(
        [
            *(sys.executable, "-m", "lab", "run", "--secure-nfs", "--stores", "fv1"),
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            str(cases),
        ]
    )
    assert code == pytest.ExitCode.OK
