# SPDX-License-Identifier: Apache-2.0
"""When a replica has had its time, and which of them goes first. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import functools

from glance_ontap_store.replication import room
from glance_ontap_store.replication.facts import Copy
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.pairs import Pair
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Step
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.image import Image

_DAY_S = 86400
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def last_use(
    image: Image, pool: str | None, copy: Copy | None, facts: Facts
) -> datetime.datetime | None:
    """Return when a copy in a pool was last of use; None if nothing tells.

    That is the newest volume that Cinder made of the image there. The image's upload
    counts as a use, and so does the making of the *copy*, if there is one. Volumes
    that were deleted since do not count, so it is the earliest time that is possible.
    """
    times = [
        facts.uses.get((image.id, pool or "")),
        copy.made_at if copy else None,
        remains.time_of(image.created_at),
    ]
    return max((time for time in times if time is not None), default=None)


def is_expired(
    image: Image, pool: str | None, copy: Copy | None, rule: Rule, facts: Facts
) -> bool:
    """Return whether the rule's time without a use is over."""
    used = last_use(image, pool, copy, facts)
    if rule.ttl_s is None or used is None:
        return False
    return (facts.now - used).total_seconds() > rule.ttl_s


def expired(
    image: Image, pool: str | None, copy: Copy, rule: Rule, facts: Facts
) -> str:
    """Return the sentence about a replica whose time is over."""
    used = last_use(image, pool, copy, facts)
    days = (rule.ttl_s or 0) / _DAY_S
    return (
        f"Not used since {used:%Y-%m-%d}, and {rule.place} keeps what is used within"
        f" {days:g} days."
    )


def below_floor(policy: Policy, facts: Facts) -> dict[str, float]:
    """Return the bytes by which pools of the stores are below their floor, by name."""
    pools = {each.pool.name: each.pool for each in facts.targets if each.pool}
    lacks = {name: room.lack(pool, policy) for name, pool in pools.items()}
    return {name: lack for name, lack in lacks.items() if lack}


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A replica that may be retired. *why* is empty if only a floor could ask for it.

    *used_at* is the time of its last use.
    """

    pair: Pair
    copy: Copy
    why: str
    used_at: datetime.datetime

    @property
    def pool(self) -> str:
        """The name of the pool where it lies."""
        return self.copy.volume.pool or ""


class Retirement:
    """Decides which replicas go. *copies* are those of each image, by its id."""

    def __init__(
        self, policy: Policy, facts: Facts, copies: Mapping[str, Sequence[Copy]]
    ) -> None:
        self._policy = policy
        self._facts = facts
        self._copies = copies
        # The projects of the stores' image-volumes.
        self._projects = {each.store_id: each.project_id for each in facts.targets}

    def candidate(self, pair: Pair, is_named: bool) -> Candidate | None:
        """Return the replica that may be retired; None if there is none.

        The time to live of an image that is named does not end.

        Where several are whole, nobody tells which of them the location names. So an
        original one among them keeps all.
        """
        whole = [copy for copy in pair.copies if copy.is_whole]
        if (
            not pair.is_registered
            or not whole
            or any(each.is_original for each in whole)
        ):
            return None
        copy, rule, facts = whole[0], pair.rule, self._facts
        pool, why = copy.volume.pool, ""
        if rule is None:
            why = self._unwanted(pair)
        elif not is_named and is_expired(pair.image, pool, copy, rule, facts):
            why = expired(pair.image, pool, copy, rule, facts)
        used = last_use(pair.image, pool, copy, facts)
        return Candidate(pair, copy, why, used or _LONG_AGO)

    def _unwanted(self, pair: Pair) -> str:
        rule = self._policy.rule_for(pair.image)
        if rule is None:
            return "No rule matches the image."
        return f"{rule.place} does not want the image in store {pair.target.store_id}."

    def decided(self, candidates: Sequence[Candidate]) -> Iterator[Step]:
        """Yield a step for each candidate: it goes, or it stays.

        Those on a FlexVol below its floor are asked first: what goes anyway, then the
        least recently used before the others, and what never expires last.
        """
        lacks = below_floor(self._policy, self._facts)
        gone: dict[str, set[str]] = {}
        urgency = functools.partial(_urgency, dict(lacks))
        for each in sorted(candidates, key=urgency):
            why = each.why
            lack = lacks.get(each.pool, 0)
            if not why and lack > 0:
                why = (
                    f"FlexVol {each.pool.partition('#')[2]} is {room.gib(lack)} below"
                    " its floor of free space."
                )
            if not why:
                yield each.pair.stays(self._used(each), each.copy)
                continue
            leaving = gone.setdefault(each.pair.image.id, set())
            if not self._survives(each.pair, leaving):
                why = f"It is the only copy of the image that is certain. {why}"
                yield each.pair.stays(why, each.copy)
                continue
            leaving.add(each.pair.target.store_id)
            lacks[each.pool] = lack - self._facts.bytes_of(each.copy)
            yield each.pair.step(Action.RETIRE, why, each.copy)

    def _survives(self, pair: Pair, leaving: set[str]) -> bool:
        """Return whether a good copy is left without those that leave and this one.

        In a project of users, only one of the image's owner is certain to be a copy.
        """
        ours = self._projects
        good = {
            copy.store_id
            for copy in self._copies.get(pair.image.id, ())
            if copy.is_whole
            and not copy.volume.is_broken
            and (
                ours.get(copy.store_id) is not None
                or copy.volume.project_id == pair.image.owner
            )
        }
        left = pair.image.stores - leaving - {pair.target.store_id}
        return any(store in good or store not in ours for store in left)

    def _used(self, each: Candidate) -> str:
        place = each.pair.rule.place if each.pair.rule else ""
        if each.used_at == _LONG_AGO:
            return f"{place} wants it here."
        return f"{place} wants it here; last used on {each.used_at:%Y-%m-%d}."


def _urgency(
    lacks: Mapping[str, float], each: Candidate
) -> tuple[bool, bool, bool, datetime.datetime]:
    """Return the key of the order in which candidates go."""
    rule = each.pair.rule
    is_for_ever = rule is not None and rule.ttl_s is None
    return each.pool not in lacks, not each.why, is_for_ever, each.used_at
