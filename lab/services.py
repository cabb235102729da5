# SPDX-License-Identifier: Apache-2.0
"""One service of the lab: a process, its log, and how to know that it answers."""

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
    """Started and stopped by one supervisor; ``lock`` guards the process
    against two control requests at once (reach: this process).

    ``ready`` is asked until it says yes; ``before_start`` clears what would let
    it say so for an earlier run, ``after_start`` is done once it has.
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
        """None while it does not run."""
        if self.process is None or self.process.poll() is not None:
            return None
        return self.process.pid

    def start(self) -> None:
        """Starts it and waits until it answers.

        :raises ServiceFailed: it ended, or did not answer in time
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
                    # Its own group, to be killed as one, and out of ctrl-C's way.
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
        """How often its log says ``text`` since the last start."""
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().count(text.encode())

    def stop(self, patience_s: float = 30) -> None:
        """TERM, and KILL for what is left after ``patience_s``."""
        with self.lock:
            if self.process is None:
                return
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
            self.kill()

    def kill(self) -> None:
        """SIGKILL for the process and its workers, as in a crash."""
        with self.lock:
            if self.process is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _failure(self, reason: str) -> ServiceFailed:
        return ServiceFailed(self.name, reason, tail(self.log))


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The end of a text file; says so where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            text = log.read().decode(errors="replace")
    except OSError as exc:
        return f"(no log: {exc})"
    return "\n".join(text.splitlines()[-lines:])


def answers(url: str, statuses: Sequence[int] = (200, 300)) -> bool:
    """Whether a GET of ``url`` is answered with one of ``statuses``.

    Without a proxy, whatever the user's environment says.
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
    """Runs one command of a service's set-up to its end.

    :raises ServiceFailed: with the end of the log
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
