# SPDX-License-Identifier: Apache-2.0
"""Judge the pools and services behind the stores, as Cinder shows administrators."""

from collections.abc import Iterator
from collections.abc import Sequence

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import StoreFacts
from glance_ontap_store.survey.inventory import Row

# The percentage of a FlexVol's shareable blocks from which clones may soon fail.
_FULL_PERCENT = 90
# Cinder looks for image-volumes by the cluster, not by the node, from here on. Release
# 27 looks by both.
_KNOWS_CLUSTERS = 28
_QOS_SPECS = ("netapp:qos_policy_group", "netapp:qos_policy_group_is_adaptive")
_ZONES = "RESKEY:availability_zones"

judges = Judges()


@judges.once("admin", "admin.volume_types")
def the_rest_is_known(
    facts: Facts, admin: AdminFacts, _types: tuple[VolumeType, ...]
) -> Iterator[Finding]:
    """Report what an administrator was not told."""
    if not admin.covers:
        return
    for answer, what in (
        (admin.services, "the availability zones and clusters of cinder-volume"),
        (admin.rows, "whether the pools of the image-volumes exist"),
    ):
        if isinstance(answer, Unknown):
            yield codes.not_asked(
                "cinder",
                what,
                answer.text,
                "Check cinder-api, and whether the credentials are an administrator's.",
            )
    if isinstance(admin.raw_images, Unknown) and not isinstance(admin.rows, Unknown):
        yield codes.not_asked(
            "glance",
            "which images that are called raw are something else",
            admin.raw_images.text,
            "Check glance-api and its endpoint in Keystone's catalog.",
        )


@judges.per_store("facts.admin", "facts.admin.volume_types", "facts.admin.pools")
def pools_suit_images(
    store: StoreFacts,
    admin: AdminFacts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
) -> Iterator[Finding]:
    """Report pools on which clones fail, or will, or are not what they seem."""
    for pool in volume_types.reached_by(store, admin, types, pools):
        name = pool.pool_name or pool.name
        if pool.is_flexgroup:
            yield codes.FLEXGROUP(
                store.id,
                f"Pool {name} is a FlexGroup. NetApp's driver clones files there only"
                " with ONTAP 9.14 or later; otherwise it copies each volume through the"
                " host of cinder-volume.",
                "Use a FlexVol for images. To keep the FlexGroup, set"
                " netapp_use_legacy_client = false, and see with check --deep whether"
                " Cinder clones there.",
            )
        if pool.shared_blocks_percent >= _FULL_PERCENT:
            yield codes.SHARED_BLOCKS(
                store.id,
                f"FlexVol {name} has used {pool.shared_blocks_percent:g} % of the"
                " blocks that its files may share (netapp_dedupe_used_percent). At"
                " 100 % ONTAP refuses clones, and volumes are downloads.",
                "Put new images on another FlexVol, or split clones that are not needed"
                " as clones.",
            )
        if pool.is_replicated:
            yield codes.REPLICATION(
                store.id,
                f"The back end of pool {name} is replicated: Cinder refuses to migrate"
                " its volumes. After a failover, images are readable again when the"
                " address of the FlexVol's LIF has moved along.",
                "Plan the failover with the LIF's address, or keep the images in a"
                " store on another array too.",
            )


@judges.per_store("facts.admin", "facts.admin.volume_types")
def type_has_no_qos(
    store: StoreFacts, admin: AdminFacts, types: tuple[VolumeType, ...]
) -> Iterator[Finding]:
    """Report a limit of throughput on the image-volumes."""
    kind = volume_types.full_type(store, admin, types)
    if kind is None:
        return
    specs = [name for name in _QOS_SPECS if name in kind.extra_specs]
    found = [f"QoS spec {kind.qos_specs_id}"] if kind.qos_specs_id else []
    if found or specs:
        yield codes.VOLUME_TYPE_QOS(
            store.id,
            f"Volume type {kind.name!r} has a QoS policy ({', '.join(found + specs)}):"
            " it slows uploads, and downloads of each image for all readers together.",
            "Use a type without QoS for the store. The volumes that users make get the"
            " policy of their own type.",
        )


@judges.once("admin", "admin.rows", "admin.pools")
def image_volumes_lie_in_pools(
    _facts: Facts, admin: AdminFacts, rows: tuple[Row, ...], pools: tuple[Pool, ...]
) -> Iterator[Finding]:
    """Report image-volumes in pools that Cinder does not know."""
    known = {pool.name for pool in pools}
    gone: dict[tuple[str, str], int] = {}
    for row in rows:
        # A volume that is being created has no pool yet.
        if not row.is_image or row.pool is None or row.store not in admin.covers:
            continue
        if row.pool not in known:
            gone[row.store, row.pool] = gone.get((row.store, row.pool), 0) + 1
    for (store_id, pool), count in gone.items():
        yield codes.POOL_GONE(
            store_id,
            f"{count} image-volumes are in pool {pool}, which Cinder's scheduler does"
            " not know: no volume is a clone of them.",
            "Check that cinder-volume of that back end runs (openstack volume service"
            " list). If the pool has another name now (another address of the LIF,"
            " shares file or back end), give it the old one back, or store these images"
            " again.",
        )


@judges.once("admin", "admin.services")
def cinder_finds_images_in_a_cluster(
    facts: Facts, _admin: AdminFacts, services: tuple[Service, ...]
) -> Iterator[Finding]:
    """Report a cluster whose nodes do not find each other's image-volumes."""
    clusters = sorted({service.cluster for service in services if service.cluster})
    release = facts.cinder_release
    if not clusters or (release is not None and release >= _KNOWS_CLUSTERS):
        return
    yield codes.CINDER_CLUSTER(
        "cinder",
        f"cinder-volume runs as a cluster ({', '.join(clusters)}). Before 2026.1 each"
        " node clones only the image-volumes that it made itself, and downloads all"
        " other images.",
        "Upgrade Cinder to 2026.1 or later, or run one node for each back end."
        if release is not None
        else "Give the release of Cinder, for example: check --cinder-release 2026.1.",
        Severity.INFO if release is None else Severity.WARNING,
    )


@judges.per_store(
    *("settings", "facts", "facts.admin.volume_types", "facts.admin.pools"),
    "facts.admin.services",
)
def zone_has_the_pool(
    store: StoreFacts,
    settings: Settings,
    facts: Facts,
    types: tuple[VolumeType, ...],
    pools: tuple[Pool, ...],
    services: tuple[Service, ...],
) -> Iterator[Finding]:
    """Report an availability zone in which the store has no pool."""
    kind = volume_types.full_type(store, facts.admin, types)
    reached = volume_types.reached_by(store, facts.admin, types, pools)
    zones = _zones(reached, services)
    if kind is None or not zones:
        return
    there = ", ".join(sorted(zones))
    remedy = f"Set ontap_availability_zone = {sorted(zones)[0]}."
    asked = _asked_zones(settings, kind, facts)
    if asked is None:
        if len({service.zone for service in services}) > 1:
            yield codes.not_asked(
                store.id,
                f"whether Cinder's default availability zone is that of the pool"
                f" ({there})",
                "cinder.conf is unknown",
                f"{remedy} Or give the cinder.conf of cinder-api: --cinder-conf FILE.",
            )
    elif not zones & set(asked[1]):
        yield codes.AVAILABILITY_ZONE(
            store.id,
            f"Image-volumes are created in zone {', '.join(asked[1])} ({asked[0]}), but"
            f" the pool is in {there}: no upload finds a pool.",
            remedy,
        )


def _zones(pools: Sequence[Pool], services: Sequence[Service]) -> set[str]:
    """Return the availability zones of the services that report *pools*."""
    behind = {pool.service for pool in pools}
    return {
        service.zone for service in services if behind & {service.host, service.cluster}
    }


def _asked_zones(
    settings: Settings, kind: VolumeType, facts: Facts
) -> tuple[str, Sequence[str]] | None:
    """Return the zones of new image-volumes, and what sets them; None if unknown.

    The order is that of cinder/volume/flows/api/create_volume.py.
    """
    if settings.availability_zone:
        return "ontap_availability_zone", [settings.availability_zone]
    if of_type := kind.extra_specs.get(_ZONES):
        names = [name.strip() for name in of_type.split(",")]
        return f"{_ZONES} of volume type {kind.name!r}", names
    if isinstance(facts.cinder, Unknown):
        return None
    return "the default in cinder.conf", [facts.cinder.zone]
