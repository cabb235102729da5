# SPDX-License-Identifier: Apache-2.0
"""The requests that the store makes of Cinder.

One small interface; `client` implements it over python-cinderclient, the tests
with a fake that keeps state, and both pass the same contract
(``tests/conformance/volume_service.py``).
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Volume:
    """A Cinder volume as the store sees it."""

    id: str
    status: str
    size_gib: int
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volume_type: str | None = None
    encrypted: bool = False

    @property
    def is_leaving(self) -> bool:
        return self.status == "deleting"

    @property
    def is_broken(self) -> bool:
        return self.status.startswith("error")


@dataclasses.dataclass(frozen=True)
class NewVolume:
    """What Cinder is asked to create."""

    name: str
    size_gib: int
    volume_type: str | None
    metadata: Mapping[str, str]
    # The volume that it is a clone of; its type is then the source's.
    source_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Attachment:
    """A volume made reachable for this host.

    *connection_info* is what the volume's driver says about how to reach it;
    `attach.connection` parses it.
    """

    id: str
    volume_id: str
    connection_info: Mapping[str, Any] = dataclasses.field(repr=False)


class Creator(Protocol):
    """Creates volumes in somebody's project; the store may do anything with them."""

    def create(self, new: NewVolume) -> Volume:
        """See `VolumeService.create`."""


class VolumeService(Protocol):
    """Each call is one request, unless it says otherwise.

    All of them raise `errors.CinderUnreachable` when no answer comes,
    `errors.Refused` when Cinder or Keystone refuses the user
    (`errors.NotAuthenticated`: Cinder the token), and
    `errors.Broken` for an answer that nothing can be made of; those with a
    volume's id raise `errors.ImageVolumeGone` when there is no such volume.
    They may be called from any thread.
    """

    def create(self, new: NewVolume) -> Volume:
        """Begin to create a volume; its status is ``creating``.

        Never sent twice. After `errors.Broken`, which no answer is too, a volume
        may exist all the same: see `find`.

        :raises errors.NoSpace: the project's quota is full
        :raises errors.Misconfigured: the volume type does not exist
        """

    def get(self, volume_id: str) -> Volume:
        """The volume as it is now."""

    def find(self, name: str) -> list[Volume]:
        """The volumes of that name, in all projects that the store writes for."""

    def delete(self, volume_id: str) -> None:
        """Begin to delete the volume.

        :raises errors.ImageVolumeInUse: its state does not permit it now
        """

    def extend(self, volume_id: str, size_gib: int) -> None:
        """Begin to extend an available volume; its status is ``extending``.

        :raises errors.NoSpace: the project's quota is full
        """

    def set_metadata(self, volume_id: str, metadata: Mapping[str, str]) -> None:
        """Set these keys and keep the others. Safe to repeat."""

    def set_readonly(self, volume_id: str) -> None:
        """Let Cinder attach it read-only from now on. Safe to repeat."""

    def has_snapshots(self, volume_id: str) -> bool:
        """Whether a snapshot depends on the volume."""

    def last_fault(self, volume_id: str) -> "Fault | None":
        """Why the volume's last action failed, if Cinder kept a message of it."""

    def attach(
        self, volume_id: str, connector: Mapping[str, Any], mode: str
    ) -> Attachment:
        """Reserve the volume for this host and connect it, mode ``ro`` or ``rw``.

        Two requests, neither sent twice: whatever happens to the second, which
        takes long and may fail, the attachment's id is known and it is deleted.

        :raises errors.ImageVolumeInUse: its state does not permit it now
        """

    def attachments(self, volume_id: str) -> list[str]:
        """Ids of all the volume's attachments, whoever's and in whatever state.

        A volume that Cinder shows lists only those that were connected.
        """

    def complete(self, attachment_id: str) -> None:
        """Say that the host has connected: the volume is ``in-use``."""

    def detach(self, attachment_id: str) -> None:
        """Take the attachment away. An attachment that is gone is no error.

        The volume is ``available`` when this returns, if it was the last one.
        """

    def volume_format(self, attachment_id: str) -> str | None:
        """``raw`` or ``qcow2`` where Cinder keeps the format of an NFS volume."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A user message of Cinder: *event_id* is a code, *text* for people."""

    event_id: str
    text: str

    @property
    def is_lack_of_room(self) -> bool:
        """Whether no pool could take the volume, or the quota could not.

        The code ends in Cinder's detail: 003 no backend available, 006 quota
        exceeded (cinder/message/message_field.py).
        """
        return self.event_id.endswith(("_003", "_006"))
