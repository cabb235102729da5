# SPDX-License-Identifier: Apache-2.0
"""Directories that stand for the NFS exports of FlexVols."""

import os
import pathlib
import shutil
import tempfile
from urllib import parse

import pytest

# File systems that are usually not the one of the tests' own directories.
_CANDIDATES = ("/dev/shm", "/run/user", "/tmp", "/var/tmp")


class Exports:
    """One directory per export under *root*, the same in every process."""

    def __init__(self, root: str) -> None:
        self.root = root

    def directory(self, export: str) -> str:
        path = os.path.join(self.root, parse.quote(export, safe=""))
        os.makedirs(path, exist_ok=True)
        return path


def on_another_file_system(base: pathlib.Path) -> str:
    """Return a new directory whose ``st_dev`` differs from that of *base*.

    The store tells a mount from a plain directory by ``st_dev``. With a second file
    system a test of that does not need root; without one the test is skipped.
    """
    here = os.stat(base).st_dev
    for candidate in _CANDIDATES:
        if not os.access(candidate, os.W_OK) or os.stat(candidate).st_dev == here:
            continue
        return tempfile.mkdtemp(prefix="ontap-exports-", dir=candidate)
    pytest.skip(
        f"no second writable file system beside that of {base} (tried"
        f" {', '.join(_CANDIDATES)}): a mount cannot be told from a directory"
    )


def remove(root: str) -> None:
    shutil.rmtree(root)
