# SPDX-License-Identifier: Apache-2.0
"""The state of SAN: LUNs, NVMe namespaces, who may see them, and their targets.

A LUN or a namespace (here: a unit) is a file of its FlexVol: ``/vol/fv1/a`` is the file
``a`` in the directory of ``fv1``. So it takes room there, and a clone shares blocks, as
any other file's. What is more than a file is kept in one JSON file beside the FlexVols.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
import datetime
import json
import os
from pathlib import Path
import secrets
import string
import threading
from typing import Any
import uuid as uuid_module

# How a copy or a move stands, in ONTAP's words.
RUNNING, COMPLETE, FAILED = "replicating", "complete", "failed"
# Characters of a LUN's serial number; ONTAP uses more.
_SERIAL_ALPHABET = string.ascii_letters + string.digits + "+-"
_SERIAL_LENGTH = 12
_SUBSYSTEM_SERIAL_LENGTH = 20


def now() -> str:
    """Return the time in the form of ONTAP's records."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    return moment.replace(microsecond=0).isoformat()


def new_uuid() -> str:
    """Return a uuid for something that a client makes."""
    return str(uuid_module.uuid4())


def new_serial(length: int = _SERIAL_LENGTH) -> str:
    """Return a serial number; that of a LUN is a part of its SCSI WWN."""
    return "".join(secrets.choice(_SERIAL_ALPHABET) for _ in range(length))


@dataclass(frozen=True)
class Transfer:
    """A copy of a LUN into this one, or the move of this one, and how it stands."""

    kind: str  # "copy" or "move"
    source: str
    destination: str
    state: str = RUNNING
    percent: int = 0
    message: str = ""
    code: str = ""
    job: str = ""


@dataclass(frozen=True)
class Unit:
    """A LUN or a namespace. Sizes are in bytes.

    ``name`` is a path of ONTAP, ``/vol/FLEXVOL/NAME``. ``stored`` is the path of its
    file: another one while the unit moves. ``counted``: its file has not the blocks of
    its reservation, the FlexVol counts them.
    """

    uuid: str
    kind: str  # "lun" or "namespace"
    name: str
    svm: str
    size: int
    os_type: str
    stored: str
    block_size: int = 512
    reserved: bool = False
    space_allocation: bool = False
    enabled: bool = True
    counted: bool = False
    comment: str = ""
    qos_policy: str | None = None
    serial: str = field(default_factory=new_serial)
    create_time: str = field(default_factory=now)
    transfer: Transfer | None = None

    @property
    def flexvol(self) -> str:
        """The name of the FlexVol that its name says."""
        return self.name.split("/")[2]

    @property
    def base_name(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Igroup:
    """Initiators, as IQNs or WWPNs, that see the LUNs mapped to the group."""

    uuid: str
    name: str
    svm: str
    os_type: str
    protocol: str = "mixed"
    initiators: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Subsystem:
    """Hosts, by their NQNs, that see the namespaces mapped to the subsystem."""

    uuid: str
    name: str
    svm: str
    os_type: str
    hosts: tuple[str, ...] = ()
    comment: str = ""
    serial: str = field(default_factory=lambda: new_serial(_SUBSYSTEM_SERIAL_LENGTH))


@dataclass(frozen=True)
class Map:
    """A unit that a group sees, by their uuids. ``number`` is the LUN's or the NSID."""

    unit: str
    group: str
    number: int


@dataclass(frozen=True)
class Credential:
    """How an iSCSI initiator of an SVM proves who it is."""

    svm: str
    initiator: str
    authentication: str
    user: str = ""
    password: str = field(default="", repr=False)


class San:
    """All of the above. Look at it under ``lock``, change it in ``changing``.

    The lock is not held while data is written or shared. Each change is in the file
    when ``changing`` ends, unless an exception leaves it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.units: dict[str, Unit] = {}
        self.igroups: dict[str, Igroup] = {}
        self.subsystems: dict[str, Subsystem] = {}
        self.lun_maps: list[Map] = []
        self.namespace_maps: list[Map] = []
        self.credentials: list[Credential] = []
        self._being_made: set[tuple[str, str]] = set()
        self._file = file
        if file is not None and file.exists():
            self._load(json.loads(file.read_text()))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock; at the end write the file."""
        with self.lock:
            yield
            if self._file is not None:
                _write(self._file, self._dump())

    def _dump(self) -> dict[str, Any]:
        return {
            "units": [asdict(unit) for unit in self.units.values()],
            "igroups": [asdict(group) for group in self.igroups.values()],
            "subsystems": [asdict(group) for group in self.subsystems.values()],
            "lun_maps": [asdict(found) for found in self.lun_maps],
            "namespace_maps": [asdict(found) for found in self.namespace_maps],
            "credentials": [asdict(found) for found in self.credentials],
        }

    def _load(self, whole: dict[str, Any]) -> None:
        for values in whole["units"]:
            transfer = values.pop("transfer")
            unit = Unit(**values, transfer=Transfer(**transfer) if transfer else None)
            self.units[unit.uuid] = unit
        for values in whole["igroups"]:
            values["initiators"] = tuple(values["initiators"])
            self.igroups[values["uuid"]] = Igroup(**values)
        for values in whole["subsystems"]:
            values["hosts"] = tuple(values["hosts"])
            self.subsystems[values["uuid"]] = Subsystem(**values)
        self.lun_maps = [Map(**values) for values in whole["lun_maps"]]
        self.namespace_maps = [Map(**values) for values in whole["namespace_maps"]]
        self.credentials = [Credential(**values) for values in whole["credentials"]]

    # Units

    def named(self, svm: str, name: str, kind: str | None = None) -> Unit | None:
        """Return the unit of this name."""
        with self.lock:
            for unit in self.units.values():
                if (unit.svm, unit.name) == (svm, name) and kind in (None, unit.kind):
                    return unit
        return None

    @contextmanager
    def making(self, svm: str, name: str) -> Iterator[bool]:
        """Keep a name for as long; the value tells whether it was free.

        Files that are no units are not looked at.
        """
        with self.lock:
            taken = (svm, name) in self._being_made
            free = not taken and self.named(svm, name) is None
            if free:
                self._being_made.add((svm, name))
        try:
            yield free
        finally:
            if free:
                with self.lock:
                    self._being_made.discard((svm, name))

    def maps_of(self, unit: str) -> list[Map]:
        """Return the maps of a LUN or namespace."""
        with self.lock:
            both = (*self.lun_maps, *self.namespace_maps)
            return [found for found in both if found.unit == unit]

    def forget(self, unit: str) -> None:
        """Forget a unit and its maps; call it in ``changing``. Its file stays."""
        self.units.pop(unit, None)
        self.lun_maps = [found for found in self.lun_maps if found.unit != unit]
        self.namespace_maps = [
            found for found in self.namespace_maps if found.unit != unit
        ]

    def change_unit(self, uuid: str, **changes: Any) -> None:
        """Replace fields of a unit, if it is there still."""
        with self.changing():
            if uuid in self.units:
                self.units[uuid] = replace(self.units[uuid], **changes)

    def change_transfer(self, uuid: str, **changes: Any) -> None:
        """Replace fields of a unit's transfer, if both are there still."""
        with self.changing():
            unit = self.units.get(uuid)
            if unit is not None and unit.transfer is not None:
                transfer = replace(unit.transfer, **changes)
                self.units[uuid] = replace(unit, transfer=transfer)

    # FlexVols

    def drop_flexvol(self, svm: str, name: str) -> None:
        """Forget all units of a FlexVol that is removed."""
        with self.changing():
            for unit in self._stored_in(svm, name):
                self.forget(unit.uuid)

    def check_flexvol(self, svm: str, name: str, directory: Path) -> None:
        """Make the state fit the files of a FlexVol that is opened after a restart.

        A unit whose file is gone is forgotten. What a copy or a move had copied is
        removed: the copy failed, and the moved unit is back at its old place.
        """
        with self.changing():
            for unit in self._stored_in(svm, name):
                if not os.path.lexists(directory / unit.stored.rpartition("/")[2]):
                    self.forget(unit.uuid)
            for unit in list(self.units.values()):
                interrupted = unit.transfer and unit.transfer.state == RUNNING
                if interrupted and (unit.svm, unit.flexvol) == (svm, name):
                    (directory / unit.base_name).unlink(missing_ok=True)
                    self._interrupted(unit)

    def _interrupted(self, unit: Unit) -> None:
        assert unit.transfer is not None
        if unit.transfer.kind == "copy":
            self.forget(unit.uuid)
            return
        failed = replace(unit.transfer, state=FAILED, message="interrupted")
        back = replace(unit, name=unit.stored, transfer=failed)
        self.units[unit.uuid] = back

    def _stored_in(self, svm: str, flexvol: str) -> list[Unit]:
        return [
            unit
            for unit in self.units.values()
            if (unit.svm, unit.stored.split("/")[2]) == (svm, flexvol)
        ]


def _write(path: Path, whole: dict[str, Any]) -> None:
    """Write whole or not at all; only the owner may read it, for its passwords."""
    new = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(new, flags, 0o600), "w") as file:
        json.dump(whole, file, indent=1)
    new.replace(path)
