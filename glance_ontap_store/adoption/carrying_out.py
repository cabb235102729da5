# SPDX-License-Identifier: Apache-2.0
"""Carry a plan out, step by step; a step that fails does not stop the others."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import enum
import threading

from glance_ontap_store import errors
from glance_ontap_store.adoption import plan
from glance_ontap_store.adoption.in_place import Adopter
from glance_ontap_store.adoption.plan import Step
from glance_ontap_store.adoption.plan import Way
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.glance import copying
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.copying import Copier
from glance_ontap_store.glance.copying import known
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.stopping.interruption import Interrupted
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey


class Result(enum.Enum):
    """What became of a step."""

    PLANNED = "planned"
    REFUSED = "refused"
    DONE = "done"
    # The image is good; something remains to be done, see the reason.
    LEFT = "left"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A step, and what became of it. *reason* explains every result but DONE."""

    step: Step
    result: Result
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Orders:
    """What the operator asked for besides the plan itself.

    *verify* None means the default of the way: images that are adopted in place are
    read. Copies are always compared by the digest that the store made of what it wrote;
    with *verify* they are read too.
    *parallel* is the greatest number of copies at a time.
    """

    verify: bool | None = None
    removes_old: bool = False
    parallel: int = 1


def preview(steps: Sequence[Step]) -> list[Outcome]:
    """Return the outcomes of a plan that is only shown."""
    return [
        Outcome(step, Result.REFUSED if step.why_not else Result.PLANNED, step.why_not)
        for step in steps
    ]


def attached_by(steps: Sequence[Step], orders: Orders) -> list[str]:
    """Return the ids of the stores whose image-volumes the steps attach."""
    return sorted(
        {
            str(step.target)
            for step in steps
            if (step.why_not is None or step.is_busy)
            and (
                step.way is Way.IN_PLACE
                or (orders.verify and step.way is not Way.LOCATION)
            )
        }
    )


class Carrier:
    """Carries steps out. *adopters* has one for each store of `attached_by`, by its id.

    *surveys* are Cinder as the stores' own users see it, by the stores' ids.
    """

    def __init__(
        self,
        glance: Glance,
        adopters: Mapping[str, Adopter],
        survey: Callable[[str], CinderSurvey],
        clock: Clock,
        orders: Orders,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        self._glance = glance
        self._adopters = adopters
        self._survey = survey
        self._orders = orders
        self._say = say
        self._stop = stop
        self._copier = Copier(glance, clock, stop)
        # One image-volume at a time is attached.
        self._reading = threading.Lock()

    def carry_out(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """Return the outcome of each step, in the order of the steps.

        After an interruption, steps that have begun end soon, and the rest is left.
        """
        is_copy = any(step.way in (Way.COPY, Way.REMOVE) for step in steps)
        workers = self._orders.parallel if is_copy else 1
        with futures.ThreadPoolExecutor(workers, "adopt") as pool:
            yield from pool.map(self._one, steps)

    def _one(self, step: Step) -> Outcome:
        if step.why_not and not step.is_busy:
            return Outcome(step, Result.REFUSED, step.why_not)
        try:
            self._stop.check()
            self._say(f"{step.image_id}: {step.way.value} ...")
            reason = self._done(step)
        except (Interrupted, errors.ImageVolumeInUse) as error:
            return Outcome(step, Result.LEFT, str(error).rstrip("."))
        except errors.StoreError as error:
            return Outcome(step, Result.FAILED, errors.describe(error).rstrip("."))
        return Outcome(step, Result.LEFT if reason else Result.DONE, reason)

    def _done(self, step: Step) -> str | None:
        """Carry out a step; return what is left to do, or None."""
        image, store_id = step.image, step.target
        if image is None or store_id is None:
            raise errors.Broken("neither its image nor its new store is known")
        if step.way is Way.IN_PLACE and step.volume is not None:
            self._adopt(step.volume.id, image.id, store_id)
        if step.way in (Way.IN_PLACE, Way.LOCATION):
            return self._relocated(step, image, store_id)
        if step.way is Way.COPY:
            self._copier.copy(image.id, store_id)
        self._verified(step, known(self._glance.image(image.id)), store_id)
        return None

    def _adopt(self, volume_id: str, image_id: str, store_id: str) -> None:
        # The plan may be hours old.
        image = known(self._glance.image(image_id))
        adopter = self._adopters[store_id]
        volume = adopter.volume(volume_id)
        if reason := plan.unfit(volume, Record.parse(volume.metadata), image):
            raise errors.Broken(reason)
        if reason := plan.busy(volume):
            raise errors.ImageVolumeInUse(reason)
        adopter.adopt(volume, image, self._orders.verify is not False)

    def _relocated(self, step: Step, image: Image, store_id: str) -> str | None:
        """Have Glance look at the location again; return what is left, or None.

        No location is added or removed: Glance would delete the volume with the old
        one. It writes the location anew by itself, when the store that the location
        names is not enabled.
        """
        if store_id in known(self._glance.image(image.id)).stores:
            return None
        old = f"store {step.source}" if step.source else "no store"
        return (
            f"the image-volume is {store_id}'s, but its location in Glance names {old}:"
            f" take {step.source or 'the old store'} out of enabled_backends, or name a"
            " glance-api without it (--image-endpoint)"
        )

    def _verified(self, step: Step, image: Image, store_id: str) -> None:
        """Verify the copy, and remove the old one if that was asked for.

        :raises errors.Broken: the copy is not the image; the old one stays
        """
        if store_id not in image.stores:
            raise errors.Broken(f"Glance does not show it in store {store_id}")
        # An image of zero bytes is stored nowhere.
        if image.size:
            self._compare(image, store_id)
        if self._orders.removes_old and step.source in image.stores:
            known(self._glance.remove(image.id, str(step.source)))

    def _compare(self, image: Image, store_id: str) -> None:
        volume = self._image_volume(image, store_id)
        reason = copying.unverified(image, Record.parse(volume.metadata))
        is_comparable = image.hash_value or self._orders.removes_old
        if reason and is_comparable:
            raise errors.Broken(f"{reason}; the old copy stays")
        if self._orders.verify:
            with self._reading:
                self._adopters[store_id].check(volume, image)

    def _image_volume(self, image: Image, store_id: str) -> Volume:
        """Return the image's volume in a store: the one that its location names.

        Where Glance does not tell locations, there must be only one.
        """
        survey = self._survey(store_id)
        places = self._glance.places(image.id)
        if isinstance(places, Unknown):
            found = survey.volumes(
                all_tenants=1,
                name=f"image-{image.id}",
                metadata={"ontap_store": store_id},
            )
        else:
            ids = [place.volume_id for place in places if place.store == store_id]
            found = tuple(known(survey.volume(each or "")) for each in ids)
        volumes = known(found)
        if len(volumes) != 1:
            raise errors.Broken(
                f"it has {len(volumes)} image-volumes in store {store_id}; the old copy"
                " stays"
            )
        return volumes[0]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 2 if a step failed, 1 if something is refused or left, otherwise 0."""
    results = {outcome.result for outcome in outcomes}
    if Result.FAILED in results:
        return 2
    return 1 if results & {Result.REFUSED, Result.LEFT} else 0
