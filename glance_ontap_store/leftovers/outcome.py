# SPDX-License-Identifier: Apache-2.0
"""What a sweep did, what it says about that, and its exit code. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import enum

from glance_ontap_store.leftovers.leftover import Leftover
from glance_ontap_store.leftovers.leftover import Verdict
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.remains import Remains

# Exit codes; `FAILED` is that of a command that failed itself.
NOTHING, LEFT, INCOMPLETE, FAILED = range(4)


class Result(enum.Enum):
    """What became of a leftover."""

    # It was only shown.
    SHOWN = enum.auto()
    REMOVED = enum.auto()
    # The second look found a user.
    IN_USE = enum.auto()
    FAILED = enum.auto()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A leftover and what became of it; *text* is the reason of a failure."""

    leftover: Leftover
    result: Result = Result.SHOWN
    text: str = ""

    @property
    def action(self) -> str:
        """What was done, or would be."""
        match self.result:
            case Result.REMOVED:
                return "removed"
            case Result.IN_USE:
                return f"left alone: {self.text}"
            case Result.FAILED:
                return f"failed: {self.text}"
        return self.leftover.action

    @property
    def is_left(self) -> bool:
        """Return whether it is still there, and known not to be in use."""
        is_unused = self.leftover.verdict is not Verdict.UNPROVEN
        return self.result in (Result.SHOWN, Result.FAILED) and is_unused


def exit_code(outcomes: Iterable[Outcome], is_complete: bool) -> int:
    """Return the command's exit code; *is_complete*: everything was looked at."""
    outcomes = list(outcomes)
    if not is_complete or any(each.result is Result.FAILED for each in outcomes):
        return INCOMPLETE
    return LEFT if any(each.is_left for each in outcomes) else NOTHING


@dataclasses.dataclass(frozen=True)
class Unseen:
    """Something that was not looked at. *is_missed*: it was to be looked at."""

    text: str
    is_missed: bool = True


def unseen(facts: Remains, is_admin: bool, wants_files: bool) -> Iterator[Unseen]:
    """Yield what was not looked at, and why not."""
    if not is_admin:
        yield Unseen(
            "volumes in other projects than the stores' own: give an administrator's"
            " cloud, --os-cloud"
        )
    if isinstance(facts.images, Unknown):
        text = "image-volumes without an image, and caches of such images"
        yield Unseen(f"{text}: {facts.images.text}")
    elif isinstance(facts.cache_volumes, Unknown):
        yield Unseen(f"Cinder's cache volumes: {facts.cache_volumes.text}")
    if isinstance(facts.cache_files, Unknown):
        text = "the driver's files img-cache-* on the FlexVols"
        yield Unseen(f"{text}: {facts.cache_files.text}", is_missed=wants_files)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return one line about all leftovers."""

    def count(*results: Result, verdict: Verdict | None = None) -> int:
        return sum(
            each.result in results and verdict in (None, each.leftover.verdict)
            for each in outcomes
        )

    shown = Result.SHOWN
    parts = {
        "removed": count(Result.REMOVED),
        "failed": count(Result.FAILED),
        "in use again": count(Result.IN_USE),
        "to remove with --apply": count(shown, verdict=Verdict.DEAD),
        "left alone": count(shown, verdict=Verdict.KEPT),
        "perhaps in use by other hosts": count(shown, verdict=Verdict.UNPROVEN),
    }
    text = ", ".join(f"{number} {words}" for words, number in parts.items() if number)
    return f"{text or 'Nothing is left'}."
