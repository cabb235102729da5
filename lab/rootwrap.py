# SPDX-License-Identifier: Apache-2.0
"""Real rootwrap with the filters shipped in the packages."""

from collections.abc import Sequence
from pathlib import Path
import re
import shutil
import sys

from lab.layout import environment_bin

# data_files of the Python packages lie below the environment's prefix.
SHIPPED = Path(sys.prefix) / "etc"


def install(shipped: Path, target: Path, extra_filters: Sequence[Path] = ()) -> None:
    """Copy rootwrap.conf and filters to ``target``, which services see in /etc.

    The only change is that programs are looked for in the Python environment too; an
    operator has them in /usr/bin.
    """
    text = (shipped / "rootwrap.conf").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^exec_dirs=", f"exec_dirs={environment_bin()},", text, count=1)
    filters = target / "rootwrap.d"
    filters.mkdir(parents=True, exist_ok=True)
    (target / "rootwrap.conf").write_text(text, encoding="utf-8")
    for path in [*(shipped / "rootwrap.d").glob("*.filters"), *extra_filters]:
        shutil.copy(path, filters)


def write_sudo(directory: Path) -> None:
    """Write a ``sudo`` for services that run as root already."""
    shim = directory / "sudo"
    shim.write_text(
        "#!/bin/sh\n"
        "# The lab's services are root: run the command as it is.\n"
        'while [ "${1#-}" != "$1" ]; do shift; done\n'
        'exec "$@"\n',
        encoding="utf-8",
    )
    shim.chmod(0o755)
