# SPDX-License-Identifier: Apache-2.0
"""List the volumes of stores, as Cinder shows them to the credentials given."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
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
    """A project of one Cinder. Its list may be long: it is asked for once."""

    auth_url: str
    region_name: str | None
    catalog: Catalog
    project_id: str
    is_admin: bool


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A store that is asked about; *session* is its own.

    *cinder* asks as an administrator if the *project* says so.
    """

    store: StoreConfig
    settings: Settings
    session: Session
    cinder: CinderSurvey
    project: _Project


Say: TypeAlias = Callable[[str], object]
# Stores after which the progress is told.
_SOME = 10


def find(
    stores: Iterable[StoreConfig],
    admin: Session | None,
    say: Say = lambda _text: None,
) -> Listing:
    """Return the volumes of all stores. *admin* may be any user's session, or None.

    *say* gets lines about the progress, if there are many volumes or stores.

    :raises errors.Misconfigured: a store's options are wrong
    :raises errors.Broken: a list could not be read to its end
    """
    rows: list[Row] = []
    is_complete = True
    for found in volumes(stores, admin, say):
        listed = (
            inventory.row(volume, found.store.id, found.type_name)
            for volume in found.volumes
        )
        rows += [row for row in listed if row is not None]
        is_complete = is_complete and found.is_complete
    return Listing(tuple(rows), is_complete)


@dataclasses.dataclass(frozen=True)
class StoreVolumes:
    """The volumes among which a store's are, see `divided`.

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
    stores: Iterable[StoreConfig],
    admin: Session | None,
    say: Say = lambda _text: None,
) -> Iterator[StoreVolumes]:
    """Yield the volumes of each store. *admin* may be any user's session, or None.

    *say*: see `find`.

    :raises errors.Misconfigured: a store's options are wrong
    :raises errors.Broken: a list could not be read to its end
    """
    if admin is not None and not is_admin(admin):
        admin = None
    projects: dict[_Project, list[_Asked]] = {}
    asked = [_asked(store, admin, say) for store in stores]
    for each in asked:
        projects.setdefault(each.project, []).append(each)
    found: dict[str, tuple[list[Volume], str | None]] = {}
    for project, ones in projects.items():
        found |= _of_project(project, ones)
    for number, each in enumerate(asked, 1):
        if number % _SOME == 0:
            say(f"Listing volumes: store {number} of {len(asked)} ...")
        yield _volumes(each, *found[each.store.id])


def divided(
    volumes: Iterable[Volume], types: Mapping[str, str | None]
) -> dict[str, list[Volume]]:
    """Return the volumes of one project by the id of the store that looks at them.

    *types* has the names of the volume types of the project's stores. A volume is with
    the store that its metadata names. One that names none is with the stores of its
    volume type: Cinder may have registered it itself. All others are with the first
    store, so that each is looked at, and only once: with a list for each of many
    stores, commands would take as many times longer.
    """
    by_type: dict[str | None, list[str]] = {}
    for store_id, name in types.items():
        by_type.setdefault(name, []).append(store_id)
    by_type.pop(None, None)
    found: dict[str, list[Volume]] = {store_id: [] for store_id in types}
    first = next(iter(types))
    for volume in volumes:
        named = volume.metadata.get("ontap_store")
        if named is None:
            places = by_type.get(volume.volume_type, [first])
        else:
            places = [named if named in types else first]
        for store_id in places:
            found[store_id].append(volume)
    return found


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


def _asked(store: StoreConfig, admin: Session | None, say: Say) -> _Asked:
    """Return how to ask about a store.

    The user of a store with ``ontap_image_volume_owner = project`` is an administrator.
    """
    settings = store.settings
    if settings is None:
        raise errors.Misconfigured("; ".join(store.mistakes))
    own = keystone.session_of(settings)
    login = _known(store, keystone.login(own))
    if admin is None and "admin" in login.roles:
        admin = own
    project = _Project(
        auth_url=settings.auth_url,
        region_name=settings.region_name,
        catalog=settings.catalog,
        project_id=login.project_id,
        is_admin=admin is not None,
    )
    survey = CinderSurvey(settings, admin or own, say)
    return _Asked(store, settings, own, survey, project)


def _of_project(
    project: _Project, stores: Sequence[_Asked]
) -> dict[str, tuple[list[Volume], str | None]]:
    """Return the volumes of a project by its stores' ids, with their types' names."""
    found, types = _list(stores[0].store, stores[0].cinder, project)
    names: dict[str, str | None] = {}
    for each in stores:
        # Cinder shows the name of a volume's type; the option may have its id.
        kind = facts.called(each.settings.volume_type, types)
        names[each.store.id] = kind.name if kind else each.settings.volume_type
    return {
        store_id: (volumes, names[store_id])
        for store_id, volumes in divided(found, names).items()
    }


def _volumes(
    asked: _Asked, found: Iterable[Volume], type_name: str | None
) -> StoreVolumes:
    """Return the volumes of a store, *found* in its project and elsewhere.

    Volumes that Cinder registered itself do not name their store: they are found in
    the store's project by their volume type. An administrator also finds volumes in
    other projects, by the store's name in their metadata.
    """
    store = asked.store
    marked: tuple[Volume, ...] = ()
    if asked.project.is_admin:
        metadata = {"ontap_store": store.id}
        answer = asked.cinder.volumes(all_tenants=1, metadata=metadata)
        marked = _known(store, answer)
    return StoreVolumes(
        store=store,
        settings=asked.settings,
        volumes=tuple(cinder.distinct(found, marked)),
        type_name=type_name,
        session=asked.session,
        cinder=asked.cinder,
        is_complete=asked.project.is_admin,
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
