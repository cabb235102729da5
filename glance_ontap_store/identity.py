"""From a store's credentials to its Keystone session.

Each store has a session of its own: two stores with different users really
use both. A session keeps its token and renews it by itself.
"""

from keystoneauth1 import identity
from keystoneauth1 import session

from glance_ontap_store import settings as settings_


def session_for(settings: settings_.Settings) -> session.Session:
    """A session that logs in as the store when it is first used."""
    credential = settings.credential
    auth: identity.V3ApplicationCredential | identity.V3Password
    if isinstance(credential, settings_.ApplicationCredential):
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
        auth=auth, verify=settings.verify, timeout=settings.api_timeout_s
    )
