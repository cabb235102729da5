# SPDX-License-Identifier: Apache-2.0
"""That the lab in the kernel has real mounts; for ``tests.kernel.lab``."""

from glance_ontap_store.attach.nfs import mountinfo
from lab.client import Lab


def test_the_flexvols_are_mounted_over_nfs() -> None:
    """By Cinder's driver: the store mounts while it transfers only."""
    mounted = {
        entry.source for entry in mountinfo.table() if entry.filesystem == "nfs4"
    }
    exports = Lab.from_facts().facts["exports"]
    assert len(exports) == 3
    assert mounted >= set(exports)
