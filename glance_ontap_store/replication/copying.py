# SPDX-License-Identifier: Apache-2.0
"""Have Glance copy an image to a store, where the array must not or cannot do it."""

from collections.abc import Mapping

from glance_ontap_store import errors
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.glance import copying
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.copying import Copier
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.replication import looking
from glance_ontap_store.replication.looking import Looker
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.stopping.interruption import Stop


class ByCopy:
    """Makes replicas by Glance's import method ``copy-image``."""

    def __init__(
        self,
        glance: Glance,
        looker: Looker,
        stores: Mapping[str, StoreParts],
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._looker = looker
        self._stores = stores
        self._copier = Copier(glance, clock, stop)

    def make(self, step: Step) -> Outcome:
        """Copy the image, compare the digest, and mark the copy as a replica.

        The digest is the one that the store made of the bytes that it wrote. A copy
        without the mark, which a run that ends before leaves, is never retired.

        :raises errors.Broken: Glance did not copy it, or the copy is not the image
        :raises interruption.Interrupted: the operator ended the wait; Glance copies on
        """
        image_id, store_id = step.image.id, step.store_id
        parts = self._stores[store_id]
        image = self._looker.image(image_id)
        if image is None:
            return Outcome(step, Result.GONE, "the image was deleted meanwhile")
        if store_id in image.stores:
            # Perhaps the original: it gets no mark.
            return Outcome(step, Result.DONE)
        self._copier.copy(image_id, store_id)
        volumes = {each.id: each for each in self._looker.volumes(image_id, parts)}
        image = self._looker.image(image_id)
        if image is None:
            return Outcome(step, Result.GONE, "the image was deleted meanwhile")
        # An image of zero bytes has no volume.
        if image.size:
            named = looking.volumes_of(self._looker.places(image_id))
            copies = {
                key: record
                for key in named & volumes.keys()
                if (record := Record.parse(volumes[key].metadata)).store == store_id
            }
            self._mark(step, image, copies)
        return Outcome(step, Result.DONE)

    def _mark(self, step: Step, image: Image, copies: Mapping[str, Record]) -> None:
        if len(copies) != 1:
            raise errors.Broken(
                f"The image has {len(copies)} image-volumes in store {step.store_id}."
            )
        ((volume_id, record),) = copies.items()
        if why := copying.unverified(image, record):
            raise errors.Broken(f"{why} ({volume_id}).")
        if record.replica_of is None and step.source not in (None, volume_id):
            marked = Record(replica_of=step.source).to_metadata()
            volumes = self._stores[step.store_id].volumes
            volumes.steadfast.set_metadata(volume_id, marked)
