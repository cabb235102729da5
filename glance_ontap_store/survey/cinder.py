# SPDX-License-Identifier: Apache-2.0
"""Ask Cinder for a survey: every question has an answer or an `Unknown`."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import itertools
from typing import Any

from keystoneauth1.session import Session
from oslo_utils import strutils

from glance_ontap_store import errors
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder import translate
from glance_ontap_store.cinder.api import AttachmentState
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown


class CinderSurvey:
    """Questions to the Cinder of one store, as the user who logs in to *session*.

    *say* gets a line after each page of a long list of volumes.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        say: Callable[[str], object] = lambda _text: None,
    ) -> None:
        self._say = say
        self._client = patience.patient(
            CinderClient(settings, session),
            SystemClock(),
            Patience.brief(settings.http_retries),
        )

    def microversion(self) -> Answer[tuple[int, int]]:
        """Return the newest microversion that Cinder supports."""
        return asked(self._client.newest_microversion)

    def volume_types(self) -> Answer[tuple[VolumeType, ...]]:
        """Return the types that the user may use; for an administrator, all types."""
        return asked(self._client.volume_types)

    def default_types(self) -> Answer[Mapping[str, str]]:
        """Return the default types of projects that have one; for administrators."""
        return asked(self._client.default_types)

    def default_type(self) -> Answer[str]:
        """Return the name of the default type of the user's project."""
        return asked(self._client.default_type)

    def encrypts(self, type_id: str) -> Answer[bool]:
        """Return whether the host encrypts volumes of the type; for administrators."""
        return asked(lambda: self._client.encrypts(type_id))

    def quota(self, project_id: str) -> Answer[Mapping[str, Room]]:
        """Return all quotas of the project, by Cinder's names."""
        return asked(lambda: self._client.quota(project_id))

    def pools(self) -> Answer[tuple[Pool, ...]]:
        """Return all pools that the scheduler knows; for administrators."""
        return asked(self._client.pools)

    def services(self) -> Answer[tuple[Service, ...]]:
        """Return every cinder-volume; for administrators."""
        return asked(self._client.volume_services)

    def volumes(self, **search: Any) -> Answer[tuple[Volume, ...]]:
        """Return all volumes that match Cinder's filters in *search*."""
        return asked(lambda: tuple(self._client.list_volumes(search, self._tell)))

    def volumes_since(self, moment: datetime.datetime) -> Answer[tuple[Volume, ...]]:
        """Return the volumes of all projects that were made since; as administrator."""
        return asked(lambda: tuple(self._client.volumes_since(moment, self._tell)))

    def _tell(self, count: int) -> None:
        self._say(f"Listing volumes: {count} so far ...")

    def attachments(self, **search: Any) -> Answer[tuple[AttachmentState, ...]]:
        """Return all attachments that match Cinder's filters in *search*."""
        return asked(lambda: tuple(self._client.list_attachments(search)))

    def attachments_of(
        self, volume_id: str, everywhere: bool
    ) -> Answer[tuple[AttachmentState, ...]]:
        """Return a volume's attachments; *everywhere*: in all projects."""
        search: dict[str, Any] = {"all_tenants": 1} if everywhere else {}
        return self.attachments(**search, volume_id=volume_id)

    def last_fault(self, volume_id: str) -> Answer[Fault | None]:
        """Return the message about the volume's last failure; None without one."""
        return asked(lambda: self._client.last_fault(volume_id))

    def volume(self, volume_id: str) -> Answer[Volume]:
        """Return the volume as Cinder shows it to the user."""
        return asked(lambda: self._client.get(volume_id))


def asked(question: Callable[[], T]) -> Answer[T]:
    """Return the answer to a question, or why there is none, in Cinder's words."""
    try:
        return question()
    except errors.StoreError as error:
        cause = error.__cause__ or error
        if isinstance(cause, translate.MALFORMED):
            text = f"the answer is not one of Cinder's ({type(cause).__name__})"
        else:
            text = strutils.mask_password(str(cause))
        return Unknown(error.reason or Reason.BROKEN, text)


def distinct(*lists: Iterable[Volume]) -> Iterator[Volume]:
    """Return every volume of several lists, but none of them twice."""
    found: dict[str, Volume] = {}
    for volume in itertools.chain(*lists):
        found.setdefault(volume.id, volume)
    yield from found.values()
