# SPDX-License-Identifier: Apache-2.0
"""Hosts in the lab: a mount namespace, a host name and a base of mounts for each."""

from collections.abc import Sequence
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import IO

from lab import stores

_UNSHARE = ("unshare", "--mount", "--uts", "--propagation", "private")
# The first process of a host says that its namespaces are ready, and waits to be
# killed. It ends with the soak too: sleep has the read end of nothing, and the lab's
# own end kills all.
_KEEP = 'hostname "$0" && echo ready && exec sleep infinity'


class Host:
    """A host until `close`. Its processes see its own mounts and its own name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.base = stores.new_base()
        self._keeper = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", _KEEP, name],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "ready\n":
            raise RuntimeError(f"host {name} did not start: is this process root?")

    def start(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on the host; *log* gets its output."""
        inside = ["nsenter", "--mount", "--uts", f"--target={self._keeper.pid}"]
        # The working directory is entered anew in the other mount namespace.
        return subprocess.Popen(
            [*inside, f"--wd={os.getcwd()}", sys.executable, *command],
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def mounts(self) -> set[str]:
        """The mount points below the base, as the host's processes see them."""
        text = Path(f"/proc/{self._keeper.pid}/mountinfo").read_text("utf-8")
        points = {line.split()[4] for line in text.splitlines()}
        return {point for point in points if point.startswith(f"{self.base}/")}

    def close(self) -> None:
        """End the host; its mounts end with it."""
        self._keeper.kill()
        self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process at once, as a crash does, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
