# SPDX-License-Identifier: Apache-2.0
"""Disconnect this host before an attachment is deleted that somebody else made.

An attachment that this process made and still uses is not deleted here: see
`attacher`.
"""

from collections.abc import Mapping
from typing import Any

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.attach.block.connection import PROTOCOLS
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.liveness.journal import Entry
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate

LOG = logging.getLogger(__name__)


class HostConnections:
    """`cinder.api.HostSide` of the host whose processes share the journal's base."""

    def __init__(
        self,
        journal: Journal,
        service: VolumeService,
        transport: Transport,
        sysfs: Sysfs,
    ) -> None:
        self._journal = journal
        self._service = service
        self._transport = transport
        self._sysfs = sysfs

    def release(self, volume_id: str, attachment_id: str) -> None:
        """As `cinder.api.HostSide.release`."""
        entry = self._entry(attachment_id)
        if entry is None:
            self._release_unknown(volume_id, attachment_id)
        elif isinstance(entry.thing, Attaching) and entry.thing.protocol is not None:
            self._release_known(entry, entry.thing, attachment_id)

    def _entry(self, attachment_id: str) -> Entry | None:
        """The attachment in the journal of any process of this host."""
        for entry in self._journal.attachings():
            found = entry.thing
            if isinstance(found, Attaching) and found.attachment_id == attachment_id:
                return entry
        return None

    def _release_known(
        self, entry: Entry, thing: Attaching, attachment_id: str
    ) -> None:
        own = self._journal.own()
        is_mine = entry.token == own.token
        fate = self._journal.processes.fate(Mark(own.base_id, entry.token))
        if not is_mine and fate is not Fate.DEAD:
            raise errors.StillConnected(
                f"Attachment {attachment_id} of volume {thing.volume_id} stays: a"
                " process of this host that lives, or may live, has its device."
            )
        if thing.device is not None and self._is_shared(thing, attachment_id):
            # It disconnects the host when it ends, and the volume's driver keeps the
            # host's access as long as there is an attachment of it.
            return
        info = self._info(attachment_id)
        if info is None:
            self._check_is_gone(thing, attachment_id)
        else:
            self._disconnect(info, thing.volume_id, attachment_id)

    def _is_shared(self, thing: Attaching, attachment_id: str) -> bool:
        """Return whether somebody uses the device by another attachment of it."""
        return any(
            isinstance(other.thing, Attaching)
            and other.thing.attachment_id != attachment_id
            and other.thing.volume_id == thing.volume_id
            and other.thing.device == thing.device
            and self._is_used(other)
            for other in self._journal.attachings()
        )

    def _is_used(self, entry: Entry) -> bool:
        mark = Mark(self._journal.own().base_id, entry.token)
        is_dead = self._journal.processes.fate(mark) is Fate.DEAD
        return not is_dead and not self._journal.is_left(entry)

    def _check_is_gone(self, thing: Attaching, attachment_id: str) -> None:
        """Where the attachment was deleted too early, the device must be gone too."""
        names = self._sysfs.devices(thing.device) if thing.device else []
        if names:
            raise errors.StillConnected(
                f"Attachment {attachment_id} of volume {thing.volume_id} was deleted"
                f" while this host had its device, {', '.join(names)}"
                f" ({thing.device}), which is there yet. If nothing uses it, remove it"
                " (multipath -f, then echo 1 > /sys/block/NAME/device/delete):"
                " otherwise the next volume in its place cannot be used on this host."
            )

    def _release_unknown(self, volume_id: str, attachment_id: str) -> None:
        """An attachment of another host, or of a journal that was lost."""
        info = self._info(attachment_id)
        if info is None or info.get("driver_volume_type") not in PROTOCOLS:
            return
        mark = self._mark(volume_id, attachment_id)
        fate = self._journal.processes.fate(mark) if mark else None
        if fate is not Fate.DEAD:
            raise errors.StillConnected(
                f"Attachment {attachment_id} of volume {volume_id} stays: the host that"
                " made it may have the volume's device yet. Run glance-ontap sweep on"
                " that host. If the host is gone for good: openstack volume attachment"
                " delete."
            )
        self._disconnect(info, volume_id, attachment_id)

    def _mark(self, volume_id: str, attachment_id: str) -> Mark | None:
        """The process that made the attachment, as Cinder shows it."""
        volume = self._service.get(volume_id)
        found = (one for one in volume.attachments if one.id == attachment_id)
        return Mark.of_device(next((one.device for one in found), None))

    def _info(self, attachment_id: str) -> Mapping[str, Any] | None:
        """The way to the volume; None if the attachment is gone."""
        try:
            return self._service.connection_info(attachment_id)
        except errors.ImageVolumeInUse:
            return None

    def _disconnect(
        self, info: Mapping[str, Any], volume_id: str, attachment_id: str
    ) -> None:
        # Of an attachment that is only reserved Cinder tells no protocol.
        if info.get("driver_volume_type") not in PROTOCOLS:
            return
        self._transport.disconnect(info)
        LOG.info(
            "This host is disconnected from volume %s (attachment %s)",
            volume_id,
            attachment_id,
        )
