# SPDX-License-Identifier: Apache-2.0
"""List the volumes of stores, as Cinder shows them to the credentials given."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
from typing import TypeAlias

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.settings import Catalog
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import cinder
from glance_ontap_store.survey import facts
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.inventory import Row


@dataclasses.dataclass(frozen=True)
class Listing:
    """The volumes of stores.

    *is_complete* is False if pools, and volumes in other projects, are hidden from
    the credentials.
    """

    rows: tuple[Row, ...]
    is_complete: bool


@dataclasses.dataclass(frozen=True)
class _Project:
    """A project of one Cinder. Its list may be long: its stores share it."""

    auth_url: str
    region_name: str | None
    catalog: Catalog
    project_id: str
    is_admin: bool


_Lists: TypeAlias = dict[_Project, tuple[tuple[Volume, ...], tuple[VolumeType, ...]]]


def find(stores: Iterable[StoreConfig], admin: Session | None) -> Listing:
    """Return the volumes of all stores. *admin* may be any user's session, or None.

    :raises errors.Misconfigured: a store's options are wrong
    :raises errors.Broken: a list could not be read to its end
    """
    rows: list[Row] = []
    is_complete = True
    for found in volumes(stores, admin):
        listed = (
            inventory.row(volume, found.store.id, found.type_name)
            for volume in found.volumes
        )
        rows += [row for row in listed if row is not None]
        is_complete = is_complete and found.is_complete
    return Listing(tuple(rows), is_complete)


@dataclasses.dataclass(frozen=True)
class StoreVolumes:
    """The volumes among which a store's are: those that name it, and its project's.

    *settings* are the store's, and *type_name* its volume type. *session* is the
    store's own, and *cinder* asks as an administrator if *is_complete*.
    """

    store: StoreConfig
    settings: Settings
    volumes: tuple[Volume, ...]
    type_name: str | None
    session: Session
    cinder: CinderSurvey
    is_complete: bool


def volumes(
    stores: Iterable[StoreConfig], admin: Session | None
) -> Iterator[StoreVolumes]:
    """Yield the volumes of each store. *admin* may be any user's session, or None.

    :raises errors.Misconfigured: a store's options are wrong
    :raises errors.Broken: a list could not be read to its end
    """
    if admin is not None and not is_admin(admin):
        admin = None
    lists: _Lists = {}
    for store in stores:
        yield _volumes(store, admin, lists)


def is_admin(session: Session) -> bool:
    """Return whether the session's user is an administrator.

    Cinder refuses some questions of other users, and answers others only in part.

    :raises errors.Broken: the user cannot log in
    """
    login = keystone.login(session)
    if isinstance(login, Unknown):
        raise errors.Broken(
            f"The cloud's user cannot log in: {login.text}. Check --os-cloud or the"
            " OS_* variables."
        )
    return "admin" in login.roles


def _volumes(store: StoreConfig, admin: Session | None, lists: _Lists) -> StoreVolumes:
    """Return the volumes of a store, and whether the list is complete.

    Volumes that Cinder registered itself do not name their store: they are found in
    the store's project by their volume type. An administrator also finds volumes in
    other projects, by the store's name in their metadata. The user of a store with
    ``ontap_image_volume_owner = project`` is an administrator.
    """
    settings = store.settings
    if settings is None:
        raise errors.Misconfigured("; ".join(store.mistakes))
    own = keystone.session_of(settings)
    login = _known(store, keystone.login(own))
    if admin is None and "admin" in login.roles:
        admin = own
    survey = CinderSurvey(settings, admin or own)
    project = _Project(
        auth_url=settings.auth_url,
        region_name=settings.region_name,
        catalog=settings.catalog,
        project_id=login.project_id,
        is_admin=admin is not None,
    )
    if project not in lists:
        lists[project] = _list(store, survey, project)
    found, types = lists[project]
    marked: tuple[Volume, ...] = ()
    if admin:
        metadata = {"ontap_store": store.id}
        marked = _known(store, survey.volumes(all_tenants=1, metadata=metadata))
    # Cinder shows the name of a volume's type; the option may have its id.
    kind = facts.called(settings.volume_type, types)
    return StoreVolumes(
        store=store,
        settings=settings,
        volumes=tuple(cinder.distinct(found, marked)),
        type_name=kind.name if kind else settings.volume_type,
        session=own,
        cinder=survey,
        is_complete=admin is not None,
    )


def _list(
    store: StoreConfig, survey: CinderSurvey, project: _Project
) -> tuple[tuple[Volume, ...], tuple[VolumeType, ...]]:
    """Return all volumes of the project, and the types that its user may see."""
    search = {"all_tenants": 1, "project_id": project.project_id}
    volumes = survey.volumes(**(search if project.is_admin else {}))
    return _known(store, volumes), _known(store, survey.volume_types())


def _known(store: StoreConfig, answer: Answer[T]) -> T:
    """Return the answer.

    :raises errors.Broken: there is none, so the list would be incomplete
    """
    if isinstance(answer, Unknown):
        raise errors.Broken(
            f"The volumes of store {store.id!r} cannot be listed:"
            f" {answer.reason.value}: {answer.text}. Try: glance-ontap check."
        )
    return answer
