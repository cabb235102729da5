# SPDX-License-Identifier: Apache-2.0
"""What must hold in the lab after a process was killed."""

from collections.abc import Iterable
import contextlib
from typing import Any

from glance_store import exceptions

from glance_ontap_store.tests.crash import scenes
from glance_ontap_store.tests.crash.lab_world import STORE
from glance_ontap_store.tests.crash.lab_world import LabWorld
from glance_ontap_store.tests.crash.scenes import Rig
from glance_ontap_store.tests.crash.scenes import Scene
from glance_ontap_store.tests.soak import left


def check(world: LabWorld, scene: Scene, elsewhere: contextlib.ExitStack) -> int:
    """Check it with new processes, and remove the images; the number of orphans.

    *elsewhere* ends the reads of other hosts.

    :raises AssertionError: something wrong is served, or something is left
    """
    kept = {scenes.volume_of(scene.url)} if scene.url else set()
    sealed = {f"cinder://{STORE}/{each}" for each in _sealed(world)}
    orphans = sealed - {scene.url}
    kept |= {scenes.volume_of(each) for each in orphans}
    volumes = list(_new_volumes(world))

    def start(rig: Rig) -> dict[str, list[str]]:
        for each in volumes:
            scenes.check_served(rig, f"cinder://{STORE}/{each}")
        return world.waited(kept)

    remains = world.run(start).must()
    assert not remains, f"left: {remains}"
    elsewhere.close()
    image_id = world.new_id()
    world.run(lambda rig: scenes.check_usable(rig, scene, image_id)).must()
    cleared(world, sealed)
    again = world.waited(set())
    assert not again, f"left after all was deleted: {again}"
    return len(orphans)


def cleared(world: LabWorld, urls: Iterable[str]) -> None:
    """Delete the images with a process of their own, and wait."""

    def delete(rig: Rig) -> None:
        for url in urls:
            with contextlib.suppress(exceptions.NotFound):
                scenes.delete(rig, url)

    world.run(delete).must()
    world.waited(set())


def _new_volumes(world: LabWorld) -> dict[str, Any]:
    found = left.found(world.lab).volumes
    return {key: found[key] for key in found if key not in world.before.volumes}


def _sealed(world: LabWorld) -> list[str]:
    return [
        volume_id
        for volume_id, metadata in _new_volumes(world).items()
        if metadata.get("ontap_state") == "sealed"
    ]
