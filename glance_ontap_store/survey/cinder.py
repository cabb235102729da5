# SPDX-License-Identifier: Apache-2.0
"""Asking Cinder what the stores themselves never ask: types, quotas, pools, lists."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from cinderclient import client as cinderclient
from cinderclient import exceptions as cinder_errors
from keystoneauth1 import session as session_
from oslo_utils import strutils

from glance_ontap_store import errors
from glance_ontap_store.cinder import client
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Pool
from glance_ontap_store.survey.facts import Room
from glance_ontap_store.survey.facts import VolumeType

_MICROVERSION = "3.54"


@dataclasses.dataclass(frozen=True)
class ListedVolume:
    """A volume as a list shows it.

    *pool* (``host@backend#pool``) and *project_id* are for administrators, None
    for others. *file* is the name of its file on NFS.
    """

    volume: Volume
    pool: str | None
    project_id: str | None
    file: str


class CinderSurvey:
    """Questions to the Cinder of one store, as whoever *session* logs in."""

    def __init__(self, settings: Settings, session: session_.Session) -> None:
        self._client: Any = cinderclient.Client(
            _MICROVERSION,
            session=session,
            service_type=settings.catalog.service_type,
            service_name=settings.catalog.service_name,
            interface=settings.catalog.interface,
            region_name=settings.region_name,
            connect_retries=settings.http_retries,
        )

    def microversion(self) -> Answer[tuple[int, int]]:
        """The newest that Cinder has."""

        def ask() -> tuple[int, int]:
            newest = [
                tuple(int(part) for part in each.version.split("."))
                for each in self._client.services.server_api_version()
                if each.version
            ]
            major, minor = max(newest)
            return major, minor

        return _asked(ask)

    def volume_types(self) -> Answer[tuple[VolumeType, ...]]:
        """Those that one may use; for an administrator all there are."""
        return _asked(
            lambda: tuple(
                VolumeType(
                    id=each.id,
                    name=each.name,
                    is_public=each.is_public,
                    extra_specs=dict(getattr(each, "extra_specs", {})),
                )
                for each in self._client.volume_types.list()
            )
        )

    def encrypts(self, type_id: str) -> Answer[bool]:
        """Whether volumes of the type are encrypted on the host. Administrators'."""
        return _asked(
            lambda: bool(
                getattr(
                    self._client.volume_encryption_types.get(type_id), "provider", None
                )
            )
        )

    def quota(self, project_id: str) -> Answer[Mapping[str, Room]]:
        """All quotas of the project, by Cinder's names."""

        def ask() -> Mapping[str, Room]:
            shown = self._client.quotas.get(project_id, usage=True).to_dict()
            return {
                name: Room(each["limit"], each["in_use"] + each["reserved"])
                for name, each in shown.items()
                if isinstance(each, dict)
            }

        return _asked(ask)

    def pools(self) -> Answer[tuple[Pool, ...]]:
        """All pools that the scheduler knows. Administrators'."""
        return _asked(
            lambda: tuple(
                Pool(
                    name=each.name,
                    pool_name=getattr(each, "pool_name", None),
                    backend_name=getattr(each, "volume_backend_name", None),
                    vendor=getattr(each, "vendor_name", None),
                    protocol=_protocol(getattr(each, "storage_protocol", None)),
                )
                for each in self._client.pools.list(detailed=True)
            )
        )

    def volumes(self, **search: Any) -> Answer[tuple[ListedVolume, ...]]:
        """All volumes that match, however many pages Cinder makes of them.

        cinderclient asks for the next page by marker until there is none.
        """
        return _asked(
            lambda: tuple(
                _seen(each)
                for each in self._client.volumes.list(search_opts=search or None)
            )
        )

    def volume(self, volume_id: str) -> Answer[ListedVolume]:
        """One volume, as it is shown to who asks."""
        return _asked(lambda: _seen(self._client.volumes.get(volume_id)))

    def set_readonly(self, volume_id: str, is_readonly: bool) -> None:
        """Let Cinder attach the volume for reading only, or for writing again.

        :raises errors.Broken: Cinder does not
        """

        def ask() -> None:
            self._client.volumes.update_readonly_flag(volume_id, is_readonly)

        answer = _asked(ask)
        if isinstance(answer, Unknown):
            raise errors.Broken(
                f"Cannot set the read-only flag of volume {volume_id}: {answer.text}"
            )


def _asked(question: Callable[[], T]) -> Answer[T]:
    """As `keystone.asked`, with cinderclient's own errors too."""
    try:
        return keystone.asked(question)
    except cinder_errors.ClientException as error:
        reason = {
            401: Reason.UNAUTHORIZED,
            403: Reason.FORBIDDEN,
            404: Reason.MISSING,
        }.get(error.code, Reason.BROKEN)
        return Unknown(reason, strutils.mask_password(str(error)))
    except cinder_errors.EndpointNotFound as error:
        return Unknown(Reason.NO_ENDPOINT, str(error))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return Unknown(
            Reason.BROKEN, f"what answered is not Cinder ({type(error).__name__})"
        )


def _protocol(reported: Any) -> str | None:
    # Drivers report a list of spellings, or one of them.
    first = reported[0] if isinstance(reported, list) and reported else reported
    return str(first).lower() if first else None


def _seen(volume: Any) -> ListedVolume:
    shown: Mapping[str, Any] = volume.to_dict()
    # A volume that was migrated keeps the name of the other file.
    name_id = shown.get("os-vol-mig-status-attr:name_id") or volume.id
    return ListedVolume(
        volume=client.volume_from(volume),
        pool=shown.get("os-vol-host-attr:host"),
        project_id=shown.get("os-vol-tenant-attr:tenant_id"),
        file=f"volume-{name_id}",
    )


def all_seen(*lists: tuple[ListedVolume, ...]) -> Iterator[ListedVolume]:
    """Each volume of several lists once."""
    met: set[str] = set()
    for each in (seen for found in lists for seen in found):
        if each.volume.id not in met:
            met.add(each.volume.id)
            yield each
