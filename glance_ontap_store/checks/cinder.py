# SPDX-License-Identifier: Apache-2.0
"""What is wrong with what Keystone, Cinder and cinder.conf say. Asks nobody."""

from collections.abc import Iterator

from glance_ontap_store.checks import finding
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import Pool
from glance_ontap_store.survey.facts import Room
from glance_ontap_store.survey.facts import StoreFacts
from glance_ontap_store.survey.facts import VolumeType

# Below this an operator wants to know, before users do.
ROOM_GIB = 100
ROOM_VOLUMES = 10
# What Cinder's default policies ask of somebody who makes volumes.
_MAKES_VOLUMES = frozenset({"member", "manager", "admin"})
_OLDEST = (3, 54)
_AS_ADMIN = "Give an administrator's credentials: --os-cloud NAME, or OS_*."
_PIN = "Run: openstack volume type set --property pool_name=ADDRESS:/PATH"
# As the drivers of NetApp report themselves.
_VENDOR = "netapp"
_PROTOCOLS = ("nfs",)


def store_logs_in(facts: Facts) -> Iterator[Finding]:
    for store in facts.stores:
        settings, login = store.config.settings, store.login
        if settings is None or not isinstance(login, Unknown):
            continue
        who, where = settings.describe_identity(), settings.auth_url
        match login.reason:
            case Reason.UNAUTHORIZED if store.is_login_good is True:
                yield finding.error(
                    "role-missing",
                    store.config.id,
                    f"Keystone knows the {who}, but lets it not into that project: the"
                    " user has no role there, or there is no such project.",
                    _grant(settings),
                )
            case Reason.UNAUTHORIZED | Reason.FORBIDDEN | Reason.MISSING:
                yield finding.error(
                    "credentials-refused",
                    store.config.id,
                    f"Keystone at {where} refuses {who}: {login.text}",
                    "Correct ontap_store_user_name, _password, _project_name or the"
                    " application credential.",
                )
            case Reason.CERTIFICATE:
                yield finding.error(
                    "certificate-refused",
                    store.config.id,
                    f"The certificate of Keystone at {where} is refused: {login.text}",
                    "Set ontap_ca_certificates_file to the file of its authority.",
                )
            case _:
                yield finding.error(
                    "keystone-unreachable",
                    store.config.id,
                    f"No Keystone answers at {where}: {login.text}",
                    "Check ontap_store_auth_address and the network from this host.",
                )


def store_has_its_role(facts: Facts) -> Iterator[Finding]:
    for store in facts.stores:
        settings, login = store.config.settings, store.login
        if settings is None or isinstance(login, Unknown):
            continue
        if not login.roles & _MAKES_VOLUMES:
            yield finding.error(
                "role-missing",
                store.config.id,
                f"The {settings.describe_identity()} has the roles"
                f" {_listed(login.roles)} there: Cinder's default policies let it make"
                " no volumes.",
                _grant(settings),
            )
        elif settings.owned_by_project:
            yield from _acts_for_projects(store.config.id, settings, login.roles)


def _acts_for_projects(
    store_id: str, settings: Settings, roles: frozenset[str]
) -> Iterator[Finding]:
    """What ``ontap_image_volume_owner = project`` needs beyond that."""
    who = settings.describe_identity()
    if "admin" not in roles:
        yield finding.error(
            "role-missing",
            store_id,
            f"ontap_image_volume_owner = project, but the {who} lacks role admin: it"
            " cannot use the volumes in other projects, and every upload fails.",
            _grant(settings, "admin"),
        )
    if "service" not in roles:
        yield finding.warning(
            "role-missing",
            store_id,
            f"ontap_image_volume_owner = project, but the {who} lacks role service:"
            " Cinder refuses the token of an upload that outlives it, and the"
            " image-volume is then the store's.",
            _grant(settings, "service"),
        )


def _grant(settings: Settings, role: str = "member") -> str:
    user, project = "USER", "PROJECT"
    if isinstance(settings.credential, Password):
        user = settings.credential.user_name
        project = settings.credential.project_name
    return f"Run: openstack role add --user {user} --project {project} {role}"


def cinder_answers(facts: Facts) -> Iterator[Finding]:
    for store in facts.stores:
        if isinstance(store.login, Unknown):
            continue
        if isinstance(store.endpoint, Unknown):
            yield finding.error(
                "cinder-endpoint",
                store.config.id,
                f"Keystone does not say where Cinder is: {store.endpoint.text}.",
                "Correct ontap_catalog_info or ontap_os_region_name, or the catalog"
                " (openstack catalog list).",
            )
        elif isinstance(store.volume_types, Unknown):
            yield finding.error(
                "cinder-unreachable",
                store.config.id,
                f"No Cinder answers at {store.endpoint}: {store.volume_types.text}",
                "Check the endpoint in Keystone's catalog, the network from this host,"
                " and cinder-api.",
            )


def cinder_is_new_enough(facts: Facts) -> Iterator[Finding]:
    for store in facts.stores:
        newest = store.microversion
        if isinstance(newest, Unknown):
            if not isinstance(store.volume_types, Unknown):
                yield finding.not_asked(
                    store.config.id,
                    "which microversion Cinder has",
                    newest.text,
                    "Ask: openstack versions show --service volumev3.",
                )
        elif newest < _OLDEST:
            yield finding.error(
                "cinder-too-old",
                store.config.id,
                f"Cinder has microversion {newest[0]}.{newest[1]}; the store needs"
                f" {_OLDEST[0]}.{_OLDEST[1]} (Train).",
                "Upgrade Cinder.",
            )


def volume_type_is_there(facts: Facts) -> Iterator[Finding]:
    for store in facts.stores:
        settings = store.config.settings
        if settings is None or isinstance(store.volume_types, Unknown):
            continue
        wanted = settings.volume_type
        if wanted is None:
            yield finding.warning(
                "volume-type-unset",
                store.config.id,
                "ontap_volume_type is not set: image-volumes are of Cinder's default"
                " type, and nobody can tell where volumes will be clones.",
                "Set it to a type that is pinned to one FlexVol.",
            )
        elif not any(each.is_called(wanted) for each in store.volume_types):
            yield _missing(store.config.id, wanted, facts.admin)
        elif settings.owned_by_project and not any(
            each.is_called(wanted) and each.is_public for each in store.volume_types
        ):
            yield finding.warning(
                "volume-type-private",
                store.config.id,
                f"ontap_image_volume_owner = project, but volume type {wanted!r} is"
                " private: only projects that were given access to it can upload.",
                f"Run: openstack volume type set --project PROJECT {wanted}, for each,"
                " or use a public type.",
            )


def _missing(store_id: str, wanted: str, admin: AdminFacts) -> Finding:
    if isinstance(admin.volume_types, Unknown) or store_id not in admin.covers:
        return finding.error(
            "volume-type-missing",
            store_id,
            f"The store sees no volume type {wanted!r}: there is none, or it is private"
            " to other projects.",
            "Create it, give the store's project access to it, or change"
            " ontap_volume_type.",
        )
    if any(each.is_called(wanted) for each in admin.volume_types):
        return finding.error(
            "volume-type-private",
            store_id,
            f"Volume type {wanted!r} is private to other projects than the store's.",
            f"Run: openstack volume type set --project PROJECT {wanted}",
        )
    return finding.error(
        "volume-type-missing",
        store_id,
        f"There is no volume type {wanted!r} in Cinder.",
        "Create it, or change ontap_volume_type.",
    )


def volume_type_is_right(facts: Facts) -> Iterator[Finding]:
    """Of each store's type: not encrypted, on ONTAP over NFS, on one FlexVol."""
    if not any(each.config.settings for each in facts.stores):
        return
    types, pools = facts.admin.volume_types, facts.admin.pools
    if isinstance(types, Unknown):
        yield finding.not_asked(
            "cinder",
            "whether the volume types encrypt, are on ONTAP, and are pinned to"
            " FlexVols that exist",
            types.text,
            _AS_ADMIN,
        )
        return
    if isinstance(pools, Unknown):
        yield finding.not_asked(
            "cinder",
            "which FlexVols the volume types lead to",
            pools.text,
            "Check cinder-scheduler, and that the credentials are an administrator's.",
        )
    for store in facts.stores:
        if store.config.settings and store.config.id not in facts.admin.covers:
            yield finding.not_asked(
                store.config.id,
                "whether its volume type encrypts, is on ONTAP, and is pinned",
                "it is in another cloud or region than the first store",
                f"Ask again: check --store {store.config.id}, with its cloud.",
            )
        for kind in _type_of(store, facts.admin):
            yield from _encryption(store.config.id, kind, facts.admin)
            if not isinstance(pools, Unknown):
                yield from _placement(store.config.id, kind, pools)


def _type_of(store: StoreFacts, admin: AdminFacts) -> tuple[VolumeType, ...]:
    """The store's type as administrators see it; () where that is not known."""
    wanted = store.config.settings and store.config.settings.volume_type
    if isinstance(admin.volume_types, Unknown) or store.config.id not in admin.covers:
        return ()
    return tuple(each for each in admin.volume_types if each.is_called(wanted or None))


def _encryption(
    store_id: str, kind: VolumeType, admin: AdminFacts
) -> Iterator[Finding]:
    encrypts = admin.encrypted.get(kind.id, False)
    if isinstance(encrypts, Unknown):
        yield finding.not_asked(
            store_id, f"whether type {kind.name!r} encrypts", encrypts.text, _AS_ADMIN
        )
    elif encrypts:
        yield finding.error(
            "volume-type-encrypted",
            store_id,
            f"Volume type {kind.name!r} encrypts on the host: the store refuses its"
            " volumes, since what lies in them is not the image.",
            "Use a type without encryption; NetApp Volume Encryption does no harm.",
        )


def _placement(
    store_id: str, kind: VolumeType, pools: tuple[Pool, ...]
) -> Iterator[Finding]:
    backend = kind.extra_specs.get("volume_backend_name")
    pin = kind.extra_specs.get("pool_name")
    matching = [each for each in pools if backend in (None, each.backend_name)]
    foreign = sorted(
        {each.vendor or "unknown" for each in matching if not _is_ours(each)}
    )
    if not matching:
        yield finding.error(
            "volume-type-backend",
            store_id,
            f"Volume type {kind.name!r} wants volume_backend_name={backend}, which no"
            " back end that Cinder knows now has.",
            "Correct the type's property or the back end's option; look whether"
            " cinder-volume runs (openstack volume service list).",
        )
    elif pin is not None and not any(each.pool_name == pin for each in matching):
        known = _listed({each.pool_name or each.name for each in matching})
        yield finding.error(
            "volume-type-pool",
            store_id,
            f"Volume type {kind.name!r} is pinned to pool_name={pin}, which does not"
            f" exist. Cinder knows {known}.",
            f"{_PIN} {kind.name}",
        )
    elif foreign:
        yield finding.error(
            "volume-type-not-ontap",
            store_id,
            f"Volume type {kind.name!r} leads to back ends that are not ONTAP by"
            f" NetApp's driver (vendor {', '.join(foreign)}).",
            "Set volume_backend_name of the type to a NetApp back end.",
        )
    else:
        yield from _reach(store_id, kind, pin, matching)


def _is_ours(pool: Pool) -> bool:
    return (pool.vendor or "").lower() == _VENDOR


def _reach(
    store_id: str, kind: VolumeType, pin: str | None, pools: list[Pool]
) -> Iterator[Finding]:
    """Which protocol and how many FlexVols the type leads to."""
    reached = [each for each in pools if pin in (None, each.pool_name)]
    protocols = {each.protocol for each in reached} - {None}
    if protocols and not protocols <= set(_PROTOCOLS):
        yield finding.error(
            "volume-type-protocol",
            store_id,
            f"Volume type {kind.name!r} leads to {_listed(protocols)}; this release of"
            " the store needs nfs.",
            "Set volume_backend_name of the type to a NetApp NFS back end.",
        )
    if len(reached) > 1:
        yield finding.warning(
            "volume-type-unpinned",
            store_id,
            f"Volume type {kind.name!r} may put an image on any of {len(reached)}"
            " FlexVols: nobody can tell where volumes will be clones.",
            f"{_PIN} {kind.name}",
        )


def quota_has_room(facts: Facts) -> Iterator[Finding]:
    """Each quota of a project once, however many stores it has.

    An error where not even one more volume of 1 GiB fits, a warning below
    `ROOM_VOLUMES` volumes or `ROOM_GIB` GiB.
    """
    said: set[tuple[str, str]] = set()
    for store in facts.stores:
        if isinstance(store.login, Unknown) or store.config.settings is None:
            continue
        if isinstance(store.quota, Unknown):
            if store.quota.reason is not Reason.EARLIER:
                yield finding.not_asked(
                    store.config.id,
                    "how much room the project's quota has",
                    store.quota.text,
                    _AS_ADMIN,
                )
            continue
        kind = _type_name(store)
        for name, room in sorted(store.quota.items()):
            key = store.login.project_id, name
            if key not in said and name in _quotas_of(kind):
                said.add(key)
                yield from _room(store, name, room)


def _type_name(store: StoreFacts) -> str:
    wanted = store.config.settings and store.config.settings.volume_type
    types = () if isinstance(store.volume_types, Unknown) else store.volume_types
    return next((each.name for each in types if each.is_called(wanted or None)), "")


def _quotas_of(kind: str) -> set[str]:
    return {"volumes", "gigabytes", f"volumes_{kind}", f"gigabytes_{kind}"}


def _room(store: StoreFacts, name: str, room: Room) -> Iterator[Finding]:
    is_size = name.startswith("gigabytes")
    if room.left >= (ROOM_GIB if is_size else ROOM_VOLUMES):
        return
    unit = "GiB" if is_size else "volumes"
    assert store.config.settings is not None  # noqa: S101 - for mypy
    say = finding.error if room.left < 1 else finding.warning
    yield say(
        "quota",
        store.config.id,
        f"Cinder's quota {name} of the project of the"
        f" {store.config.settings.describe_identity()} is {room.limit}, of which"
        f" {room.used} are used: there is room for {max(0, int(room.left))} {unit}.",
        f"Run: openstack quota set --{name.partition('_')[0]} -1 PROJECT",
    )


def cinder_clones(facts: Facts) -> Iterator[Finding]:
    """Whether cinder.conf lets Cinder look at where images lie."""
    config = facts.cinder
    if isinstance(config, Unknown):
        if config.reason is Reason.NOT_GIVEN:
            yield finding.not_asked(
                "cinder",
                "whether Cinder clones images and may read their locations",
                config.text,
                "Give it: --cinder-conf FILE.",
            )
        else:
            yield finding.error(
                "cinder-conf-unreadable",
                "cinder",
                f"cinder.conf cannot be read: {config.text}",
                "Give another file, or run the command as a user who may read it.",
            )
    elif "cinder" not in config.allowed_direct_url_schemes:
        yield finding.error(
            "direct-url-schemes",
            "cinder",
            "allowed_direct_url_schemes in cinder.conf does not contain cinder: no"
            " image is ever cloned, every volume is a download.",
            "Set allowed_direct_url_schemes = cinder in [DEFAULT] and restart"
            " cinder-volume.",
        )


def cinder_reads_locations(facts: Facts) -> Iterator[Finding]:
    """Whether Cinder's user in Glance can ask where every image lies."""
    if isinstance(facts.cinder, Unknown):
        return
    login = facts.cinder.glance_user
    shown = facts.glance.show_image_direct_url or facts.glance.show_multiple_locations
    if login is None:
        if not shown:
            yield finding.error(
                "glance-user",
                "cinder",
                "cinder.conf has no user in [glance], and Glance shows locations to"
                " users never: clones silently become downloads.",
                "Set auth_type, auth_url, username, password and project_name in"
                " [glance], of a user with the roles service and admin.",
            )
    elif isinstance(login, Unknown):
        yield finding.error(
            "glance-user",
            "cinder",
            f"The user of [glance] in cinder.conf cannot log in: {login.text}",
            "Correct auth_url, username, password, project_name and the domains"
            " there: without it Cinder reads no image.",
        )
    else:
        yield from _glance_roles(login.roles)


def _glance_roles(roles: frozenset[str]) -> Iterator[Finding]:
    wrong = {
        "service": "Glance does not show it where images lie, and clones silently"
        " become downloads",
        "admin": "Glance hides other projects' private images from it, and volumes"
        " made of them fail",
    }
    for role, consequence in wrong.items():
        if role not in roles:
            yield finding.error(
                "glance-user-role",
                "cinder",
                f"The user of [glance] in cinder.conf lacks role {role}:"
                f" {consequence}.",
                f"Run: openstack role add --user USER --project PROJECT {role}",
            )


def backends_are_ontap(facts: Facts) -> Iterator[Finding]:
    """Of cinder.conf: those that the stores' types lead to, where that is known."""
    if isinstance(facts.cinder, Unknown):
        return
    foreign = {
        each.backend_name: each
        for each in facts.cinder.backends
        if not _is_netapp(each)
    }
    for store in facts.stores:
        for kind in _type_of(store, facts.admin):
            backend = foreign.get(kind.extra_specs.get("volume_backend_name"))
            if backend is not None:
                yield finding.error(
                    "volume-type-not-ontap",
                    store.config.id,
                    f"Volume type {kind.name!r} leads to [{backend.section}] of"
                    f" cinder.conf, which is not ONTAP over NFS (volume_driver ="
                    f" {backend.driver}, netapp_storage_protocol ="
                    f" {backend.protocol}).",
                    "Set volume_backend_name of the type to a NetApp NFS back end.",
                )
    is_known = not isinstance(facts.admin.volume_types, Unknown)
    if not is_known and len(foreign) == len(facts.cinder.backends):
        yield finding.error(
            "no-ontap-backend",
            "cinder",
            "No enabled back end of cinder.conf has NetApp's driver over NFS"
            " (volume_driver, netapp_storage_protocol = nfs).",
            "Give the cinder.conf of the host that has it, or configure one.",
        )


def cinder_keeps_raw_files(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.cinder, Unknown):
        return
    for backend in facts.cinder.backends:
        if backend.qcow2 and _is_netapp(backend):
            yield finding.error(
                "qcow2-volumes",
                "cinder",
                f"nfs_qcow2_volumes = true in [{backend.section}] of cinder.conf: an"
                " image-volume must be raw, and uploads fail.",
                "Set it to false and restart cinder-volume.",
            )


def _is_netapp(backend: CinderBackend) -> bool:
    return ".netapp." in (backend.driver or "") and backend.protocol in _PROTOCOLS


def _listed(names: frozenset[str] | set[str] | set[str | None]) -> str:
    return ", ".join(sorted(str(each) for each in names)) or "(none)"


QUESTIONS = (
    store_logs_in,
    store_has_its_role,
    cinder_answers,
    cinder_is_new_enough,
    volume_type_is_there,
    volume_type_is_right,
    quota_has_room,
    cinder_clones,
    cinder_reads_locations,
    backends_are_ontap,
    cinder_keeps_raw_files,
)
