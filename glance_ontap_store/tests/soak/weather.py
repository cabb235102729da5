# SPDX-License-Identifier: Apache-2.0
"""What is broken, and when: spells of quiet, of faults, and of kills. Pure."""

from collections.abc import Iterator
import dataclasses
import random
from typing import Any

from glance_ontap_store.tests.soak import proxy

CLONE = "^/api/storage/file/clone$"
# What the simulator of ONTAP does wrong in a spell; see lab/ontapsim/faults.py.
ONTAP_FAULTS: tuple[dict[str, Any], ...] = (
    {"action": "latency", "latency_s": 3, "path": CLONE, "count": 3},
    {"action": "error", "status": 503, "path": CLONE, "method": "POST", "count": 2},
    {"action": "job_failed", "path": CLONE, "method": "POST", "count": 2},
    {"action": "reset", "count": 5},
)


@dataclasses.dataclass(frozen=True)
class Spell:
    """A time of *seconds* with the same faults; *kills_after*: when a process dies."""

    name: str
    seconds: float
    plan: proxy.Plan = proxy.NOTHING
    ontap: dict[str, Any] | None = None
    kills_after: float | None = None

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing is broken on purpose."""
        return (
            self.plan == proxy.NOTHING
            and self.ontap is None
            and self.kills_after is None
        )


def spells(rng: random.Random) -> Iterator[Spell]:
    """Spells without end: every second one is quiet."""
    while True:
        yield Spell("quiet", rng.uniform(4, 12))
        seconds = rng.uniform(5, 12)
        kill = rng.uniform(0, seconds)
        yield rng.choice(
            [
                Spell("kill", seconds, kills_after=kill),
                Spell("Cinder's answers fail", seconds, proxy.Plan(proxy.ALL, 0.12)),
                Spell("Cinder is away", rng.uniform(2, 5), proxy.OUTAGE),
                Spell("ONTAP fails", seconds, ontap=rng.choice(ONTAP_FAULTS)),
                Spell(
                    "kill, and Cinder's answers fail",
                    seconds,
                    proxy.Plan(proxy.ALL, 0.1),
                    kills_after=kill,
                ),
            ]
        )
