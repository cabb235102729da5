# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from benchmarks import usage
from benchmarks.usage import CpuTime

# A parent whose child works until it has used so many CPU seconds, and is waited for.
CHILD_S = 0.2
WORK = f"import time\nwhile time.process_time() < {CHILD_S}: pass"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-S", "-c", {WORK!r}], check=True)
print("done", flush=True)
sys.stdin.read()
"""


def test_the_cpu_time_of_an_ended_child_counts() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout
        assert parent.stdin
        assert parent.stdout.readline() == b"done\n"
        # The kernel counts in hundredths of a second.
        assert usage.cpu_s([parent.pid]) >= CHILD_S - 0.02
        parent.stdin.close()


def test_a_process_that_is_gone_uses_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    assert usage.cpu_s([gone.pid]) == 0


def test_the_cpu_time_of_this_process_is_what_the_system_says() -> None:
    before = sum(os.times()[:4])
    assert usage.cpu_s([os.getpid()]) >= before - 0.02


def test_the_cpu_time_of_a_sample_is_the_difference() -> None:
    found = CpuTime(9.5, 2).since(CpuTime(7, 1.75))
    assert found == pytest.approx({"cpu_s": 2.5, "keystone_cpu_s": 0.25})
