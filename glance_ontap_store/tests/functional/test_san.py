# SPDX-License-Identifier: Apache-2.0
"""Block protocols need a lab of their own."""

from pathlib import Path
import subprocess
import sys

import pytest


@pytest.mark.long
@pytest.mark.own_lab
def test_the_cases_of_block_protocols_pass_in_their_lab() -> None:
    """Their results are in the output, one line each."""
    cases = Path(__file__).with_name("san_cases.py")
    code = subprocess.call(
        [
            *(sys.executable, "-m", "lab", "run", "--broker", "--san"),
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            str(cases),
        ]
    )
    assert code == pytest.ExitCode.OK
