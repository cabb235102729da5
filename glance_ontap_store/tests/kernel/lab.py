# SPDX-License-Identifier: Apache-2.0
"""The whole lab in the kernel, whose FlexVols are mounted over real NFS.

Arguments are those of pytest; without any, `CASES` run. See "The lab in the kernel" in
``doc/source/contributor/kernel.rst``.
"""

import sys

from glance_ontap_store.tests.kernel import jobs
from glance_ontap_store.tests.kernel import nfs
from glance_ontap_store.units import GIB

_IMAGES = "glance_ontap_store/tests/functional/test_images.py"
CASES = [
    "glance_ontap_store/tests/kernel/lab_cases.py",
    f"{_IMAGES}::test_known_size",
    f"{_IMAGES}::test_download_and_ranges",
    f"{_IMAGES}::test_volume_on_the_same_flexvol_is_a_clone",
    f"{_IMAGES}::test_volume_on_another_flexvol_is_a_stream",
    f"{_IMAGES}::test_deleting_an_image_deletes_its_volume",
    f"{_IMAGES}::test_full_flexvol_is_413_and_leaves_nothing",
]
# The FlexVols lie on it, as sparse files.
DISKS = {"ubda": 80 * GIB}
MEMORY_MIB = 5120
LIMIT_S = 60 * 60
# Directories for the lab's data: not in the kernel's memory.
_PREPARE = """
modprobe loop
mkfs.xfs -K -q -f /dev/ubda
mkdir /lab
mount /dev/ubda /lab
export TMPDIR=/lab
"""


def main() -> int:
    """Run the lab and the cases in it; as of ``tests.kernel``."""
    cases = sys.argv[1:] or CASES
    pytest = ["-v", "--tb=short", "--durations=0", "-p", "no:cacheprovider", *cases]
    command = ["-m", "lab", "run", "--kernel-nfs", sys.executable, "-m", "pytest"]
    lines = [_PREPARE, f"{nfs.PREPARE} || exit 1", jobs.python(*command, *pytest)]
    return jobs.run(lines, DISKS, MEMORY_MIB, LIMIT_S)


if __name__ == "__main__":
    jobs.finish(main)
