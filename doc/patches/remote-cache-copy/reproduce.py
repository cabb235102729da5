# SPDX-License-Identifier: Apache-2.0
"""Clone images that the driver has in its cache in another pool.

    PYTHONPATH=CINDER:THIS_REPOSITORY python reproduce.py EMPTY_DIRECTORY

The last line of the output says for each pool what the driver did. Needs root, for the
simulator of ONTAP.
"""

import json
from pathlib import Path
import sys
from typing import Any
import uuid

from glance_ontap_store.tests.functional import netapp_driver
from glance_ontap_store.tests.functional.netapp_driver import Backend

CONTENT = b"the image" + bytes(netapp_driver.MIB)
JUNCTIONS = {"fv1": "/fv1", "fv2": "/fv2", "volumes": "/cinder/ssd"}


class Glance:
    """An image without locations that the driver knows."""

    def get_location(self, context: Any, image_id: str) -> Any:
        return None, []


def clone(backend: Backend, path: str) -> dict[str, Any]:
    """Make a volume in this pool from an image that is cached in /fv1."""
    image_id = str(uuid.uuid4())
    cached = f"img-cache-{image_id}"
    (backend.simulator.flexvols["fv1"] / cached).write_bytes(CONTENT)
    volume = backend.volume(path)
    before = backend.posts("/storage/file/copy")
    update, cloned = backend.driver.clone_image(
        backend.context, volume, (None, []), {"id": image_id}, Glance()
    )
    found = {
        "cloned": cloned,
        "copies": backend.posts("/storage/file/copy") - before,
    }
    if cloned:
        backend.finish(volume, update)
        file = backend.file(volume)
        found["bytes are right"] = file.read_bytes().startswith(CONTENT)
        found["size"] = file.stat().st_size // netapp_driver.GIB
        found["cached in its pool"] = (file.parent / cached).exists()
    return found


def main(work: Path) -> dict[str, Any]:
    with netapp_driver.running(work, JUNCTIONS) as backend:
        return {path: clone(backend, path) for path in ("/fv2", "/cinder/ssd")}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
