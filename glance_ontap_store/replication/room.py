# SPDX-License-Identifier: Apache-2.0
"""The room for replicas: FlexVols and quotas, as a plan fills them. Pure."""

from collections import Counter
import dataclasses

from glance_ontap_store import units
from glance_ontap_store.checks import remedies
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.replication.facts import Facts
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.survey.answer import Unknown


def gib(size: float) -> str:
    """Return bytes as GiB for people, such as ``1.5 GiB``."""
    return f"{size / units.GIB:.1f} GiB"


def floor(pool: Pool, policy: Policy) -> float:
    """Return the bytes that are to stay free in a pool."""
    percent = policy.free_floor_percent / 100 * (pool.total_gib or 0)
    return max(policy.free_floor_gib, percent) * units.GIB


def lack(pool: Pool, policy: Policy) -> float:
    """Return the bytes by which a pool is below its floor; 0 if it is not."""
    if pool.free_gib is None:
        return 0
    return max(0, floor(pool, policy) - pool.free_gib * units.GIB)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The room that one replica needs: *size* bytes in a pool, and its quotas.

    *project_id* is None if its quotas are not known. *volume_type* is a name. A replica
    that has its volume already needs no *size_gib*.
    """

    pool: Pool
    size: int
    project_id: str | None
    volume_type: str | None
    size_gib: int | None

    def quotas(self) -> dict[str, int]:
        """Return what it needs of each quota, by Cinder's names."""
        if self.size_gib is None or self.project_id is None:
            return {}
        needs = {"volumes": 1, "gigabytes": self.size_gib}
        if self.volume_type:
            needs |= {f"{key}_{self.volume_type}": each for key, each in needs.items()}
        return needs


class Ledger:
    """The room that is left while steps are added to a plan.

    Space that steps of the same plan give back does not count: it is free only later,
    and blocks that volumes share with a replica stay.
    """

    def __init__(self, policy: Policy, facts: Facts) -> None:
        self._policy = policy
        self._quotas = facts.quotas
        self._added: Counter[str] = Counter()
        self._replicas: Counter[str] = Counter()
        for copy in facts.copies:
            if not copy.is_original and copy.volume.pool:
                self._replicas[copy.volume.pool] += facts.bytes_of(copy)
        self._spent: Counter[tuple[str, str]] = Counter()

    def take(self, wanted: "Wanted") -> str | None:
        """Take the room for one replica; the reason if there is none."""
        reason = self._no_space(wanted.pool, wanted.size) or self._no_quota(wanted)
        if reason is None:
            self._added[wanted.pool.name] += wanted.size
            self._replicas[wanted.pool.name] += wanted.size
            for name, number in wanted.quotas().items():
                self._spent[wanted.project_id or "", name] += number
        return reason

    def _no_space(self, pool: Pool, size: int) -> str | None:
        keep = floor(pool, self._policy)
        name = pool.pool_name or pool.name
        if pool.free_gib is None:
            if not keep:
                return None
            return (
                f"Cinder does not tell the free space of {name}, of which the policy"
                f" keeps {gib(keep)}. Set both floors to 0 to ignore that."
            )
        free = pool.free_gib * units.GIB - self._added[pool.name]
        if free - size < keep:
            return (
                f"FlexVol {name} has {gib(free)} free, counting this plan. The replica"
                f" needs {gib(size)}, and {gib(keep)} are to stay free"
                " (free_floor_gib, free_floor_percent). Enlarge the FlexVol, or lower"
                " the floor."
            )
        most = self._policy.max_percent / 100 * (pool.total_gib or 0) * units.GIB
        taken = self._replicas[pool.name] + size
        if self._policy.max_percent < 100 and taken > most:
            return (
                f"Replicas would take {gib(taken)} of FlexVol {name}, of which they may"
                f" have {gib(most)} (max_percent_of_flexvol). Raise it, or want fewer"
                " replicas there."
            )
        return None

    def _no_quota(self, wanted: "Wanted") -> str | None:
        quotas = self._quotas.get(wanted.project_id or "", {})
        if isinstance(quotas, Unknown):
            # Cinder itself refuses what is too much.
            return None
        for name, number in wanted.quotas().items():
            quota = quotas.get(name)
            spent = self._spent[wanted.project_id or "", name]
            if quota is not None and quota.left - spent < number:
                used = quota.used + spent
                base, _, of_type = name.partition("_")
                command = remedies.set_quota(
                    wanted.project_id or "", base, used + number, of_type or None
                )
                return (
                    f"Project {wanted.project_id} has used {used} of its"
                    f" {quota.limit} {name}, counting this plan, and the replica needs"
                    f" {number}. Run: {command}"
                )
        return None
