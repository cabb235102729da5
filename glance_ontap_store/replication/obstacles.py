# SPDX-License-Identifier: Apache-2.0
"""The reasons why a replica cannot be made, or not by the array. Pure.

Each is a sentence with its remedy. What is refused here would otherwise be refused by
Cinder, or become a copy through a host without a word.
"""

from collections.abc import Iterator
from collections.abc import Sequence

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.images import access
from glance_ontap_store.images.record import State
from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.facts import Target
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.step import By
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image

# What Glance writes into an image while it copies it to other stores.
_COMING = "os_glance_importing_to_stores"
# The statuses of a volume that Cinder makes a clone of.
_CLONEABLE = ("available", "in-use")
_BY_GLANCE = "Use --by copy-image for it."


def of_image(image: Image, target: Target) -> Iterator[str]:
    """Yield why the image cannot get a replica in the store, whoever copies it."""
    if image.status != "active":
        yield f"The image is {image.status}: only active images are copied."
    coming = image.properties.get(_COMING, "").split(",")
    if target.store_id in coming:
        yield "Glance is copying the image there now. Try again when it has ended."
    try:
        access.check_accepts(target.allowed_projects, target.store_id, image.owner)
    except errors.Refused as error:
        yield str(error)


def of_target(target: Target, facts: Facts, by: By) -> Iterator[str]:
    """Yield why no replica can be made in the store."""
    if target.pool is None:
        yield _no_pool(target)
        return
    if by is By.COPY_IMAGE:
        return
    if target.project_id is None:
        yield (
            f"Store {target.store_id!r} keeps each image-volume in the project of its"
            " uploader (ontap_image_volume_owner = project), and Cinder clones no"
            f" volume of another project. {_BY_GLANCE}"
        )
    yield from _of_pool(target.pool, facts, "the store's FlexVol")
    yield from _of_type(target, target.pool)


def _no_pool(target: Target) -> str:
    name = target.volume_type or "(none)"
    if not target.pools:
        return (
            f"Cinder has no pool for volume type {name} of store {target.store_id!r}."
            " Run: glance-ontap check"
        )
    return (
        f"Volume type {name} of store {target.store_id!r} leads to"
        f" {len(target.pools)} FlexVols, so that the place of a replica is not certain."
        " Pin it to one (pool_name)."
    )


def _of_pool(pool: Pool, facts: Facts, what: str) -> Iterator[str]:
    """Yield why the array does not copy from or to the pool; *what* it is to people."""
    name = pool.pool_name or pool.name
    protocol = pool.protocol or ""
    if (pool.vendor or "").lower() != "netapp":
        yield f"Pool {name} ({what}) is not of NetApp's driver. {_BY_GLANCE}"
    elif "nvme" in protocol.lower():
        yield (
            f"Pool {name} ({what}) is NVMe, for which NetApp's driver does not"
            f" migrate: a host would copy. {_BY_GLANCE}"
        )
    elif protocol.lower() not in ("", "nfs"):
        yield (
            f"Pool {name} ({what}) is {protocol}: replicas are made by the array over"
            f" NFS only. {_BY_GLANCE}"
        )
    if pool.is_flexgroup:
        yield (
            f"Pool {name} ({what}) is a FlexGroup, where NetApp's driver neither"
            f" clones nor copies for certain: a host would copy. {_BY_GLANCE}"
        )
    if pool.is_replicated:
        yield (
            f"The back end of pool {name} ({what}) is replicated to another array, and"
            f" Cinder does not migrate such volumes. {_BY_GLANCE}"
        )
    if facts.is_in_cluster(pool):
        yield (
            f"Cinder runs {pool.service} as a cluster, and then its scheduler chooses"
            f" the pool of a migration itself. {_BY_GLANCE}"
        )
    junction = name.partition(":/")[2]
    if "/" in junction:
        yield (
            f"Pool {name} ({what}) has the junction path /{junction}, which NetApp's"
            f" driver takes for the name of the FlexVol: the copy would fail."
            f" {_BY_GLANCE}"
        )


def _of_type(target: Target, pool: Pool) -> Iterator[str]:
    kind, store = target.replica_type, target.store_id
    if kind.option is None:
        yield (
            f"Store {store!r} has no ontap_replica_volume_type. Set it to a volume type"
            " with the same volume_backend_name, and without pool_name."
        )
        return
    if kind.found is None:
        yield (
            f"Cinder has no volume type {kind.option!r}. Correct"
            f" ontap_replica_volume_type of store {store!r}."
        )
        return
    name = kind.found.name
    if not kind.is_visible:
        yield (
            f"Volume type {name} is private to other projects than store {store!r}'s."
            f" Run: openstack volume type set --project {target.project_id} {name}"
        )
    if isinstance(kind.encrypts, Unknown):
        yield (
            f"Cinder does not tell whether volume type {name} encrypts:"
            f" {kind.encrypts.text}."
        )
    elif kind.encrypts:
        yield (
            f"Volume type {name} encrypts on the host: it can hold no image. Set"
            f" ontap_replica_volume_type of store {store!r} to another one."
        )
    if not kind.found.allows(pool):
        yield _not_allowed(target, pool)


def _not_allowed(target: Target, pool: Pool) -> str:
    kind = target.replica_type.found
    pin = kind.extra_specs.get("pool_name") if kind else None
    backend = kind.extra_specs.get("volume_backend_name") if kind else None
    name = kind.name if kind else target.replica_type.option
    where = pool.pool_name or pool.name
    if pin is not None:
        return (
            f"Volume type {name} is pinned to {pin}, so that its volumes cannot be in"
            f" {where}. Set ontap_replica_volume_type of store {target.store_id!r} to a"
            " volume type without pool_name."
        )
    return (
        f"Volume type {name} is for back end {backend}, and {where} is of"
        f" {pool.backend_name}. Set ontap_replica_volume_type of store"
        f" {target.store_id!r} to a volume type with volume_backend_name ="
        f" {pool.backend_name}."
    )


def source(
    image: Image, copies: Sequence[Copy], target: Target, policy: Policy, facts: Facts
) -> Copy | str:
    """Return the image-volume to clone, or the reason why none can be cloned.

    *copies* are those of the image. One on the target's own back end is preferred,
    then an original one, then the oldest.
    """
    pool = target.pool
    if pool is None:
        return _no_pool(target)
    if near := next((each for each in copies if each.volume.pool == pool.name), None):
        return (
            f"Image-volume {near.volume.id} of store {near.store_id!r} is on the same"
            f" FlexVol, {pool.pool_name}, so that volumes are clones there already."
            f" Take store {target.store_id!r} out of the rule."
        )
    reasons: list[str] = []
    fit: list[Copy] = []
    for copy in sorted(copies, key=lambda each: each.age):
        reason = next(_of_source(image, copy, target, pool, policy, facts), None)
        if reason is None:
            fit.append(copy)
        else:
            reasons.append(reason)
    if fit:
        return min(
            fit,
            key=lambda copy: (
                _service(copy) != pool.service,
                not copy.is_original,
                copy.age,
            ),
        )
    if reasons:
        return reasons[0]
    return (
        "The image has no sealed image-volume in a store of type ontap: the array has"
        f" nothing to clone. {_BY_GLANCE}"
    )


def _service(copy: Copy) -> str:
    return (copy.volume.pool or "").partition("#")[0]


def _of_source(
    image: Image,
    copy: Copy,
    target: Target,
    pool: Pool,
    policy: Policy,
    facts: Facts,
) -> Iterator[str]:
    """Yield why a copy cannot be the one that is cloned."""
    volume, name = copy.volume, f"Image-volume {copy.volume.id}"
    if copy.record.state is not State.SEALED:
        yield (
            f"{name} was not made by this store, so that no digest is recorded."
            f" {_BY_GLANCE}"
        )
        return
    yield from _of_digest(image, copy)
    if volume.encrypted:
        yield f"{name} is encrypted by its volume type. {_BY_GLANCE}"
    if volume.status not in _CLONEABLE:
        yield (
            f"{name} is {volume.status}, and Cinder clones volumes that are available"
            " or in-use. Try again later; see glance-ontap audit if it stays so."
        )
    if target.project_id is not None and volume.project_id not in (
        None,
        target.project_id,
    ):
        yield (
            f"{name} is in project {volume.project_id}, and those of store"
            f" {target.store_id!r} in {target.project_id}: Cinder clones no volume of"
            f" another project. Give both stores one project, or use --by copy-image."
        )
    yield from _of_place(copy, target, pool, policy, facts)


def _of_digest(image: Image, copy: Copy) -> Iterator[str]:
    record, name = copy.record, f"Image-volume {copy.volume.id}"
    if image.hash_value is None or record.hash_value is None:
        where = "Glance" if image.hash_value is None else name
        yield (
            f"{where} has no digest of the image, so that a replica could not be"
            f" compared with it. {_BY_GLANCE}"
        )
    elif (image.hash_algo, image.hash_value) != (record.hash_algo, record.hash_value):
        yield f"The digest of {name} is not the image's. Run: glance-ontap audit"


def _of_place(
    copy: Copy, target: Target, pool: Pool, policy: Policy, facts: Facts
) -> Iterator[str]:
    name = f"Image-volume {copy.volume.id}"
    here = facts.pool_of(copy)
    if here is None:
        yield (
            f"Cinder does not show the pool of {name}"
            f" ({copy.volume.pool or 'hidden'}). Give an administrator's cloud:"
            " --os-cloud."
        )
        return
    if not policy.are_near(here.service, pool.service):
        yield (
            f"{name} is in {here.service}, and the store's FlexVol in {pool.service}:"
            " the array copies between them only within one ONTAP cluster, if Cinder"
            " has the cluster's credentials. If so, write in the policy: same_cluster:"
            f" [[{here.service}, {pool.service}]]"
        )
    yield from _of_pool(here, facts, f"of {name}")
    kind = target.replica_type.found
    if kind is not None and not kind.allows(here):
        yield _not_allowed(target, here)
