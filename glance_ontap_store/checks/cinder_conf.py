# SPDX-License-Identifier: Apache-2.0
"""Judge cinder.conf: can Cinder clone images, and does it make raw files?"""

from collections.abc import Iterator

from glance_ontap_store.checks import backends
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import LocationPolicy
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreFacts

_LACKING_ROLE = {
    "service": "Glance does not show it where images are stored, and Cinder downloads"
    " images instead of cloning them",
    "admin": "Glance hides other projects' private images from it, and creating volumes"
    " from them fails",
}

judges = Judges()


@judges.once()
def cinder_conf_is_readable(facts: Facts) -> Iterator[Finding]:
    """Report a cinder.conf that was not given or cannot be read."""
    config = facts.cinder
    if not isinstance(config, Unknown):
        return
    if config.reason is Reason.NOT_GIVEN:
        yield codes.not_asked(
            "cinder",
            "whether Cinder clones images, and may read their locations",
            config.text,
            "Give a copy of cinder-volume's cinder.conf: --cinder-conf FILE.",
        )
    else:
        yield codes.CINDER_CONF_UNREADABLE(
            "cinder",
            f"cinder.conf cannot be read: {config.text}",
            "Give another file, or run the command as a user who may read it.",
        )


@judges.once("cinder")
def cinder_clones(_facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report a Cinder that is configured to download every image."""
    if "cinder" not in config.allowed_direct_url_schemes:
        yield codes.DIRECT_URL_SCHEMES(
            "cinder",
            "allowed_direct_url_schemes in cinder.conf does not contain cinder: Cinder"
            " never clones an image, but downloads it for every volume.",
            "Set allowed_direct_url_schemes = cinder in [DEFAULT] and restart"
            " cinder-volume.",
        )


@judges.once("cinder")
def cinder_reads_locations(facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report a Cinder that cannot learn where images are stored."""
    shown = facts.glance.show_image_direct_url or facts.glance.show_multiple_locations
    release = facts.cinder_release
    # `backends.cinder_can_learn_locations` judges an older Cinder.
    asks = release is None or release >= backends.ASKS_FOR_LOCATIONS
    login = config.glance_user
    if isinstance(login, Unknown):
        yield codes.GLANCE_USER(
            "cinder",
            f"The user of [glance] in cinder.conf cannot log in: {login.text}",
            "Correct auth_url, username, password, project_name and the domains in"
            " [glance]: otherwise Cinder cannot read any image. Or remove all of them,"
            " see Locations in the documentation.",
        )
    elif login is None and asks and not shown:
        yield from _policy_accepts_the_service_token(facts.glance.location_policy)
        yield from _service_token_is_sent(config.service_user)


def _policy_accepts_the_service_token(
    policy: Answer[LocationPolicy],
) -> Iterator[Finding]:
    if isinstance(policy, Unknown):
        yield codes.not_asked(
            "cinder",
            "whether Glance's policy shows locations to Cinder",
            policy.text,
            "Run the command on a Glance host, as a user who may read Glance's policy"
            " file.",
        )
    elif not policy.vouched:
        yield codes.LOCATION_POLICY(
            "cinder",
            "cinder.conf has no user in [glance], and Glance's policy"
            " fetch_image_location does not accept Cinder's service token: Cinder"
            " downloads images instead of cloning them.",
            remedies.accept_service_token(policy.file),
        )


def _service_token_is_sent(login: Answer[Login] | None) -> Iterator[Finding]:
    if login is None:
        yield codes.SERVICE_USER(
            "cinder",
            "Cinder sends no service token: Glance does not show it where images are"
            " stored, and Cinder downloads images instead of cloning them.",
            "Set send_service_user_token = true, auth_type, auth_url, username,"
            " password and project_name in [service_user] of cinder.conf, for a user"
            " with the role service.",
        )
    elif isinstance(login, Unknown):
        yield codes.SERVICE_USER(
            "cinder",
            f"The user of [service_user] in cinder.conf cannot log in: {login.text}",
            "Correct auth_url, username, password, project_name and the domains in"
            " [service_user]: otherwise Cinder cannot read any image.",
        )
    elif "service" not in login.roles:
        given = remedies.add_role_to_ids(login.user_id, login.project_id, "service")
        yield codes.GLANCE_USER_ROLE(
            "cinder",
            "The user of [service_user] in cinder.conf lacks role service:"
            f" {_LACKING_ROLE['service']}.",
            f"Run: {given}",
        )


@judges.once("cinder.glance_user")
def cinders_user_has_its_roles(_facts: Facts, login: Login) -> Iterator[Finding]:
    """Report the roles that Cinder's user in Glance lacks."""
    for role, consequence in _LACKING_ROLE.items():
        if role not in login.roles:
            given = remedies.add_role_to_ids(login.user_id, login.project_id, role)
            yield codes.GLANCE_USER_ROLE(
                "cinder",
                f"The user of [glance] in cinder.conf lacks role {role}:"
                f" {consequence}.",
                f"Run: {given}",
            )


@judges.once("cinder.glance_user")
def cinder_does_not_log_in_for_each_location(
    facts: Facts, _login: Login
) -> Iterator[Finding]:
    """Note that Cinder could ask with its service token."""
    policy = facts.glance.location_policy
    accepts = not isinstance(policy, Unknown) and policy.vouched
    first = "" if accepts else f"{remedies.accept_service_token(None)} Then "
    yield codes.GLANCE_USER_LOGINS(
        "cinder",
        "Cinder reads locations as the user of [glance] in cinder.conf: it logs in to"
        " Keystone twice for each volume from an image.",
        f"{first}{'remove' if first else 'Remove'} the credentials from [glance]."
        " Cinder's user does not need the role admin then.",
    )


@judges.per_store("facts.cinder", "facts.admin", "facts.admin.volume_types")
def volume_type_leads_to_ontap(
    store: StoreFacts,
    config: CinderConfig,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
) -> Iterator[Finding]:
    """Report a volume type whose back end the store does not support."""
    kind = volume_types.full_type(store, admin, types)
    wanted = kind and kind.extra_specs.get("volume_backend_name")
    if kind is None or wanted is None:
        return
    for backend in config.backends:
        if backend.backend_name == wanted and not backends.is_supported(backend):
            yield codes.VOLUME_TYPE_NOT_ONTAP(
                store.id,
                f"Volume type {kind.name!r} leads to [{backend.section}] of"
                " cinder.conf, which is not ONTAP over a protocol of the store"
                f" ({', '.join(volume_types.SUPPORTED)}): volume_driver ="
                f" {backend.driver}, netapp_storage_protocol = {backend.protocol}.",
                "Set volume_backend_name of the type to a NetApp back end.",
            )


@judges.once("cinder")
def a_backend_is_ontap(facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report that the store supports no back end.

    If the properties of the volume types are known, `volume_type_leads_to_ontap`
    judges instead, for each store.
    """
    if not isinstance(facts.admin.volume_types, Unknown):
        return
    if not any(backends.is_supported(backend) for backend in config.backends):
        yield codes.NO_ONTAP_BACKEND(
            "cinder",
            "No enabled back end of cinder.conf uses NetApp's driver over"
            f" {', '.join(volume_types.SUPPORTED)} (volume_driver,"
            " netapp_storage_protocol).",
            "Give the cinder.conf of the host that has such a back end, or configure"
            " one.",
        )


@judges.once("cinder")
def files_are_raw(_facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report back ends that make qcow2 files."""
    for backend in config.backends:
        if backend.qcow2 and backends.is_ontap(backend):
            yield codes.QCOW2_VOLUMES(
                "cinder",
                f"nfs_qcow2_volumes = true in [{backend.section}] of cinder.conf: an"
                " image-volume must be raw, and uploads fail.",
                "Set it to false and restart cinder-volume.",
            )


@judges.once("cinder")
def cinder_owns_its_files(_facts: Facts, config: CinderConfig) -> Iterator[Finding]:
    """Report back ends whose files only Cinder's user and group may open."""
    for backend in filter(backends.is_ontap, config.backends):
        permissions, operations = backend.secure_permissions, backend.secure_operations
        options = (
            f"nas_secure_file_permissions = {permissions} and"
            f" nas_secure_file_operations = {operations} in [{backend.section}] of"
            " cinder.conf"
        )
        if permissions == "true" and operations == "false":
            yield codes.SECURE_NFS(
                "cinder",
                f"{options}: the files have the mode 0660 and belong to root, for whom"
                " the store opens nothing.",
                "Set both options to true, or both to false, and restart"
                " cinder-volume.",
                Severity.WARNING,
            )
        elif permissions != "false":
            may = "may have" if permissions == "auto" else "have"
            yield codes.SECURE_NFS(
                "cinder",
                f"{options}: the files {may} the mode 0660.",
                "See Secure NFS in the documentation. As Glance's user, run"
                " glance-ontap check --deep to see how the files are opened.",
            )
