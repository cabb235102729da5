# SPDX-License-Identifier: Apache-2.0
"""A cloud with an image in one store, of which replicas are made, over the fakes."""

from collections.abc import Callable
import dataclasses
import random
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.images.record import Record
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.replication.carrying_out import CarryingOut
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Step
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey import image as survey_image
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.cinder import FakeOperator
from glance_ontap_store.tests.fakes.cloud import FakeCloud
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.images import FakeGlance

IMAGE_ID = "2f8f0b5e-6f0c-4a55-9f5e-000000000001"
STORES = ("fv1", "fv2", "fv3")


def pool(store_id: str) -> str:
    """The pool of a store's image-volumes."""
    return f"cinder@ontap#192.0.2.1:/{store_id}"


class Replication:
    """One process that makes replicas of the image ``IMAGE_ID``, which is in fv1."""

    def __init__(self, cloud: FakeCloud, content: Content | int = 5000) -> None:
        self.cloud = cloud
        self.stop = Stop()
        self.said: list[str] = []
        self.glance = FakeGlance(enabled=STORES)
        self.operator = Faulty(FakeOperator(cloud.cinder))
        self.source = self._upload(content)
        self.parts = {each: parts_of(cloud, each) for each in STORES}
        self.glance.on_removed = self._removed

    def _upload(self, content: Content | int) -> str:
        upload = builders.upload(content, image_id=IMAGE_ID)
        volume_id = self.cloud.lifecycle().store(upload).volume_id
        show(self.glance, self.cloud, volume_id)
        return volume_id

    def _removed(self, volume_id: str) -> bool:
        try:
            self.cloud.cinder.delete(volume_id)
        except errors.ImageVolumeInUse:
            return False
        return True

    def another(self) -> "Replication":
        """Another process of the same host, with the same Glance and Cinder."""
        other = object.__new__(Replication)
        vars(other).update(vars(self))
        other.cloud = self.cloud.another_process()
        other.stop, other.said = Stop(), []
        other.parts = {each: parts_of(other.cloud, each) for each in STORES}
        return other

    def step(self, action: Action = Action.MAKE, **changes: Any) -> Step:
        wanted: dict[str, Any] = {
            "image": survey_image.Image(IMAGE_ID),
            "store_id": "fv2",
            "why": "a test wants it",
            "source": self.source,
        }
        wanted |= changes
        wanted.setdefault("pool", pool(wanted["store_id"]))
        return Step(action, **wanted)

    def carrying_out(
        self, by: By = By.ARRAY, parallel: int = 1, per_pool: int = 1
    ) -> CarryingOut:
        glance: Any = self.glance
        return CarryingOut(
            glance,
            self.operator,
            self.parts,
            self.cloud.clock,
            by=by,
            parallel=parallel,
            per_pool=per_pool,
            stop=self.stop,
            say=self.said.append,
            chance=random.Random(7),
        )

    def run(self, *steps: Step, **choices: Any) -> list[Outcome]:
        """Carry the steps out; by default, make a replica in fv2."""
        return self.carrying_out(**choices).run(steps or [self.step()])

    def one(self, *steps: Step, **choices: Any) -> Outcome:
        """The only outcome."""
        (outcome,) = self.run(*steps, **choices)
        return outcome

    def replicas(self, store_id: str = "fv2") -> dict[str, Record]:
        """The records of the replicas in a store that are not being deleted."""
        found = {}
        for volume in self.cloud.cinder.find(f"image-{IMAGE_ID}"):
            record = Record.parse(volume.metadata)
            if record.store == store_id and not volume.is_leaving:
                found[volume.id] = record
        return found

    def named(self) -> list[str]:
        """The URLs of the image's locations."""
        return [place.url for place in self.glance.locations.get(IMAGE_ID, ())]

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something while the replica is being made."""

        def act() -> None:
            action()

        self.cloud.clock.at(seconds, act)


def parts_of(cloud: FakeCloud, store_id: str) -> StoreParts:
    """A store's parts, over the fakes."""
    settings = dataclasses.replace(
        builders.make_settings(
            ontap_volume_type=f"ontap-{store_id}", ontap_replica_volume_type="ontap"
        ),
        store_id=store_id,
    )
    volumes = cloud.waiting_volumes(store_id=store_id)
    free = StoreRecovery(volumes).free
    reading = Reading(volumes, cloud.attacher(), free, settings.volume_type)
    return StoreParts(settings, volumes, reading)


def show(glance: FakeGlance, cloud: FakeCloud, volume_id: str) -> Image:
    """Let Glance have the image of a sealed image-volume in fv1."""
    record = Record.parse(cloud.cinder.get(volume_id).metadata)
    image = Image(
        id=record.image_id or "",
        size=record.size,
        owner=record.owner,
        disk_format="raw",
        hash_algo=record.hash_algo,
        hash_value=record.hash_value,
        stores=("fv1",),
    )
    glance.shown[image.id] = image
    glance.locations[image.id] = [Place(f"cinder://fv1/{volume_id}", "fv1")]
    return image
