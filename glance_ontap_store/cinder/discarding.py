# SPDX-License-Identifier: Apache-2.0
"""The deletion of a volume that nobody wants, in whatever state it is."""

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import HostSide
from glance_ontap_store.cinder.api import NoDevices
from glance_ontap_store.cinder.api import VolumeService


class Discarding:
    """One volume on its way out. *service* sends each request once.

    *failure* is the first failure of the last try, if any.
    """

    def __init__(
        self, service: VolumeService, volume_id: str, host: HostSide | None = None
    ) -> None:
        self._service = service
        self._id = volume_id
        self._host = host or NoDevices()
        self.failure: errors.StoreError | None = None

    def try_it(self) -> bool:
        """Try every step once; whether the deletion has begun or the volume is gone.

        A step that fails does not keep the others from being tried.

        :raises errors.ImageVolumeStuck, errors.Refused: no other try would help
        :raises errors.StillConnected: a host has the volume's device: its attachment
            stays, and the volume with it
        """
        self.failure = None
        refusal: errors.Refused | None = None
        for step in (self._begun, self._detach_all, self._begun):
            try:
                if step():
                    return True
            except errors.ImageVolumeGone:
                return True
            except (errors.ImageVolumeStuck, errors.StillConnected):
                raise
            except errors.StoreError as error:
                self.failure = self.failure or error
                # Another token may be accepted, but roles do not change by themselves.
                if isinstance(error, errors.Refused):
                    refusal = error
                if isinstance(error, errors.NotAuthenticated):
                    refusal = None
        if refusal is not None:
            raise refusal
        return False

    def _begun(self) -> bool:
        """Try to delete the volume; whether its deletion has begun."""
        # Cinder forgets a volume at once that the scheduler has not placed yet; its
        # file is made all the same, and nothing would lead to it.
        if self._service.get(self._id).status == "creating":
            return False
        try:
            self._service.delete(self._id)
        except errors.ImageVolumeInUse as refusal:
            volume = self._service.get(self._id)
            if volume.is_leaving:
                return True
            waiting.raise_if_stuck(volume, "deleted", refusal)
            return False
        return True

    def forgotten(self) -> bool:
        """Delete the volume if it is ``creating`` after all this time.

        Return whether it is gone. Cinder has never asked its scheduler to place it: its
        API records a clone whose source is deleted meanwhile, fails, and leaves the
        volume in that status for ever. One that was placed it refuses to delete.
        """
        try:
            if self._service.get(self._id).status != "creating":
                return False
            self._service.delete(self._id)
        except errors.ImageVolumeGone:
            return True
        except errors.StoreError as error:
            self.failure = self.failure or error
            return False
        return True

    def _detach_all(self) -> bool:
        # An attachment whose answer was lost is known to Cinder only.
        for attachment_id in self._service.attachments(self._id):
            try:
                self._host.release(self._id, attachment_id)
                self._service.detach(attachment_id)
            except errors.StillConnected:
                raise
            except errors.StoreError as error:
                self.failure = self.failure or error
        return False
