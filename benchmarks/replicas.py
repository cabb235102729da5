# SPDX-License-Identifier: Apache-2.0
"""Replicas of images, made as ``glance-ontap replicate`` makes them."""

from pathlib import Path

from glance_ontap_store import identity
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.replication import parts
from glance_ontap_store.replication.carrying_out import CarryingOut
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.image import Image
from lab import glance
from lab import polling
from lab import stores
from lab.client import Lab

# The stores that share images; they are uploaded into the first.
STORES = ("fv1", "fv2", "fv3")
DELETE_TIMEOUT_S = 120


class NoReplica(Exception):
    """A replica was not made, or not as it was wanted."""


class Replicas:
    """The replicas of images that were uploaded into ``fv1``.

    The internal glance-api that sets locations runs from here to the lab's end.
    """

    def __init__(self, lab: Lab) -> None:
        lab.start(glance.LOCATIONS)
        stores.prepare_privileges(lab)
        base = stores.new_base()
        self._lab = lab
        self._admin = lab.cloud("admin")
        self._settings = {
            store: stores.settings(store, mount_point_base=base) for store in STORES
        }

    def make(
        self,
        image_id: str,
        store: str,
        by: By = By.ARRAY,
        verify: Verify = Verify.NONE,
    ) -> None:
        """Make a replica in *store*; return when Glance knows it.

        :raises NoReplica: there is none, or a host copied what the array should have
        """
        original = self._volume_id(image_id, STORES[0])
        host = self._admin.block_storage.get_volume(original).host
        step = Step(
            Action.MAKE,
            Image(image_id),
            store,
            "the benchmark wants it",
            pool=host.replace(f"/{STORES[0]}", f"/{store}"),
            source=original,
            verify=verify,
        )
        self._run(step, by)

    def retire(self, image_id: str, store: str) -> None:
        """Remove the replica; return when its file is gone.

        :raises NoReplica: it is no replica, or it is in use
        :raises TimeoutError: the file is still there
        """
        path = self.path(image_id, store)
        step = Step(Action.RETIRE, Image(image_id), store, "it is measured")
        self._run(step, By.ARRAY)
        polling.wait_until(
            lambda: not path.exists(), f"{path} is deleted", DELETE_TIMEOUT_S
        )

    def path(self, image_id: str, store: str) -> Path:
        """Return the file of the image-volume in *store*."""
        volume_id = self._volume_id(image_id, store)
        return Path(self._lab.flexvol(store), f"volume-{volume_id}")

    def _volume_id(self, image_id: str, store: str) -> str:
        (volume_id,) = (
            volume.id
            for volume in self._admin.block_storage.volumes(
                all_projects=True, name=f"image-{image_id}"
            )
            if volume.metadata["ontap_store"] == store and volume.status != "deleting"
        )
        return str(volume_id)

    def _run(self, step: Step, by: By) -> None:
        first = self._settings[STORES[0]]
        carrying_out = CarryingOut(
            Glance(
                self._admin.session,
                first,
                identity.session_for(first),
                self._lab.facts["urls"][glance.LOCATIONS],
            ),
            CinderClient(first, self._admin.session),
            {store: parts.build(each) for store, each in self._settings.items()},
            SystemClock(),
            by=by,
            parallel=1,
            per_pool=1,
            stop=Stop(),
            say=lambda _text: None,
        )
        (outcome,) = carrying_out.run([step])
        check(outcome)


def check(outcome: Outcome) -> None:
    """Refuse an outcome with which there is nothing to measure.

    :raises NoReplica: the step is not done
    """
    if outcome.result is not Result.DONE:
        step = outcome.step
        raise NoReplica(
            f"{step.action.value} in {step.store_id}: {outcome.result.value},"
            f" {outcome.reason}"
        )
