# SPDX-License-Identifier: Apache-2.0
"""Make a replica in the array, or go on with one that is half made."""

from collections.abc import Callable
from collections.abc import Mapping
import contextlib
import dataclasses
import random

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.location import Location
from glance_ontap_store.replication import cloning
from glance_ontap_store.replication import deciding
from glance_ontap_store.replication import rights
from glance_ontap_store.replication import verifying
from glance_ontap_store.replication.deciding import Decision
from glance_ontap_store.replication.deciding import Next
from glance_ontap_store.replication.deciding import Seen
from glance_ontap_store.replication.discarding import Discarder
from glance_ontap_store.replication.looking import Looker
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.replication.sealing import Sealer
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.answer import Unknown

# NetApp's driver gives a copy up after netapp_migrate_volume_timeout, by default an
# hour, and tells a minute later at most.
MIGRATION_S = 3660.0
# A request that was refused, or whose answer was lost, is sent so often at most.
_TRIES = 3
_MOVED_BY_HOST = (
    "a host copied its bytes, not the array: see the log of cinder-volume. The replica"
    " is right, and the run ends here"
)


@dataclasses.dataclass
class _Work:
    """How far this process is with a step; all else is asked of Cinder and Glance."""

    step: Step
    parts: StoreParts
    # The volume that this process made, or has taken over.
    own: str | None = None
    # When the first look was, since which Cinder is at work.
    waits_since: float | None = None
    migrations: int = 0
    registrations: int = 0


class Maker:
    """Makes replicas. *stores* are all stores, by their ids.

    *chance* chooses the blocks that are compared.
    """

    def __init__(
        self,
        glance: Glance,
        operator: Operator,
        looker: Looker,
        stores: Mapping[str, StoreParts],
        clock: Clock,
        stop: Stop,
        say: Callable[[str], object],
        chance: random.Random | None = None,
    ) -> None:
        self._glance = glance
        self._operator = operator
        self._stores = stores
        self._clock = clock
        self._stop = stop
        self._say = say
        self._looker = looker
        self._discarder = Discarder(self._looker)
        chance = chance or random.Random()  # noqa: S311
        self._sealer = Sealer(stores, stop, say, chance)

    def make(self, step: Step) -> Outcome:
        """Do everything that is left to do for a step.

        :raises errors.StoreError: it failed; the next run goes on with what is there
        :raises interruption.Interrupted: the operator ended the command
        """
        if step.pool is None:
            raise errors.Broken(f"The pool of store {step.store_id} is not known.")
        work = _Work(step, self._stores[step.store_id])
        while True:
            self._stop.check()
            outcome = self._next(work)
            if outcome is not None:
                return outcome

    def _next(self, work: _Work) -> Outcome | None:
        """Look, and do one thing; the outcome if that was the last one."""
        step = work.step
        found, image, named = self._looker.candidates(step.image.id, work.parts)
        volume = found[0] if found else None
        if volume is not None and work.own not in (None, volume.id):
            return self._yielded(work, found, volume)
        if volume is not None and work.own is None:
            self._claim(work, volume)
        seen = Seen(step.store_id, step.pool or "", image, named, volume)
        decision = deciding.decide(seen)
        if decision.next is not Next.WAIT:
            work.waits_since = None
        match decision.next:
            case Next.END:
                return self._ended(work, seen, decision)
            case Next.DISCARD:
                return self._discarded(work, seen, decision)
            case Next.CLONE:
                self._clone(work, seen)
            case Next.WAIT:
                return self._waited(work, seen)
            case Next.MIGRATE:
                self._migrate(work, seen)
            case Next.VERIFY:
                return self._sealed(work, seen)
            case Next.REGISTER:
                self._register(work, seen)
        return None

    def _claim(self, work: _Work, volume: Volume) -> None:
        """Go on with what another process, which has ended, has begun."""
        if Record.parse(volume.metadata).state is State.REPLICATING:
            cloning.claim(work.parts, volume)
        work.own = volume.id

    def _yielded(
        self, work: _Work, found: list[Volume], better: Volume
    ) -> Outcome | None:
        """Two processes made a replica each: that of this one goes."""
        why = f"another host makes it too, as volume {better.id}"
        mine = next((each for each in found if each.id == work.own), None)
        if mine is not None and not self._discarder.discard(work.parts, mine, why):
            self._looker.pause()
            return None
        return Outcome(work.step, Result.LATER, why)

    def _ended(self, work: _Work, seen: Seen, decision: Decision) -> Outcome:
        volume, image = seen.volume, seen.image
        if decision.result is Result.DONE and volume is not None:
            _give(work.parts, volume, image)
            if volume.name_id is not None:
                return Outcome(work.step, Result.HOST_COPY, _MOVED_BY_HOST)
        return Outcome(work.step, decision.result, decision.why)

    def _discarded(self, work: _Work, seen: Seen, decision: Decision) -> Outcome | None:
        volume, why = _volume(seen), decision.why or ""
        if volume.migration == "error" and decision.result is Result.FAILED:
            why = f"{why}: {self._fault(volume)}"
        if not self._discarder.discard(work.parts, volume, why):
            self._looker.pause()
            return None
        return Outcome(work.step, decision.result, why)

    def _fault(self, volume: Volume) -> str:
        with contextlib.suppress(errors.StoreError):
            if fault := self._operator.last_fault(volume.id):
                return fault.text
        return (
            "see the logs of cinder-scheduler (is ontap_replica_volume_type pinned, or"
            " the pool full?) and of cinder-volume"
        )

    def _clone(self, work: _Work, seen: Seen) -> None:
        step = work.step
        if work.own is not None:
            raise errors.Broken(f"Volume {work.own} was deleted by somebody.")
        if step.source is None or seen.image is None:
            raise errors.Broken("no sealed image-volume of the image can be cloned")
        try:
            work.own = cloning.clone(work.parts, step.source, seen.image).id
        except errors.ImageVolumeGone:
            # With its image perhaps, which the next look tells.
            if self._looker.image(step.image.id) is not None:
                raise
            return
        self._tell(step, f"cloned as volume {work.own}")

    def _waited(self, work: _Work, seen: Seen) -> Outcome | None:
        volume, now = _volume(seen), self._clock.monotonic()
        if work.waits_since is None:
            work.waits_since = now
            self._tell(work.step, f"volume {volume.id} is {_doing(volume)} ...")
        if now - work.waits_since > MIGRATION_S:
            return Outcome(work.step, Result.LATER, _endless(volume))
        self._looker.pause()
        return None

    def _migrate(self, work: _Work, seen: Seen) -> None:
        volume = _volume(seen)
        work.migrations += 1
        try:
            self._operator.migrate(volume.id, work.step.pool or "")
        except errors.Refused as error:
            self._discarder.discard(work.parts, volume, str(error))
            raise rights.missing("have volumes moved", rights.MIGRATE) from error
        except errors.StoreError as error:
            # It may have been done all the same, or be refused because it was.
            if work.migrations == _TRIES:
                raise
            self._tell(work.step, f"{error} It is looked at again.")
        self._looker.pause()

    def _sealed(self, work: _Work, seen: Seen) -> Outcome | None:
        volume, step = _volume(seen), work.step
        if seen.image is None:
            raise AssertionError("a replica of no image is discarded")
        self._tell(step, f"volume {volume.id} is in its pool; {_ahead(step)}")
        try:
            self._sealer.seal(work.parts, volume, seen.image, step.verify)
        except verifying.Mismatch as error:
            self._discarder.discard(work.parts, volume, str(error))
            return Outcome(step, Result.FAILED, errors.describe(error))
        return None

    def _register(self, work: _Work, seen: Seen) -> None:
        """Add the location. Whether it is there, the next look tells.

        :raises errors.StoreError: it was refused, or not done again and again
        """
        volume, step = _volume(seen), work.step
        url = str(Location(volume.id, step.store_id))
        if work.registrations == _TRIES:
            raise errors.Broken(f"Glance does not show location {url}, which it took.")
        work.registrations += 1
        # It may have got another owner while the replica was compared.
        _give(work.parts, volume, seen.image)
        answer = self._glance.add_location(step.image.id, url, step.store_id)
        if not isinstance(answer, Unknown):
            return
        if answer.reason is Reason.FORBIDDEN:
            raise errors.Refused(
                f"Glance does not let the location be added: {answer.text}. Name a"
                " glance-api with show_multiple_locations = true (--image-endpoint),"
                " and a user who is an administrator there: Glance lets others add"
                " locations to their own images only."
            )
        if work.registrations == _TRIES:
            kind = (
                errors.ImageVolumeInUse
                if answer.reason is Reason.CONFLICT
                else errors.Broken
            )
            raise kind(f"The location was not added: {answer.text}.")
        self._looker.pause()

    def _tell(self, step: Step, text: str) -> None:
        self._say(f"{step.image.id} -> {step.store_id}: {text}")


def _volume(seen: Seen) -> Volume:
    if seen.volume is None:
        raise AssertionError("there is a volume to do this with")
    return seen.volume


def _give(parts: StoreParts, volume: Volume, image: Image | None) -> None:
    """Write the image's owner into the replica, if it has another one."""
    owner = image.owner if image is not None else None
    if owner and Record.parse(volume.metadata).owner != owner:
        parts.volumes.steadfast.set_metadata(volume.id, {"image_owner": owner})


def _doing(volume: Volume) -> str:
    return "being moved" if volume.is_migrating else volume.status


def _ahead(step: Step) -> str:
    match step.verify:
        case Verify.NONE:
            return "nothing is compared"
        case Verify.SAMPLE:
            return "a sample is compared ..."
    return "all of it is read and compared ..."


def _endless(volume: Volume) -> str:
    return (
        f"volume {volume.id} is {_doing(volume)} for more than {MIGRATION_S:g} s. If"
        " cinder-volume was restarted meanwhile, it does not end: when the array's copy"
        f" is over, run cinder reset-state --reset-migration-status {volume.id}, and"
        f" delete the volume, and then file volume-{volume.backing_id}, which the copy"
        " left on the store's FlexVol: nobody else deletes it"
    )
