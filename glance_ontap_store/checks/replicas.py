# SPDX-License-Identifier: Apache-2.0
"""Judge what replicas need: the stores' ``ontap_replica_volume_type``."""

from collections.abc import Iterator

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.survey import facts
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreFacts

judges = Judges()


@judges.per_store(
    *("settings.replica_volume_type", "login", "volume_types"),
    *("facts.admin", "facts.admin.volume_types", "facts.admin.pools"),
)
def replica_type_can_be_used(
    store: StoreFacts,
    wanted: str,
    login: Login,
    own: tuple[VolumeType, ...],
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report a type whose volumes cannot be cloned from the source and then moved."""
    if store.id not in admin.covers:
        return
    kind = facts.called(wanted, types)
    if kind is None:
        yield codes.REPLICA_TYPE_MISSING(
            store.id,
            f"Volume type {wanted!r} (ontap_replica_volume_type) does not exist in"
            " Cinder.",
            "Create it, or change ontap_replica_volume_type.",
        )
        return
    if facts.called(wanted, own) is None:
        yield codes.REPLICA_TYPE_PRIVATE(
            store.id,
            f"Volume type {wanted!r} (ontap_replica_volume_type) is private, and the"
            " store's project has no access to it.",
            f"Run: {remedies.give_access(wanted, login.project_id)}",
        )
    yield from _encryption(store.id, kind, admin)
    reached = volume_types.reached_by(store, admin, types, pools)
    blocks = sorted({each.protocol or "" for each in reached if each.is_ontap_block})
    if blocks:
        yield codes.REPLICA_TYPE_PROTOCOL(
            store.id,
            "ontap_replica_volume_type has no effect, because the store's volumes are"
            f" {', '.join(blocks)}: the array makes replicas over NFS only.",
            "Let Glance copy images: glance-ontap replicate --by copy-image.",
        )
        return
    yield from _place(store.id, kind, reached, pools)


def _encryption(
    store_id: str, kind: VolumeType, admin: AdminFacts
) -> Iterator[Finding]:
    encrypts = admin.encrypted.get(kind.id, False)
    if isinstance(encrypts, Unknown):
        yield codes.not_asked(
            store_id,
            f"whether volume type {kind.name!r} encrypts",
            encrypts.text,
            volume_types.AS_ADMIN,
        )
    elif encrypts:
        yield codes.REPLICA_TYPE_ENCRYPTED(
            store_id,
            f"Volume type {kind.name!r} (ontap_replica_volume_type) encrypts on the"
            " host: its volumes can hold no image.",
            "Use a type without encryption; NetApp Volume Encryption does no harm.",
        )


def _place(
    store_id: str, kind: VolumeType, reached: list[Pool], pools: tuple[Pool, ...]
) -> Iterator[Finding]:
    """Report a type for one FlexVol, or for other back ends than the store's.

    A replica begins on one FlexVol and ends on another.
    """
    allowed = [pool for pool in pools if kind.allows(pool)]
    pin = kind.extra_specs.get("pool_name")
    if pin is not None and (len(allowed) < 2 or not set(reached) & set(allowed)):
        yield codes.REPLICA_TYPE_PINNED(
            store_id,
            f"Volume type {kind.name!r} (ontap_replica_volume_type) is pinned to"
            f" pool_name={pin}: Cinder moves none of its volumes to the store's"
            " FlexVol.",
            f"Run: {remedies.unpin(kind.name)}",
        )
    elif reached and not set(reached) & set(allowed):
        names = sorted({each.backend_name or "" for each in reached})
        yield codes.REPLICA_TYPE_BACKEND(
            store_id,
            f"Volume type {kind.name!r} (ontap_replica_volume_type) is for back end"
            f" {kind.extra_specs.get('volume_backend_name')}, and the store's FlexVol"
            f" is of {', '.join(names)}.",
            "Set volume_backend_name of the type to that of the store's type.",
        )
