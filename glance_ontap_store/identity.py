# SPDX-License-Identifier: Apache-2.0
"""Log in to OpenStack as the store, or act for the user of a request.

Each store has its own session, because stores may have different users. A session
keeps its token and renews it. The stores of a process share connections.
"""

import functools
from typing import cast

from keystoneauth1 import exceptions
from keystoneauth1 import identity
from keystoneauth1 import plugin
from keystoneauth1 import service_token
from keystoneauth1 import session
from keystoneauth1 import token_endpoint
from keystoneauth1.access import service_catalog
import requests
import urllib3.exceptions

from glance_ontap_store import errors
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Reason
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import ApplicationCredential
from glance_ontap_store.settings import Catalog
from glance_ontap_store.settings import Settings


def session_for(settings: Settings) -> session.Session:
    """Return a session that logs in as the store when it is first used."""
    credential = settings.credential
    auth: identity.V3ApplicationCredential | identity.V3Password
    if isinstance(credential, ApplicationCredential):
        auth = identity.V3ApplicationCredential(
            auth_url=settings.auth_url,
            application_credential_id=credential.id,
            application_credential_secret=credential.secret,
        )
    else:
        auth = identity.V3Password(
            auth_url=settings.auth_url,
            username=credential.user_name,
            user_domain_name=credential.user_domain_name,
            password=credential.password,
            project_name=credential.project_name,
            project_domain_name=credential.project_domain_name,
        )
    return session.Session(
        auth=auth,
        session=_http(settings.verify),
        verify=settings.verify,
        timeout=settings.api_timeout_s,
    )


def _http(verify: bool | str) -> requests.Session:
    """Return an HTTP session with its own cookies and shared connections."""
    made = requests.Session()
    for scheme in ("https://", "http://"):
        made.mount(scheme, _connections(verify))
    return made


@functools.cache
def _connections(verify: bool | str) -> session.TCPKeepAliveAdapter:
    """Return the connections of all stores with the same *verify*.

    A connection stays open for the next request. Under eventlet, Cinder's API
    accepts 100 connections, open ones included, and lets all others wait: fifty
    stores in a few workers would use them up. Stores with another *verify* have
    their own connections, because older releases of requests check a certificate
    only when they connect.
    """
    return session.TCPKeepAliveAdapter()


def acting_for(
    requester: Requester, endpoint: str, store: session.Session
) -> plugin.BaseAuthPlugin:
    """Return the requester's token for *endpoint*, with the store's as service token.

    With a valid service token, a service accepts a user's token that has expired
    meanwhile (``service_token_roles`` and ``allow_expired_window`` there).
    """
    return service_token.ServiceTokenAuthWrapper(
        user_auth=token_endpoint.Token(endpoint, requester.token),
        # A session of `session_for` always has one.
        service_auth=cast(plugin.BaseAuthPlugin, store.auth),
    )


def endpoint_of(requester: Requester, wanted: Catalog, region: str | None) -> str:
    """Return the URL of a service in the catalog that came with the request.

    :raises errors.Misconfigured: the catalog does not have the service
    """
    # keystonemiddleware passes every catalog on in the form of version 2.
    catalog = service_catalog.ServiceCatalogV2(list(requester.catalog))
    try:
        found = catalog.url_for(
            service_type=wanted.service_type,
            service_name=wanted.service_name,
            interface=wanted.interface,
            region_name=region,
        )
    except exceptions.CatalogException as error:
        raise errors.Misconfigured(
            f"The service catalog of the request has no {wanted.interface} of"
            f" {wanted.service_type!r} in region {region!r}: {error}. Check"
            " ontap_catalog_info, ontap_os_region_name, and include_service_catalog"
            " in [keystone_authtoken] of Glance."
        ) from error
    return str(found)


def reason_of(error: Exception) -> Reason:
    """Return the reason why a request through keystoneauth was not answered."""
    match error:
        case exceptions.Unauthorized():
            return Reason.UNAUTHORIZED
        case exceptions.Forbidden():
            return Reason.FORBIDDEN
        case exceptions.NotFound():
            # Keystone answers 404 for an application credential that does not exist,
            # and any other server for a path that does not exist.
            return Reason.MISSING if _is_keystones(error) else Reason.UNREACHABLE
        case exceptions.EndpointNotFound():
            return Reason.NO_ENDPOINT
        case exceptions.SSLError():
            return Reason.CERTIFICATE
        case exceptions.ConnectFailure() | exceptions.DiscoveryFailure():
            return Reason.UNREACHABLE
    return Reason.BROKEN


def doubt_of(error: Exception) -> Doubt:
    """Return what the service may do for a request that keystoneauth lost."""
    lost = error.__context__
    if isinstance(lost, requests.exceptions.ConnectTimeout) or _is_refused(lost):
        return Doubt.UNSENT
    if isinstance(lost, requests.exceptions.Timeout):
        return Doubt.LATE
    return Doubt.LOST


def _is_refused(lost: BaseException | None) -> bool:
    """Return whether there was no connection at all, so that nothing was sent."""
    first = lost.args[0] if lost is not None and lost.args else None
    reason = getattr(first, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _is_keystones(error: exceptions.HttpError) -> bool:
    """Return whether the answer has the form of Keystone's errors."""
    try:
        body = error.response.json() if error.response is not None else None
    except ValueError:
        return False
    return isinstance(body, dict) and "error" in body
