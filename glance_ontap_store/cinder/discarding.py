# SPDX-License-Identifier: Apache-2.0
"""Deleting volumes that nobody must find again, whatever state they are in."""

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.waiting import Clock


class Trash:
    """Deletes what a failed upload or a finished reader leaves.

    The volumes it deletes are made through it, with a ``write_id`` of their own.
    """

    def __init__(self, volumes: VolumeService, clock: Clock, timeout_s: float) -> None:
        self._volumes = volumes
        self._clock = clock
        self._timeout_s = timeout_s

    def create(self, new: NewVolume, creator: Creator | None = None) -> Volume:
        """As `service.VolumeService.create`, but nothing is left when it fails.

        *creator* asks Cinder for it, in whose project it then is; None: the store.

        No answer, or an error of a proxy or of Cinder after it had begun: the
        volume may be there all the same, and is looked for.
        """
        try:
            return (creator or self._volumes).create(new)
        except errors.Broken as error:
            self._discard_unanswered(new, error)
            raise

    def _discard_unanswered(self, new: NewVolume, cause: BaseException) -> None:
        try:
            found = self._volumes.find(new.name)
        except errors.StoreError as error:
            errors.note(cause, f"A volume {new.name!r} may have been created: {error}")
            return
        for volume in found:
            # The metadata has a ``write_id`` of its own.
            if new.metadata.items() <= volume.metadata.items():
                self.discard(volume.id, cause)

    def discard(self, volume_id: str, cause: BaseException | None = None) -> None:
        """Delete the volume, with all its attachments.

        It never raises a StoreError: *cause* is what the caller must hear of, and
        gets a note if the volume stays.
        """

        def delete() -> bool:
            # Cinder forgets a volume at once that the scheduler has not placed
            # yet; its file is made all the same, and nobody would know of it.
            if self._volumes.get(volume_id).status == "creating":
                return False
            try:
                self._volumes.delete(volume_id)
            except errors.ImageVolumeInUse:
                if self._volumes.get(volume_id).is_leaving:
                    return True
                # An attachment whose answer was lost is known to Cinder only.
                for attachment_id in self._volumes.attachments(volume_id):
                    self._volumes.detach(attachment_id)
                return False
            return True

        try:
            gone = waiting.until(self._clock, self._timeout_s, delete)
        except errors.ImageVolumeGone:
            gone = True
        except errors.StoreError as error:
            errors.note(cause, f"Volume {volume_id} could not be deleted: {error}")
            return
        if not gone:
            errors.note(cause, f"Volume {volume_id} stays: Cinder keeps it busy.")
