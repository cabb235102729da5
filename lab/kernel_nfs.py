# SPDX-License-Identifier: Apache-2.0
"""The FlexVols as exports of this kernel's own NFS server (``--kernel-nfs``).

In place of `mount_nfs.sh`, hosts mount them over real NFS. Whoever starts the lab has
loaded nfsd, mounted its file system and a tmpfs on `ROOT`, and started rpcbind and
rpc.statd: see "The lab in the kernel" in ``doc/source/contributor/kernel.rst``.
"""

from collections.abc import Mapping
from pathlib import Path
import subprocess

# The root of all exports, as /etc/nfs.conf has it.
ROOT = Path("/srv/ns")
_RIGHTS = "no_root_squash,no_subtree_check,insecure,sync"
_START = (
    ("exportfs", "-ra"),
    ("rpc.mountd",),
    # Without a time of grace: no client had files open before.
    ("rpc.nfsd", "-G", "10", "-L", "10", "8"),
)


def serve(exports: Mapping[str, str]) -> None:
    """Export the FlexVols; *exports* has a directory by ``ADDRESS:/PATH``."""
    lines = ["/ *(ro,fsid=0,no_subtree_check,insecure)"]
    for export, directory in exports.items():
        path = export.partition(":")[2]
        place = ROOT / path.removeprefix("/")
        place.mkdir(parents=True, exist_ok=True)
        if place.is_mount():
            _run("umount", "-n", "--lazy", str(place))
        _run("mount", "-n", "--bind", directory, str(place))
        lines.append(f"{path} *(rw,{_RIGHTS})")
    Path("/etc/exports").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # They look at mounts, and so must run where the FlexVols are mounted.
    for command in _START:
        _run(*command)
    Path("/proc/fs/nfsd/v4_end_grace").write_text("Y", encoding="ascii")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
