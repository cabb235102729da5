# SPDX-License-Identifier: Apache-2.0
"""Facts that the figures depend on: this machine, and the versions of the software."""

from importlib import metadata
import os
from pathlib import Path
import platform
import ssl
import subprocess

from benchmarks import measure

PACKAGES = (
    "glance",
    "cinder",
    "keystone",
    "glance_store",
    "os-brick",
    "cryptography",
)
SIMULATED = (
    "The array is simulated (XFS with reflink on loop files) and its exports are bind "
    "mounts: NFS, its caches and a network are not part of these figures."
)


def facts(flexvol: Path) -> dict[str, str]:
    """Return names and values for this machine.

    *flexvol* is the directory where a FlexVol is mounted.
    """
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "load before the run": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "flexvols": f"{_file_system(flexvol)} on a loop device",
        "loop file on": _file_system(measure.loop_file(flexvol) or flexvol),
        "array": SIMULATED,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages, and this repository's commit."""
    found = {
        "python": platform.python_version(),
        "OpenSSL of python": ssl.OPENSSL_VERSION,
    }
    for name in PACKAGES:
        found[name] = metadata.version(name)
    found["glance_ontap_store"] = _commit()
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 1024**3:.1f} GiB"


def _file_system(path: Path) -> str:
    """Return the kind of the file system that *path* lies on."""
    return _output(["stat", "-f", "-c", "%T", str(path)]) or "unknown"


def _commit() -> str:
    top = Path(__file__).parent.parent
    commit = _output(["git", "-C", str(top), "rev-parse", "--short=12", "HEAD"])
    if not commit:
        return metadata.version("glance_ontap_store")
    changed = _output(
        ["git", "-C", str(top), "status", "--porcelain", "--untracked-files=no"]
    )
    return f"git {commit}" + (", with changes" if changed else "")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
