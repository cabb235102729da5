# SPDX-License-Identifier: Apache-2.0
"""The private mount and process namespaces of a lab, and their certain end.

Outside, :func:`run_in_namespace` starts ``unshare`` and waits. When the outer
process ends, for any reason, a parent death signal ends process 1 of the namespace,
and the kernel kills all other processes and removes the mounts; loop devices are
freed by autoclear. A small reaper process, also outside, notices the end on a pipe
and removes the lab's directory, even after ``kill -9``.

Inside: :func:`as_first_process` and :func:`cover_system_directories`.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import ctypes
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

UNSHARE = (
    "unshare", "--mount", "--pid", "--fork", "--kill-child",
    "--mount-proc", "--propagation", "private",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_KEEP = b"k"
_AWAITED = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGCHLD,
    }
)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Reaper:
    """A process that removes directories when its maker has ended or asks for it."""

    def __init__(self, always: Sequence[Path], unless_kept: Sequence[Path]) -> None:
        reading, self._writing = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(reading)
            return
        with contextlib.suppress(BaseException):
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self._writing)
            kept = os.read(reading, 1) == _KEEP
            for directory in [*always, *([] if kept else unless_kept)]:
                _remove(directory)
        os._exit(0)

    def finish(self, keep: bool) -> None:
        """Let the reaper remove the directories now, and wait for it."""
        if keep:
            os.write(self._writing, _KEEP)
        os.close(self._writing)
        os.waitpid(self.pid, 0)


def _remove(directory: Path, patience_s: float = 60) -> None:
    """Remove a tree in which dying processes may still be writing."""
    deadline = time.monotonic() + patience_s
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            time.sleep(0.1)


def run_in_namespace(
    argv: Sequence[str],
    environment: Mapping[str, str],
    pid_file: Path,
    reaper: Reaper,
    keep: bool,
) -> int:
    """Run ``argv`` as the first process of new namespaces; return its exit code.

    ``pid_file`` gets that process's pid as seen from outside, for nsenter.

    The inner process handles ctrl-C, which the terminal sends to it too. SIGTERM,
    SIGHUP, SIGQUIT, and SIGINT from another process, end everything at once.
    """
    # If unshare is killed, the namespace's first process becomes our child: its end
    # is the end of all of them.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)

    def before_exec() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    process = subprocess.Popen(
        [*UNSHARE, *argv], env=dict(environment), preexec_fn=before_exec
    )
    _note_child_of(process, pid_file)
    ended_by = 0
    while process.poll() is None:
        received = signal.sigwaitinfo(_AWAITED)
        from_terminal = received.si_code > 0
        number = received.si_signo
        ignored = signal.getsignal(number) == signal.SIG_IGN  # nohup
        if number == signal.SIGCHLD or (number == signal.SIGHUP and ignored):
            continue
        if number == signal.SIGINT and from_terminal:
            continue  # the inside has got it too
        ended_by = number
        process.kill()
        process.wait()
    _wait_for_adopted(reaper.pid)
    reaper.finish(keep)
    code = process.returncode
    if ended_by:
        return 128 + ended_by
    return code if code >= 0 else 128 - code


def _note_child_of(process: subprocess.Popen[bytes], pid_file: Path) -> None:
    """Write the pid of ``process``'s child when it has one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            pids = children.read_text().split()
            if pids:
                pid_file.write_text(f"{pids[0]}\n")
                return
        time.sleep(0.01)


def _wait_for_adopted(reaper_pid: int) -> None:
    """Wait for all children except the reaper."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        left = [int(p) for p in children.read_text().split() if int(p) != reaper_pid]
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def as_first_process(work: Callable[[], int]) -> int:
    """Run ``work`` in a child and collect orphans; return the child's exit code.

    The first process of a PID namespace inherits every orphan (RabbitMQ's
    epmd, privsep daemons). When it returns, the kernel kills all others.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work()
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def cover_system_directories(
    work: Path, configs: Path, exports: Path | None, services: Sequence[str]
) -> None:
    """Give this namespace its own ``/etc`` and ``/sbin``.

    ``/etc/<service>`` become the directories below ``configs``, because the shipped
    rootwrap and privsep filters accept no other place. ``mount.nfs`` becomes a script
    that bind-mounts the directories listed in ``exports``; mount(8) looks for it only
    in ``/sbin``. Without *exports* mount(8) mounts NFS.
    """
    work.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", "mode=700", "lab", str(work))
    etc = Path("/etc")
    sbin = Path("/sbin").resolve()
    _cover(etc, work)
    _cover(sbin, work)
    for service in services:
        directory = etc / service
        if directory.is_symlink():
            directory.unlink()
        directory.mkdir(exist_ok=True)
        (configs / service).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(configs / service), str(directory))
    if exports is None:
        return
    program = (Path(__file__).parent / "mount_nfs.sh").read_text(encoding="utf-8")
    for name in ("mount.nfs", "mount.nfs4"):
        target = sbin / name
        target.unlink(missing_ok=True)
        target.write_text(program.replace("@EXPORTS@", str(exports)), encoding="utf-8")
        target.chmod(0o755)


def _cover(directory: Path, work: Path) -> None:
    """Make ``directory`` writable here without changing it for others.

    With an overlay, or where the kernel refuses that (in a container that is on an
    overlay itself), with a copy in memory.
    """
    # In a container resolv.conf and hosts are mounts of their own, which a new
    # mount on /etc hides.
    mounted = {
        path: path.read_bytes()
        for path in _mount_points_below(directory)
        if path.is_file()
    }
    own = work / directory.name
    upper, scratch = own / "upper", own / "work"
    upper.mkdir(parents=True)
    scratch.mkdir()
    options = f"lowerdir={directory},upperdir={upper},workdir={scratch}"
    try:
        _mount("-t", "overlay", "-o", options, "lab", str(directory))
    except subprocess.CalledProcessError:
        copy = own / "copy"
        shutil.copytree(directory, copy, symlinks=True, ignore_dangling_symlinks=True)
        _mount("--bind", str(copy), str(directory))
    for path, content in mounted.items():
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def _mount_points_below(directory: Path) -> list[Path]:
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if directory in point.parents:
            points.append(point)
    return points


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
