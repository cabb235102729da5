# SPDX-License-Identifier: Apache-2.0
"""FlexVols on a plain directory. On XFS: functional/test_ontapsim_flexvol.py."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.flexvol_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.flexvol_contract import FlexVolContract
from lab.ontapsim.flexvol import DirectoryFlexVol
from lab.ontapsim.flexvol import unshared_bytes


class TestDirectoryFlexVol(FlexVolContract):
    @pytest.fixture(params=[False, True], ids=["as it can", "emulated"])
    def volume(self, request, tmp_path):
        volume = DirectoryFlexVol(tmp_path, "fv1", 512 * MIB, request.param)
        volume.open()
        return volume


def test_bytes_of_a_lone_file_are_its_own(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * MIB)
    assert unshared_bytes(path) >= MIB
