#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run tox, from an environment of its own that is made when it is missing.

Needs Python with its venv module and nothing else: tools/tox.py -e demo
"""

import os
from pathlib import Path
import subprocess
import sys
import venv

TOP = Path(__file__).resolve().parent.parent
HOME = TOP / ".venv-tox"
TOX = HOME / "bin" / "tox"


def is_usable() -> bool:
    """Whether tox runs: an installation that was interrupted does not."""
    if not TOX.exists():
        return False
    return subprocess.run([TOX, "--version"], capture_output=True).returncode == 0


def install() -> None:
    print("Making an environment for tox in", HOME.name, "...", file=sys.stderr)
    venv.create(HOME, with_pip=True, clear=True)
    pip = [HOME / "bin" / "pip", "install", "--quiet"]
    subprocess.run([*pip, "tox>=4.2"], check=True)


def main() -> None:
    os.chdir(TOP)
    if not is_usable():
        install()
    os.execv(TOX, [str(TOX), *sys.argv[1:]])


if __name__ == "__main__":
    main()
