# SPDX-License-Identifier: Apache-2.0
"""A service of the lab: its process, its log, and its readiness."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
from dataclasses import field
import http.client
import os
from pathlib import Path
import signal
import subprocess
import threading
from urllib.parse import urlsplit

from lab.errors import ServiceFailed
from lab.polling import wait_until

POLL_S = 0.05
TAIL_LINES = 30


@dataclass
class Service:
    """A process that the supervisor starts and stops.

    ``ready`` is called until it returns true. ``before_start`` removes the traces of
    an earlier run that would make it true too early; ``after_start`` runs afterwards.
    ``lock`` guards the process against two control requests at once (reach: this
    process).
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: "Callable[[Service], bool]"
    timeout_s: float = 120
    before_start: Callable[[], None] = lambda: None
    after_start: Callable[[], None] = lambda: None
    log_offset: int = 0
    process: subprocess.Popen[bytes] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def pid(self) -> int | None:
        """The pid, or None while the service does not run."""
        if self.process is None or self.process.poll() is not None:
            return None
        return self.process.pid

    def start(self) -> None:
        """Start the service and wait until it answers.

        :raises ServiceFailed: the process ended, or did not answer in time
        """
        with self.lock:
            if self.pid is not None:
                return
            self.before_start()
            with self.log.open("ab") as log:
                self.log_offset = log.seek(0, os.SEEK_END)
                self.process = subprocess.Popen(
                    self.argv,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    # A group of its own can be killed as one, and gets no ctrl-C.
                    start_new_session=True,
                )
            self._wait_until_ready(self.process)
            self.after_start()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        def is_ready() -> bool:
            ready = self.ready(self)
            code = process.poll()
            if code is not None:
                raise self._failure(f"ended with exit code {code} while starting")
            return ready

        try:
            wait_until(is_ready, f"{self.name} answers", self.timeout_s, POLL_S)
        except TimeoutError as error:
            raise self._failure(str(error)) from error

    def log_count(self, text: str) -> int:
        """Return how often ``text`` is in the log since the last start."""
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().count(text.encode())

    def stop(self, patience_s: float = 30) -> None:
        """Send SIGTERM, and SIGKILL to what is left after ``patience_s``."""
        with self.lock:
            if self.process is None:
                return
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the process and its workers, as in a crash.

        A worker ends later than the process, and keeps its port until then.
        """
        with self.lock:
            if self.process is None:
                return
            group = self.process.pid
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            self.process.wait()
            self.process = None
        wait_until(
            lambda: not _exists(group), f"the workers of {self.name} are gone", 30
        )

    def _failure(self, reason: str) -> ServiceFailed:
        return ServiceFailed(self.name, reason, tail(self.log))


def _exists(group: int) -> bool:
    """Return whether a process of the process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the end of a text file, or a note that it cannot be read."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            text = log.read().decode(errors="replace")
    except OSError as exc:
        return f"(no log: {exc})"
    return "\n".join(text.splitlines()[-lines:])


def answers(url: str, statuses: Sequence[int] = (200, 300)) -> bool:
    """Return whether a GET of ``url`` is answered with one of ``statuses``.

    A proxy of the user's environment is not used.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run_step(
    name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path
) -> None:
    """Run a command of a service's set-up to its end.

    :raises ServiceFailed: the command failed; shows the end of the log
    """
    with log.open("ab") as output:
        done = subprocess.run(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        command = Path(argv[0]).name
        raise ServiceFailed(
            name, f"{command} ended with exit code {done.returncode}", tail(log)
        )
