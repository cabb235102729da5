# SPDX-License-Identifier: Apache-2.0
"""The fakes as the world in which processes of a store are killed."""

from collections.abc import Iterator
import contextlib
import itertools
import os
import pathlib
import tempfile
import threading

import pytest

from glance_ontap_store import units
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.images.lifecycle import Lifecycle
from glance_ontap_store.recovery.rounds import Member
from glance_ontap_store.recovery.rounds import Rounds
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.replication.carrying_out import CarryingOut
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.image import Image
from glance_ontap_store.tests.crash import scenes
from glance_ontap_store.tests.crash.scenes import DATA
from glance_ontap_store.tests.crash.scenes import Rig
from glance_ontap_store.tests.fakes import exports
from glance_ontap_store.tests.fakes import replication
from glance_ontap_store.tests.fakes.cinder import FakeOperator
from glance_ontap_store.tests.fakes.cloud import FakeCloud
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.images import FakeGlance
from glance_ontap_store.tests.fakes.mortal import Host
from glance_ontap_store.tests.fakes.replication import STORES
from glance_ontap_store.tests.fakes.replication import parts_of


@contextlib.contextmanager
def directories() -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """A base for hosts, and one for FlexVols, on another file system.

    The first is in memory if that can be: each process syncs its journal.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as base:
        root = exports.on_another_file_system(pathlib.Path(base))
        try:
            yield pathlib.Path(base), pathlib.Path(root)
        finally:
            exports.remove(root)


def new_world(
    base: pathlib.Path,
    root: pathlib.Path,
    patch: pytest.MonkeyPatch,
    volume_type: str = "ontap-fv1",
    gib: int = units.GIB,
) -> "FakeWorld":
    """A world in which nothing has happened yet, with images of that type.

    A GiB has *gib* bytes there.
    """
    patch.setattr(units, "GIB", gib)
    number = str(len(list(base.iterdir())))
    (base / number).mkdir()
    (root / number).mkdir()
    cloud = FakeCloud(base / number, str(root / number), patch)
    glance = FakeGlance(enabled=STORES)
    operator = FakeOperator(cloud.cinder)

    def removed(volume_id: str) -> bool:
        cloud.cinder.delete(volume_id)
        return True

    glance.on_removed = removed
    host = Host(
        cloud,
        served={"glance": glance, "operator": operator},
        also=lambda cloud: (
            {each: parts_of(cloud, each) for each in STORES},
            cloud.lifecycle("fv2", "ontap-fv2"),
            cloud.clock,
        ),
        ontap_volume_type=volume_type,
    )
    return FakeWorld(host, glance, is_small=gib < DATA.size)


class Growing(OnePass):
    """A reader whose upload finds the volume's file longer than the volume.

    A real one does so by a GiB of data.
    """

    def __init__(self, root: str) -> None:
        super().__init__(DATA)
        self._root = root

    def read(self, size: int) -> bytes:
        for path in pathlib.Path(self._root).rglob("volume-*"):
            with open(path, "r+b") as file:
                file.truncate(2 * 2**30)
        return super().read(size)


class FakeWorld:
    """`scenes.World` over the fakes."""

    def __init__(self, host: Host, glance: FakeGlance, is_small: bool) -> None:
        self.host = host
        # `DATA` is longer than the smallest volume.
        self._is_small = is_small
        self._glance = glance
        self._numbers = itertools.count()

    def new_id(self) -> str:
        return f"2f8f0b5e-6f0c-4a55-9f5e-{next(self._numbers):012}"

    def upload(self, data: Content = DATA) -> str:
        image_id = self.new_id()
        run = self.host.do(lambda rig: scenes.add(rig, image_id, data=data))
        return str(run.answer)

    def clone(self, url: str) -> str:
        cinder, source = self.host.cloud.cinder, scenes.volume_of(url)
        metadata = dict(cinder.get(source).metadata)
        made = cinder.create(NewVolume("copy", 1, None, metadata, source_id=source))
        self.host.cloud.clock.sleep(60)
        return f"cinder://fv1/{made.id}"

    def remove(self, url: str) -> None:
        self.host.do(lambda rig: scenes.delete(rig, url))
        self.host.cloud.clock.sleep(60)

    @contextlib.contextmanager
    def attach_elsewhere(self, volume_id: str, connects: bool = True) -> Iterator[None]:
        cinder = self.host.cloud.cinder
        attachment_id = cinder.reserve(volume_id, "ro")
        if connects:
            connector = {**FakeHost().connector, "host": "glance-2"}
            cinder.connect(volume_id, attachment_id, connector)
        cinder.complete(attachment_id)
        yield
        cinder.detach(attachment_id)

    def growing(self) -> OnePass:
        return OnePass(DATA) if self._is_small else Growing(self.host.cloud.root)

    @contextlib.contextmanager
    def slow_growth(self) -> Iterator[None]:
        cinder = self.host.cloud.cinder
        before, cinder.action_s = cinder.action_s, 10.0
        yield
        cinder.action_s = before

    def leave_remains(self) -> None:
        url = self.upload()
        self.host.run(lambda rig: scenes.read(rig, url), at="cinder.complete 1")
        self.host.run(
            lambda rig: scenes.add(rig, self.new_id()), at="cinder.complete 1"
        )

    def recover(self, rig: Rig) -> None:
        backend = rig.store.stores.get("fv1")
        member = Member(
            StoreRecovery(backend.volumes), 600, self.host.cloud.mounts.unmount_unused
        )
        Rounds(lambda: [member]).work()
        for thread in threading.enumerate():
            if thread.name == "ontap-unmount":
                thread.join()

    # Replicas, in fv2, of images in fv1.

    def show(self, url: str) -> str:
        """Let Glance have the image at *url*; its id."""
        volume_id = scenes.volume_of(url)
        return replication.show(self._glance, self.host.cloud, volume_id).id

    def carry_out(self, action: Action, image_id: str, source: str) -> Result:
        """Make or retire the image's replica, in a process of the host."""
        parts, _store, clock = self.host.also
        carrying = CarryingOut(
            self.host.remote("glance"),
            self.host.remote("operator"),
            parts,
            clock,
            by=By.ARRAY,
            parallel=1,
            per_pool=1,
            stop=Stop(),
            say=lambda _text: None,
        )
        place = replication.pool("fv2")
        step = Step(action, Image(image_id), "fv2", "a test", place, source)
        (outcome,) = carrying.run([step])
        return outcome.result

    def replicating_store(self) -> Lifecycle:
        """The image-volumes of the store that has the replicas."""
        store: Lifecycle = self.host.also[1]
        return store

    def replicas(self, image_id: str) -> list[str]:
        """The volumes of the image's locations in fv2, in a process of the host."""
        places = self.host.remote("glance").places(image_id)
        return [place.volume_id for place in places if place.store == "fv2"]

    def volumes(self) -> dict[str, str]:
        """The states of all volumes, by their ids."""
        held = [name.split() for name in self.host.cloud.cinder.holdings()]
        ids = [words[1] for words in held if words[0] == "volume"]
        return {
            each: self.host.cloud.cinder.get(each).metadata.get("ontap_state", "")
            for each in ids
        }

    def remains(self) -> set[str]:
        """What is not a sealed volume: other volumes, attachments, mounts."""
        sealed = {each for each, state in self.volumes().items() if state == "sealed"}
        return {
            thing
            for thing in self.host.cloud.holdings()
            if not (thing.startswith("volume ") and thing.split()[1] in sealed)
            or not thing.endswith(" available")
        }
