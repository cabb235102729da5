# SPDX-License-Identifier: Apache-2.0
"""Environments with the services of one OpenStack release.

Each release has its versions in ``constraints/RELEASE.txt``. The environment of an
older one is that of ``tox -e functional-RELEASE``, the newest has that of ``tox -e
functional``; it is made when it is missing.
"""

from collections.abc import Sequence
import os
from pathlib import Path
import subprocess
import sys

from lab.errors import Unusable
from lab.layout import CHECKOUT

CONSTRAINTS = CHECKOUT / "constraints"
ENVIRONMENTS = CHECKOUT / ".tox"
# lab-constraints.txt has its versions.
NEWEST = "2026.2"


def enter(release: str, arguments: Sequence[str], package: str) -> None:
    """Run this program again with the release's Python; return if it does already.

    ``arguments`` are those of the command line after ``python -m PACKAGE``.

    :raises Unusable: no such release, or its environment cannot be made
    """
    environment = path_of(release)
    if Path(sys.prefix).resolve() == environment.resolve():
        return
    if not is_complete(environment):
        _make(environment)
    python = str(environment / "bin" / "python")
    sys.stdout.flush()
    os.execv(python, [python, "-m", package, *arguments])


def path_of(release: str) -> Path:
    """Return the directory of the release's environment, which may not exist.

    :raises Unusable: no such release
    """
    known = sorted(path.stem for path in CONSTRAINTS.glob("20*.txt"))
    if release not in known:
        raise Unusable(f"unknown release {release}; there are {', '.join(known)}")
    name = "functional" if release == NEWEST else f"functional-{release}"
    return ENVIRONMENTS / name


def is_complete(environment: Path) -> bool:
    """Return whether tox has made all of it: the project is installed last."""
    return (environment / "bin" / "glance-ontap").exists()


def _make(environment: Path) -> None:
    tox = [sys.executable, str(CHECKOUT / "tools" / "tox.py")]
    made = subprocess.run([*tox, "--notest", "-e", environment.name], check=False)
    if made.returncode:
        raise Unusable(f"tox could not make {environment}; its output is above")
