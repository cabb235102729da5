# SPDX-License-Identifier: Apache-2.0
"""Every combination of the conditions, beside Cinder's code written down again.

`cinder` follows create_volume.py and NetApp's driver statement by statement, without
a look at `placement`.
"""

from collections.abc import Iterator
import dataclasses
import itertools

import pytest

from glance_ontap_store import units
from glance_ontap_store.placement import deciding
from glance_ontap_store.placement.verdict import Path
from glance_ontap_store.tests.fakes import placement
from glance_ontap_store.tests.fakes.placement import EXPORT_1
from glance_ontap_store.tests.fakes.placement import EXPORT_2
from glance_ontap_store.tests.fakes.placement import IMAGE
from glance_ontap_store.tests.fakes.placement import IMAGE_ID
from glance_ontap_store.tests.fakes.placement import INTERNAL
from glance_ontap_store.tests.fakes.placement import NEW
from glance_ontap_store.tests.fakes.placement import OLD
from glance_ontap_store.tests.fakes.placement import POOL_1
from glance_ontap_store.tests.fakes.placement import POOL_2

CACHED = "0c000000-7c0b-4d26-8f6f-6d6f6f0b1a22"


@dataclasses.dataclass(frozen=True)
class World:
    """One combination. Image-volumes have 2 GiB, and the image has 1 GiB."""

    disk_format: str
    # "project" owns the image, "metadata" names its owner, or neither does.
    owner: str
    encrypts: bool
    # In the pool: whether the file of each is there, newest first.
    volumes: tuple[bool, ...]
    # The size of the driver's copy in GiB, and its export.
    copy: tuple[int, str] | None
    size_gib: int
    scheme: bool
    # Cinder's image-volume cache: off, on, or with an entry.
    cache: str
    # A replica in the other pool.
    replica: bool = False


DIMENSIONS = {
    "disk_format": ("raw", "qcow2", "iso"),
    "owner": ("project", "metadata", "neither"),
    "encrypts": (False, True),
    "volumes": ((), (True,), (False,), (True, True), (False, True)),
    "copy": (None, (1, EXPORT_1), (3, EXPORT_1), (1, EXPORT_2)),
    "size_gib": (1, 2, 3),
    "scheme": (True, False),
    "cache": ("off", "on", "entry"),
}


def worlds() -> Iterator[World]:
    for values in itertools.product(*DIMENSIONS.values()):
        yield World(*values)


def cinder(world: World) -> Path:
    """Return the way that Cinder takes in the first pool."""
    is_name_taken = False
    if not world.encrypts and world.copy and world.copy[1] == EXPORT_1:
        # clone_image: the copy is cloned, and then resized.
        if world.copy[0] <= world.size_gib:
            return Path.DRIVER_CACHE
        is_name_taken = True
    if world.scheme and not world.encrypts and world.disk_format == "raw":
        for has_file in world.volumes:
            if world.owner == "neither":
                continue
            # create_cloned_volume, for the first one only.
            if has_file and not is_name_taken and world.size_gib >= 2:
                return Path.IMAGE_VOLUME
            break
    if world.cache == "entry" and not world.encrypts and not is_name_taken:
        return Path.CINDER_CACHE
    # Glance has the image in these volumes only.
    if world.volumes and not any(world.volumes) and not world.replica:
        return Path.FAILURE
    return Path.DOWNLOAD


def explained(world: World) -> dict[str | None, Path]:
    files = {EXPORT_1: {}, EXPORT_2: {}}
    if world.copy:
        size, export = world.copy
        files[export][f"img-cache-{IMAGE_ID}"] = size * units.GIB
    owner = "acme" if world.owner == "metadata" else "somebody else"
    volumes = []
    for volume_id, has_file in zip((NEW, OLD), world.volumes, strict=False):
        volumes.append(
            placement.volume(volume_id, size_gib=2, metadata={"image_owner": owner})
        )
        if has_file:
            files[EXPORT_1][f"volume-{volume_id}"] = 2 * units.GIB
    if world.replica:
        far = "0d000000-7c0b-4d26-8f6f-6d6f6f0b1a22"
        metadata = {"image_owner": owner}
        volumes.append(placement.volume(far, pool=POOL_2, metadata=metadata))
        files[EXPORT_2][f"volume-{far}"] = units.GIB
    image = dataclasses.replace(
        IMAGE, disk_format=world.disk_format, visibility="public"
    )
    cached = ()
    if world.cache == "entry":
        made = "2026-02-01T00:00:00.000000"
        cached = (placement.volume(CACHED, project_id=INTERNAL, created_at=made),)
    cloud = placement.cloud(
        files=files,
        cinder=placement.cinder(
            allowed_direct_url_schemes=("cinder",) if world.scheme else (),
            backends=(placement.backend(caches_images=world.cache != "off"),),
            internal_project=INTERNAL,
        ),
    )
    request = placement.request(
        project="acme" if world.owner == "project" else "initech",
        encrypts=world.encrypts,
        size_gib=world.size_gib,
    )
    facts = placement.facts(*volumes, image=image, cached=cached)
    found = deciding.decide(cloud, facts, request)
    for each in found:
        # All is known but the entries of Cinder's cache, which no API shows.
        assert each.path is Path.CINDER_CACHE or each.certainty == "certain"
        is_best = each.path in (Path.DRIVER_CACHE, Path.IMAGE_VOLUME)
        assert bool(each.why) != is_best
        assert each.code is None or each.remedy
    return {each.pool: each.path for each in found}


@pytest.fixture(scope="module")
def answers():
    """The paths in both pools of every combination."""
    return {world: explained(world) for world in worlds()}


def test_the_answer_is_cinders_in_every_combination(answers):
    for world, paths in answers.items():
        assert paths[POOL_1] is cinder(world), world
    assert {paths[POOL_1] for paths in answers.values()} == set(Path)


def test_a_replica_makes_clones_in_its_own_pool_only(answers):
    differing = 0
    for world, paths in answers.items():
        if world.scheme and world.cache == "off":
            other = dataclasses.replace(world, replica=True)
            found = explained(other)
            assert found[POOL_1] is cinder(other), world
            differing += found[POOL_2] is not paths[POOL_2]
    assert differing
