# SPDX-License-Identifier: Apache-2.0
"""Volumes of Cinder with the waits and the clean-up that one request lacks."""

from collections.abc import Callable
from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Any
from typing import TypeVar

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import HostSide
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import NoDevices
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.discarding import Discarding
from glance_ontap_store.cinder.once import Once
from glance_ontap_store.cinder.once import Told
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Volumes:
    """The volumes of one store.

    Its methods return when Cinder is done, or raise and leave nothing half done.

    Requests that need no wait and no clean-up are made by one of two services. Both
    repeat a request after a failure that may pass, if it is safe to repeat:

    * `service` a few times (``ontap_http_retries``), for the first request of an
      operation: nothing was done yet, and a user who hears of it soon asks again;
    * `steadfast` as long as ``ontap_state_transition_timeout``, for all that comes
      later: an upload is not thrown away because Cinder is restarted meanwhile.

    *journal* has what this process holds, and *host* the devices that this host has
    of attached volumes.
    """

    def __init__(
        self,
        service: VolumeService,
        clock: Clock,
        waits: WaitPolicy,
        journal: Journal,
        host: HostSide | None = None,
    ) -> None:
        self._raw = service
        self.service = patience.patient(
            service, clock, Patience.brief(waits.http_retries)
        )
        self.steadfast = patience.patient(
            service, clock, Patience(waits.state_transition_s)
        )
        self.clock = clock
        self.waits = waits
        self.journal = journal
        self._host = host or NoDevices()
        self._once = Once(service, self.steadfast, clock, waits, self.discard)

    def create(self, new: NewVolume, creator: Creator | None = None) -> Volume:
        """An available volume; when this raises, nothing is left.

        Only an error with *may_leave* may leave one, of this name and metadata: Cinder
        did not answer, or did not delete it.

        *creator* asks Cinder for it, and it is then in the creator's project. Without
        one, the store creates it.

        :raises errors.NoSpace: no pool or quota has room
        :raises errors.Misconfigured: the volume type does not exist
        :raises errors.ImageVolumeInUse: the source's status does not permit a clone
        """
        with recording.step("create"):
            volume, *others = self._once.create(new, creator)
        with contextlib.ExitStack() as stack:
            undo.on_failure(stack, lambda error: self.discard(volume.id, error))
            for other in others:
                # An answer was lost, and the repetition has made a second one.
                self.discard(other.id)
            LOG.info(
                "Volume %s, %s, of %d GiB and type %s is being created",
                volume.id,
                new.name,
                new.size_gib,
                new.volume_type,
            )
            with recording.step("wait"):
                return self._settled(volume, waiting.CREATE_S)
        # For mypy, which thinks that an exit stack may swallow errors.
        raise AssertionError("no exit callback hides an error")

    def _settled(self, begun: Volume, least_s: float) -> Volume:
        return waiting.settled(
            self._raw, self.clock, begun, least_s, self.waits.state_transition_s
        )

    def extend(self, volume: Volume, size_gib: int) -> Volume:
        """Extend the detached volume to *size_gib* and return it.

        :raises errors.NoSpace: no pool or quota has room
        """
        with recording.step("extend"):
            self._once.extend(volume.id, size_gib)
            begun = dataclasses.replace(volume, status="extending")
            return self._settled(begun, waiting.EXTEND_S)

    def extend_attached(self, volume_id: str, size_gib: int) -> Volume:
        """Extend the attached volume to *size_gib* and return it.

        :raises errors.NoSpace: no pool or quota has room
        """
        with recording.step("extend"):
            self._once.extend(volume_id, size_gib, "in-use")
            begun = Volume(volume_id, "extending", size_gib)
            grown = waiting.settled(
                self._raw,
                self.clock,
                begun,
                waiting.EXTEND_S,
                self.waits.state_transition_s,
                "in-use",
            )
        if grown.size_gib != size_gib:
            raise errors.Broken(
                f"Volume {volume_id} has {grown.size_gib} GiB and not {size_gib} after"
                " Cinder has extended it. See the log of cinder-volume."
            )
        return grown

    def attach(
        self,
        volume_id: str,
        connector: Mapping[str, Any],
        mode: str,
        wait_s: float,
        told: Told = lambda _attachment_id: None,
    ) -> Attachment:
        """The volume attached; other attachments are waited for, *wait_s* seconds.

        *told* gets the id of each attachment as soon as it is known. One that cannot be
        connected is deleted, and another one is reserved.

        :raises errors.ImageVolumeInUse: other attachments were still there then
        :raises errors.ImageVolumeStuck: no wait would help
        :raises errors.StoreError: *may_leave* is set if an attachment may be left
        """
        return self._while_busy(
            volume_id,
            wait_s,
            lambda: self._once.attach(volume_id, connector, mode, told),
        )

    def reserve(self, volume_id: str, told: Told = lambda _attachment_id: None) -> str:
        """Reserve the volume, so that it cannot be deleted; the attachment's id.

        *told* gets it as well, and the errors are those of `attach`, without a wait.
        """
        return self._while_busy(
            volume_id, 0, lambda: self._once.reserve(volume_id, "ro", told)
        )

    def _while_busy(self, volume_id: str, wait_s: float, action: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return action()
            except errors.ImageVolumeInUse as refusal:
                volume = self.steadfast.get(volume_id)
                waiting.raise_if_stuck(volume, "attached", refusal)
                raise

        return waiting.while_busy(self.clock, wait_s, attempt)

    def complete(self, attachment_id: str) -> None:
        """Say that the host has connected: the volume is ``in-use``.

        :raises errors.ImageVolumeInUse: somebody has deleted the attachment
        """
        try:
            self.steadfast.complete(attachment_id)
        except errors.ImageVolumeGone as error:
            raise api.taken_back(attachment_id) from error

    def detach(self, attachment_id: str) -> None:
        """Delete the attachment, if it is there, even if Cinder is away for a while.

        :raises errors.StoreError: Cinder did not do it for
            ``ontap_state_transition_timeout`` seconds
        """
        self.steadfast.detach(attachment_id)

    def release(self, volume_id: str, attachment_id: str) -> None:
        """Delete an attachment of a process that ended; disconnect its host before.

        :raises errors.StillConnected: a host may be connected: the attachment stays
        """
        self._host.release(volume_id, attachment_id)
        self.service.detach(attachment_id)

    def delete(self, volume_id: str, wait_s: float | None = None) -> None:
        """Begin to delete the volume; wait *wait_s* seconds for readers.

        None: ``ontap_delete_wait`` seconds.

        :raises errors.ImageVolumeInUse: it was still attached after the wait
        :raises errors.ImageVolumeStuck: no wait would help
        :raises errors.ImageVolumeHasSnapshot: a snapshot keeps it
        """
        wait_s = self.waits.delete_s if wait_s is None else wait_s
        try:
            with recording.step("delete"):
                waiting.while_busy(self.clock, wait_s, lambda: self._delete(volume_id))
        except errors.ImageVolumeInUse as error:
            raise errors.ImageVolumeInUse(
                f"Image-volume {volume_id} is still in use after {wait_s:g} s"
                f" (ontap_delete_wait): {error}"
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
                waiting.raise_if_stuck(volume, "deleted", refusal)
                raise

    def discard(self, volume_id: str, cause: BaseException | None = None) -> bool:
        """Delete the volume with all its attachments, whatever state it is in.

        Each step is tried on its own, again and again, for
        ``ontap_state_transition_timeout`` seconds, or as long as the operation still
        waits (see `outage`). Return whether the deletion has
        begun, or the volume is gone. It never raises a StoreError: *cause* is what the
        caller must hear of. If the volume stays, it gets a note, and its *may_leave* is
        set.
        """
        discarding = Discarding(self._raw, volume_id, self._host)
        failure: errors.StoreError | None = None
        try:
            with recording.step("delete"):
                if self._is_discarded(discarding) or discarding.forgotten():
                    return True
            failure = discarding.failure
        except errors.StoreError as error:
            failure = error
        if failure is None:
            text = f"Volume {volume_id} stays: Cinder keeps it busy."
        else:
            text = f"Volume {volume_id} could not be deleted: {failure}"
        errors.note(cause, text)
        if isinstance(cause, errors.StoreError):
            cause.may_leave = True
        return False

    def _is_discarded(self, discarding: Discarding) -> bool:
        budget = outage.current()
        with budget.repetition(self.clock) as end:
            left_s = end - self.clock.monotonic()
            timeout_s = min(self.waits.state_transition_s, left_s)
            is_done = waiting.until(self.clock, timeout_s, discarding.try_it)
            budget.has_failed |= discarding.failure is not None
        return is_done


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
