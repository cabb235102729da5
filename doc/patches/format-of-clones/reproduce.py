# SPDX-License-Identifier: Apache-2.0
"""Connect clones of raw volumes whose content is that of another format.

    PYTHONPATH=CINDER:THIS_REPOSITORY python reproduce.py EMPTY_DIRECTORY

The last line of the output says for each content what the driver answered. Needs root,
for the simulator of ONTAP.
"""

from collections.abc import Callable
from functools import partial
import json
from pathlib import Path
import sys
from typing import Any

from cinder import exception
from cinder import objects
from oslo_concurrency import processutils

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests.functional import netapp_driver
from glance_ontap_store.tests.functional.netapp_driver import Backend

CONTENTS = {
    image.name: image.data
    for image in disk_formats.every_image()
    if image.name not in ("raw",)
}


def connect(backend: Backend, volume: Any) -> str:
    """Return the format of the connection, or the error."""
    try:
        found = backend.driver.initialize_connection(volume, {})
    except (exception.CinderException, processutils.ProcessExecutionError) as error:
        return type(error).__name__
    return str(found["data"]["format"])


def made(backend: Backend, content: bytes, volume: Any, make: Callable[[], Any]) -> str:
    """Return the format with which the new volume is connected, or the first error."""
    try:
        update = make()
    except exception.CinderException as error:
        return type(error).__name__
    answer = connect(backend, backend.finish(volume, update))
    with backend.file(volume).open("rb") as file:
        changed = file.read(len(content)) != content
    return f"{answer}, and other bytes" if changed else answer


def answers(backend: Backend, content: bytes) -> dict[str, str]:
    driver = backend.driver
    source = backend.created("/fv1")
    with backend.file(source).open("r+b") as file:
        file.write(content)
    snapshot = objects.Snapshot(
        backend.context, volume_id=source.id, volume_size=source.size,
        project_id="project", user_id="user", status="available",
    )  # fmt: skip
    snapshot.create()
    driver.create_snapshot(snapshot)
    clone, larger, other = (backend.volume("/fv1", size=size) for size in (1, 2, 1))
    made_of = partial(made, backend, content)
    return {
        "source": connect(backend, source),
        "clone": made_of(clone, lambda: driver.create_cloned_volume(clone, source)),
        "larger": made_of(larger, lambda: driver.create_cloned_volume(larger, source)),
        "from snapshot": made_of(
            other, lambda: driver.create_volume_from_snapshot(other, snapshot)
        ),
    }


def main(work: Path) -> dict[str, Any]:
    with netapp_driver.running(work, {"fv1": "/fv1"}) as backend:
        return {name: answers(backend, data) for name, data in CONTENTS.items()}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
