# SPDX-License-Identifier: Apache-2.0
"""A user of the cloud, with images and volumes, and their removal."""

from collections.abc import Callable
from typing import Any

from openstack import connection
import openstack.exceptions

from glance_ontap_store.tests.functional.pattern import Pattern
from lab.polling import wait_until


class User:
    """A user's images and volumes; `clean` removes those made here, last first."""

    def __init__(self, cloud: connection.Connection) -> None:
        self.cloud = cloud
        self._made: list[Callable[[], None]] = []
        self._begun: list[str] = []

    def image(self, **properties: Any) -> Any:
        """Create a queued image; it is raw and bare by default."""
        image = self.cloud.image.create_image(
            allow_duplicates=True,
            **{
                "name": "functional",
                "disk_format": "raw",
                "container_format": "bare",
                **properties,
            },
        )
        self._made.append(
            lambda: self.cloud.image.delete_image(image.id, ignore_missing=True)
        )
        return image

    def put(self, image: Any, data: Any, store: str) -> Any:
        """Upload *data*; return Glance's answer, also if it refuses."""
        return self.cloud.image.put(
            f"/images/{image.id}/file",
            data=data,
            headers={
                "Content-Type": "application/octet-stream",
                "X-Image-Meta-Store": store,
            },
        )

    def uploaded(self, data: Pattern, store: str = "fv1", **properties: Any) -> Any:
        """Create an active image with the bytes of *data*."""
        image = self.image(**properties)
        answer = self.put(image, data, store)
        assert answer.status_code == 204, answer.text
        return self.cloud.image.get_image(image.id)

    def download(self, image_id: str, **headers: str) -> Any:
        """Return Glance's streaming answer with the image's data."""
        return self.cloud.image.get(
            f"/images/{image_id}/file", headers=headers, stream=True
        )

    def stores(self, image_id: str) -> list[str]:
        """Return the stores that have the image."""
        answer = self.cloud.image.get(f"/images/{image_id}").json()
        return [store for store in answer["stores"].split(",") if store]

    def volume(self, wait: bool = True, **arguments: Any) -> Any:
        """Create a volume, and wait until it is available if *wait* is true."""
        volume = self.cloud.block_storage.create_volume(
            **{"name": "functional", "size": 1, **arguments}
        )
        self._made.append(lambda: self._delete_volume(volume.id))
        if wait:
            return self.available(volume.id)
        self._begun.append(volume.id)
        return volume

    def available(self, volume_id: str) -> Any:
        def settled() -> Any:
            volume = self.cloud.block_storage.get_volume(volume_id)
            passing = ("creating", "downloading", "extending", "attaching", "reserved")
            return None if volume.status in passing else volume

        volume = wait_until(settled, f"volume {volume_id} settles")
        assert volume.status == "available", volume
        return volume

    def settled(self) -> None:
        """Wait until the volumes that were made without waiting are available."""
        while self._begun:
            self.available(self._begun.pop())

    def _delete_volume(self, volume_id: str) -> None:
        storage = self.cloud.block_storage
        storage.delete_volume(volume_id, ignore_missing=True)

        def gone() -> bool:
            try:
                storage.get_volume(volume_id)
            except openstack.exceptions.NotFoundException:
                return True
            return False

        wait_until(gone, f"volume {volume_id} is deleted")

    def clean(self) -> None:
        """Remove all that was made, last first; raise the first failure at the end."""
        failures: list[Exception] = []
        while self._made:
            try:
                self._made.pop()()
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]
