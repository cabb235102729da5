#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.
"""NetApp's own library against the simulator's process: XFS and HTTPS."""

import pytest

from glance_ontap_store.tests.unit.ontapsim.library_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.library_contract import LibraryContract
from lab.ontapsim import process
from lab.ontapsim import requirements

pytestmark = pytest.mark.skipif(
    bool(requirements.missing()), reason=requirements.missing() or "-"
)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("ontapsim")
    flexvols = {"fv1": 512 * MIB, "fv2": 512 * MIB}
    with process.running(root, flexvols, tls=True) as running:
        yield running


class TestLibrary(LibraryContract):
    pass
