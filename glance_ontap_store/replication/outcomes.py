# SPDX-License-Identifier: Apache-2.0
"""What a plan came to: before it is carried out, and after. Pure."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence

from glance_ontap_store.replication import room
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step

_PLANNED = {
    Action.MAKE: "to make",
    Action.RESUME: "to go on with",
    Action.REFRESH: "to refresh",
    Action.RETIRE: "to retire",
    Action.DISCARD: "to discard",
    Action.KEEP: "kept",
    Action.REFUSE: "refused",
}
_DONE = {
    Action.MAKE: "made",
    Action.RESUME: "completed",
    Action.REFRESH: "refreshed",
    Action.RETIRE: "retired",
    Action.DISCARD: "discarded",
    Action.KEEP: "kept",
}
# The steps whose bytes are copied, or were.
_MOVING = frozenset({Result.PLANNED, Result.DONE, Result.HOST_COPY})


def preview(steps: Iterable[Step]) -> list[Outcome]:
    """Return the outcomes of a plan that is only shown."""
    return [
        Outcome(step, Result.REFUSED, step.why)
        if step.action is Action.REFUSE
        else Outcome(step, Result.PLANNED)
        for step in steps
    ]


def is_change(step: Step) -> bool:
    """Return whether there is something to be done for the step."""
    return step.action not in (Action.KEEP, Action.REFUSE)


def together(steps: Iterable[Step], done: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes of all steps; *done* are those of the changes, in order."""
    changes = iter(done)
    kept = {Action.REFUSE: Result.REFUSED, Action.KEEP: Result.DONE}
    return [
        next(changes)
        if is_change(step)
        else Outcome(step, kept[step.action], _reason(step))
        for step in steps
    ]


def _reason(step: Step) -> str | None:
    return step.why if step.action is Action.REFUSE else None


def summary(outcomes: Sequence[Outcome], by: By, is_applied: bool) -> str:
    """Return a sentence for people about all steps."""
    counts = Counter(map(_word, outcomes))
    if not counts:
        return "No rule wants a replica, and there is none."
    text = ", ".join(f"{number} {word}" for word, number in counts.items())
    moved = sum(each.step.moved_bytes for each in outcomes if each.result in _MOVING)
    if moved:
        mover = "the array" if by is By.ARRAY else "a host"
        tense = "copied" if is_applied else "copies"
        text += f"; {mover} {tense} at most {room.gib(moved)}"
    return f"{text}." if is_applied else f"{text}. Nothing was changed: --apply."


def _word(outcome: Outcome) -> str:
    words = {Result.PLANNED: _PLANNED, Result.DONE: _DONE}.get(outcome.result, {})
    return words.get(outcome.step.action, outcome.result.value)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return 2 after a failure or a copy by a host, 1 if something is left, else 0."""
    results = {outcome.result for outcome in outcomes}
    if results & {Result.FAILED, Result.HOST_COPY}:
        return 2
    return 1 if results & {Result.REFUSED, Result.LATER} else 0
