# SPDX-License-Identifier: Apache-2.0
"""Questions to Cinder for a survey: each has an answer or an `Unknown`."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from keystoneauth1.session import Session
from oslo_utils import strutils

from glance_ontap_store import errors
from glance_ontap_store.cinder import translate
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown


class CinderSurvey:
    """Questions to the Cinder of one store, as the user who logs in to *session*."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._client = CinderClient(settings, session)

    def microversion(self) -> Answer[tuple[int, int]]:
        """The newest that Cinder has."""
        return asked(self._client.newest_microversion)

    def volume_types(self) -> Answer[tuple[VolumeType, ...]]:
        """The types that one may use; for an administrator all that exist."""
        return asked(self._client.volume_types)

    def encrypts(self, type_id: str) -> Answer[bool]:
        """Return whether the host encrypts volumes of the type. For administrators."""
        return asked(lambda: self._client.encrypts(type_id))

    def quota(self, project_id: str) -> Answer[Mapping[str, Room]]:
        """All quotas of the project, by Cinder's names."""
        return asked(lambda: self._client.quota(project_id))

    def pools(self) -> Answer[tuple[Pool, ...]]:
        """All pools that the scheduler knows. For administrators."""
        return asked(self._client.pools)

    def volumes(self, **search: Any) -> Answer[tuple[Volume, ...]]:
        """All volumes that match."""
        return asked(lambda: tuple(self._client.list_volumes(search)))

    def volume(self, volume_id: str) -> Answer[Volume]:
        """One volume, as it is shown to the user who asks."""
        return asked(lambda: self._client.get(volume_id))


def asked(question: Callable[[], T]) -> Answer[T]:
    """The answer to a question, or the reason and the text of the first cause."""
    try:
        return question()
    except errors.StoreError as error:
        cause = error.__cause__ or error
        if isinstance(cause, translate.MALFORMED):
            text = f"the answer is not one of Cinder's ({type(cause).__name__})"
        else:
            text = strutils.mask_password(str(cause))
        return Unknown(error.reason or Reason.BROKEN, text)


def distinct(*lists: tuple[Volume, ...]) -> Iterator[Volume]:
    """Each volume of several lists once."""
    met: set[str] = set()
    for volume in (volume for volumes in lists for volume in volumes):
        if volume.id not in met:
            met.add(volume.id)
            yield volume
