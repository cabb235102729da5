# SPDX-License-Identifier: Apache-2.0
"""A cluster of cinder-volumes needs a lab of its own: Cinder cannot leave one."""

from pathlib import Path
import subprocess
import sys

import pytest

# The user of the second one may see the locations of all images, which explain asks.
STORES = "fv1,own"


@pytest.mark.long
@pytest.mark.own_lab
def test_the_cases_of_a_cluster_pass_in_their_lab() -> None:
    """Their results are in the output, one line each."""
    cases = Path(__file__).with_name("cluster_cases.py")
    code = subprocess.call(
        [
            *(sys.executable, "-m", "lab", "run", "--broker", "--stores", STORES),
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            # Libraries of older releases warn.
            *("-W", "default", str(cases)),
        ]
    )
    assert code == pytest.ExitCode.OK
