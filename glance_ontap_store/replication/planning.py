# SPDX-License-Identifier: Apache-2.0
"""Make the plan: what is to be done for which image in which store, and why. Pure."""

from collections.abc import Iterator
import dataclasses
import itertools

from glance_ontap_store import units
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import obstacles
from glance_ontap_store.replication import retiring
from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.pairs import Pair
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.retiring import Candidate
from glance_ontap_store.replication.retiring import Retirement
from glance_ontap_store.replication.room import Ledger
from glance_ontap_store.replication.room import Wanted
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Step
from glance_ontap_store.survey.image import Image

# Images in these statuses have no data yet, or no more.
_WITHOUT_DATA = frozenset(
    {"queued", "saving", "uploading", "importing", "killed", "deleted"}
    | {"pending_delete"}
)
# What gives space back comes first, and what needs most comes last.
_ORDER = (
    Action.RETIRE,
    Action.DISCARD,
    Action.REFRESH,
    Action.RESUME,
    Action.MAKE,
    Action.REFUSE,
    Action.KEEP,
)


@dataclasses.dataclass(frozen=True)
class Scope:
    """The part of a plan that is wanted; all of it unless something is named.

    *images* are ids or names. An image that is named is used: no time to live keeps a
    replica of it from being made.
    """

    images: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    is_refresh: bool = False

    def names(self, image: Image) -> bool:
        """Return whether the image is named."""
        return not self.images.isdisjoint({image.id, image.name})

    def includes(self, image: Image, store_id: str) -> bool:
        """Return whether the image and the store are wanted."""
        return (not self.images or self.names(image)) and (
            not self.stores or store_id in self.stores
        )


def plan(
    policy: Policy,
    facts: Facts,
    scope: Scope = Scope(),
    by: By = By.ARRAY,
) -> list[Step]:
    """Return the steps, in the order in which they are to be carried out.

    An image that a rule wants nowhere, and that has no replica, has no step. Neither
    has one whose time to live is over before there is a replica.
    """
    return _Planner(policy, facts, scope, by).steps()


class _Planner:
    def __init__(self, policy: Policy, facts: Facts, scope: Scope, by: By) -> None:
        self._policy = policy
        self._facts = facts
        self._scope = scope
        self._by = by
        self._ledger = Ledger(policy, facts)
        self._copies: dict[str, list[Copy]] = {}
        for copy in sorted(facts.copies, key=lambda each: each.age):
            self._copies.setdefault(copy.record.image_id or "", []).append(copy)
        self._places = {
            each.store_id: number for number, each in enumerate(facts.targets)
        }
        self._retirement = Retirement(policy, facts, self._copies)

    def steps(self) -> list[Step]:
        pairs = list(self._pairs())
        steps: list[Step] = []
        candidates: list[Candidate] = []
        for pair in pairs:
            steps += self._refreshed(pair)
            if self._scope.is_refresh:
                continue
            steps += self._stray(pair)
            named = self._scope.names(pair.image)
            candidate = self._retirement.candidate(pair, named)
            if candidate is not None:
                candidates.append(candidate)
            else:
                steps += self._kept(pair)
        refreshed = {step.replica for step in steps if step.action is Action.REFRESH}
        retired = list(self._retirement.decided(candidates))
        gone = {step.replica for step in retired if step.action is Action.RETIRE}
        # An owner is not written into what goes.
        steps = [step for step in steps if step.replica not in gone]
        # What is to be refreshed is not said to be as it should be.
        steps += [
            step
            for step in retired
            if step.action is Action.RETIRE or step.replica not in refreshed
        ]
        if not self._scope.is_refresh:
            for pair in pairs:
                steps += self._missing(pair)
        return sorted(steps, key=lambda step: _ORDER.index(step.action))

    def _pairs(self) -> Iterator[Pair]:
        """Yield the images with the stores that want them or have copies of them.

        Of all others there is nothing to say, and they may be thousands for each image
        that has something to be done.
        """
        images = sorted(
            self._facts.images.values(), key=lambda each: (each.name or "", each.id)
        )
        for image in images:
            # An image without bytes has no image-volume.
            if image.status in _WITHOUT_DATA or image.size == 0:
                continue
            rule = self._policy.rule_for(image)
            wanted = rule.stores if rule is not None else ()
            here: dict[str, list[Copy]] = {store_id: [] for store_id in wanted}
            for copy in self._copies.get(image.id, ()):
                here.setdefault(copy.store_id, []).append(copy)
            # Rules may name stores of other types, too.
            places = sorted(self._places[each] for each in here if each in self._places)
            for place in places:
                target = self._facts.targets[place]
                store_id = target.store_id
                if self._scope.includes(image, store_id):
                    named = rule if store_id in wanted else None
                    yield Pair(image, target, tuple(here[store_id]), named)

    # What is there.

    def _refreshed(self, pair: Pair) -> Iterator[Step]:
        """Yield the copies that name another owner than the image has.

        A replica that is not registered yet gets the owner when it is, and one that
        Cinder registered itself is left to ``audit``.
        """
        owner, waiting = pair.image.owner, pair.waiting
        if owner is None:
            return
        for copy in pair.copies:
            is_ours = copy.record.state is State.SEALED
            if is_ours and copy not in waiting and copy.record.owner != owner:
                yield pair.step(
                    Action.REFRESH,
                    f"Project {owner} owns the image, and the image-volume names"
                    f" {copy.record.owner}: Cinder does not clone it for others.",
                    copy,
                )

    def _stray(self, pair: Pair) -> Iterator[Step]:
        """Yield the half-made and unregistered replicas, but for the one to go on."""
        waiting = pair.waiting
        if pair.is_registered:
            why = "The store has the image already, so that this one is not needed."
            spare = waiting
        elif pair.rule is None:
            why = "No rule wants the image here, and no location names this replica."
            spare = waiting
        else:
            why = "There is another one of the image in the store that counts."
            spare = waiting[1:]
            if waiting:
                yield self._resumed(pair, waiting[0])
        for copy in spare:
            yield pair.step(Action.DISCARD, why, copy)

    def _resumed(self, pair: Pair, copy: Copy) -> Step:
        if copy.is_whole and not pair.image.may_be(copy.record):
            why = "Its size or digest is not the image's, and no location names it."
            return pair.step(Action.DISCARD, why, copy)
        is_there = copy.volume.pool == pair.pool
        reasons = list(obstacles.of_image(pair.image, pair.target))
        if pair.target.pool is None or not is_there:
            reasons += obstacles.of_target(pair.target, self._facts, By.ARRAY)
        moved = 0 if is_there else self._facts.bytes_of(copy)
        if pair.image.size is not None and moved:
            moved = min(moved, pair.image.size)
        reason = next(iter(reasons), None)
        if reason is None and moved and pair.target.pool is not None:
            wanted = Wanted(pair.target.pool, moved, None, None, None)
            reason = self._ledger.take(wanted)
        if reason is not None:
            return pair.step(Action.REFUSE, reason, copy)
        why = "A run that ended left it half made."
        if copy.is_whole:
            why = "It is complete, and Glance does not know of it yet."
        step = pair.step(Action.RESUME, why, copy)
        return dataclasses.replace(step, moved_bytes=moved)

    def _kept(self, pair: Pair) -> Iterator[Step]:
        """Yield what is in the store, and no replica, where a rule wants the image."""
        if pair.rule is None or not pair.is_registered:
            return
        whole = [copy for copy in pair.copies if copy.is_whole]
        if not whole:
            why = (
                f"Glance has the image in store {pair.target.store_id!r}, and Cinder"
                " shows no whole image-volume of it there. Run: glance-ontap audit"
            )
            yield pair.step(Action.REFUSE, why)
        elif not list(self._refreshed(pair)):
            why = f"{pair.rule.place} wants it here, where it was stored at first."
            yield pair.stays(why, whole[0])

    # What is not there.

    def _missing(self, pair: Pair) -> Iterator[Step]:
        """Yield the replica that is to be made, or why it is not."""
        image, rule = pair.image, pair.rule
        if rule is None or pair.is_registered or pair.waiting:
            return
        if any(copy.is_whole for copy in pair.copies):
            yield pair.step(
                Action.REFUSE,
                f"Image-volume {pair.copies[0].volume.id} is in the way: it is the"
                " image's, and no location names it. Run: glance-ontap sweep",
            )
            return
        is_old = retiring.is_expired(image, pair.pool, None, rule, self._facts)
        if is_old and not self._scope.names(image):
            return
        yield self._made(pair, rule)

    def _made(self, pair: Pair, rule: Rule) -> Step:
        reasons = itertools.chain(
            obstacles.of_image(pair.image, pair.target),
            obstacles.of_target(pair.target, self._facts, self._by),
        )
        reason = next(reasons, None)
        if reason is not None:
            return pair.step(Action.REFUSE, reason)
        source = self._source(pair)
        if isinstance(source, str):
            return pair.step(Action.REFUSE, source)
        wanted = self._wanted(pair, source)
        reason = self._ledger.take(wanted) if wanted else None
        if reason is not None or wanted is None:
            return pair.step(Action.REFUSE, reason or "")
        step = pair.step(Action.MAKE, _why(pair.image, rule))
        return dataclasses.replace(
            step,
            source=source.volume.id if source else None,
            moved_bytes=wanted.size,
        )

    def _source(self, pair: Pair) -> Copy | str | None:
        """Return what the array clones, or why it cannot.

        Glance finds its source itself. The copy that it makes is marked as a replica of
        the oldest image-volume; None: there is none, and the copy gets no mark.
        """
        whole = [
            copy
            for copy in self._copies.get(pair.image.id, ())
            if copy.is_whole and copy.store_id in pair.image.stores
        ]
        if self._by is By.COPY_IMAGE:
            return next(iter(whole), None)
        return obstacles.source(
            pair.image, whole, pair.target, self._policy, self._facts
        )

    def _wanted(self, pair: Pair, source: Copy | None) -> Wanted | None:
        target, size = pair.target, pair.image.size or 0
        if target.pool is None:
            return None
        if source is None or self._by is By.COPY_IMAGE:
            gib = units.gib_for(size)
            return Wanted(target.pool, size, target.project_id, target.volume_type, gib)
        found = target.replica_type.found
        return Wanted(
            target.pool,
            min(size, self._facts.bytes_of(source)),
            target.project_id,
            found.name if found else None,
            source.volume.size_gib,
        )


def _why(image: Image, rule: Rule) -> str:
    why = f"{rule.place} wants it here."
    if (image.disk_format, image.container_format) != ("raw", "bare"):
        why += (
            f" Cinder clones raw images only: of this one ({image.disk_format}),"
            " downloads get nearer."
        )
    return why
