# SPDX-License-Identifier: Apache-2.0
"""The files of LUNs and namespaces, and the room that they take."""

import os
from pathlib import Path
from typing import Any

from lab.ontapsim.flexvol import unshared_bytes
from lab.ontapsim.san import Unit
from lab.ontapsim.state import Array
from lab.ontapsim.state import Volume


def file_of(array: Array, unit: Unit) -> Path | None:
    """Return the file of a unit, or None while its FlexVol is not there."""
    _, _, flexvol, name = unit.stored.split("/")
    for volume in array.volumes(unit.svm):
        if volume.name == flexvol:
            return volume.directory / name
    return None


def with_luns(
    array: Array, volume: Volume, files: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the records of files with the type that ONTAP shows for those of units."""
    with array.san.lock:
        paths = {unit.stored for unit in array.san.units.values()}

    def path_of(file: dict[str, Any]) -> str:
        parts = ("/vol", volume.name, file["path"], file["name"])
        return "/".join(part for part in parts if part)

    return [
        {**file, "type": "lun"} if path_of(file) in paths else file for file in files
    ]


def used_bytes(array: Array, unit: Unit) -> int:
    """Return the bytes of blocks that a unit has, shared ones included."""
    path = file_of(array, unit)
    try:
        return os.stat(path).st_blocks * 512 if path else 0
    except FileNotFoundError:  # deleted in between
        return 0


def reserved_bytes(array: Array, volume: Volume) -> int:
    """Return the bytes that a FlexVol keeps for LUNs beyond the blocks they have.

    A LUN that is made with a reservation has all its blocks at once. A clone shares
    those of its source, but its reservation is for all of its size; a copy has holes.
    """
    with array.san.lock:
        counted = [
            unit
            for unit in array.san.units.values()
            if unit.reserved
            and unit.counted
            and (unit.svm, unit.flexvol) == (volume.svm, volume.name)
        ]
    return sum(_not_its_own(array, unit) for unit in counted)


def _not_its_own(array: Array, unit: Unit) -> int:
    path = file_of(array, unit)
    try:
        return max(0, unit.size - unshared_bytes(path)) if path else 0
    except FileNotFoundError:
        return 0
