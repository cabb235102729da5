# SPDX-License-Identifier: Apache-2.0
"""A lab leaves nothing behind, however it ends: the namespace without services.

A miniature of the lab: the same namespace and reaper around a script that
mounts a loop file and leaves a daemon behind.
"""

from pathlib import Path
import shlex
import signal
import subprocess
import sys
import time

import pytest

from lab.polling import wait_until

pytestmark = pytest.mark.shared

INSIDE = """
set -e
cd "$1"
truncate -s 320M image
mkfs.xfs -q image
mkdir mounted
mount -n -o loop image mounted
setsid sleep 1000.{mark} &
cp /proc/self/mounts seen
mv seen up
{then}
"""

OUTSIDE = """
import sys
from pathlib import Path
from lab import namespace

root = Path(sys.argv[1])
reaper = namespace.Reaper(always=[], unless_kept=[root])
script = sys.argv[2]
sys.exit(
    namespace.run_in_namespace(
        ["sh", "-c", script, "sh", str(root)],
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        pid_file=root / "namespace.pid",
        reaper=reaper,
        keep=False,
    )
)
"""


class Miniature:
    """A namespace in a process of its own, and its traces outside."""

    def __init__(self, root: Path, then: str) -> None:
        self.root = root
        # Distinguishes this run's daemon in the list of processes.
        self._mark = str(time.time_ns())
        script = INSIDE.replace("{mark}", self._mark).replace("{then}", then)
        self.process = subprocess.Popen(
            [sys.executable, "-c", OUTSIDE, str(root), script],
            stderr=subprocess.PIPE,
            text=True,
        )

    def left(self) -> list[str]:
        """Return the traces of the namespace outside of it."""
        found = []
        if self.root.exists():
            found.append(f"directory {self.root}")
        loops = subprocess.check_output(["losetup", "-a"], text=True)
        if str(self.root) in loops:
            found.append("loop device")
        if str(self.root) in Path("/proc/self/mounts").read_text():
            found.append("mount")
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self._mark in process.read_text():
                    found.append(f"process {shlex.quote(process.read_text())}")
            except OSError:
                continue
        return found


def test_nothing_is_left_after_the_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    run = Miniature(root, then="exit 7")
    assert run.process.wait(60) == 7
    # The kernel gives the loop device back a moment after the mount.
    wait_until(lambda: not run.left(), "nothing is left", state=run.left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    root = tmp_path / "root"
    root.mkdir()
    run = Miniature(root, then="sleep 1000")
    wait_until(
        lambda: (root / "up").exists() or run.process.poll() is not None,
        "the lab is up or has ended",
    )
    assert str(root) in (root / "up").read_text()
    # It is there, and its mount is not to be seen from here.
    assert "loop device" in run.left()
    assert "mount" not in run.left()
    run.process.send_signal(number)
    code = run.process.wait(60)
    assert code == (-9 if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not run.left(), "nothing is left", state=run.left)
