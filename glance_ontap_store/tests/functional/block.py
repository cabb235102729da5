# SPDX-License-Identifier: Apache-2.0
"""Run functional tests in labs whose image-volumes are LUNs or namespaces.

``python -m glance_ontap_store.tests.functional.block [PROTOCOLS] [PYTEST ARGUMENTS]``
starts a lab for each protocol, one after another, in which stores and volume types have
their usual names (``lab run --broker --protocol``). So the tests are those of NFS.
iSCSI gets all of `ALL`, FC and NVMe get `SOME`: they differ only in what os-brick does,
which the lab replaces. The last lines say how each run ended.
"""

from collections.abc import Sequence
import os
from pathlib import Path
import subprocess
import sys

import pytest

from lab import san

_HERE = Path(__file__).parent
# Images, and that processes that end leave nothing.
SOME = (
    "test_images",
    "test_recovery",
    "test_stopping",
)
ALL = (
    *SOME,
    "test_audit",
    "test_check_deep",
    "test_contracts",
    "test_disk_formats",
    "test_empty_images",
    "test_hung_storage",
    "test_isolation",
    "test_lingering",
    "test_location_api",
    "test_location_visibility",
    "test_many_stores",
    "test_outage",
    "test_processes",
    "test_project_owner",
    "test_projects",
    "test_reliability",
    "test_secrets",
    "test_servers",
    "test_store",
    "test_sweep",
    "test_transfers",
)
MODULES = {protocol: ALL if protocol == "iscsi" else SOME for protocol in san.PROTOCOLS}


def main(arguments: Sequence[str]) -> int:
    """Run them; return 0, or the first exit code that says that some failed."""
    if "LAB_FACTS" in os.environ:
        print("block: this starts labs; run it outside of one", file=sys.stderr)
        return 2
    protocols, rest = split(arguments)
    codes = {
        protocol: subprocess.call(command(protocol, rest)) for protocol in protocols
    }
    print("\n" + "\n".join(f"{name}: exit {code}" for name, code in codes.items()))
    return next((code for code in codes.values() if code != pytest.ExitCode.OK), 0)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the protocols that *arguments* begin with, or all, and what follows."""
    count = 0
    while count < len(arguments) and arguments[count] in san.PROTOCOLS:
        count += 1
    return list(arguments[:count] or san.PROTOCOLS), list(arguments[count:])


def command(protocol: str, rest: Sequence[str]) -> list[str]:
    """Return the command that runs the protocol's tests, in two parts, in a lab."""
    lab = (sys.executable, "-m", "lab", "run", "--broker", "--protocol", protocol)
    # Reasons of tests that are left out are shown.
    tests = (sys.executable, "-m", __package__, "-v", "-rs", "-p", "no:cacheprovider")
    # Else those given: pytest takes what is no option for a path.
    is_chosen = any(".py" in each for each in rest)
    modules = [] if is_chosen else [str(_HERE / f"{n}.py") for n in MODULES[protocol]]
    return [*lab, *tests, *rest, *modules]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
