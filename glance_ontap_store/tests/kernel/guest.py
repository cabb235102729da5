# SPDX-License-Identifier: Apache-2.0
"""The place in which the cases run: the kernel, as this host of the store."""

from pathlib import Path

import os_brick
from os_brick import privileged
from oslo_concurrency import lockutils
from oslo_config import cfg

from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.nfs import mountinfo

BASE = "/var/lib/glance/mnt"
_CONF = f"""
[glance_store]
stores = ontap
ontap_mount_point_base = {BASE}
[os_brick]
lock_path = /run/lock/brick
"""


def is_here() -> bool:
    """Return whether this process runs in the kernel of the tests."""
    return "User Mode Linux" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def configure() -> None:
    """Set the store's libraries up as Glance's configuration would.

    The process is root's, so the privileged calls run in it and not in helpers.
    """
    for path in (BASE, "/run/lock/brick"):
        Path(path).mkdir(parents=True, exist_ok=True)
    conf = Path("/run/glance-api.conf")
    conf.write_text(_CONF, encoding="utf-8")
    cfg.CONF([f"--config-file={conf}"], project="glance")
    lockutils.set_defaults("/run/lock/brick")
    os_brick.setup(cfg.CONF)
    privileged.default.set_client_mode(False)
    privilege.context.set_client_mode(False)


def mounted() -> list[str]:
    """Return the exports that are mounted on this host."""
    return [
        entry.source
        for entry in mountinfo.table()
        if entry.filesystem in ("nfs", "nfs4")
    ]


def spoken() -> list[str]:
    """Return the versions of NFS that the mounts of this host speak."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    options = [line.split()[3].split(",") for line in lines if " nfs" in line]
    found = [option.partition("vers=") for each in options for option in each]
    return [version for before, word, version in found if word and not before]


def connected() -> list[str]:
    """Return the SCSI disks, the maps and the sessions of iSCSI of this host."""
    disks = [path.name for path in Path("/sys/block").glob("*")]
    sessions = [path.name for path in Path("/sys/class/iscsi_session").glob("*")]
    return [name for name in disks if name.startswith(("sd", "dm-"))] + sessions
