# SPDX-License-Identifier: Apache-2.0
"""The steps at which the lab's processes are killed. Pure."""

import collections
from collections.abc import Sequence

from glance_ontap_store.tests.fakes.steps import ANSWERED

# Requests that change nothing.
_QUESTIONS = ("GET ", "POST /v3/auth/tokens")
# Cinder answers these before it does them. It is at work then.
_BEGUN = ("POST /volumes", "POST /volumes/ID/action os-extend")
# Nobody but the processes of the host sees these, and the unit tests, where the files
# are real ones, kill at all of them.
_LOCKS = ("attach.nfs.lockfiles:", "liveness.files:", "liveness.processes:")
# A piece of data that is repeated, with no other step between: a kill at the third
# finds what one at the second found.
_MOST_REPEATS = 2


def chosen(steps: Sequence[str], with_locks: bool, every: int) -> list[str]:
    """Every *every*-th of the steps that make a difference.

    A request that only asks changes nothing: a kill before it finds what a kill before
    the next step finds. So does one after an answer, unless Cinder is at work then.
    """
    kept: list[str] = []
    repeats: collections.Counter[str] = collections.Counter()
    for step in steps:
        if step.startswith(_QUESTIONS) or (step.startswith(_LOCKS) and not with_locks):
            continue
        name = step.rpartition(" ")[0]
        if name.endswith(ANSWERED) and name.removesuffix(ANSWERED) not in _BEGUN:
            continue
        if not _is_data(step):
            repeats.clear()
        else:
            repeats[name] += 1
            if repeats[name] > _MOST_REPEATS:
                continue
        kept.append(step)
    return kept[:: max(1, every)]


def _is_data(step: str) -> bool:
    return step.startswith("glance.read ") or " pwrite " in step
