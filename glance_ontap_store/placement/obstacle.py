# SPDX-License-Identifier: Apache-2.0
"""Weigh the conditions of one way: does Cinder take it, and how sure is that?"""

from collections.abc import Iterable
import dataclasses

from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.verdict import Code


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """A condition that keeps Cinder from a way.

    *stands* is None if nobody told: then *doubt* says what it depends on, and
    *is_assumed* whether the answer takes it for standing.
    """

    code: Code
    stands: bool | None
    why: str
    remedy: str = ""
    doubt: str = ""
    is_assumed: bool = False


@dataclasses.dataclass(frozen=True)
class Weighed:
    """The first obstacle of a way, None if there is none; and the doubts about that."""

    obstacle: Obstacle | None
    doubts: tuple[str, ...] = ()


def weigh(obstacles: Iterable[Obstacle]) -> Weighed:
    """Return what becomes of a way with these *obstacles*, in Cinder's order.

    If one of them stands for certain, the unknown ones change nothing, and there is no
    doubt.
    """
    known = list(obstacles)
    for each in known:
        if each.stands:
            return Weighed(each)
    unknown = [each for each in known if each.stands is None]
    assumed = [each for each in unknown if each.is_assumed]
    return Weighed(
        assumed[0] if assumed else None,
        verdict.distinct(each.doubt for each in assumed or unknown),
    )
