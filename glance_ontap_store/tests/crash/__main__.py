# SPDX-License-Identifier: Apache-2.0
"""The command of the crash tests; see ``--help``."""

import argparse
from collections.abc import Sequence
import contextlib
import dataclasses
import sys
import time

from glance_ontap_store.tests.crash import aftermath
from glance_ontap_store.tests.crash import selection
from glance_ontap_store.tests.crash.lab_world import LAB_SCENES
from glance_ontap_store.tests.crash.lab_world import LabWorld
from lab.client import Lab
from lab.errors import LabError

RIGHT, WRONG, MISUSED = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a kill led to; *wrong* is None if all was right.

    With the real clock the number of polls differs from run to run: *was_killed* is
    false for a step that the operation did not come to.
    """

    scene: str
    step: str
    seconds: float
    wrong: str | None = None
    was_killed: bool = True
    # Sealed volumes without an image, which only a sweep takes away.
    orphans: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill processes; 0: all was right, 1: something was not, 2: not in a lab."""
    options = _parsed(arguments)
    try:
        world = LabWorld(Lab.from_facts())
    except LabError as error:
        print(f"crash: {error}", file=sys.stderr)
        return MISUSED
    outcomes: list[Outcome] = []
    for name in options.scene or LAB_SCENES:
        steps = selection.chosen(_steps(world, name), options.locks, options.every)
        for number, step in enumerate(steps, 1):
            outcome = _killed(world, name, step)
            outcomes.append(outcome)
            print(
                f"{name} {number}/{len(steps)}  {step}: {_said(outcome)}"
                f" ({outcome.seconds:.0f} s)",
                flush=True,
            )
    print(_table(outcomes))
    return WRONG if not outcomes or any(each.wrong for each in outcomes) else RIGHT


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="crash", description="Kill a process at each step of each operation."
    )
    parser.add_argument("--scene", action="append", choices=LAB_SCENES)
    parser.add_argument(
        "--locks", action="store_true", help="also at the steps with lock files"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="only at every Nth step"
    )
    return parser.parse_args(arguments)


def _steps(world: LabWorld, name: str) -> list[str]:
    """The steps of an operation whose process lives."""
    with contextlib.ExitStack() as stack:
        scene = LAB_SCENES[name](stack, world)
        run = world.run(scene.operation)
        run.must()
    urls = [scene.url, run.answer if isinstance(run.answer, str) else None]
    aftermath.cleared(world, [url for url in urls if url])
    return run.steps


def _killed(world: LabWorld, name: str, step: str) -> Outcome:
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        scene = LAB_SCENES[name](stack, world)
        run = world.run(scene.operation, at=step)
        try:
            orphans = aftermath.check(world, scene, stack)
        except Exception as error:
            took = time.monotonic() - began
            return Outcome(name, step, took, f"{type(error).__name__}: {error}")
    took = time.monotonic() - began
    if not run.was_killed and run.error is not None:
        return Outcome(name, step, took, f"it failed without a kill: {run.error!r}")
    return Outcome(name, step, took, None, run.was_killed, orphans)


def _said(outcome: Outcome) -> str:
    if outcome.wrong:
        return f"WRONG: {outcome.wrong}"
    if not outcome.was_killed:
        return "not killed: this run did not come to the step"
    return "right; a sealed volume is for sweep" if outcome.orphans else "right"


def _table(outcomes: Sequence[Outcome]) -> str:
    head = ("operation", "kills", "not reached", "for sweep", "wrong")
    rows = [
        (
            name,
            sum(each.was_killed for each in found),
            sum(not each.was_killed for each in found),
            sum(each.orphans for each in found),
            sum(each.wrong is not None for each in found),
        )
        for name in LAB_SCENES
        if (found := [each for each in outcomes if each.scene == name])
    ]
    totals = (
        "together",
        *(sum(column) for column in list(zip(*rows, strict=True))[1:]),
    )
    return "\n".join(
        f"{row[0]:24}" + "".join(f"{cell:>13}" for cell in row[1:])
        for row in [head, *rows, totals]
    )


if __name__ == "__main__":
    sys.exit(main())
