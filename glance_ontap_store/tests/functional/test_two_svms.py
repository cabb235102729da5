# SPDX-License-Identifier: Apache-2.0
"""A store for each SVM needs a lab of its own, with two SVMs."""

from pathlib import Path
import subprocess
import sys

import pytest


@pytest.mark.own_lab
def test_the_cases_of_two_svms_pass_in_their_lab(long_option: list[str]) -> None:
    """Their results are in the output, one line each."""
    cases = Path(__file__).with_name("two_svms_cases.py")
    code = subprocess.call(
        [
            *(sys.executable, "-m", "lab", "run", "--broker", "--svms", "2"),
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            *("--durations", "8", *long_option, str(cases)),
        ]
    )
    assert code == pytest.ExitCode.OK
