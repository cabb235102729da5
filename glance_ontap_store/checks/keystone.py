# SPDX-License-Identifier: Apache-2.0
"""Judge Keystone's answers to the stores."""

from collections.abc import Iterator

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreFacts

# Cinder's default policies let a user with one of these roles create volumes.
_CREATES_VOLUMES = frozenset({"member", "manager", "admin"})

judges = Judges()


@judges.per_store("settings")
def store_logs_in(store: StoreFacts, settings: Settings) -> Iterator[Finding]:
    """Report the reason why the store cannot log in."""
    login, credential = store.login, settings.credential
    if not isinstance(login, Unknown):
        return
    name, url = settings.describe_identity(), settings.auth_url
    match login.reason:
        case Reason.UNAUTHORIZED if store.is_password_right is True and isinstance(
            credential, Password
        ):
            yield codes.ROLE_MISSING(
                store.id,
                f"Keystone accepts the password of user {credential.user_name!r}, but"
                f" denies access to project {credential.project_name!r}: the user has"
                " no role in the project, or the project does not exist.",
                f"Run: {remedies.add_role_to_names(credential, 'member')}",
            )
        case Reason.UNAUTHORIZED | Reason.FORBIDDEN | Reason.MISSING:
            yield codes.CREDENTIALS_REFUSED(
                store.id,
                f"Keystone at {url} refuses {name}: {login.text}",
                "Correct ontap_store_user_name, ontap_store_password and"
                " ontap_store_project_name, or the application credential.",
            )
        case Reason.CERTIFICATE:
            yield codes.CERTIFICATE_REFUSED(
                store.id,
                f"This host does not trust the certificate of Keystone at {url}:"
                f" {login.text}",
                "Set ontap_ca_certificates_file to the file of the certificate"
                " authority.",
            )
        case _:
            yield codes.KEYSTONE_UNREACHABLE(
                store.id,
                f"Keystone does not answer at {url}: {login.text}",
                "Check ontap_store_auth_address and the network from this host.",
            )


@judges.per_store("settings", "login")
def store_may_create_volumes(
    store: StoreFacts, settings: Settings, login: Login
) -> Iterator[Finding]:
    """Report the roles that the store's user lacks."""
    if not login.roles & _CREATES_VOLUMES:
        roles = ", ".join(sorted(login.roles)) or "none"
        yield codes.ROLE_MISSING(
            store.id,
            f"The {settings.describe_identity()} has no role that may create volumes"
            f" with Cinder's default policies (its roles: {roles}).",
            _grant(settings, login, "member"),
        )
    elif settings.owned_by_project:
        yield from _acts_for_projects(store.id, settings, login)


def _acts_for_projects(
    store_id: str, settings: Settings, login: Login
) -> Iterator[Finding]:
    """Report the roles that ``ontap_image_volume_owner = project`` needs as well."""
    name = settings.describe_identity()
    if "admin" not in login.roles:
        yield codes.ROLE_MISSING(
            store_id,
            f"ontap_image_volume_owner = project, but the {name} lacks role admin: it"
            " cannot use the volumes in other projects, and every upload fails.",
            _grant(settings, login, "admin"),
        )
    if "service" not in login.roles:
        yield codes.ROLE_MISSING(
            store_id,
            f"ontap_image_volume_owner = project, but the {name} lacks role service:"
            " if a user's token expires during the upload, Cinder refuses it, and the"
            " image-volume is created in the store's own project.",
            _grant(settings, login, "service"),
            Severity.WARNING,
        )


def _grant(settings: Settings, login: Login, role: str) -> str:
    if isinstance(settings.credential, Password):
        return f"Run: {remedies.add_role_to_names(settings.credential, role)}"
    given = remedies.add_role_to_ids(login.user_id, login.project_id, role)
    return (
        "Create another application credential: it keeps the roles that its user had"
        f" when it was created. First run: {given}"
    )


@judges.per_store("settings", "login")
def catalog_has_cinder(
    store: StoreFacts, _settings: Settings, _login: Login
) -> Iterator[Finding]:
    """Report a catalog without the endpoint of Cinder."""
    if isinstance(store.endpoint, Unknown):
        yield codes.CINDER_ENDPOINT(
            store.id,
            f"Keystone does not tell where Cinder is: {store.endpoint.text}.",
            "Correct ontap_catalog_info, ontap_os_region_name, or the catalog"
            " (openstack catalog list).",
        )
