# SPDX-License-Identifier: Apache-2.0
"""Make volumes from an image that has several image-volumes.

    PYTHONPATH=CINDER:THIS_REPOSITORY python reproduce.py EMPTY_DIRECTORY

The last line of the output says how each volume was made. Needs root, for the
simulator of ONTAP.
"""

import json
from pathlib import Path
import sys
from typing import Any
import uuid

from cinder import exception

from glance_ontap_store.tests.functional import netapp_driver
from glance_ontap_store.tests.functional.netapp_driver import Backend

CONTENT = b"the image" + bytes(netapp_driver.MIB)


class Glance:
    """One image, and how often its bytes were asked for."""

    temp_images = None

    def __init__(self, image: dict[str, Any]) -> None:
        self.image = image
        self.downloads = 0

    def get_location(self, context: Any, image_id: str) -> Any:
        return None, []

    def show(self, context: Any, image_id: str) -> dict[str, Any]:
        return self.image

    def download(self, context: Any, image_id: str, file: Any) -> None:
        self.downloads += 1
        file.write(CONTENT)


class AcrossPools:
    """A driver that clones inside a pool, and copies from another one."""

    capabilities = {"clone_across_pools": True}
    initialized = True

    def __init__(self) -> None:
        self.done: list[str] = []

    def clone_image(self, *arguments: Any) -> Any:
        return None, False

    def create_volume(self, volume: Any) -> Any:
        self.done.append("downloaded")
        return {}

    def copy_image_to_volume(self, *arguments: Any, **options: Any) -> None:
        pass

    def create_cloned_volume(self, volume: Any, source: Any) -> Any:
        if source.host.startswith("elsewhere@"):
            self.done.append("refused")
            raise exception.VolumeBackendAPIException(data="not this array")
        self.done.append("cloned" if source.host == volume.host else "copied")
        return {}


def image_volume(backend: Backend, path: str, **fields: Any) -> Any:
    volume = backend.created(path, metadata={"image_owner": "project"}, **fields)
    backend.file(volume).open("r+b").write(CONTENT)
    return volume


def from_image(backend: Backend, driver: Any, image_volumes: Any) -> Any:
    """Make a volume in pool /fv1; return it and the number of downloads."""
    volume = backend.volume("/fv1")
    urls = [f"cinder://store/{found.id}" for found in image_volumes]
    image = {
        "id": str(uuid.uuid4()),
        "owner": "project",
        "container_format": "bare",
        "disk_format": "raw",
        "size": len(CONTENT),
        "properties": {},
    }
    glance = Glance(image)
    how = {
        "type": "image",
        "image_id": image["id"],
        "image_location": (None, [{"url": url, "metadata": {}} for url in urls]),
        "image_meta": image,
        "image_service": glance,
    }
    backend.make(volume, driver, how)
    return volume, glance.downloads


def newest_without_file(backend: Backend) -> dict[str, Any]:
    """The pool has two image-volumes. The file of the newer one is gone."""
    older, newer = (image_volume(backend, "/fv1") for _ in range(2))
    backend.file(newer).unlink()
    volume, downloads = from_image(backend, backend.driver, [older, newer])
    same = backend.file(volume).read_bytes().startswith(CONTENT)
    return {"downloads": downloads, "bytes are right": same}


def across_pools(backend: Backend) -> list[str]:
    """The newest image-volume is on another array, the oldest in the volume's pool."""
    found = [image_volume(backend, "/fv1"), image_volume(backend, "/fv2")]
    found.append(backend.volume("/fv1", host="elsewhere@ontap#pool"))
    driver = AcrossPools()
    from_image(backend, driver, found)
    return driver.done


def main(work: Path) -> dict[str, Any]:
    with netapp_driver.running(work, {"fv1": "/fv1", "fv2": "/fv2"}) as backend:
        return {
            "newest without its file": newest_without_file(backend),
            "across pools": across_pools(backend),
        }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
