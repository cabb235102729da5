# SPDX-License-Identifier: Apache-2.0
"""The progress line and the figures of a soak."""

import collections
import dataclasses
import sys
import time

from glance_ontap_store.tests.soak import left
from glance_ontap_store.tests.soak.model import Result
from glance_ontap_store.tests.soak.soak import Soak

_NEWS_S = 10


class Progress:
    """Prints a line now and then."""

    def __init__(self, running: Soak) -> None:
        self._running = running
        self._began = time.monotonic()
        self._told = 0.0

    def tell(self, now: str) -> None:
        """Print a line, unless the last one is not old; *now* is what goes on."""
        if time.monotonic() - self._told >= _NEWS_S:
            self.say(now)

    def say(self, now: str) -> None:
        """Print a line."""
        self._told = time.monotonic()
        model = self._running.model
        results: collections.Counter[str] = collections.Counter()
        for (_verb, result), count in list(model.counts.items()):
            results[result] += count
        parts = [f"{count} {result}" for result, count in sorted(results.items())]
        print(
            f"{self._told - self._began:6.0f} s  {sum(results.values())} operations:"
            f" {', '.join(parts)}; {kills(self._running)} kills,"
            f" {faults(self._running)} faults; {len(model.remaining())} images,"
            f" {self._running.running} under way; {len(model.violations)} WRONG"
            f"  [{now}]",
            file=sys.stderr,
            flush=True,
        )


def kills(running: Soak) -> int:
    """The number of processes that were killed so far."""
    return sum(process.kills for process in running.processes)


def faults(running: Soak) -> int:
    """The number of requests to Cinder that a fault struck."""
    return sum(count for fault, count in running.proxy.struck.items() if fault)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was seen after the last process was killed."""

    # Recovery took so long, in seconds.
    took_s: float
    # What was left, by kind.
    rest: dict[str, list[str]]
    # What Glance and audit found wrong with the images.
    audited: list[str]
    orphans: left.Orphans


def summary(running: Soak, outcome: Outcome) -> str:
    """A table of the operations, and what was wrong or left."""
    counts = running.model.counts
    results = [result.value for result in Result]
    rest, orphans = outcome.rest, outcome.orphans
    lines = ["", f"{'':10}" + "".join(f"{result:>9}" for result in results)]
    for verb in sorted({verb for verb, _result in counts}):
        figures = "".join(f"{counts[verb, result]:9}" for result in results)
        lines.append(f"{verb:10}{figures}")
    requests = sum(running.proxy.struck.values())
    lines += [
        "",
        f"requests to Cinder: {requests}, {faults(running)} with a fault;"
        f" processes killed: {kills(running)}",
        f"errors while nothing was broken: {len(running.model.errors_in_quiet)}",
        *(f"  {text:.200}" for text in running.model.errors_in_quiet[:20]),
        f"wrong: {len(running.model.violations)}",
        *(f"  {text}" for text in running.model.violations),
        f"left after recovery ({outcome.took_s:.0f} s), and after the last deletion:"
        f" {sum(map(len, rest.values()))}",
        *(f"  {kind}: {things}" for kind, things in rest.items()),
        f"found by audit, which read every byte: {len(outcome.audited)}",
        *(f"  {thing}" for thing in outcome.audited),
        f"sealed volumes without an image: {len(orphans.before)}, after the sweep"
        f" {len(orphans.after)}; a second sweep finds {len(orphans.again)}",
        *(f"  {thing}" for thing in [*orphans.after, *orphans.again]),
    ]
    return "\n".join(lines)


def is_right(running: Soak, outcome: Outcome) -> bool:
    """Return whether no bytes were wrong, and nothing is left."""
    wrong = running.model.violations or outcome.audited
    left_over = outcome.rest or outcome.orphans.after or outcome.orphans.again
    return not (wrong or left_over)
