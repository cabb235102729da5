# SPDX-License-Identifier: Apache-2.0
"""Migrate volumes to FlexVols whose names are not their junction paths.

    PYTHONPATH=CINDER:THIS_REPOSITORY python reproduce.py EMPTY_DIRECTORY

The last line of the output says what became of each volume. Needs root, for the
simulator of ONTAP.
"""

import json
import os
from pathlib import Path
import sys

from cinder import exception

from glance_ontap_store.tests.functional import netapp_driver
from glance_ontap_store.tests.functional.netapp_driver import Backend

# fv2 is mounted where one takes fv3 to be, and the other way round.
JUNCTIONS = {"fv1": "/fv1", "fv2": "/fv3", "fv3": "/fv2", "volumes": "/cinder/ssd"}


def migrate(backend: Backend, path: str) -> str:
    """Migrate a new volume to the pool with this path; say what became of it."""
    volume = backend.created("/fv1")
    data = os.urandom(netapp_driver.MIB)
    with backend.file(volume).open("r+b") as file:
        file.write(data)
    old = backend.file(volume)
    host = f"{netapp_driver.HOST}#{netapp_driver.pool(path)}"
    try:
        _moved, update = backend.driver.migrate_volume(
            backend.context, volume, {"host": host}
        )
    except exception.CinderException as error:
        return f"refused: {error.msg}"
    volume.update({**update, "host": host})
    volume.save()
    places = {
        name: (directory / volume.name).read_bytes().startswith(data)
        for name, directory in backend.simulator.flexvols.items()
        if (directory / volume.name).exists()
    }
    is_there = backend.file(volume).exists()
    if is_there and not old.exists() and all(places.values()):
        return "migrated"
    return f"in its pool: {is_there}; in {sorted(places)}"


def main(work: Path) -> dict[str, str]:
    with netapp_driver.running(work, JUNCTIONS) as backend:
        return {path: migrate(backend, path) for path in ("/cinder/ssd", "/fv2")}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
