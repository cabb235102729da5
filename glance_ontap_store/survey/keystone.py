# SPDX-License-Identifier: Apache-2.0
"""Ask Keystone: logins of the stores, of Cinder's user, and of an administrator."""

from collections.abc import Callable
import dataclasses
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from keystoneauth1.identity import V3Password
from keystoneauth1.session import Session
from oslo_utils import strutils

from glance_ontap_store import identity
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Login

# A check must not wait for as long as an upload may.
TIMEOUT_S = 30


def asked(question: Callable[[], T]) -> Answer[T]:
    """Return the answer to a question that keystoneauth sends, or why there is none."""
    try:
        return question()
    except exceptions.ClientException as error:
        return unknown(error)


def unknown(error: Exception) -> Unknown:
    """Return the reason why a request through keystoneauth has no answer."""
    return Unknown(identity.reason_of(error), strutils.mask_password(_brief(error)))


def _brief(error: Exception) -> str:
    """Return the error's text without the names of urllib3's objects.

    ``Unable to establish connection to URL: HTTPConnectionPool(host='h', port=5000):
    Max retries exceeded with url: /v3 (Caused by NewConnectionError(...: Connection
    refused"))`` becomes ``Unable to establish connection to URL: Connection refused``.
    """
    text = str(error)
    head, found, tail = text.partition(": HTTP")
    if not found or "ConnectionPool(" not in tail:
        return text
    cause = tail.rstrip("\"')").rpartition(": ")[2]
    return f"{head}: {cause}"


def session_of(settings: Settings) -> Session:
    """Return a session of the store's user that waits no longer than `TIMEOUT_S`."""
    brief = min(TIMEOUT_S, settings.api_timeout_s)
    return identity.session_for(dataclasses.replace(settings, api_timeout_s=brief))


def login(session: Session) -> Answer[Login]:
    """Log in; return the ids and roles of the login."""

    def ask() -> Login:
        # Keystone's auth plugins always have access information.
        plugin: Any = session.auth
        access = plugin.get_access(session)
        return Login(
            user_id=access.user_id or "",
            project_id=access.project_id or "",
            roles=frozenset(access.role_names),
        )

    return asked(ask)


def is_password_right(settings: Settings) -> Answer[bool]:
    """Return whether the store's user can log in without a project.

    Keystone gives the same answer to a wrong password and to a login to a project
    in which the user has no role.
    """
    credential = settings.credential
    if not isinstance(credential, Password):
        return Unknown(Reason.NOT_GIVEN, "an application credential has no password")
    unscoped = V3Password(
        auth_url=settings.auth_url,
        username=credential.user_name,
        user_domain_name=credential.user_domain_name,
        password=credential.password,
        unscoped=True,
    )
    session = Session(auth=unscoped, verify=settings.verify, timeout=TIMEOUT_S)
    found = asked(lambda: bool(session.get_token()))
    if isinstance(found, Unknown) and found.reason is Reason.UNAUTHORIZED:
        return False
    return found


def endpoint(session: Session, settings: Settings) -> Answer[str]:
    """Return the URL of Cinder in the catalog, looked up as the store does."""
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


def configured_session(conf: Any, group: str) -> Session | None:
    """Return the session that the options in *group* describe; None without options.

    Cinder makes its own session for Glance from the same options.

    :raises keystoneauth1.exceptions.AuthPluginException: the options are incomplete;
        `asked` translates this
    """
    loading.register_auth_conf_options(conf, group)
    loading.register_session_conf_options(conf, group)
    plugin = loading.load_auth_from_conf_options(conf, group)
    if plugin is None:
        return None
    made: Session = loading.load_session_from_conf_options(
        conf, group, auth=plugin, timeout=TIMEOUT_S
    )
    return made
