# SPDX-License-Identifier: Apache-2.0
"""NetApp's own library against the simulator's process: XFS and HTTPS."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.library_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.library_contract import LibraryContract
from glance_ontap_store.tests.unit.ontapsim.san_library_contract import (
    SanLibraryContract,
)
from lab.ontapsim import process
from lab.ontapsim import requirements

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("ontapsim")
    flexvols = {"fv1": 512 * MIB, "fv2": 512 * MIB}
    with process.running(root, flexvols, tls=True) as running:
        yield running


class TestLibrary(LibraryContract):
    pass


class TestSanLibrary(SanLibraryContract):
    pass
