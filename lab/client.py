# SPDX-License-Identifier: Apache-2.0
"""The running lab for a program inside it: facts, clouds, logs, services.

>>> lab = Lab.from_facts()
>>> lab.cloud("alice").block_storage.create_volume(size=1)
>>> lab.restart("glance")
"""

from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import socket
from typing import TYPE_CHECKING
from typing import Any

from lab import ini
from lab.errors import LabError
from lab.ini import Value

if TYPE_CHECKING:
    import openstack.connection

CONTROL_TIMEOUT_S = 180
HINT = (
    "LAB_FACTS is not set: this runs only inside a lab. Use `tox -e functional`, or "
    "`python -m lab run CMD ARGS...`"
)


class Lab:
    """One running lab, seen from a command inside it."""

    def __init__(self, facts_path: Path) -> None:
        self._facts_path = facts_path

    @classmethod
    def from_facts(cls) -> "Lab":
        """Return the lab that this process runs in.

        :raises LabError: it runs outside of a lab; says how to get one
        """
        path = os.environ.get("LAB_FACTS")
        if not path:
            raise LabError(HINT)
        return cls(Path(path))

    @property
    def facts(self) -> dict[str, Any]:
        """The current content of the facts file; pids change on restarts."""
        facts: dict[str, Any] = json.loads(self._facts_path.read_text("utf-8"))
        return facts

    def flexvol(self, name: str) -> Path:
        """Return the directory that the FlexVol is mounted on."""
        return Path(self.facts["flexvols"][name])

    def exported(self, share: str) -> Path:
        """Return the directory of an export, such as ``127.0.0.1:/fv1``."""
        return Path(self.facts["exports"][share])

    def cloud(self, name: str = "admin") -> "openstack.connection.Connection":
        """Return a new connection as ``admin``, ``alice`` or ``bob``."""
        import openstack

        return openstack.connect(cloud=name)

    # Services. Names: ontap, keystone, glance, cinder; in the stock flavour also
    # rabbitmq, cinder-api, cinder-scheduler, cinder-volume (in the embedded one
    # the last three all mean the one process). Only started here: other
    # glance-api beside the first, see glance.py, and in the stock flavour
    # cinder-backup.

    def start(self, service: str) -> None:
        """Start the service, unless it runs, and return when it answers."""
        self._control("start", service)

    def stop(self, service: str) -> None:
        """End the service with SIGTERM and wait for its end."""
        self._control("stop", service)

    def kill(self, service: str) -> None:
        """End the service and its workers with SIGKILL, as in a crash."""
        self._control("kill", service)

    def restart(self, service: str) -> None:
        """Stop and start the service, so that it reads its configuration again."""
        self._control("restart", service)

    def pid(self, service: str) -> int | None:
        """Return the service's pid, or None while it does not run."""
        found: int | None = self.facts["pids"][service]
        return found

    def _control(self, do: str, service: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONTROL_TIMEOUT_S)
            connection.connect(self.facts["control"])
            request = {"do": do, "service": service}
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as answers:
                answer = json.loads(answers.readline())
        if "error" in answer:
            raise LabError(answer["error"])

    # Configuration.

    @property
    def glance_config(self) -> Path:
        return Path(self.facts["configs"]) / "glance" / "glance-api.conf"

    @property
    def cinder_config(self) -> Path:
        return Path(self.facts["configs"]) / "cinder" / "cinder.conf"

    def set_glance_option(self, group: str, name: str, value: Value | None) -> None:
        """Set an option, or remove it for None; Glance reads it when restarted."""
        _set_option(self.glance_config, group, name, value)

    def set_cinder_option(self, group: str, name: str, value: Value | None) -> None:
        """Set an option, or remove it for None; Cinder reads it when restarted."""
        _set_option(self.cinder_config, group, name, value)

    # What leads to volumes.

    @property
    def protocol(self) -> str:
        """The protocol of the FlexVols fv1, fv2 and fv3, such as ``nfs``."""
        return str(self.facts["protocol"])

    def pool(self, name: str) -> Path:
        """Return the directory of a pool of Cinder, by what follows ``#`` in hosts.

        It has a file for each volume, which is a LUN or a namespace in other labs.
        """
        return self.exported(name) if ":/" in name else self.flexvol(name)

    def devices(self) -> dict[str, dict[str, str]]:
        """Return the host's devices by where they are.

        Each has ``path``, ``wwn``, the uuid of its ``unit`` and the ``name`` of its
        file on the FlexVol.

        There are none in a lab with NFS alone.
        """
        if not self.facts["san_socket"]:
            return {}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONTROL_TIMEOUT_S)
            connection.connect(self.facts["san_socket"])
            connection.sendall(b'{"do": "list"}\n')
            with connection.makefile() as answers:
                found: dict[str, dict[str, str]] = json.loads(answers.readline())
        return found["devices"]  # type: ignore[return-value]

    # Faults of the simulator.

    @contextlib.contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """Switch on a fault until the block ends; see ``lab/ontapsim/faults.py``."""
        import requests

        faults = f"{self.facts['urls']['ontap']}/_sim/faults"
        made = requests.post(faults, json=fault, timeout=CONTROL_TIMEOUT_S)
        made.raise_for_status()
        try:
            yield
        finally:
            requests.delete(f"{faults}/{made.json()['id']}", timeout=CONTROL_TIMEOUT_S)

    # Request logs.

    def cinder_requests(self, since: float = 0) -> list[dict[str, Any]]:
        """Return the requests to Cinder's API that have been answered.

        Only those begun at ``since`` (``time.time()``) or later.
        """
        return self._requests("cinder_requests", since)

    def glance_requests(self, since: float = 0) -> list[dict[str, Any]]:
        """Return the same for Glance, with the numbers of bytes sent and received."""
        return self._requests("glance_requests", since)

    def ontap_requests(self) -> list[dict[str, Any]]:
        """Return the requests to the simulator, in the form of its own log."""
        return self._requests("ontap_requests", None)

    def _requests(self, log: str, since: float | None) -> list[dict[str, Any]]:
        text = Path(self.facts[log]).read_text(encoding="utf-8")
        entries = [json.loads(line) for line in text.splitlines()]
        if since is None:
            return entries
        return [entry for entry in entries if entry["time"] >= since]

    def log(self, service: str) -> str:
        """Return the whole log of a service."""
        path = Path(self.facts["logs"]) / f"{service}.log"
        return path.read_text(encoding="utf-8", errors="replace")


def _set_option(path: Path, group: str, name: str, value: Value | None) -> None:
    changed = ini.set_option(path.read_text(encoding="utf-8"), group, name, value)
    path.write_text(changed, encoding="utf-8")
