# SPDX-License-Identifier: Apache-2.0
"""A copy of the installed Cinder with patches, and programs that run with it."""

from collections.abc import Sequence
from importlib import util
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

PATCHES = Path(__file__).parents[3] / "doc" / "patches"
_TIMEOUT_S = 600


def installed() -> Path | None:
    """Return the directory of the package cinder, or None where it is missing."""
    found = util.find_spec("cinder")
    return None if found is None or found.origin is None else Path(found.origin).parent


def copy(directory: Path, patches: Sequence[Path]) -> Path:
    """Make a patched package cinder in the directory, and return the directory.

    Files that no patch changes are links into the installed package.

    :raises subprocess.CalledProcessError: a patch does not fit this Cinder
    """
    package = installed()
    assert package is not None
    changed = {path for patch in patches for path in _files(patch)}
    _link(package, directory / "cinder", {path.parts[1:] for path in changed})
    for patch in patches:
        subprocess.run(
            ["git", "apply", "--include=cinder/*", patch], cwd=directory, check=True
        )
    return directory


def _files(patch: Path) -> list[Path]:
    """Return the files of Cinder that the patch changes."""
    names = subprocess.check_output(["git", "apply", "--numstat", patch], text=True)
    paths = [Path(line.split("\t")[2]) for line in names.splitlines()]
    return [path for path in paths if path.parts[0] == "cinder"]


def _link(source: Path, target: Path, copied: set[tuple[str, ...]]) -> None:
    """Fill the new directory ``target`` with links, and copies of these files.

    Where files are copied, compiled ones are left out: they would be the installed
    Cinder's.
    """
    target.mkdir(parents=True)
    for entry in source.iterdir():
        inside = {parts[1:] for parts in copied if parts[0] == entry.name}
        if () in inside:
            (target / entry.name).write_bytes(entry.read_bytes())
        elif inside:
            _link(entry, target / entry.name, inside)
        elif entry.name != "__pycache__":
            (target / entry.name).symlink_to(entry)


def run(program: Path, work: Path, cinder: Path | None = None) -> Any:
    """Run the program with this Cinder, or the installed one; return what it says.

    That is the JSON in the last line of its output. ``work`` is a directory for it.

    :raises AssertionError: it failed; the text ends with its output
    """
    paths = [cinder, PATCHES.parents[1]]
    done = subprocess.run(
        [sys.executable, program, work],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
