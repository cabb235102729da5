# SPDX-License-Identifier: Apache-2.0
"""Logs in to OpenStack as the store, or acts for the user of a request.

Each store has a session of its own, so that two stores with different users use
both. A session keeps its token and renews it by itself. The stores of a process
share their connections.
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

from glance_ontap_store import errors
from glance_ontap_store.errors import Reason
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import ApplicationCredential
from glance_ontap_store.settings import Catalog
from glance_ontap_store.settings import Settings


def session_for(settings: Settings) -> session.Session:
    """A session that logs in as the store when it is first used."""
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
    """Cookies of its own, connections that are not."""
    made = requests.Session()
    for scheme in ("https://", "http://"):
        made.mount(scheme, _connections(verify))
    return made


@functools.cache
def _connections(verify: bool | str) -> session.TCPKeepAliveAdapter:
    """Those of all stores that check certificates alike.

    A connection stays open for the next request. Under eventlet, Cinder's API keeps
    a place for each, 100 in all, and answers nobody else while they are taken: fifty
    stores in a few workers would take them. Stores that check differently have
    their own: older releases of requests check a connection only when it is made.
    """
    return session.TCPKeepAliveAdapter()


def acting_for(
    requester: Requester, endpoint: str, store: session.Session
) -> plugin.BaseAuthPlugin:
    """The requester's token at *endpoint*, vouched for by the store's own.

    A service accepts an expired user's token beside a service's
    (``service_token_roles`` and ``allow_expired_window`` there).
    """
    return service_token.ServiceTokenAuthWrapper(
        user_auth=token_endpoint.Token(endpoint, requester.token),
        # `session_for` gave it one.
        service_auth=cast(plugin.BaseAuthPlugin, store.auth),
    )


def endpoint_of(requester: Requester, wanted: Catalog, region: str | None) -> str:
    """Where the catalog that came with the request has a service.

    :raises errors.Misconfigured: it has it nowhere
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
    """Why a request through keystoneauth has no answer."""
    match error:
        case exceptions.Unauthorized():
            return Reason.UNAUTHORIZED
        case exceptions.Forbidden():
            return Reason.FORBIDDEN
        case exceptions.NotFound():
            # Keystone answers so for an application credential that does not exist,
            # and any other server for a path that it does not have.
            return Reason.MISSING if _is_keystones(error) else Reason.UNREACHABLE
        case exceptions.EndpointNotFound():
            return Reason.NO_ENDPOINT
        case exceptions.SSLError():
            return Reason.CERTIFICATE
        case exceptions.ConnectFailure() | exceptions.DiscoveryFailure():
            return Reason.UNREACHABLE
    return Reason.BROKEN


def _is_keystones(error: exceptions.HttpError) -> bool:
    """Whether the answer has the form of Keystone's errors."""
    try:
        body = error.response.json() if error.response is not None else None
    except ValueError:
        return False
    return isinstance(body, dict) and "error" in body
