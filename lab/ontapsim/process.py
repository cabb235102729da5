# SPDX-License-Identifier: Apache-2.0
"""Start the simulator as a process of its own, and talk to its control plane.

Needs nothing beyond the standard library and requests, so a test of any part of
the project can use it::

    with process.running(tmp_path, {"fv1": 512 << 20}) as simulator:
        simulator.add_fault(action="job_failed", path="/storage/file/clone")
"""

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import json
import os
from pathlib import Path
import secrets
import subprocess
import sys
from typing import Any

import requests

_STOP_TIMEOUT_S = 60
_CONTROL_TIMEOUT_S = 60
ADMIN, VIEWER, SVM_ADMIN = "cinder", "viewer", "svmadmin"


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator that listens. ``passwords`` are those of its users, by name."""

    url: str
    port: int
    ca_file: str | None
    flexvols: Mapping[str, Path]
    pid: int
    passwords: Mapping[str, str]
    log_file: Path
    request_log: Path

    def add_fault(self, **fault: Any) -> str:
        """Switch a fault on (see faults.py) and return its id."""
        return str(self._control("POST", "/faults", fault)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are switched on, with their hits, oldest first."""
        found: list[dict[str, Any]] = self._control("GET", "/faults")["faults"]
        return found

    def remove_faults(self) -> None:
        """Switch all faults off."""
        self._control("DELETE", "/faults")

    def logged(self) -> list[dict[str, Any]]:
        """Return the requests that came so far (see requestlog.py)."""
        found: list[dict[str, Any]] = self._control("GET", "/requests")["requests"]
        return found

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to the API as the administrator, without any client."""
        login = options.pop("auth", (ADMIN, self.passwords[ADMIN]))
        return requests.request(
            method,
            f"{self.url}/api{path}",
            auth=login,
            verify=self.ca_file or True,
            timeout=_CONTROL_TIMEOUT_S,
            **options,
        )

    def _control(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = requests.request(
            method,
            f"{self.url}/_sim{path}",
            json=body,
            verify=self.ca_file or True,
            timeout=_CONTROL_TIMEOUT_S,
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running(
    root: Path, flexvols: Mapping[str, int], tls: bool = False
) -> Iterator[RunningSimulator]:
    """Run a simulator below ``root``; sizes are in bytes. Needs root.

    Blocks until it listens. Ends it with SIGTERM and waits, so that nothing stays
    mounted. Its log is ``root/ontapsim.log``.

    :raises RuntimeError: it did not start; the text ends with its log
    """
    root.mkdir(parents=True, exist_ok=True)
    passwords = {name: secrets.token_hex(8) for name in (ADMIN, VIEWER, SVM_ADMIN)}
    users, ready = root / "users.json", root / "ready.json"
    _write_users(users, passwords)
    command = [
        *(sys.executable, "-m", "lab.ontapsim"),
        *("--root", str(root), "--users-file", str(users)),
        *("--ready-file", str(ready), "--request-log", str(root / "requests.jsonl")),
        *(["--tls"] if tls else []),
    ]
    for name, size_bytes in flexvols.items():
        command += ["--flexvol", f"{name}:{size_bytes}"]
    with (root / "ontapsim.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            # One line, or the end of the file if it dies: no polling.
            assert process.stdout is not None
            if not process.stdout.readline():
                text = (root / "ontapsim.log").read_text()
                raise RuntimeError(f"ontapsim did not start:\n{text}")
            yield _read_ready(ready, passwords, root)
        finally:
            _stop(process)


def _write_users(path: Path, passwords: Mapping[str, str]) -> None:
    roles = {ADMIN: "admin", VIEWER: "readonly", SVM_ADMIN: "vsadmin"}
    users = [
        {"name": name, "password": passwords[name], "role": role}
        for name, role in roles.items()
    ]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(users, file)


def _read_ready(
    ready: Path, passwords: Mapping[str, str], root: Path
) -> RunningSimulator:
    facts = json.loads(ready.read_text())
    return RunningSimulator(
        url=facts["url"],
        port=facts["port"],
        ca_file=facts["ca_file"],
        flexvols={name: Path(path) for name, path in facts["flexvols"].items()},
        pid=facts["pid"],
        passwords=passwords,
        log_file=root / "ontapsim.log",
        request_log=root / "requests.jsonl",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
