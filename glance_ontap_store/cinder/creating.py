# SPDX-License-Identifier: Apache-2.0
"""A volume created in the requester's project, and given into the store's hands."""

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.discarding import Trash
from glance_ontap_store.cinder.waiting import Clock

LOG = logging.getLogger(__name__)


class ForRequester:
    """`service.Creator` with the requester's token.

    It does the creation alone: whatever comes later, minutes or years, is done by
    the store, whose credentials do not expire.
    """

    def __init__(
        self,
        theirs: VolumeService,
        own: VolumeService,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._theirs = theirs
        self._own = own
        self._trash = Trash(theirs, clock, timeout_s)

    def create(self, new: NewVolume) -> Volume:
        """As `service.VolumeService.create`.

        Where the requester's token is no longer good, the store creates the volume
        in its own project.

        :raises errors.Misconfigured: the store has no rights over such volumes
        """
        try:
            volume = self._theirs.create(new)
        except errors.NotAuthenticated as error:
            LOG.warning(
                "Volume %s is created in the store's own project: %s", new.name, error
            )
            return self._own.create(new)
        self._check_rights(volume)
        return volume

    def _check_rights(self, volume: Volume) -> None:
        try:
            self._own.get(volume.id)
        except (errors.ImageVolumeGone, errors.Refused) as error:
            # Only the requester can take it away again.
            self._trash.discard(volume.id, error)
            raise errors.Misconfigured(
                f"The store created volume {volume.id} for the requester, and may not"
                f" use it: {errors.describe(error)} With ontap_image_volume_owner ="
                " project the user of the store needs role admin in Cinder."
            ) from error
