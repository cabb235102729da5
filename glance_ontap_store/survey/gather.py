# SPDX-License-Identifier: Apache-2.0
"""Ask all services and the host, and collect the answers as facts.

A question that gets no answer does not stop the others: its fact is an `Unknown`.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
from typing import Any

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import host
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey import listing
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.facts import StoreFacts
from glance_ontap_store.survey.inventory import Row

# Stores that are asked about at the same time; each needs about five requests.
_AT_ONCE = 8


def gather(
    config: GlanceConfig,
    admin: Session | None,
    cinder_conf: Answer[Any],
    only: str | None,
    cinder_release: int | None = None,
) -> Facts:
    """Return all facts. With *only*, services are asked about that store alone.

    *admin* may be the session of any user. *cinder_conf* is the parsed cinder.conf,
    and *cinder_release* the major version of Cinder's package.
    """
    chosen = [store for store in config.stores if only in (None, store.id)]
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        stores = tuple(pool.map(_store, chosen))
    return Facts(
        glance=config,
        host=host.look(config),
        stores=stores,
        admin=_admin(admin, stores),
        cinder=cinder_config(cinder_conf),
        cinder_release=cinder_release,
    )


def _store(config: StoreConfig) -> StoreFacts:
    settings = config.settings
    if settings is None:
        wrong = Unknown(Reason.EARLIER, "the store's options are wrong")
        return _nothing_asked(config, wrong, wrong)
    session = keystone.session_of(settings)
    login = keystone.login(session)
    if isinstance(login, Unknown):
        return _without_login(config, settings, login)
    endpoint = keystone.endpoint(session, settings)
    if isinstance(endpoint, Unknown):
        earlier = Unknown(Reason.EARLIER, "the endpoint of Cinder is unknown")
        return dataclasses.replace(
            _nothing_asked(config, login, earlier),
            is_password_right=True,
            endpoint=endpoint,
        )
    survey = CinderSurvey(settings, session)
    microversion = survey.microversion()
    types = survey.volume_types()
    quota: Answer[Mapping[str, Room]] = Unknown(
        Reason.EARLIER, "Cinder does not answer"
    )
    if not isinstance(types, Unknown):
        quota = survey.quota(login.project_id)
    return StoreFacts(
        config=config,
        login=login,
        is_password_right=True,
        endpoint=endpoint,
        microversion=microversion,
        volume_types=types,
        quota=quota,
    )


def _without_login(
    config: StoreConfig, settings: Settings, login: Unknown
) -> StoreFacts:
    """Return the facts of a store that cannot log in, for the reason *login*."""
    is_password_right: Answer[bool] = login
    if login.reason is Reason.UNAUTHORIZED:
        is_password_right = keystone.is_password_right(settings)
    earlier = Unknown(Reason.EARLIER, "the store cannot log in")
    return dataclasses.replace(
        _nothing_asked(config, login, earlier), is_password_right=is_password_right
    )


def _nothing_asked(
    config: StoreConfig, login: Answer[Login], earlier: Unknown
) -> StoreFacts:
    return StoreFacts(
        config=config,
        login=login,
        is_password_right=earlier,
        endpoint=earlier,
        microversion=earlier,
        volume_types=earlier,
        quota=earlier,
    )


def _admin(session: Session | None, asked: Sequence[StoreFacts]) -> AdminFacts:
    """Return the facts that the first store's Cinder tells administrators alone.

    They cover all stores with the same Keystone and region.
    """
    if session is None:
        return _no_admin(
            Unknown(Reason.NOT_GIVEN, "no administrator's credentials were given")
        )
    stores = [store.settings for store in asked if store.settings]
    if not stores:
        return _no_admin(Unknown(Reason.EARLIER, "no store has valid options"))
    login = keystone.login(session)
    if isinstance(login, Unknown):
        return _no_admin(
            Unknown(login.reason, f"the administrator cannot log in: {login.text}")
        )
    survey = CinderSurvey(stores[0], session)
    if "admin" not in login.roles:
        # Cinder would answer in part, without saying so.
        return _no_admin(
            Unknown(Reason.FORBIDDEN, "the credentials given lack role admin")
        )
    types = survey.volume_types()
    known = () if isinstance(types, Unknown) else types
    covered = [store for store in stores if _place(store) == _place(stores[0])]
    rows = _rows(session, asked, covered)
    return AdminFacts(
        volume_types=types,
        encrypted={
            kind.id: survey.encrypts(kind.id)
            for kind in known
            if any(
                kind.is_called(name)
                for store in covered
                for name in (store.volume_type, store.replica_volume_type)
            )
        },
        pools=survey.pools(),
        services=survey.services(),
        rows=rows,
        raw_images=_raw_images(session, stores[0], rows),
        covers=frozenset(store.store_id or "" for store in covered),
    )


def _place(settings: Settings) -> tuple[str, str | None]:
    return settings.auth_url, settings.region_name


def _rows(
    session: Session, asked: Sequence[StoreFacts], covered: Sequence[Settings]
) -> Answer[tuple[Row, ...]]:
    """Return the volumes of the covered stores that can log in."""
    chosen = [
        store.config
        for store in asked
        if store.settings in covered and not isinstance(store.volume_types, Unknown)
    ]
    try:
        return listing.find(chosen, session).rows
    except errors.StoreError as error:
        return Unknown(error.reason or Reason.BROKEN, str(error))


def _raw_images(
    session: Session, settings: Settings, rows: Answer[tuple[Row, ...]]
) -> Answer[frozenset[str]]:
    """Return the ids of the images that Glance calls raw and the bytes do not."""
    if isinstance(rows, Unknown):
        return Unknown(Reason.EARLIER, "the image-volumes are unknown")
    ids = {row.image_id for row in rows if row.is_mistaken_for_raw}
    if not ids:
        return frozenset()
    found = glance.raw_images(session, settings)
    return found if isinstance(found, Unknown) else found & ids


def _no_admin(unknown: Unknown) -> AdminFacts:
    return AdminFacts(
        volume_types=unknown,
        encrypted={},
        pools=unknown,
        services=unknown,
        rows=unknown,
        raw_images=unknown,
    )


def cinder_config(conf: Answer[Any]) -> Answer[CinderConfig]:
    """Return what *conf*, the parsed cinder.conf, says; its users log in."""
    if isinstance(conf, Unknown):
        return conf
    return CinderConfig(
        allowed_direct_url_schemes=configuration.direct_url_schemes(conf),
        backends=configuration.cinder_backends(conf),
        glance_user=_user_in(conf, "glance"),
        service_user=_user_in(conf, "service_user")
        if configuration.sends_service_token(conf)
        else None,
        internal_project=configuration.internal_project(conf),
        zone=configuration.default_zone(conf),
    )


def _user_in(conf: Any, group: str) -> Answer[Login] | None:
    session = keystone.asked(lambda: keystone.configured_session(conf, group))
    if session is None or isinstance(session, Unknown):
        return session
    return keystone.login(session)
