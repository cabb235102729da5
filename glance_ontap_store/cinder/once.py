# SPDX-License-Identifier: Apache-2.0
"""Sends the requests that must not simply be repeated (`api.ONCE`).

Each of them makes something. After a failure that may pass it is looked what became of
the request, and it is sent again only if nothing did.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Set
from typing import Any

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import api
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
from glance_ontap_store.errors import Doubt

LOG = logging.getLogger(__name__)

# Cinder may still be at work on a request whose connection was lost. It writes down a
# volume or a reservation within this time, and a living reader connects what it
# has reserved.
GRACE_S = 5.0

Told = Callable[[str], object]


class Once:
    """Sends requests to *raw*, once each, and looks after failures by *steadfast*.

    *discard* deletes a volume that nobody wants; its second argument is the cause.
    """

    def __init__(
        self,
        raw: VolumeService,
        steadfast: VolumeService,
        clock: Clock,
        waits: WaitPolicy,
        discard: Callable[[str, BaseException], object],
    ) -> None:
        self._discard = discard
        self._raw = raw
        self._steadfast = steadfast
        self._clock = clock
        self._brief = Patience.brief(waits.http_retries)
        self._long = Patience(waits.state_transition_s)
        self._retries = waits.http_retries

    # Volumes.

    def create(self, new: NewVolume, creator: Creator | None) -> list[Volume]:
        """Begin to create a volume; all that were made, in case of several.

        :raises errors.StoreError: *may_leave* is set if a volume may exist or come
        """
        sender = creator or self._raw
        lost: list[Doubt] = []

        def attempt() -> list[Volume]:
            try:
                return [sender.create(new)]
            except errors.StoreError as error:
                doubt = _doubt(error)
                if doubt is Doubt.UNSENT:
                    raise
                found = self._made(new, error, doubt)
                if error.transient is None:
                    for volume in found:
                        self._discard(volume.id, error)
                    raise
                if found:
                    return found
                if doubt is Doubt.LATE:
                    # It may come at any time: a second one must not be made.
                    error.transient, error.may_leave = None, True
                elif doubt is Doubt.LOST:
                    lost.append(doubt)
                raise

        try:
            made = patience.repeat(self._clock, self._brief, attempt)
        except errors.StoreError as error:
            error.may_leave |= bool(lost)
            raise
        return self._with_late_ones(new, made) if lost else made

    def _made(
        self, new: NewVolume, cause: errors.StoreError, doubt: Doubt
    ) -> list[Volume]:
        """What a creation that failed because of *cause* has made all the same."""
        # After an answer, the time of a user who waits for nothing is worth more.
        is_over = doubt is Doubt.OVER
        limits = self._brief if is_over else self._long
        service = patience.patient(self._raw, self._clock, limits)
        try:
            found = waiting.first(
                self._clock,
                0 if is_over else GRACE_S,
                lambda: _of_write(service.find(new.name), new) or None,
            )
        except errors.StoreError as error:
            errors.note(cause, f"A volume {new.name!r} may have been created: {error}")
            cause.transient, cause.may_leave = None, True
            return []
        return found or []

    def _with_late_ones(self, new: NewVolume, made: list[Volume]) -> list[Volume]:
        """*made*, and what a request whose answer was lost has made meanwhile."""
        known = {volume.id for volume in made}
        found = _of_write(self._steadfast.find(new.name), new)
        return made + [volume for volume in found if volume.id not in known]

    def extend(self, volume_id: str, size_gib: int, status: str = "available") -> None:
        """Begin to extend the volume in *status*, as `VolumeService.extend`."""
        doubts: list[Doubt] = []

        def attempt() -> None:
            try:
                self._raw.extend(volume_id, size_gib)
            except errors.ImageVolumeInUse:
                # Refused for what an earlier request began.
                if not doubts or not self._is_extended(volume_id, size_gib, status):
                    raise
            except errors.StoreError as error:
                if error.transient is None or _doubt(error) is Doubt.UNSENT:
                    raise
                doubts.append(_doubt(error))
                if not self._is_extended(volume_id, size_gib, status):
                    raise

        patience.repeat(self._clock, self._long, attempt)

    def _is_extended(self, volume_id: str, size_gib: int, status: str) -> bool:
        """Return whether the extension has at least begun."""
        volume = self._steadfast.get(volume_id)
        return volume.status != status or volume.size_gib >= size_gib

    # Attachments.

    def attach(
        self, volume_id: str, connector: Mapping[str, Any], mode: str, told: Told
    ) -> Attachment:
        """Reserve and connect the volume; *told* gets every attachment's id at once.

        :raises errors.ImageVolumeInUse: its state does not permit it now, or somebody
            has deleted the attachment meanwhile
        :raises errors.NotConnected: Cinder's driver could not connect it
        :raises errors.StoreError: *may_leave* is set if an attachment may exist
        """
        # A reader is refused for good where the content looks like another format.
        refusals = min(1, self._retries) if mode == "ro" else self._retries

        def attempt() -> Attachment:
            nonlocal refusals
            attachment_id = self.reserve(volume_id, mode, told)
            try:
                info = self._connected(volume_id, attachment_id, connector)
            except BaseException as error:
                self._take_back(attachment_id, error)
                if isinstance(error, errors.NotConnected):
                    if not refusals:
                        error.transient = None
                    refusals -= 1
                raise
            return Attachment(attachment_id, volume_id, info)

        return patience.repeat(self._clock, self._long, attempt)

    def _connected(
        self, volume_id: str, attachment_id: str, connector: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        try:
            try:
                return self._raw.connect(volume_id, attachment_id, connector)
            except errors.StoreError as error:
                if error.transient is None:
                    raise
                info = self._steadfast.connection_info(attachment_id)
                # Of a reserved volume Cinder may show the format, but no way to it.
                if "driver_volume_type" not in info:
                    raise
                return info
        except errors.ImageVolumeGone as error:
            raise api.taken_back(attachment_id) from error

    def _take_back(self, attachment_id: str, cause: BaseException) -> None:
        """Delete an attachment that could not be connected, because of *cause*."""
        try:
            self._steadfast.detach(attachment_id)
        except errors.StoreError as error:
            errors.note(cause, f"Attachment {attachment_id} stays: {error}")
            if isinstance(cause, errors.StoreError):
                cause.may_leave = True

    def reserve(self, volume_id: str, mode: str, told: Told) -> str:
        """Reserve the volume; the attachment's id, which *told* gets as well.

        :raises errors.ImageVolumeInUse: its state does not permit it now
        :raises errors.StoreError: *may_leave* is set if an attachment may exist
        """
        doubts: list[Doubt] = []

        def attempt() -> str:
            try:
                return self._raw.reserve(volume_id, mode)
            except errors.ImageVolumeInUse:
                # Perhaps for an attachment whose answer was lost.
                if not doubts or not self._take_back_unknown(volume_id, mode, True):
                    raise
                return self._raw.reserve(volume_id, mode)
            except errors.StoreError as error:
                doubt = _doubt(error)
                if doubt is not Doubt.UNSENT:
                    doubts.append(doubt)
                    self._take_back_unknown(volume_id, mode, doubt is not Doubt.OVER)
                raise

        try:
            attachment_id = patience.repeat(self._clock, self._long, attempt)
        except errors.StoreError as error:
            error.may_leave |= bool(doubts)
            raise
        told(attachment_id)
        return attachment_id

    def _take_back_unknown(self, volume_id: str, mode: str, may_come: bool) -> bool:
        """Delete a reservation whose answer was lost; whether there was one.

        A reservation of somebody else is spared: it is connected within `GRACE_S`. A
        volume for writing is nobody else's. *may_come*: the reservation may still
        come.
        """
        before: Set[str] = set(self._steadfast.reservations(volume_id))
        if before or may_come:
            if mode == "ro" or not before:
                self._clock.sleep(GRACE_S)
            now = set(self._steadfast.reservations(volume_id))
            lost = now & before if mode == "ro" else now
            for attachment_id in lost:
                LOG.info(
                    "Attachment %s of volume %s is taken back: the answer to its"
                    " reservation was lost",
                    attachment_id,
                    volume_id,
                )
                self._steadfast.detach(attachment_id)
            return bool(lost)
        return False


def _doubt(error: errors.StoreError) -> Doubt:
    """The doubt that a failure leaves.

    A refusal leaves none, and an error that Cinder did not explain leaves some.
    """
    if error.transient is not None:
        return error.transient.doubt
    return Doubt.OVER if isinstance(error, errors.Broken) else Doubt.UNSENT


def _of_write(found: list[Volume], new: NewVolume) -> list[Volume]:
    return [one for one in found if new.metadata.items() <= one.metadata.items()]
