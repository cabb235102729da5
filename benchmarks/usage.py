# SPDX-License-Identifier: Apache-2.0
"""What the lab's services use: CPU time, and the bytes that they read and write."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
import os

import psutil

from lab.client import Lab

KEYSTONE = "keystone"
ARRAY = "ontap"
SERVICES = (KEYSTONE, "glance", "cinder-api", "cinder-scheduler", "cinder-volume")


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds of all services, and those of Keystone among them."""

    services: float
    keystone: float

    def since(self, before: "CpuTime") -> dict[str, float]:
        """Return the difference to *before*, as metrics of a sample."""
        return {
            "cpu_s": self.services - before.services,
            "keystone_cpu_s": self.keystone - before.keystone,
        }


def cpu_time(lab: Lab) -> CpuTime:
    """Return the CPU time so far of Keystone, Glance and Cinder; not the array's."""
    pids = {name: lab.pid(name) for name in SERVICES}
    return CpuTime(
        cpu_s(pid for pid in pids.values() if pid),
        cpu_s([pids[KEYSTONE] or 0]),
    )


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of the processes *pids* and of all below them so far.

    Those that have ended count if their parent has waited for them.
    """
    total = 0.0
    for process in _trees(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += times.children_user + times.children_system
    return total


def passed_bytes(lab: Lab) -> int:
    """Return the bytes that the hosts' processes have read and written so far.

    These are the bytes of read(2), write(2) and their like, whatever they read and
    wrote: files, sockets, logs. All processes of the lab count, also ended ones, but
    not the array and this process.
    """
    left_out = {process.pid for process in _trees([lab.pid(ARRAY) or 0])}
    left_out.add(os.getpid())
    total = 0
    for process in psutil.process_iter():
        if process.pid in left_out:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            counted = process.io_counters()
            total += counted.read_chars + counted.write_chars
    return total


def _trees(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            yield process
            yield from process.children(recursive=True)
