# SPDX-License-Identifier: Apache-2.0
"""Decide for every pool how Cinder makes a volume from an image."""

from collections.abc import Iterator

from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.placement import locations
from glance_ontap_store.placement import obstacle
from glance_ontap_store.placement import paths
from glance_ontap_store.placement import request as requests
from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.candidates import Situation
from glance_ontap_store.placement.locations import Seen
from glance_ontap_store.placement.obstacle import Obstacle
from glance_ontap_store.placement.obstacle import Weighed
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.placement.verdict import Path
from glance_ontap_store.placement.verdict import Verdict
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.placement_facts import CloudFacts
from glance_ontap_store.survey.placement_facts import ImageFacts
from glance_ontap_store.survey.placement_facts import Request

_PLACING = ("volume_backend_name", "pool_name", "multiattach")
_ZONES = "RESKEY:availability_zones"


def decide(cloud: CloudFacts, facts: ImageFacts, request: Request) -> list[Verdict]:
    """Return a verdict for each pool that the volume type allows.

    There is always at least one: if no pool is allowed, it is a failure.
    """
    seen = locations.seen(cloud, facts.image)
    ended = obstacle.weigh(requests.obstacles(facts, request, seen))
    pools = [pool for pool in cloud.pools if _is_allowed(cloud, request, pool)]
    if ended.obstacle is not None:
        names: list[str | None] = [pool.name for pool in pools]
        return [
            _failure(name, ended.obstacle, ended.doubts) for name in names or [None]
        ]
    if not pools:
        return [_failure(None, _no_pool(request), ())]
    size = request.size_gib or requests.smallest(facts.image)
    return [
        _in_pool(Situation(cloud, facts, request, pool, size), seen, ended)
        for pool in pools
    ]


def _in_pool(situation: Situation, seen: Seen, before: Weighed) -> Verdict:
    clone = obstacle.weigh(paths.image_volume(situation, seen))
    ways = {
        Path.DRIVER_CACHE: obstacle.weigh(paths.driver_cache(situation)),
        Path.IMAGE_VOLUME: clone,
        Path.CINDER_CACHE: obstacle.weigh(paths.cinder_cache(situation)),
        Path.DOWNLOAD: Weighed(None),
    }
    doubts = [*before.doubts, *_left_out(situation)]
    for path, weighed in ways.items():
        doubts += weighed.doubts
        if path is Path.DRIVER_CACHE and weighed.obstacle is not None:
            doubts += paths.driver_copies(situation)
        if weighed.obstacle is None:
            break
    failing = obstacle.weigh(paths.download(situation)).obstacle
    if path is Path.DOWNLOAD and failing is not None:
        return _failure(situation.pool.name, failing, verdict.distinct(doubts))
    reason = clone.obstacle if path in (Path.CINDER_CACHE, Path.DOWNLOAD) else None
    return Verdict(
        pool=situation.pool.name,
        path=path,
        code=reason.code if reason else None,
        why=reason.why if reason else "",
        remedy=reason.remedy if reason else "",
        doubts=verdict.distinct(doubts),
        notes=tuple(_notes(situation, path)),
    )


def _failure(pool: str | None, reason: Obstacle, doubts: tuple[str, ...]) -> Verdict:
    return Verdict(pool, Path.FAILURE, reason.code, reason.why, reason.remedy, doubts)


def _notes(situation: Situation, path: Path) -> Iterator[str]:
    if not path.is_clone:
        return
    if situation.image.is_signed:
        yield "Cinder does not verify the signature of an image that it clones."
    content = paths.content_of(situation)
    if content is not None and situation.image.disk_format == "raw":
        yield f"The image is called raw, but its bytes are {content}: so is the volume."
    backend = paths.backend(situation)
    if situation.pool.has_luns and backend is not None and backend.reserves_space:
        yield (
            "The clone shares its blocks, and takes its full size of the FlexVol all"
            " the same (netapp_lun_space_reservation)."
        )


def _is_allowed(cloud: CloudFacts, request: Request, pool: Pool) -> bool:
    kind = request.volume_type
    if kind is None:
        return True
    zones = kind.extra_specs.get(_ZONES)
    if zones and not isinstance(cloud.services, Unknown):
        wanted = {name.strip() for name in zones.split(",")}
        there = {
            each.zone
            for each in cloud.services
            if pool.service in (each.host, each.cluster)
        }
        if there and not there & wanted:
            return False
    return kind.allows(pool)


def _left_out(situation: Situation) -> Iterator[str]:
    """Yield the doubts that the scheduler may leave the pool out."""
    kind = situation.request.volume_type
    if kind is None:
        return
    for key, value in sorted(kind.extra_specs.items()):
        scope, colon, name = key.rpartition(":")
        if colon and scope != "capabilities":
            continue
        if name not in _PLACING:
            yield verdict.unless(
                f"the pool lacks {name}={value}, which volume type {kind.name} asks for"
            )


def _no_pool(request: Request) -> Obstacle:
    name = request.volume_type.name if request.volume_type else ""
    return Obstacle(
        Code.NO_POOL,
        True,
        f"Volume type {name} allows none of the pools that Cinder knows.",
        "Correct volume_backend_name and pool_name of the type, and check that"
        " cinder-volume runs (openstack volume service list).",
    )
