# SPDX-License-Identifier: Apache-2.0
"""The image and the volume that `check --deep` makes in the operator's cloud.

Both have a name that nothing else has, and are removed by it: so they are found even
if the request that made them was interrupted.
"""

import dataclasses
from typing import Any

from openstack import connection
from openstack import exceptions as sdk_errors

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey

_PASSING = ("creating", "downloading", "queued", "deleting")


@dataclasses.dataclass(frozen=True)
class TrialCloud:
    """Makes and removes an image and a volume, both called *name*.

    All methods raise errors of openstacksdk and of keystoneauth. *survey* asks the
    Cinder of *cloud*; *timeout_s* bounds each wait for it.
    """

    cloud: connection.Connection
    survey: CinderSurvey
    name: str
    timeout_s: float

    def create_image(self, store_id: str, data: bytes) -> str:
        """Store *data* as a private raw image in the store; return the image's id."""
        image = self.cloud.image.create_image(
            name=self.name,
            allow_duplicates=True,
            disk_format="raw",
            container_format="bare",
            visibility="private",
        )
        answer = self.cloud.image.put(
            f"/images/{image.id}/file",
            data=data,
            headers={
                "Content-Type": "application/octet-stream",
                "X-Image-Meta-Store": store_id,
            },
        )
        sdk_errors.raise_from_response(answer)
        return str(image.id)

    def try_location(self, endpoint: str, image_id: str) -> int:
        """Ask for a location at a place that no list has; return the status code.

        Glance looks at the rights first, and at the place before it adds anything.
        """
        value = {"url": f"{self.name}://nowhere", "metadata": {}}
        answer = self.cloud.session.request(
            f"{endpoint.rstrip('/')}/v2/images/{image_id}",
            "PATCH",
            json=[{"op": "add", "path": "/locations/nowhere", "value": value}],
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
            raise_exc=False,
        )
        return int(answer.status_code)

    def delete_image(self) -> None:
        """Delete the image, if it exists."""
        for image in self.cloud.image.images(name=self.name):
            self.cloud.image.delete_image(image.id, ignore_missing=True)

    def create_volume(self, image_id: str, volume_type: str | None) -> Any:
        """Make a volume of 1 GiB from the image; return it when it is available.

        :raises errors.Broken: Cinder could not make it, or not in time
        """
        made = self.cloud.block_storage.create_volume(
            name=self.name, size=1, image_id=image_id, volume_type=volume_type
        )
        volume = self._settled(made.id)
        if volume.status != "available":
            raise errors.Broken(
                f"volume {made.id} of type {volume_type} went to {volume.status!r}:"
                f" {self._fault(made.id)}"
            )
        return volume

    def delete_volume(self) -> None:
        """Delete the volume, if it exists, and wait until it is gone.

        Glance does not delete an image whose image-volume Cinder is still cloning.
        """
        storage = self.cloud.block_storage
        for found in list(storage.volumes(name=self.name)):
            volume = self._settled(found.id)
            storage.delete_volume(volume, ignore_missing=True)
            storage.wait_for_delete(volume, interval=1, wait=int(self.timeout_s))

    def _settled(self, volume_id: str) -> Any:
        """Return the volume when Cinder has finished working on it."""
        storage = self.cloud.block_storage

        def ask() -> Any:
            volume = storage.get_volume(volume_id)
            return None if volume.status in _PASSING else volume

        volume = waiting.first(SystemClock(), self.timeout_s, ask)
        if volume is None:
            raise errors.Broken(
                f"Cinder is still busy with volume {volume_id} after"
                f" {self.timeout_s:g} s"
            )
        return volume

    def _fault(self, volume_id: str) -> str:
        """Return the reason that Cinder gives for the volume's failure."""
        fault = self.survey.last_fault(volume_id)
        if isinstance(fault, Unknown):
            return f"Cinder does not tell why: {fault.text}"
        return fault.text if fault else "Cinder kept no message about it"
