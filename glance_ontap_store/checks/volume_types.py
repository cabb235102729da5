# SPDX-License-Identifier: Apache-2.0
"""Judge the stores' volume types, and the pools that they lead to."""

from collections.abc import Iterator
from collections.abc import Sequence

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreFacts

AS_ADMIN = "Give an administrator's credentials: --os-cloud NAME, or OS_*."
# The pools' vendor, as NetApp's drivers report it, in lower case.
_VENDOR = "netapp"
PROTOCOL = "nfs"
# The protocols that the store supports, in the words of people.
SUPPORTED = ("NFS", "iSCSI", "FC", "NVMe")

judges = Judges()


@judges.per_store("settings", "login", "volume_types", "facts.admin")
def volume_type_exists(
    store: StoreFacts,
    settings: Settings,
    login: Login,
    _types: tuple[VolumeType, ...],
    admin: AdminFacts,
) -> Iterator[Finding]:
    """Report a volume type that is not set or cannot be used."""
    if settings.volume_type is None:
        yield codes.VOLUME_TYPE_UNSET(
            store.id,
            "ontap_volume_type is not set: image-volumes get Cinder's default type, so"
            " that it is not certain which volumes can be clones of them.",
            "Set it to a volume type that is pinned to one FlexVol.",
        )
    elif store.volume_type is None:
        yield _missing(store, settings.volume_type, login, admin)
    elif settings.owned_by_project and not store.volume_type.is_public:
        yield _private(store.id, store.volume_type.name, settings)


def _missing(
    store: StoreFacts, wanted: str, login: Login, admin: AdminFacts
) -> Finding:
    if isinstance(admin.volume_types, Unknown) or store.id not in admin.covers:
        return codes.VOLUME_TYPE_MISSING(
            store.id,
            f"The store sees no volume type {wanted!r}: it does not exist, or it is"
            " private to other projects.",
            "Create it, change ontap_volume_type, or run:"
            f" {remedies.give_access(wanted, login.project_id)}",
        )
    if store.volume_type_in(admin.volume_types) is not None:
        return codes.VOLUME_TYPE_PRIVATE(
            store.id,
            f"Volume type {wanted!r} is private, and the store's project has no access"
            " to it.",
            f"Run: {remedies.give_access(wanted, login.project_id)}",
        )
    return codes.VOLUME_TYPE_MISSING(
        store.id,
        f"Volume type {wanted!r} does not exist in Cinder.",
        "Create it, or change ontap_volume_type.",
    )


def _private(store_id: str, name: str, settings: Settings) -> Finding:
    projects = sorted(settings.allowed_projects)
    commands = [remedies.give_access(name, project) for project in projects]
    return codes.VOLUME_TYPE_PRIVATE(
        store_id,
        f"ontap_image_volume_owner = project, but volume type {name!r} is private: only"
        " projects that have access to it can upload.",
        f"Run: {' && '.join(commands)}"
        if commands
        else "Use a public volume type, or run for every project that uploads:"
        f" {remedies.give_access(name, 'PROJECT')}",
        Severity.WARNING,
    )


@judges.once("admin")
def administrators_see_more(facts: Facts, admin: AdminFacts) -> Iterator[Finding]:
    """Report the parts that only an administrator could have been told."""
    stores = [store for store in facts.stores if store.settings]
    if not stores:
        return
    if isinstance(admin.volume_types, Unknown):
        yield codes.not_asked(
            "cinder",
            "the encryption, back ends and pools of the volume types",
            admin.volume_types.text,
            AS_ADMIN,
        )
        return
    if isinstance(admin.pools, Unknown):
        yield codes.not_asked(
            "cinder",
            "the pools that the volume types lead to",
            admin.pools.text,
            "Check cinder-scheduler, and whether the credentials are an"
            " administrator's.",
        )
    for store in stores:
        if store.id not in admin.covers:
            yield codes.not_asked(
                store.id,
                "the encryption, back end and pool of its volume type",
                "the store is in another cloud or region than the first store",
                f"Run check --store {store.id} with that cloud's credentials.",
            )


@judges.per_store("facts.admin", "facts.admin.volume_types")
def volume_type_does_not_encrypt(
    store: StoreFacts, admin: AdminFacts, types: tuple[VolumeType, ...]
) -> Iterator[Finding]:
    """Report a volume type that encrypts on the host."""
    kind = full_type(store, admin, types)
    if kind is None:
        return
    encrypts = admin.encrypted.get(kind.id, False)
    if isinstance(encrypts, Unknown):
        yield codes.not_asked(
            store.id,
            f"whether volume type {kind.name!r} encrypts",
            encrypts.text,
            AS_ADMIN,
        )
    elif encrypts:
        yield codes.VOLUME_TYPE_ENCRYPTED(
            store.id,
            f"Volume type {kind.name!r} encrypts on the host: such volumes do not"
            " contain the image's bytes, and the store refuses them.",
            "Use a type without encryption; NetApp Volume Encryption does no harm.",
        )


def full_type(
    store: StoreFacts, admin: AdminFacts, types: tuple[VolumeType, ...]
) -> VolumeType | None:
    """Return the store's type as administrators see it, with all its properties.

    None if the answers to the administrator do not cover the store.
    """
    return store.volume_type_in(types) if store.id in admin.covers else None


def reached_by(
    store: StoreFacts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> list[Pool]:
    """Return the pools in which the store's volumes may lie, as far as known."""
    kind = full_type(store, admin, types)
    if kind is None:
        return []
    return [pool for pool in pools if kind.allows(pool)]


@judges.per_store("facts.admin", "facts.admin.volume_types", "facts.admin.pools")
def volume_type_leads_to_one_flexvol(
    store: StoreFacts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report the back ends and pools of a type if they are not one FlexVol."""
    kind = full_type(store, admin, types)
    if kind is None:
        return
    backend = kind.extra_specs.get("volume_backend_name")
    pin = kind.extra_specs.get("pool_name")
    matching = [pool for pool in pools if backend in (None, pool.backend_name)]
    reached = reached_by(store, admin, types, pools)
    taken = {other.extra_specs.get("pool_name") for other in types if other != kind}
    if not matching:
        yield codes.VOLUME_TYPE_BACKEND(
            store.id,
            f"Volume type {kind.name!r} needs volume_backend_name={backend}, but no"
            " back end that Cinder knows of has that name.",
            "Correct the property of the type or the option of the back end, and check"
            " that cinder-volume runs (openstack volume service list).",
        )
    elif not reached:
        yield codes.VOLUME_TYPE_POOL(
            store.id,
            f"Volume type {kind.name!r} is pinned to pool_name={pin}, which does not"
            f" exist. Cinder knows {_names(matching)}.",
            _pin(kind, matching, taken),
        )
    elif foreign := {pool.vendor or "unknown" for pool in matching if _foreign(pool)}:
        yield codes.VOLUME_TYPE_NOT_ONTAP(
            store.id,
            f"Volume type {kind.name!r} leads to back ends that do not use NetApp's"
            f" driver (vendor {', '.join(sorted(foreign))}).",
            "Set volume_backend_name of the type to a NetApp back end.",
        )
    else:
        yield from _reach(store.id, kind, reached, taken)


def is_supported(protocol: str | None) -> bool:
    """Return whether the store supports a protocol, in the words of NetApp's driver."""
    return (protocol or "").lower() in [name.lower() for name in SUPPORTED]


def _foreign(pool: Pool) -> bool:
    return (pool.vendor or "").lower() != _VENDOR


def _reach(
    store_id: str, kind: VolumeType, reached: Sequence[Pool], taken: set[str | None]
) -> Iterator[Finding]:
    """Report a protocol that the store does not support, and more FlexVols than one."""
    protocols = {pool.protocol for pool in reached if pool.protocol}
    if not all(is_supported(protocol) for protocol in protocols):
        yield codes.VOLUME_TYPE_PROTOCOL(
            store_id,
            f"Volume type {kind.name!r} leads to {', '.join(sorted(protocols))}; the"
            f" store supports {', '.join(SUPPORTED)}.",
            "Set volume_backend_name of the type to a NetApp back end with one of"
            " these.",
        )
    if len(reached) > 1:
        yield codes.VOLUME_TYPE_UNPINNED(
            store_id,
            f"Volume type {kind.name!r} may put an image on any of {len(reached)}"
            f" FlexVols ({_names(reached)}), so that it is not certain which volumes"
            " can be clones of it.",
            _pin(kind, reached, taken),
        )


def _names(pools: Sequence[Pool]) -> str:
    return ", ".join(sorted(pool.pool_name or pool.name for pool in pools))


def _pin(kind: VolumeType, pools: Sequence[Pool], taken: set[str | None]) -> str:
    """Return the remedy that pins the type to one pool.

    It is a pool that no other type has, if there is one.
    """
    names = sorted(
        {pool.pool_name for pool in pools if pool.pool_name},
        key=lambda name: (name in taken, name),
    )
    if not names:
        return "Set the type's property pool_name to the pool of one FlexVol."
    command = remedies.pin(kind.name, names[0])
    if len(names) == 1:
        return f"Run: {command}"
    return f"Pin it to one of these FlexVols. Run, for example: {command}"
