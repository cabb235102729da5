# SPDX-License-Identifier: Apache-2.0
"""Gives steps out to threads: in order, and only so many of a pool at a time."""

import collections
from collections.abc import Sequence
import threading

from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Step

# The actions by which an array, or Glance, moves bytes into a pool.
MAKING = (Action.MAKE, Action.RESUME)


class Queue:
    """The steps that have not begun, by their numbers."""

    def __init__(self, steps: Sequence[Step], per_pool: int) -> None:
        self._steps = steps
        self._per_pool = per_pool
        # Guards the rest; reach: the threads of one run.
        self._changed = threading.Condition()
        self._left = collections.deque(range(len(steps)))
        self._at_work: collections.Counter[str] = collections.Counter()

    def take(self) -> int | None:
        """Return the number of the next step; None if there is none any more.

        Wait while all that are left are for pools in which enough are at work.
        """
        with self._changed:
            while self._left:
                for number in self._left:
                    pool = self._pool(number)
                    if pool is None or self._at_work[pool] < self._per_pool:
                        self._left.remove(number)
                        if pool is not None:
                            self._at_work[pool] += 1
                        return number
                self._changed.wait()
            return None

    def give_back(self, number: int) -> None:
        """Say that a step has ended."""
        with self._changed:
            pool = self._pool(number)
            if pool is not None:
                self._at_work[pool] -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Give no other step out."""
        with self._changed:
            self._left.clear()
            self._changed.notify_all()

    def _pool(self, number: int) -> str | None:
        step = self._steps[number]
        return (step.pool or step.store_id) if step.action in MAKING else None
