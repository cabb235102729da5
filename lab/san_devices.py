# SPDX-License-Identifier: Apache-2.0
"""The devices of a lab's host: a loop device for each LUN or namespace it uses.

They are the lab's, and not those of the process that connects a volume: as with a real
kernel they stay when it is killed. With the lab's last process they end, since the
kernel frees a loop device when nobody has it open any more.

Which LUN a host sees is asked of the simulator's state each time: a LUN that is not
mapped, is offline or is another host's is not found.

As in Linux, a device stays until it is disconnected. If a LUN is unmapped before that,
and another one gets its number, a host that connects the other one gets the old device,
with the old WWN and the old bytes.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
import json
import os
from pathlib import Path
import socketserver
import subprocess
import threading
from typing import Any

from lab.ontapsim import san_records
from lab.ontapsim.san import San
from lab.ontapsim.san import Unit
from lab.ontapsim.state import Svm
from lab.san import INITIATOR
from lab.san import NQN
from lab.san import WWPNS

# The first half of the WWN of NetApp's LUNs; the second is the serial number.
_WWN = "3600a0980"


class NotFound(Exception):
    """The host does not see the volume."""


def visible(san: San, properties: Mapping[str, Any]) -> Unit:
    """Return the LUN or namespace that the host sees at these properties.

    :raises NotFound: there is none, it is offline, or it is not for this host
    """
    unit = _namespace(san, properties) if "vol_uuid" in properties else None
    if "target_lun" in properties:
        unit = _lun(san, properties)
    if unit is None or not unit.enabled:
        raise NotFound(name_of(properties))
    return unit


def _lun(san: San, properties: Mapping[str, Any]) -> Unit | None:
    mine = {INITIATOR} if "target_iqn" in properties else set(WWPNS)
    for one in san.lun_maps:
        group = san.igroups[one.group]
        iqn = san_records.target_iqn(Svm(group.svm))
        is_there = properties.get("target_iqn", iqn) == iqn
        is_mine = is_there and mine & set(group.initiators)
        if is_mine and one.number == int(properties["target_lun"]):
            return san.units[one.unit]
    return None


def _namespace(san: San, properties: Mapping[str, Any]) -> Unit | None:
    for one in san.namespace_maps:
        group = san.subsystems[one.group]
        nqn = san_records.target_nqn(group.svm, group.name)
        is_mine = nqn == properties["target_nqn"] and NQN in group.hosts
        if is_mine and one.unit == properties["vol_uuid"]:
            return san.units[one.unit]
    return None


def name_of(properties: Mapping[str, Any]) -> str:
    """Return where the host looks for a volume: the same for all that ask for it."""
    if "vol_uuid" in properties:
        return f"{properties['target_nqn']} {properties['vol_uuid']}"
    target = properties.get("target_iqn", "fc")
    return f"{target} lun {properties['target_lun']}"


def wwn_of(unit: Unit) -> str:
    """Return the WWN of a LUN as os-brick reads it, or the uuid of a namespace."""
    if unit.kind == "namespace":
        return f"uuid.{unit.uuid}"
    return _WWN + unit.serial.encode().hex()


@dataclass(frozen=True)
class Device:
    """A device that is there: its path, and a descriptor that keeps it.

    *unit* is the uuid of the LUN or namespace, and *name* that of its file.
    """

    path: str
    wwn: str
    unit: str
    name: str
    descriptor: int


class Devices:
    """The devices of the host, by where it sees them. For several threads."""

    def __init__(self, state: Path, flexvols: Callable[[], Mapping[str, str]]) -> None:
        self._state = state
        self._flexvols = flexvols
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}

    def connect(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the device, a new one or the one that is there already."""
        unit, name = visible(San(self._state), properties), name_of(properties)
        with self._lock:
            if name not in self._devices:
                path = attached(self._file_of(unit), unit.block_size)
                self._devices[name] = _held(path, unit)
            device = self._devices[name]
        return {"path": device.path, "wwn": device.wwn}

    def _file_of(self, unit: Unit) -> Path:
        _, _, flexvol, name = unit.stored.split("/")
        return Path(self._flexvols()[flexvol]) / name

    def find(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the path of the device, or None."""
        with self._lock:
            device = self._devices.get(name_of(properties))
        return {"path": device.path if device else None}

    def disconnect(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Flush the device and let go of it: it is gone when nobody has it open."""
        with self._lock:
            device = self._devices.pop(name_of(properties), None)
        if device is not None:
            try:
                _flush(device.path)
            finally:
                os.close(device.descriptor)
        return {}

    def extend(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Let the device grow with its file; return the bytes."""
        with self._lock:
            device = self._devices.get(name_of(properties))
        if device is None:
            raise NotFound(name_of(properties))
        _run("losetup", "--set-capacity", device.path)
        return {"bytes": os.lseek(device.descriptor, 0, os.SEEK_END)}

    def list(self) -> dict[str, Any]:
        """Return all devices: path, WWN, the unit's uuid and name by where it is."""
        with self._lock:
            found = dict(self._devices)
        return {
            "devices": {
                where: {
                    "path": one.path,
                    "wwn": one.wwn,
                    "unit": one.unit,
                    "name": one.name,
                }
                for where, one in found.items()
            }
        }


def attached(file: Path, block_size: int) -> str:
    """Make a loop device of a file and return its path. Needs root."""
    command = ("losetup", "--find", "--show", "--sector-size", str(block_size))
    return _run(*command, str(file)).strip()


def _held(path: str, unit: Unit) -> Device:
    """Return the device, held open so that it is there until this is closed."""
    descriptor = os.open(path, os.O_RDONLY)
    # Who has it open keeps it; the kernel removes it with the last one.
    _run("losetup", "--detach", path)
    name = unit.stored.rpartition("/")[2]
    return Device(path, wwn_of(unit), unit.uuid, name, descriptor)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def serve(devices: Devices, socket_path: Path) -> None:
    """Answer the lab's connectors, in a thread, until this process ends."""
    acts: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "connect": devices.connect,
        "disconnect": devices.disconnect,
        "extend": devices.extend,
        "find": devices.find,
        "list": lambda _: devices.list(),
    }

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = json.loads(self.rfile.readline())
            try:
                answer = acts[request["do"]](request.get("properties", {}))
            except NotFound as error:
                answer = {"missing": str(error)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    server = Server(str(socket_path), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
