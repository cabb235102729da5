# SPDX-License-Identifier: Apache-2.0
"""Secure NFS needs a lab of its own, in which the services run as ordinary users."""

from pathlib import Path
import subprocess
import sys

import pytest

HERE = Path(__file__).parent
CASES = HERE / "secure_nfs_cases.py"
# No other test starts the embedded flavour.
POOLS = f"{HERE / 'test_lab.py'}::test_pools_and_their_capabilities_are_listed"


@pytest.mark.own_lab
@pytest.mark.parametrize(
    "flavour",
    [(), pytest.param(("--broker",), marks=pytest.mark.long)],
    ids=["embedded", "stock"],
)
def test_the_cases_of_secure_nfs_pass_in_their_lab(
    flavour: tuple[str, ...], long_option: list[str]
) -> None:
    """Their results are in the output, one line each."""
    lab = (sys.executable, "-m", "lab", "run", "--secure-nfs", "--stores", "fv1")
    code = subprocess.call(
        [
            *(*lab, *flavour, sys.executable, "-m", "pytest"),
            *("-v", "-p", "no:cacheprovider", *long_option, POOLS, str(CASES)),
        ]
    )
    assert code == pytest.ExitCode.OK
