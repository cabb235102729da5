# SPDX-License-Identifier: Apache-2.0
"""The soak's images as Glance's: it hashes them, and ``audit`` reads them again."""

from collections.abc import Iterable
from collections.abc import Sequence
import functools
import hashlib
from typing import Any

from openstack import connection

from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.soak import content
from glance_ontap_store.tests.soak import left
from glance_ontap_store.tests.soak.model import Image
from lab import ini
from lab.client import Lab
from lab.polling import wait_until

_PIECE = 1024 * 1024
# Glance reads an image in this time to hash it.
_HASH_S = 120


@functools.cache
def _glance() -> Any:
    return Lab.from_facts().cloud("admin").image


@functools.cache
def _vouched() -> dict[str, str]:
    """The header of a service: Glance takes locations from services only."""
    login = ini.login(Lab.from_facts().glance_config, "keystone_authtoken")
    del login["auth_type"]
    service = connection.Connection(auth=login, region_name="RegionOne")
    return {"X-Service-Token": str(service.session.get_token())}


def register(images: Iterable[Image]) -> list[str]:
    """Give the images to Glance by their locations; return what was wrong with them.

    They are the images of the project that the workers upload for.
    """
    return [text for image in images for text in _register(image)]


def _register(image: Image) -> list[str]:
    glance = _glance()
    made = {
        "id": image.id,
        "name": f"soak-{image.id}",
        "owner": Context().project_id,
        "disk_format": "raw",
        "container_format": "bare",
    }
    glance.post("/images", json=made).raise_for_status()
    located = glance.post(
        f"/images/{image.id}/locations", json={"url": image.url}, headers=_vouched()
    )
    located.raise_for_status()
    found: dict[str, Any] = {}

    def is_hashed() -> bool:
        found.update(glance.get(f"/images/{image.id}").json())
        return bool(found.get("os_hash_value"))

    wait_until(is_hashed, f"Glance has hashed image {image.id}", _HASH_S)
    right = {
        "status": "active",
        "size": image.data.size,
        "os_hash_value": _digest(found["os_hash_algo"], image.data),
    }
    return [
        f"image {image.id}: Glance says {key} {found.get(key)}, not {value}"
        for key, value in right.items()
        if found.get(key) != value
    ]


def _digest(algorithm: str, data: content.Bytes) -> str:
    hashing = hashlib.new(algorithm)
    for offset in range(0, data.size, _PIECE):
        hashing.update(data.at(offset, _PIECE))
    return hashing.hexdigest()


def audited(images: Sequence[Image]) -> list[str]:
    """What ``glance-ontap audit`` finds about the images, all of whose bytes it reads.

    What it finds about other images is not the soak's.
    """
    ids = {image.id for image in images}
    # 2: an image of others could not be looked at.
    rows = left.run_command("audit", "--verify=full", codes=(0, 1, 2))
    return [
        str(row) for row in rows if not isinstance(row, dict) or row.get("Image") in ids
    ]


def delete(images: Iterable[Image]) -> list[str]:
    """Delete the images as a user does; return what went wrong."""
    answers = {image.id: _glance().delete(f"/images/{image.id}") for image in images}
    return [
        f"image {image_id}: its deletion answers {answer.status_code}: {answer.text}"
        for image_id, answer in answers.items()
        if answer.status_code != 204
    ]
