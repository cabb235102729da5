# SPDX-License-Identifier: Apache-2.0
"""The steps at which the lab's processes are killed. Pure."""

from collections.abc import Sequence

# Nobody but the processes of the host sees these, and the unit tests, where the files
# are real ones, kill at all of them.
_LOCKS = ("attach.nfs.lockfiles:", "liveness.files:", "liveness.processes:")
# A piece of data that is repeated: a kill at the third finds what one at the second
# found.
_MOST_REPEATS = 2


def chosen(steps: Sequence[str], with_locks: bool, every: int) -> list[str]:
    """Every *every*-th of the steps that make a difference.

    A request that only asks changes nothing: a kill before it finds what a kill before
    the next step finds.
    """
    kept = [
        step
        for step in steps
        if not step.startswith(("GET ", "POST /v3/auth/tokens"))
        if _number(step) <= _MOST_REPEATS or not _is_data(step)
        if with_locks or not step.startswith(_LOCKS)
    ]
    return kept[:: max(1, every)]


def _number(step: str) -> int:
    return int(step.rpartition(" ")[2])


def _is_data(step: str) -> bool:
    return step.startswith("glance.read ") or " pwrite " in step
