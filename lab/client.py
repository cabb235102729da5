# SPDX-License-Identifier: Apache-2.0
"""What runs inside a lab uses this: facts, clouds, request logs, services.

>>> lab = Lab.from_facts()
>>> lab.cloud("alice").block_storage.create_volume(size=1)
>>> lab.restart("glance")
"""

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
        """The lab that this process runs in.

        :raises LabError: it runs in none; says how to
        """
        path = os.environ.get("LAB_FACTS")
        if not path:
            raise LabError(HINT)
        return cls(Path(path))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts file as it is now: pids change on restarts."""
        facts: dict[str, Any] = json.loads(self._facts_path.read_text("utf-8"))
        return facts

    def flexvol(self, name: str) -> Path:
        """Where the FlexVol's file system is mounted."""
        return Path(self.facts["flexvols"][name])

    def cloud(self, name: str = "admin") -> "openstack.connection.Connection":
        """A new connection as ``admin``, ``alice`` or ``bob``."""
        import openstack

        return openstack.connect(cloud=name)

    # Services. Names: ontap, keystone, glance, cinder; in the stock flavour also
    # rabbitmq, cinder-api, cinder-scheduler, cinder-volume (in the embedded one
    # the last three all mean the one process).

    def start(self, service: str) -> None:
        """Returns when it answers; nothing happens where it runs already."""
        self._control("start", service)

    def stop(self, service: str) -> None:
        """Ends it with TERM and waits."""
        self._control("stop", service)

    def kill(self, service: str) -> None:
        """Ends it and its workers with SIGKILL, as a crash does."""
        self._control("kill", service)

    def restart(self, service: str) -> None:
        """Stop and start: how an edited configuration is read."""
        self._control("restart", service)

    def pid(self, service: str) -> int | None:
        """None while it does not run."""
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
        """Sets, or for None removes, an option; read at the next restart."""
        _set_option(self.glance_config, group, name, value)

    def set_cinder_option(self, group: str, name: str, value: Value | None) -> None:
        """Sets, or for None removes, an option; read at the next restart."""
        _set_option(self.cinder_config, group, name, value)

    # Request logs.

    def cinder_requests(self, since: float = 0) -> list[dict[str, Any]]:
        """Requests that Cinder's API has answered, begun at ``since`` or later
        (``time.time()``)."""
        return self._requests("cinder_requests", since)

    def glance_requests(self, since: float = 0) -> list[dict[str, Any]]:
        """Likewise for Glance, with the bytes of body that passed."""
        return self._requests("glance_requests", since)

    def ontap_requests(self) -> list[dict[str, Any]]:
        """Requests to the simulator, in its own form."""
        return self._requests("ontap_requests", None)

    def _requests(self, log: str, since: float | None) -> list[dict[str, Any]]:
        text = Path(self.facts[log]).read_text(encoding="utf-8")
        entries = [json.loads(line) for line in text.splitlines()]
        if since is None:
            return entries
        return [entry for entry in entries if entry["time"] >= since]

    def log(self, service: str) -> str:
        """The whole log of a service."""
        path = Path(self.facts["logs"]) / f"{service}.log"
        return path.read_text(encoding="utf-8", errors="replace")


def _set_option(path: Path, group: str, name: str, value: Value | None) -> None:
    changed = ini.set_option(path.read_text(encoding="utf-8"), group, name, value)
    path.write_text(changed, encoding="utf-8")
