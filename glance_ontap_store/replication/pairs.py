# SPDX-License-Identifier: Apache-2.0
"""One image and one store, about which a plan decides. Pure."""

import dataclasses

from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Target
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.image import Image


@dataclasses.dataclass(frozen=True)
class Pair:
    """One image and one store, and the copies of the image there, the oldest first.

    *rule* is None if no rule wants the image in the store.
    """

    image: Image
    target: Target
    copies: tuple[Copy, ...]
    rule: Rule | None

    @property
    def pool(self) -> str | None:
        """The name of the store's pool."""
        return self.target.pool.name if self.target.pool else None

    @property
    def is_registered(self) -> bool:
        """Return whether Glance has the image in the store."""
        return self.target.store_id in self.image.stores

    @property
    def waiting(self) -> list[Copy]:
        """The replicas that no location names, the one that counts first.

        That is one that came further than others, and then the oldest, as for everybody
        who makes them (`deciding.candidates`).
        """
        found = (
            copy
            for copy in self.copies
            if copy.is_half_made
            or (copy.is_whole and not copy.is_original and not self.is_registered)
        )
        return sorted(found, key=lambda copy: (copy.is_half_made, copy.age))

    def step(self, action: Action, why: str, copy: Copy | None = None) -> Step:
        """Return a step of it; *copy* is the one that it is about."""
        return Step(
            action,
            self.image,
            self.target.store_id,
            why,
            pool=self.pool,
            source=copy.record.replica_of if copy else None,
            replica=copy.volume.id if copy else None,
            verify=self.rule.verify if self.rule else Verify.SAMPLE,
        )

    def stays(self, why: str, copy: Copy) -> Step:
        """Return the step of a copy that stays: for *why*, unless it is broken."""
        if copy.volume.is_broken:
            why = (
                f"Image-volume {copy.volume.id} is {copy.volume.status} in Cinder. Run:"
                " glance-ontap audit"
            )
            return self.step(Action.REFUSE, why, copy)
        return self.step(Action.KEEP, why, copy)
