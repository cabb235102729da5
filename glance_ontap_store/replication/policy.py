# SPDX-License-Identifier: Apache-2.0
"""Which images the operator wants in which stores, as values. Pure."""

from collections.abc import Mapping
import dataclasses
import fnmatch

from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.image import Image

# What a policy says unless its defaults say something else.
FREE_FLOOR_PERCENT = 10
PARALLEL = 2
PER_POOL = 1


@dataclasses.dataclass(frozen=True)
class Match:
    """The conditions of a rule; an image has to meet all that are there.

    Of several values of one condition any will do. *names* are patterns of a shell
    (``debian-*``), *projects* ids of owners. Sizes are in bytes, both inclusive; an
    image whose size is unknown meets none.
    """

    tags: tuple[str, ...] = ()
    properties: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    visibilities: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    disk_formats: tuple[str, ...] = ()
    min_size: float | None = None
    max_size: float | None = None

    def includes(self, image: Image) -> bool:
        """Return whether the image meets every condition."""
        return (
            (not self.tags or not image.tags.isdisjoint(self.tags))
            and all(
                image.properties.get(key) in values
                for key, values in self.properties.items()
            )
            and _is_one(image.visibility, self.visibilities)
            and _is_one(image.owner, self.projects)
            and _is_one(image.disk_format, self.disk_formats)
            and self._has_name(image)
            and self._has_size(image)
        )

    def _has_name(self, image: Image) -> bool:
        name = image.name or ""
        return not self.names or any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.names
        )

    def _has_size(self, image: Image) -> bool:
        if self.min_size is None and self.max_size is None:
            return True
        if image.size is None:
            return False
        return (self.min_size or 0) <= image.size and (
            self.max_size is None or image.size <= self.max_size
        )


def _is_one(value: str | None, wanted: tuple[str, ...]) -> bool:
    return not wanted or value in wanted


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule: the images that it is about, and where they are wanted.

    *place* names it in messages (``rules[2]``). *ttl_s* is the time in seconds after
    which a replica that nothing uses goes; None: never.
    """

    place: str
    match: Match
    stores: tuple[str, ...]
    ttl_s: float | None = None
    verify: Verify = Verify.SAMPLE


@dataclasses.dataclass(frozen=True)
class Policy:
    """A whole policy file.

    *free_floor_gib* and *free_floor_percent* is the space that stays free on each
    FlexVol: the greater of both counts. *max_percent* is the part of a FlexVol that
    replicas may take. *parallel* replicas are made at a time, *per_pool* of them on
    one FlexVol. *same_cluster* has back ends (``host@backend``) that the operator
    says are of one ONTAP cluster.
    """

    rules: tuple[Rule, ...]
    free_floor_gib: float = 0
    free_floor_percent: float = FREE_FLOOR_PERCENT
    max_percent: float = 100
    parallel: int = PARALLEL
    per_pool: int = PER_POOL
    same_cluster: tuple[frozenset[str], ...] = ()

    def rule_for(self, image: Image) -> Rule | None:
        """Return the first rule that matches the image; None without one."""
        return next((rule for rule in self.rules if rule.match.includes(image)), None)

    @property
    def longest_ttl_s(self) -> float | None:
        """The longest time in seconds of a rule; None if no replica ever expires."""
        return max(
            (rule.ttl_s for rule in self.rules if rule.ttl_s is not None), default=None
        )

    def are_near(self, one: str, other: str) -> bool:
        """Return whether the array copies between these two ``host@backend``."""
        return one == other or any({one, other} <= each for each in self.same_cluster)
