# SPDX-License-Identifier: Apache-2.0
"""Cinder's own migration of volumes by the array, and what is left by it."""

from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from lab.polling import wait_until

SIZE = 48 * MIB
FV1 = "lab@ontap#127.0.0.1:/fv1"
FV2 = "lab@ontap#127.0.0.1:/fv2"
S2A = "lab@ontap2#127.0.0.2:/s2a"
OTHER_FV2 = "lab@ontap2#127.0.0.2:/fv2"
# FlexVol gold_new, and FlexVol gold.
GOLD = "lab@ontap2#127.0.0.2:/gold"
OLD_GOLD = "lab@ontap2#127.0.0.2:/old/gold"
GROUP = "lab@ontap2#127.0.0.2:/group"


@dataclass(frozen=True)
class Case:
    """The migration of a clone of type ``clone``, of a volume of type ``source``.

    ``fault`` strikes the copy.
    """

    source: str
    clone: str
    target: str
    fault: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What Cinder says of the volume, and the pools that have a file of it.

    ``whole`` names those whose file has all data.
    """

    migration_status: str | None
    status: str
    host: str
    name_id: str | None
    files: frozenset[str]
    whole: frozenset[str]


class Sources:
    """Volumes with data, one of each type that is asked for."""

    def __init__(self, lab: Any, operator: User) -> None:
        self._lab = lab
        self._operator = operator
        self._made: dict[str, str] = {}

    def volume(self, volume_type: str) -> str:
        """Return the id of the volume of a type."""
        if volume_type not in self._made:
            made = self._operator.volume(volume_type=volume_type)
            (share,) = shares_with(self._lab, made.id)
            with file_of(self._lab, share, made.id).open("r+b") as file:
                file.write(pattern.at(0, SIZE))
            self._made[volume_type] = made.id
        return self._made[volume_type]


class Migrating:
    """The volume of a case. ``start`` asks for its migration."""

    def __init__(self, lab: Any, operator: User, sources: Sources, case: Case) -> None:
        self._lab = lab
        self._operator = operator
        self._cloud = operator.cloud
        self._case = case
        made = operator.volume(
            wait=False,
            source_volid=sources.volume(case.source),
            volume_type=case.clone,
        )
        self.id = str(made.id)

    def start(self) -> int:
        """Return the status code of Cinder's answer, when the clone has been made."""
        self._operator.available(self.id)
        request = {
            "host": self._case.target,
            "force_host_copy": False,
            "lock_volume": False,
        }
        answer = self._cloud.block_storage.post(
            f"/volumes/{self.id}/action", json={"os-migrate_volume": request}
        )
        return int(answer.status_code)

    def fault(self) -> dict[str, Any]:
        """Return the fault of the case for this volume's copy alone, or nothing."""
        limits = {"path": "/storage/file/copy$", "body": self.id}
        return {**limits, **self._case.fault} if self._case.fault else {}

    def ended(self) -> Outcome:
        """Return the outcome when Cinder calls the migration a success or an error."""

        def has_ended() -> bool:
            return self.shown()["migration_status"] in ("success", "error")

        wait_until(has_ended, f"the migration to {self._case.target} has ended")
        return self.outcome()

    def outcome(self) -> Outcome:
        shown = self.shown()
        having = shares_with(self._lab, self.id)
        whole = [share for share in having if self._is_whole(share)]
        return Outcome(
            migration_status=shown["migration_status"],
            status=shown["status"],
            host=shown["os-vol-host-attr:host"],
            name_id=shown["os-vol-mig-status-attr:name_id"],
            files=frozenset(map(pool, having)),
            whole=frozenset(map(pool, whole)),
        )

    def shown(self) -> dict[str, Any]:
        """Return the volume as Cinder shows it to an administrator."""
        answer = self._cloud.block_storage.get(f"/volumes/{self.id}").json()
        found: dict[str, Any] = answer["volume"]
        return found

    def _is_whole(self, share: str) -> bool:
        path = file_of(self._lab, share, self.id)
        if path.stat().st_size != GIB:
            return False
        with path.open("rb") as file:
            return bool(file.read(SIZE) == pattern.at(0, SIZE))

    def files(self) -> set[str]:
        """Return the pools that have a file of the volume."""
        return set(map(pool, shares_with(self._lab, self.id)))

    def remove_files(self) -> None:
        """Remove the files that Cinder does not know, as an administrator has to.

        The volume must be deleted.
        """
        for share in shares_with(self._lab, self.id):
            file_of(self._lab, share, self.id).unlink()


def shares_with(lab: Any, volume_id: str) -> list[str]:
    """Return the exports that have a file of the volume."""
    exports = lab.facts["exports"]
    return [each for each in exports if file_of(lab, each, volume_id).exists()]


def file_of(lab: Any, share: str, volume_id: str) -> Path:
    """Return the path that the volume's file has on an export."""
    return Path(lab.exported(share)) / f"volume-{volume_id}"


def pool(share: str) -> str:
    """Return Cinder's pool of an export of the lab."""
    backend = "ontap" if share.startswith("127.0.0.1:") else "ontap2"
    return f"lab@{backend}#{share}"
