# SPDX-License-Identifier: Apache-2.0
"""The volumes and files of images, for the functional tests."""

from collections.abc import Iterator
import contextlib
from pathlib import Path
from typing import Any

from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import Pattern
from lab.polling import wait_until


def image_volumes(admin: Any, image_id: str) -> list[Any]:
    """Return the image-volumes of an image, in all projects."""
    found = admin.block_storage.volumes(all_projects=True, name=f"image-{image_id}")
    return list(found)


def image_volume(admin: Any, image_id: str) -> Any:
    (volume,) = image_volumes(admin, image_id)
    return volume


def backing_file(lab: Any, volume: Any) -> Path:
    """Return the volume's file, by its host attribute ``host@backend#pool``.

    Of a LUN or a namespace it is the file in which the array keeps it.
    """
    return Path(lab.pool(volume.host.partition("#")[2])) / f"volume-{volume.id}"


def assert_stored(lab: Any, admin: Any, image: Any, data: Pattern) -> None:
    """Assert that Glance, Cinder and the FlexVol have the image as *data* was."""
    assert image.status == "active"
    assert image.size == data.size
    assert image.checksum == data.md5.hexdigest()
    assert image.hash_value == data.sha512.hexdigest()
    volume = image_volume(admin, image.id)
    assert volume.size == max(1, -(-data.size // GIB))
    assert volume.metadata["image_size"] == str(data.size)
    assert volume.metadata["ontap_state"] == "sealed"
    assert volume.status == "available"
    assert not volume.attachments
    path = backing_file(lab, volume)
    assert path.stat().st_size == volume.size * GIB
    assert pattern.first_difference(path, data.size) is None


def data_reads(lab: Any, image_id: str) -> list[int]:
    """Return the bytes of each download of the image that Glance has answered."""
    return [
        request["response_bytes"]
        for request in lab.glance_requests()
        if request["method"] == "GET" and request["path"].endswith(f"/{image_id}/file")
    ]


def start_import(cloud: Any, image_id: str, method: str, store: str) -> None:
    def begun() -> bool:
        answer = cloud.image.post(
            f"/images/{image_id}/import",
            json={"method": {"name": method}, "stores": [store]},
        )
        # Glance ends a task a moment after the image has all that the task makes.
        if answer.status_code == 409 and "active task" in answer.text:
            return False
        assert answer.status_code == 202, answer.text
        return True

    wait_until(begun, f"Glance begins to import image {image_id}")


JSON_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def make_visible(admin: Any, bob: Any, image_id: str, case: str) -> None:
    """Set the visibility; after a comma *case* has the status of bob's membership."""
    visibility, _comma, membership = case.partition(", ")
    answer = admin.image.patch(
        f"/images/{image_id}",
        json=[{"op": "replace", "path": "/visibility", "value": visibility}],
        headers=JSON_PATCH,
    )
    assert answer.status_code == 200, answer.text
    if membership:
        project = bob.current_project_id
        made = admin.image.post(f"/images/{image_id}/members", json={"member": project})
        assert made.status_code == 200, made.text
        answer = bob.image.put(
            f"/images/{image_id}/members/{project}", json={"status": membership}
        )
        assert answer.status_code == 200, answer.text


def is_idle(cloud: Any, image_id: str) -> bool:
    """Return whether Glance's tasks for the image have ended."""
    tasks = cloud.image.get(f"/images/{image_id}/tasks").json()["tasks"]
    return all(task["status"] in ("success", "failure") for task in tasks)


@contextlib.contextmanager
def reserved(admin: Any, volume_id: str) -> Iterator[None]:
    """Reserve the volume for another client until the block ends."""
    attachment = admin.block_storage.post(
        "/attachments",
        json={
            "attachment": {"volume_uuid": volume_id, "connector": None, "mode": "ro"}
        },
        microversion="3.54",
    ).json()["attachment"]
    try:
        yield
    finally:
        admin.block_storage.delete(
            f"/attachments/{attachment['id']}", microversion="3.54"
        )
