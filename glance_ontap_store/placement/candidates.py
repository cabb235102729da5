# SPDX-License-Identifier: Apache-2.0
"""The image-volume that Cinder would clone in a pool, and what keeps it from that."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from glance_ontap_store.checks import remedies
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.placement import obstacle
from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.locations import ASKS_FOR_LOCATIONS
from glance_ontap_store.placement.locations import RELEASE
from glance_ontap_store.placement.obstacle import Obstacle
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.placement_facts import CloudFacts
from glance_ontap_store.survey.placement_facts import ImageFacts
from glance_ontap_store.survey.placement_facts import Request

# From here on Cinder asks for the image-volumes of its cluster, newest first. Before,
# it asks for those of its node, in the order of the database (volume_get_all_by_host).
SORTS = 28
# Releases that ignore a pool's clone_across_pools: the first, and one that asks for
# the image-volumes of the volume's host all the same.
_NEVER_ACROSS = (24, 27)
_FULL_PERCENT = 100


@dataclasses.dataclass(frozen=True)
class Situation:
    """One pool, and all facts about the image and the request. *size_gib* is set."""

    cloud: CloudFacts
    facts: ImageFacts
    request: Request
    pool: Pool
    size_gib: int

    @property
    def image(self) -> Image:
        """The image."""
        return self.facts.image

    @property
    def clones_across_pools(self) -> bool:
        """Return whether Cinder looks for image-volumes in all pools."""
        return self.pool.clones_across_pools and self.cloud.release not in _NEVER_ACROSS

    @property
    def is_sorted(self) -> bool | None:
        """Whether Cinder takes the newest image-volume; None if that is not known."""
        if self.clones_across_pools:
            return True
        return None if self.cloud.release is None else self.cloud.release >= SORTS


def obstacles(situation: Situation, ids: frozenset[str]) -> Iterator[Obstacle]:
    """Yield what keeps Cinder from cloning one of the volumes *ids*, in its order."""
    answers = {key: situation.facts.volumes.get(key) for key in ids}
    unknown = [key for key, each in answers.items() if isinstance(each, Unknown)]
    there = [
        each
        for each in answers.values()
        if isinstance(each, Volume)
        and (situation.clones_across_pools or each.pool == situation.pool.name)
    ]
    for key in unknown:
        yield Obstacle(
            Code.NO_IMAGE_VOLUME,
            None,
            f"Cinder does not tell where image-volume {key} is.",
            "Check cinder-api, and ask again.",
            doubt=verdict.not_known(f"image-volume {key}"),
            is_assumed=not there,
        )
    if not there:
        if not unknown:
            yield _none_here(situation)
        return
    accessible = [each for each in _newest_first(there) if _is_owned(situation, each)]
    if not accessible:
        yield _not_owned(situation, there[0])
        return
    yield from _nodes(situation, accessible)
    yield from _limits(situation, accessible)


def _newest_first(volumes: Sequence[Volume]) -> list[Volume]:
    return sorted(
        volumes, key=lambda each: (each.created_at or "", each.id), reverse=True
    )


def _is_owned(situation: Situation, volume: Volume) -> bool:
    owner = situation.image.owner
    return owner in (situation.request.project, volume.metadata.get("image_owner"))


def _none_here(situation: Situation) -> Obstacle:
    image, name = situation.image, situation.pool.pool_name or situation.pool.name
    store = situation.cloud.stores.get(situation.pool.name)
    if store is None:
        remedy = (
            f"Make a store whose volume type is pinned to {name}, and copy the image"
            " there (copy-image)."
        )
    elif store in image.stores:
        remedy = (
            f"Store {store!r} has the image elsewhere, or has lost it. Run:"
            " glance-ontap audit"
        )
    else:
        remedy = remedies.run(
            # The option --store takes several stores, so it is the last one.
            *("image", "import", image.id),
            *("--method", "copy-image", "--store", store),
        )
        if _has_replicas(situation.cloud, store):
            remedy = _by_array(situation, store) + remedy
    why = f"No image-volume of the image is in {name}."
    return Obstacle(Code.NO_IMAGE_VOLUME, True, why, remedy)


def _by_array(situation: Situation, store_id: str) -> str:
    """Return what a store with a type for replicas has before a copy by Glance."""
    if situation.pool.is_ontap_block:
        return "The array makes replicas over NFS only, so let Glance copy the image. "
    return (
        "Have the array make a replica: glance-ontap replicate POLICY --image"
        f" {situation.image.id} --store {store_id} --apply, with a policy that wants"
        " it. Otherwise let Glance copy it. "
    )


def _has_replicas(cloud: CloudFacts, store_id: str) -> bool:
    """Return whether ``glance-ontap replicate`` may make replicas in the store."""
    return any(
        each.id == store_id
        and each.settings is not None
        and each.settings.replica_volume_type is not None
        for each in cloud.glance.stores
    )


def _not_owned(situation: Situation, volume: Volume) -> Obstacle:
    owner = situation.image.owner
    remedy = "Run: glance-ontap audit --repair"
    if Record.parse(volume.metadata).store is None:
        remedy = remedies.run(
            "volume", "set", "--property", f"image_owner={owner}", volume.id
        )
    return Obstacle(
        Code.OWNER,
        True,
        f"Project {owner} owns the image, but image_owner of image-volume {volume.id}"
        f" is {volume.metadata.get('image_owner', 'not set')}.",
        remedy,
    )


def _nodes(situation: Situation, volumes: Sequence[Volume]) -> Iterator[Obstacle]:
    """Yield that nodes of a cluster do not find each other's image-volumes."""
    services, release = situation.cloud.services, situation.cloud.release
    is_new = release is not None and release >= SORTS
    if is_new or isinstance(services, Unknown) or situation.clones_across_pools:
        return
    service = situation.pool.service
    nodes = {each.host for each in services if each.cluster == service}
    having = {(each.host or "").partition("#")[0] for each in volumes}
    if not nodes - having:
        return
    able = ", ".join(sorted(having & nodes))
    doubt = verdict.unless(f"{able} of the cluster makes the volume") if able else ""
    yield Obstacle(
        Code.OTHER_NODE,
        None if able or release is None else True,
        "Before 2026.1 a node of a cluster clones only the image-volumes that it made"
        f" itself; this image has those of {', '.join(sorted(having))}.",
        "Upgrade Cinder to 2026.1 or later, or run one node for each back end.",
        doubt=RELEASE if release is None else doubt,
        is_assumed=release is not None,
    )


def _limits(situation: Situation, volumes: Sequence[Volume]) -> Iterator[Obstacle]:
    """Yield what keeps Cinder from cloning the one of *volumes* that it takes."""
    first, *others = volumes
    limits = list(_limits_of(situation, first))
    if situation.is_sorted:
        others = []
    fails = obstacle.weigh(limits).obstacle is not None
    for other in others:
        unlike = obstacle.weigh(_limits_of(situation, other)).obstacle
        if (unlike is not None) == fails:
            continue
        doubt = verdict.unless(f"Cinder takes image-volume {other.id}, in no order")
        if situation.is_sorted is None:
            doubt = RELEASE
        limits = [
            dataclasses.replace(each, stands=None, doubt=doubt, is_assumed=True)
            if each.stands
            else each
            for each in limits
        ]
        if unlike is not None:
            yield dataclasses.replace(
                unlike, stands=None, doubt=doubt, is_assumed=False
            )
        break
    yield from limits


def _limits_of(situation: Situation, volume: Volume) -> Iterator[Obstacle]:
    pool = situation.pool
    if situation.size_gib < volume.size_gib:
        yield _larger(situation, volume)
    if pool.is_flexgroup:
        yield flexgroup(situation)
    if pool.shared_blocks_percent >= _FULL_PERCENT:
        yield Obstacle(
            Code.SHARED_BLOCKS,
            None,
            f"FlexVol {pool.pool_name} has used all blocks that its files may share.",
            "Put new images on another FlexVol, or split clones that are not needed as"
            " clones.",
            doubt=verdict.unless("ONTAP has freed shared blocks since"),
            is_assumed=True,
        )
    yield from _file(situation, volume)


def _larger(situation: Situation, volume: Volume) -> Obstacle:
    """Return the obstacle that the clone would have to shrink.

    REST refuses that, and the driver deletes the clone. For a LUN, ZAPI is asked to do
    it by force, and the image ends before that.
    """
    cuts = _uses_zapi(situation) is not False if situation.pool.has_luns else False
    return Obstacle(
        Code.SHRINK,
        None if cuts else True,
        f"Image-volume {volume.id} has {volume.size_gib} GiB: no volume of"
        f" {situation.size_gib} GiB can be a clone of it.",
        f"Make a volume of {volume.size_gib} GiB or more.",
        doubt=verdict.unless("the driver uses ZAPI, which may cut the clone"),
        is_assumed=True,
    )


def _file(situation: Situation, volume: Volume) -> Iterator[Obstacle]:
    if situation.pool.is_ontap_block and (volume.is_broken or volume.is_leaving):
        yield Obstacle(
            Code.FILE_GONE,
            None,
            f"Image-volume {volume.id} (status {volume.status}) may have no LUN.",
            doubt=verdict.unless(
                f"the LUN of image-volume {volume.id} is gone (status {volume.status})"
            ),
        )
    if not situation.pool.is_ontap_nfs:
        return
    name = f"volume-{volume.backing_id}"
    found = situation.cloud.file_size(situation.pool, name)
    if isinstance(found, int):
        return
    if isinstance(found, Unknown) and not (volume.is_broken or volume.is_leaving):
        return
    yield Obstacle(
        Code.FILE_GONE,
        None if isinstance(found, Unknown) else True,
        f"Image-volume {volume.id} (status {volume.status}) has no file {name}, and"
        " Cinder tries no other one.",
        "Run: glance-ontap audit",
        doubt=verdict.unless(
            f"the file of image-volume {volume.id} is gone (status {volume.status};"
            " --files looks)"
        ),
    )


def flexgroup(situation: Situation) -> Obstacle:
    """Return the obstacle that the driver may not clone files of a FlexGroup."""
    uses_zapi = _uses_zapi(situation)
    # Cinder takes older releases of ONTAP for able to before 27.
    release = situation.cloud.release
    since = "9.9" if release is not None and release < ASKS_FOR_LOCATIONS else "9.14"
    doubt = f"ONTAP is older than {since}"
    if uses_zapi is None:
        doubt += " or Cinder uses ZAPI"
    return Obstacle(
        Code.FLEXGROUP,
        True if uses_zapi else None,
        f"Pool {situation.pool.pool_name} is a FlexGroup, where NetApp's driver clones"
        f" files with REST and ONTAP {since} or later only.",
        "Use a FlexVol for images, or set netapp_use_legacy_client = false.",
        doubt=verdict.unless(doubt),
    )


def _uses_zapi(situation: Situation) -> bool | None:
    """Return whether the pool's driver uses ZAPI; None if that is not known."""
    if isinstance(situation.cloud.cinder, Unknown):
        return None
    return any(
        each.uses_zapi
        for each in situation.cloud.cinder.backends
        if each.section == situation.pool.section
    )
