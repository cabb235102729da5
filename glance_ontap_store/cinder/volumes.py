# SPDX-License-Identifier: Apache-2.0
"""Volumes of Cinder with the waits and the clean-up that one request lacks."""

from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Any

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.liveness.journal import Journal

LOG = logging.getLogger(__name__)


class Volumes:
    """The volumes of one store.

    Its methods return when Cinder is done, or raise and leave nothing half done.

    Requests that need no wait and no clean-up are made by one of two services. Both
    repeat a request after a failure that may pass, if it is safe to repeat:

    * `service` a few times (``ontap_http_retries``), for the first request of an
      operation: nothing was done yet, and a user who hears of it soon asks again;
    * `steadfast` as long as ``ontap_state_transition_timeout``, for all that comes
      later: an upload is not thrown away because Cinder is restarted meanwhile.

    *journal* has what this process holds.
    """

    def __init__(
        self, service: VolumeService, clock: Clock, waits: WaitPolicy, journal: Journal
    ) -> None:
        self._once = service
        self.service = patience.patient(
            service, clock, Patience.brief(waits.http_retries)
        )
        self.steadfast = patience.patient(
            service, clock, Patience(waits.state_transition_s)
        )
        self.clock = clock
        self.waits = waits
        self.journal = journal

    def create(self, new: NewVolume, creator: Creator | None = None) -> Volume:
        """An available volume; when this raises, nothing is left.

        *creator* asks Cinder for it, and it is then in the creator's project. Without
        one, the store creates it.

        :raises errors.NoSpace: no pool or quota has room
        :raises errors.Misconfigured: the volume type does not exist
        :raises errors.ImageVolumeInUse: the source's status does not permit a clone
        """
        volume = self._begin(new, creator or self.service)
        with contextlib.ExitStack() as stack:
            undo.on_failure(stack, lambda error: self.discard(volume.id, error))
            LOG.info(
                "Volume %s, %s, of %d GiB and type %s is being created",
                volume.id,
                new.name,
                new.size_gib,
                new.volume_type,
            )
            return self._settled(volume, waiting.CREATE_S)

    def _begin(self, new: NewVolume, creator: Creator) -> Volume:
        try:
            return creator.create(new)
        except errors.Broken as error:
            # The answer was lost, or came from a proxy, or from Cinder after it had
            # begun: the volume may exist all the same.
            self._discard_unanswered(new, error)
            raise

    def _discard_unanswered(self, new: NewVolume, cause: BaseException) -> None:
        try:
            found = self.service.find(new.name)
        except errors.StoreError as error:
            errors.note(cause, f"A volume {new.name!r} may have been created: {error}")
            return
        for volume in found:
            if new.metadata.items() <= volume.metadata.items():
                self.discard(volume.id, cause)

    def _settled(self, begun: Volume, least_s: float) -> Volume:
        return waiting.settled(
            self._once, self.clock, begun, least_s, self.waits.state_transition_s
        )

    def extend(self, volume: Volume, size_gib: int) -> Volume:
        """Extend the detached volume to *size_gib* and return it.

        :raises errors.NoSpace: no pool or quota has room
        """
        self.service.extend(volume.id, size_gib)
        begun = dataclasses.replace(volume, status="extending")
        return self._settled(begun, waiting.EXTEND_S)

    def attach(
        self, volume_id: str, connector: Mapping[str, Any], mode: str, wait_s: float
    ) -> Attachment:
        """The volume attached; other attachments are waited for, *wait_s* seconds.

        :raises errors.ImageVolumeInUse: other attachments were still there then
        :raises errors.ImageVolumeStuck: no wait would help
        """

        def attach() -> Attachment:
            try:
                return self.service.attach(volume_id, connector, mode)
            except errors.ImageVolumeInUse as refusal:
                self._raise_if_stuck(self.service.get(volume_id), "attached", refusal)
                raise

        return waiting.while_busy(self.clock, wait_s, attach)

    def delete(self, volume_id: str) -> None:
        """Begin to delete the volume; wait ``ontap_delete_wait`` seconds for readers.

        :raises errors.ImageVolumeInUse: it was still attached after the wait
        :raises errors.ImageVolumeStuck: no wait would help
        :raises errors.ImageVolumeHasSnapshot: a snapshot keeps it
        """
        try:
            waiting.while_busy(
                self.clock, self.waits.delete_s, lambda: self._delete(volume_id)
            )
        except errors.ImageVolumeInUse as error:
            raise errors.ImageVolumeInUse(
                f"Image-volume {volume_id} is still in use after"
                f" {self.waits.delete_s:g} s (ontap_delete_wait): {error}"
            ) from error

    def _delete(self, volume_id: str) -> None:
        try:
            self.service.delete(volume_id)
        except errors.ImageVolumeGone as gone:
            # A request before, whose answer was lost, has deleted it.
            if not gone.is_last_of_many:
                raise
        except errors.ImageVolumeInUse as refusal:
            if self.service.has_snapshots(volume_id):
                raise errors.ImageVolumeHasSnapshot(
                    f"Image-volume {volume_id} has snapshots in Cinder: delete them"
                    " first."
                ) from refusal
            volume = self.service.get(volume_id)
            # A repeated request is refused for what the first one began.
            if not volume.is_leaving:
                self._raise_if_stuck(volume, "deleted", refusal)
                raise

    @staticmethod
    def _raise_if_stuck(
        volume: Volume, participle: str, refusal: errors.StoreError
    ) -> None:
        """Raise if the volume's status does not end by itself."""
        if not volume.is_passing:
            raise errors.ImageVolumeStuck(
                f"Volume {volume.id} cannot be {participle}: its status in Cinder is"
                f" {volume.status!r}, which does not end by itself ({refusal}). See"
                " the log of cinder-volume, end what holds it, or reset its state"
                " (openstack volume set --state)."
            ) from refusal

    def discard(self, volume_id: str, cause: BaseException | None = None) -> None:
        """Delete the volume with all its attachments, whatever state it is in.

        It never raises a StoreError: *cause* is what the caller must hear of, and
        gets a note if the volume stays.
        """
        try:
            is_gone = waiting.until(
                self.clock,
                self.waits.state_transition_s,
                lambda: self._discard(volume_id),
            )
        except errors.ImageVolumeGone:
            is_gone = True
        except errors.StoreError as error:
            errors.note(cause, f"Volume {volume_id} could not be deleted: {error}")
            return
        if not is_gone:
            errors.note(cause, f"Volume {volume_id} stays: Cinder keeps it busy.")

    def _discard(self, volume_id: str) -> bool:
        """Try to delete the volume; whether its deletion has begun."""
        # Cinder forgets a volume at once that the scheduler has not placed yet; its
        # file is made all the same, and nothing would lead to it.
        if self.service.get(volume_id).status == "creating":
            return False
        try:
            self.service.delete(volume_id)
        except errors.ImageVolumeInUse as refusal:
            volume = self.service.get(volume_id)
            if volume.is_leaving:
                return True
            self._raise_if_stuck(volume, "deleted", refusal)
            # An attachment whose answer was lost is known to Cinder only.
            for attachment_id in self.service.attachments(volume_id):
                self.service.detach(attachment_id)
            return False
        return True


class RequesterCreator:
    """`api.Creator` with the requester's token.

    The requester's token does the creation alone. All that comes later, minutes or
    years, is done by the store, whose credentials do not expire.
    """

    def __init__(self, theirs: Volumes, own: VolumeService) -> None:
        self._theirs = theirs
        self._own = own

    def create(self, new: NewVolume) -> Volume:
        """As `api.VolumeService.create`.

        Where the requester's token is no longer good, the store creates the volume
        in its own project.

        :raises errors.Misconfigured: the store has no rights over such volumes
        """
        try:
            volume = self._theirs.service.create(new)
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
            self._theirs.discard(volume.id, error)
            raise errors.Misconfigured(
                f"The store created volume {volume.id} for the requester, but may not"
                f" use it: {errors.describe(error)} With ontap_image_volume_owner ="
                " project the user of the store needs role admin in Cinder."
            ) from error
