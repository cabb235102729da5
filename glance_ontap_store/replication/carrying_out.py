# SPDX-License-Identifier: Apache-2.0
"""Carry a plan for replicas out; a step that fails does not stop the others."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import random

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.replication.copying import ByCopy
from glance_ontap_store.replication.looking import Looker
from glance_ontap_store.replication.making import Maker
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.progress import Progress
from glance_ontap_store.replication.queueing import MAKING
from glance_ontap_store.replication.queueing import Queue
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.tidying import Tidier
from glance_ontap_store.stopping.interruption import Interrupted
from glance_ontap_store.stopping.interruption import Stop

LOG = logging.getLogger(__name__)

# Seconds for which a question to Cinder is asked again while it does not answer.
_PATIENCE = Patience(300.0)
_ENDED = "a host copied the bytes of another replica, so the run ended before this one"


def attaches(steps: Sequence[Step], by: By) -> bool:
    """Return whether image-volumes of the stores are attached to this host."""
    return by is By.ARRAY and any(step.action in MAKING for step in steps)


class CarryingOut:
    """Carries steps out.

    *glance* is asked as the operator, at a glance-api that lets locations be added.
    *operator* is the operator's Cinder. *stores* are all stores of type ontap that
    share images, by their ids: those of the steps and those of their sources.
    *parallel* replicas are made at the same time, and *per_pool* of them in a pool.
    *say* gets lines about the progress, from several threads.
    """

    def __init__(
        self,
        glance: Glance,
        operator: Operator,
        stores: Mapping[str, StoreParts],
        clock: Clock,
        *,
        by: By,
        parallel: int,
        per_pool: int,
        stop: Stop,
        say: Callable[[str], object],
        chance: random.Random | None = None,
    ) -> None:
        patient = patience.patient(operator, clock, _PATIENCE)
        looker = Looker(glance, patient, clock, stop)
        self._clock = clock
        self._parallel = parallel
        self._per_pool = per_pool
        self._stop = stop
        self._say = say
        tidier = Tidier(glance, looker, stores)
        maker = Maker(glance, patient, looker, stores, clock, stop, say, chance)
        by_copy = ByCopy(glance, looker, stores, clock, stop)
        make = by_copy.make if by is By.COPY_IMAGE else maker.make
        self._ways: dict[Action, Callable[[Step], Outcome]] = {
            Action.MAKE: make,
            # What the array has begun is ended there.
            Action.RESUME: maker.make,
            Action.REFRESH: tidier.refresh,
            Action.RETIRE: tidier.retire,
            Action.DISCARD: tidier.discard,
            Action.KEEP: lambda step: Outcome(step, Result.DONE),
            Action.REFUSE: lambda step: Outcome(step, Result.REFUSED, step.why),
        }

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Return the outcome of each step, in the order of the steps.

        After an interruption, or once a host has copied a replica's bytes, steps that
        have begun come to an end, and the others are left for the next run.
        """
        progress = Progress(steps, self._clock, self._say)
        queue = Queue(steps, self._per_pool)
        outcomes: dict[int, Outcome] = {}

        def work() -> None:
            while (number := queue.take()) is not None:
                outcome = self._done(steps[number], progress)
                outcomes[number] = outcome
                if outcome.result is Result.HOST_COPY:
                    queue.end()
                queue.give_back(number)

        with futures.ThreadPoolExecutor(self._parallel, "replicate") as pool:
            begun = [pool.submit(work) for _worker in range(self._parallel)]
        for each in begun:
            each.result()
        return [
            outcomes.get(number, Outcome(step, Result.LATER, _ENDED))
            for number, step in enumerate(steps)
        ]

    def _done(self, step: Step, progress: Progress) -> Outcome:
        begun = self._clock.monotonic()
        outcome = self._outcome(step)
        seconds = self._clock.monotonic() - begun
        outcome = dataclasses.replace(outcome, seconds=seconds)
        progress.ended(outcome)
        return outcome

    def _outcome(self, step: Step) -> Outcome:
        try:
            self._stop.check()
            return self._ways[step.action](step)
        except (Interrupted, errors.ImageVolumeInUse) as error:
            return Outcome(step, Result.LATER, errors.describe(error).rstrip("."))
        except errors.StoreError as error:
            return Outcome(step, Result.FAILED, errors.describe(error).rstrip("."))
        except Exception as error:
            # A mistake of ours in one step must not hide what became of the others.
            LOG.exception("Image %s, store %s", step.image.id, step.store_id)
            return Outcome(step, Result.FAILED, f"unexpected: {error!r}, see the log")
