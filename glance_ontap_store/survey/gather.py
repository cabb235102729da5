# SPDX-License-Identifier: Apache-2.0
"""Asks everybody, and puts the answers together for the judges.

No question depends on another's answer unless it needs it: what cannot be asked
is an `Unknown`, and the next one is asked.
"""

from collections.abc import Sequence
from concurrent import futures
import dataclasses
from typing import Any

from keystoneauth1 import session as session_

from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey import host
from glance_ontap_store.survey import keystone
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

# Stores that are asked for at the same time; each takes some five requests.
_AT_ONCE = 8


def gather(
    glance: GlanceConfig,
    admin: session_.Session | None,
    cinder_conf: Answer[Any],
    only: str | None,
) -> Facts:
    """All facts; services are asked about store *only*, None for all."""
    chosen = [each for each in glance.stores if only in (None, each.id)]
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        stores = tuple(pool.map(_store, chosen))
    usable = [each.config.settings for each in stores if each.config.settings]
    return Facts(
        glance=glance,
        host=host.look(glance),
        stores=stores,
        admin=_admin(admin, usable),
        cinder=_cinder_config(cinder_conf),
    )


def _store(config: StoreConfig) -> StoreFacts:
    settings = config.settings
    if settings is None:
        unknown = Unknown(Reason.EARLIER, "the store's options are wrong")
        return _nothing_asked(config, unknown, unknown)
    session = keystone.session_of(settings)
    login = keystone.login(session)
    if isinstance(login, Unknown):
        is_login_good: Answer[bool] = login
        if login.reason is Reason.UNAUTHORIZED:
            is_login_good = keystone.is_password_right(settings)
        earlier = Unknown(Reason.EARLIER, "the store cannot log in")
        return dataclasses.replace(
            _nothing_asked(config, login, earlier), is_login_good=is_login_good
        )
    endpoint = keystone.endpoint(session, settings)
    if isinstance(endpoint, Unknown):
        earlier = Unknown(Reason.EARLIER, "nobody knows where Cinder is")
        return dataclasses.replace(
            _nothing_asked(config, login, earlier),
            is_login_good=True,
            endpoint=endpoint,
        )
    inquiry = CinderSurvey(settings, session)
    microversion = inquiry.microversion()
    types = inquiry.volume_types()
    answers = not isinstance(types, Unknown)
    return StoreFacts(
        config=config,
        login=login,
        is_login_good=True,
        endpoint=endpoint,
        microversion=microversion,
        volume_types=types,
        quota=inquiry.quota(login.project_id)
        if answers
        else Unknown(Reason.EARLIER, "Cinder does not answer"),
    )


def _nothing_asked(
    config: StoreConfig, login: Answer[Login], earlier: Unknown
) -> StoreFacts:
    return StoreFacts(
        config=config,
        login=login,
        is_login_good=earlier,
        endpoint=earlier,
        microversion=earlier,
        volume_types=earlier,
        quota=earlier,
    )


def _admin(session: session_.Session | None, stores: Sequence[Settings]) -> AdminFacts:
    """What an administrator sees of the first store's Cinder.

    That is the Cinder of all stores with the same Keystone and region.
    """
    if session is None:
        return _no_admin(
            Unknown(Reason.NOT_GIVEN, "no administrator's credentials were given")
        )
    if not stores:
        return _no_admin(Unknown(Reason.EARLIER, "no store says where Cinder is"))
    login = keystone.login(session)
    if isinstance(login, Unknown):
        return _no_admin(
            Unknown(login.reason, f"the administrator cannot log in: {login.text}")
        )
    inquiry = CinderSurvey(stores[0], session)
    if "admin" not in login.roles:
        # Cinder would show less, and not say so.
        return _no_admin(
            Unknown(Reason.FORBIDDEN, "the credentials given lack role admin")
        )
    types = inquiry.volume_types()
    known = () if isinstance(types, Unknown) else types
    covered = [each for each in stores if _place(each) == _place(stores[0])]
    return AdminFacts(
        volume_types=types,
        encrypted={
            each.id: inquiry.encrypts(each.id)
            for each in known
            if any(each.is_called(store.volume_type) for store in covered)
        },
        pools=inquiry.pools(),
        covers=frozenset(each.store_id or "" for each in covered),
    )


def _place(settings: Settings) -> tuple[str, str | None]:
    return settings.auth_url, settings.region_name


def _no_admin(unknown: Unknown) -> AdminFacts:
    return AdminFacts(volume_types=unknown, encrypted={}, pools=unknown)


def _cinder_config(conf: Answer[Any]) -> Answer[CinderConfig]:
    if isinstance(conf, Unknown):
        return conf
    return CinderConfig(
        allowed_direct_url_schemes=configuration.direct_url_schemes(conf),
        backends=configuration.cinder_backends(conf),
        glance_user=_glance_user(conf),
    )


def _glance_user(conf: Any) -> Answer[Login] | None:
    session = keystone.asked(lambda: keystone.configured_session(conf, "glance"))
    if session is None or isinstance(session, Unknown):
        return session
    return keystone.login(session)
