# SPDX-License-Identifier: Apache-2.0
"""Retire replicas, discard what cannot become one, and refresh owners."""

from collections.abc import Mapping

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import cloning
from glance_ontap_store.replication import looking
from glance_ontap_store.replication.discarding import Discarder
from glance_ontap_store.replication.looking import Looker
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.survey.answer import Unknown


class Tidier:
    """Removes replicas, and keeps their owners right. *stores* are by their ids."""

    def __init__(
        self, glance: Glance, looker: Looker, stores: Mapping[str, StoreParts]
    ) -> None:
        self._glance = glance
        self._looker = looker
        self._stores = stores

    def retire(self, step: Step) -> Outcome:
        """Have Glance remove the image from the store, and delete the replica.

        Never the last location, and never an image-volume that is no replica.

        :raises errors.StoreError: a service failed, or does not tell
        """
        image_id = step.image.id
        image = self._looker.image(image_id)
        if image is None:
            return Outcome(step, Result.GONE, "the image was deleted meanwhile")
        if step.store_id not in image.stores:
            return Outcome(step, Result.DONE)
        places = self._looker.places(image_id)
        volumes = looking.located(places, self._stores[step.store_id])
        why = _unfit(step, places, volumes)
        if why is not None:
            return Outcome(step, Result.REFUSED, why)
        answer = self._glance.remove(image_id, step.store_id)
        if not isinstance(answer, Unknown):
            return Outcome(step, Result.DONE)
        now = self._looker.image(image_id)
        if now is None or step.store_id not in now.stores:
            # The answer was lost, or another run was faster.
            return Outcome(step, Result.DONE)
        if answer.reason is Reason.CONFLICT:
            return Outcome(step, Result.LATER, f"it is in use: {answer.text}")
        raise errors.Broken(f"Glance does not remove it: {answer.text}.")

    def discard(self, step: Step) -> Outcome:
        """Delete a replica that no location names.

        :raises errors.StoreError: a service failed, or does not tell
        """
        parts = self._stores[step.store_id]
        image_id = step.image.id
        found = {each.id: each for each in self._looker.volumes(image_id, parts)}
        volume = found.get(step.replica or "")
        if volume is None or volume.is_leaving:
            return Outcome(step, Result.DONE)
        if why := _is_no_replica(volume, step.store_id):
            return Outcome(step, Result.REFUSED, why)
        if volume.is_migrating:
            return Outcome(step, Result.LATER, "Cinder is moving it")
        cloning.claim(parts, volume)
        is_sealed = Record.parse(volume.metadata).state is State.SEALED
        if is_sealed and self._looker.image(image_id) is None:
            # A location of another image may name it: sweep looks for that.
            why = "the image is gone: glance-ontap sweep deletes its image-volumes"
            return Outcome(step, Result.REFUSED, why)
        discarder = Discarder(self._looker)
        if not discarder.discard(parts, volume, step.why):
            return Outcome(step, Result.LATER, "somebody went on with it meanwhile")
        return Outcome(step, Result.DONE)

    def refresh(self, step: Step) -> Outcome:
        """Write the image's owner into all its image-volumes of the stores.

        :raises errors.StoreError: a service failed, or does not tell
        """
        image = self._looker.image(step.image.id)
        if image is None:
            return Outcome(step, Result.GONE, "the image was deleted meanwhile")
        if not image.owner:
            return Outcome(step, Result.REFUSED, "the image has no owner")
        parts = self._stores[step.store_id]
        found = looking.located(self._looker.places(image.id), parts)
        found |= {each.id: each for each in self._looker.volumes(image.id, parts)}
        for volume in found.values():
            record = Record.parse(volume.metadata)
            if (
                record.store in self._stores
                and record.image_id == image.id
                and record.state in (State.SEALED, State.REPLICATING)
                and record.owner != image.owner
            ):
                owner = {"image_owner": image.owner}
                parts.volumes.steadfast.set_metadata(volume.id, owner)
        return Outcome(step, Result.DONE)


def _unfit(
    step: Step, places: tuple[Place, ...], volumes: Mapping[str, Volume]
) -> str | None:
    """Return why the replica is not to be removed from the image; None if it may be."""
    # Glance removes the first location of the store.
    first = next((each for each in places if each.store == step.store_id), None)
    volume = volumes.get((first.volume_id if first else None) or "")
    if volume is None:
        return "the volume of its location is not known"
    if why := _is_no_replica(volume, step.store_id):
        return why
    if not any(_is_good(each, volumes) for each in places if each is not first):
        return "it is the only good location of the image"
    return None


def _is_no_replica(volume: Volume, store_id: str) -> str | None:
    record = Record.parse(volume.metadata)
    if record.store != store_id or record.replica_of is None:
        return f"volume {volume.id} is no replica: it was uploaded or copied here"
    if record.state not in (State.SEALED, State.REPLICATING):
        return f"volume {volume.id} is in state {record.state_text or record.state}"
    return None


def _is_good(place: Place, volumes: Mapping[str, Volume]) -> bool:
    """Return whether the image can be read from a place, as far as that is known."""
    if place.volume_id is None:
        # In a store of another type.
        return True
    volume = volumes.get(place.volume_id)
    if volume is None or volume.is_broken or volume.is_leaving:
        return False
    return Record.parse(volume.metadata).state in (State.SEALED, None)
