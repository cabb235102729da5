# SPDX-License-Identifier: Apache-2.0
"""System programs that the lab needs, and how to get the missing ones."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import shutil
import subprocess

from lab.errors import Unusable
from lab.progress import say

# program -> Debian package
PROGRAMS = {
    "mkfs.xfs": "xfsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "mount": "mount",
    "losetup": "mount",
}
BROKER_PROGRAMS = {
    "rabbitmq-server": "rabbitmq-server",
    "epmd": "erlang-base",
}
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
POLICY = Path("/usr/sbin/policy-rc.d")


def search_path() -> str:
    """PATH with the sbin directories, which an ordinary user's PATH lacks."""
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(known + [d for d in SBIN if d not in known])


def missing(broker: bool) -> list[str]:
    """The Debian packages, sorted, whose programs are not on this machine."""
    programs = PROGRAMS | (BROKER_PROGRAMS if broker else {})
    return sorted(
        {
            package
            for program, package in programs.items()
            if not shutil.which(program, path=search_path())
        }
    )


def ensure(broker: bool) -> None:
    """Installs what is missing, as root on Debian; else says the command.

    :raises Unusable: with the one command that the user should run
    """
    wanted = missing(broker)
    if not wanted:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    if not shutil.which("apt-get"):
        raise Unusable(
            "missing programs; install with your system's package manager what "
            f"Debian calls: {' '.join(wanted)}"
        )
    if os.geteuid() != 0:
        raise Unusable(f"missing packages; please run:\n  sudo {' '.join(command)}")
    say("lab", f"installing system packages: {' '.join(wanted)}")
    with _no_services_started():
        _apt(command)
    if "rabbitmq-server" in wanted:
        _disable_at_boot(["rabbitmq-server.service", "epmd.socket", "epmd.service"])


def _apt(command: list[str]) -> None:
    """Runs apt-get; with fresh package lists if the first try fails."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    apt = [command[0], "-q", "-o", "DPkg::Lock::Timeout=300", *command[1:]]
    update = [command[0], "-q", "-o", "DPkg::Lock::Timeout=300", "update"]
    output = ""
    for attempt in (apt, update, apt):
        done = subprocess.run(
            attempt,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = done.stdout
        if attempt is apt and done.returncode == 0:
            return
    raise Unusable(
        f"{' '.join(command)} failed:\n" + "\n".join(output.splitlines()[-15:])
    )


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Debian's own switch against starting services on installation.

    An administrator's policy that is already there stays as it is.
    """
    try:
        with POLICY.open("x", encoding="utf-8") as policy:
            policy.write(
                "#!/bin/sh\n# glance_ontap_store lab: start nothing\nexit 101\n"
            )
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _disable_at_boot(units: list[str]) -> None:
    """Keeps units that we caused to be installed from starting at next boot."""
    if shutil.which("systemctl"):
        for unit in units:
            subprocess.run(
                ["systemctl", "disable", "--quiet", unit],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
