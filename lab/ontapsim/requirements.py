# SPDX-License-Identifier: Apache-2.0
"""Checks that the machine can have real FlexVols, for tests that start one."""

import os
from pathlib import Path
import shutil

_PROGRAMS = ("mkfs.xfs", "xfs_growfs", "mount", "umount", "losetup", "findmnt")


def missing() -> str:
    """Return why XFS on loop files is out of reach, or "" if it is not."""
    if os.geteuid() != 0:
        return "real FlexVols need root, to mount loop files"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"real FlexVols need {', '.join(absent)} (package xfsprogs, mount)"
    if not Path("/dev/loop-control").exists():
        return "real FlexVols need loop devices: /dev/loop-control is missing"
    return ""
