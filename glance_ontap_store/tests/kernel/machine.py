# SPDX-License-Identifier: Apache-2.0
"""A Linux kernel that runs as a process of this host: user-mode-linux."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import os
from pathlib import Path
import resource
import signal
import subprocess
import threading

from glance_ontap_store.tests.kernel.errors import Unusable

_INIT = Path(__file__).with_name("init.sh")
# Seconds that the kernel has to end by itself.
_END_S = 20


def run(
    system: Path,
    job: Path,
    disks: Mapping[str, int],
    memory_mib: int,
    limit_s: float,
    say: Callable[[str], object],
) -> int:
    """Boot, run the script ``run`` in *job*, and return its exit status.

    *disks* are the kernel's block devices, such as ``ubda``, and their bytes; they are
    sparse files in *job*. The text of the console goes to *say*, as it comes. The
    kernel ends after *limit_s* seconds, and when this is interrupted.

    :raises Unusable: the kernel ended before the script, or took too long
    """
    status = job / "rc"
    status.unlink(missing_ok=True)
    with _started(_command(system, job, disks, memory_mib)) as process:
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.send_signal(signal.SIGTERM)

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            assert process.stdout is not None
            while text := os.read(process.stdout.fileno(), 4096):
                say(text.decode(errors="replace").replace("\r", ""))
            process.wait(_END_S)
        finally:
            timer.cancel()
    if is_late.is_set():
        raise Unusable(f"it was ended, because it took longer than {limit_s:.0f} s")
    if not status.exists():
        raise Unusable("the kernel ended before its script: see the last lines")
    return int(status.read_text(encoding="ascii"))


def _command(
    system: Path, job: Path, disks: Mapping[str, int], memory_mib: int
) -> list[str]:
    for path in (system, job, _INIT):
        if " " in str(path):
            raise Unusable(f"the kernel's command line takes no blanks: {path}")
    command = [
        str(system / "usr/bin/linux.uml"),
        f"mem={memory_mib}M",
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
        *("con=null", "con0=null,fd:1", "quiet", "noreboot"),
        f"init={_INIT}",
        f"KERNEL_SYSTEM={system}",
        f"KERNEL_JOB={job}",
    ]
    for name, size in disks.items():
        path = job / f"{name}.img"
        with open(path, "wb") as file:
            file.truncate(size)
        command.append(f"{name}={path}")
    return command


def _allow_files() -> None:
    """Let the kernel have many files: it keeps those open that were looked at."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_allow_files,
        # Ctrl-C in the terminal must reach this process alone: it ends the kernel.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Killed at once, it would leave its helpers.
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
