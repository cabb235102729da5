# SPDX-License-Identifier: Apache-2.0
"""Asking Keystone: logins of stores, of Cinder's user, and of an administrator."""

from collections.abc import Callable
import dataclasses
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1 import identity as auth
from keystoneauth1 import loading
from keystoneauth1 import session as session_
from oslo_utils import strutils

from glance_ontap_store import identity
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Login

# Nobody wants to look at a silent check for as long as an upload may take.
TIMEOUT_S = 30


def asked(question: Callable[[], T]) -> Answer[T]:
    """The answer to what is asked through keystoneauth, or why there is none."""
    try:
        return question()
    except exceptions.ClientException as error:
        return Unknown(identity.reason_of(error), strutils.mask_password(str(error)))


def session_of(settings: Settings) -> session_.Session:
    """The store's own session, that does not wait as long as the store would."""
    brief = min(TIMEOUT_S, settings.api_timeout_s)
    return identity.session_for(dataclasses.replace(settings, api_timeout_s=brief))


def login(session: session_.Session) -> Answer[Login]:
    """Log in, and who one is then."""

    def ask() -> Login:
        # An auth plugin of Keystone always has access information.
        plugin: Any = session.auth
        access = plugin.get_access(session)
        return Login(
            user_id=access.user_id or "",
            project_id=access.project_id or "",
            roles=frozenset(access.role_names),
        )

    return asked(ask)


def is_password_right(settings: Settings) -> Answer[bool]:
    """Whether the store's user can log in at all, without any project.

    Keystone refuses a login to a project in which the user has no role in the
    same words as a wrong password.
    """
    credential = settings.credential
    if not isinstance(credential, Password):
        return Unknown(Reason.NOT_GIVEN, "an application credential has no password")
    unscoped = auth.V3Password(
        auth_url=settings.auth_url,
        username=credential.user_name,
        user_domain_name=credential.user_domain_name,
        password=credential.password,
        unscoped=True,
    )
    session = session_.Session(auth=unscoped, verify=settings.verify, timeout=TIMEOUT_S)
    found = asked(lambda: bool(session.get_token()))
    if isinstance(found, Unknown) and found.reason is Reason.UNAUTHORIZED:
        return False
    return found


def endpoint(session: session_.Session, settings: Settings) -> Answer[str]:
    """Where the catalog has Cinder for this session, as the store looks it up."""
    catalog = settings.catalog
    found = asked(
        lambda: session.get_endpoint(
            service_type=catalog.service_type,
            service_name=catalog.service_name,
            interface=catalog.interface,
            region_name=settings.region_name,
        )
    )
    if found is None:
        return Unknown(
            Reason.NO_ENDPOINT,
            f"the catalog has no endpoint {catalog.interface} of service"
            f" {catalog.service_type!r}"
            + (f" in region {settings.region_name!r}" if settings.region_name else ""),
        )
    return found


def configured_session(conf: Any, group: str) -> session_.Session | None:
    """The session that a service's options in *group* make; None without any.

    Cinder makes its own session for Glance of these very options.

    :raises keystoneauth1.exceptions.AuthPluginException: they do not suffice;
        `asked` knows it
    """
    loading.register_auth_conf_options(conf, group)
    loading.register_session_conf_options(conf, group)
    plugin = loading.load_auth_from_conf_options(conf, group)
    if plugin is None:
        return None
    made: session_.Session = loading.load_session_from_conf_options(
        conf, group, auth=plugin, timeout=TIMEOUT_S
    )
    return made
