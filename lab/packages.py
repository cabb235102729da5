# SPDX-License-Identifier: Apache-2.0
"""System packages that the lab needs, from bindep.txt, and their installation."""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import shutil
import subprocess

from lab.errors import Unusable
from lab.layout import CHECKOUT
from lab.progress import say

BINDEP = CHECKOUT / "bindep.txt"
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
POLICY = Path("/usr/sbin/policy-rc.d")


def search_path() -> str:
    """Return PATH with the sbin directories, which a user's PATH lacks."""
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(known + [d for d in SBIN if d not in known])


def missing(broker: bool) -> list[str]:
    """Return the Debian packages that the lab needs and this machine lacks, sorted.

    Empty where there is no dpkg: a missing program then fails the step that needs it.
    """
    if not shutil.which("dpkg-query"):
        return []
    profiles = {"lab", "broker"} if broker else {"lab"}
    return sorted(needed(BINDEP.read_text(encoding="utf-8"), profiles) - installed())


def needed(bindep: str, profiles: set[str]) -> set[str]:
    """Return the Debian packages that a bindep file names for any of *profiles*.

    Understands the part of bindep's format that our file uses: one package a line,
    followed by its profiles, and perhaps one platform, in brackets.
    """
    found = set()
    for line in bindep.splitlines():
        name, _, selectors = line.partition("#")[0].strip(" ]").partition(" [")
        words = set(selectors.split())
        platforms = {word for word in words if word.startswith("platform:")}
        if words & profiles and platforms <= {"platform:dpkg"}:
            found.add(name)
    return found


def installed() -> set[str]:
    """Return the names of the Debian packages on this machine."""
    known = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    states = (line.split() for line in known.splitlines())
    return {name for name, state in states if state == "installed"}


def ensure(broker: bool) -> None:
    """Install the missing packages, which needs root.

    :raises Unusable: not root, or apt-get failed; names the command to run
    """
    wanted = missing(broker)
    if not wanted:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    if os.geteuid() != 0:
        raise Unusable(f"missing packages; please run:\n  sudo {' '.join(command)}")
    say("lab", f"installing system packages: {' '.join(wanted)}")
    with _no_services_started():
        _apt(command)
    if "rabbitmq-server" in wanted:
        _disable_at_boot(["rabbitmq-server.service", "epmd.socket", "epmd.service"])


def _apt(command: list[str]) -> None:
    """Run apt-get; if it fails, renew the package lists and try again."""
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
    """Keep Debian from starting services when their packages are installed.

    If the administrator has a policy already, it stays as it is.
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
    """Keep the units that we have installed from starting at the next boot."""
    if shutil.which("systemctl"):
        for unit in units:
            subprocess.run(
                ["systemctl", "disable", "--quiet", unit],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
