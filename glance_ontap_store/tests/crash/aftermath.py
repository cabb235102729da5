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
            _check_served(rig, f"cinder://{STORE}/{each}")
        return world.waited(kept)

    remains = world.run(start).must()
    assert not remains, f"left: {remains}"
    elsewhere.close()
    image_id = world.new_id()
    world.run(lambda rig: _check_usable(rig, image_id, scene)).must()
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


def _check_served(rig: Rig, url: str) -> None:
    try:
        data = scenes.read(rig, url)
    except Exception:
        return  # refused, which is right for all but a sealed volume
    scenes.check_content(data, scenes.DATA, scenes.VMDK)


def _check_usable(rig: Rig, image_id: str, scene: Scene) -> None:
    """The image is as it must be, and another upload and its deletion work."""
    if scene.url is not None:
        try:
            scenes.check_content(scenes.read(rig, scene.url), scene.data)
        except exceptions.NotFound:
            assert scene.deletes, "the image is gone"
        else:
            scenes.delete(rig, scene.url)
    url = scenes.add(rig, image_id)
    scenes.check_content(scenes.read(rig, url))
    scenes.delete(rig, url)


def _new_volumes(world: LabWorld) -> dict[str, Any]:
    found = left.found(world.lab).volumes
    return {key: found[key] for key in found if key not in world.before.volumes}


def _sealed(world: LabWorld) -> list[str]:
    return [
        volume_id
        for volume_id, metadata in _new_volumes(world).items()
        if metadata.get("ontap_state") == "sealed"
    ]
