# SPDX-License-Identifier: Apache-2.0
"""Steps of work that depend on each other, run in parallel where possible."""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from dataclasses import dataclass
import graphlib


@dataclass(frozen=True)
class Step:
    """A piece of work, and the names of the steps that must be done before it."""

    work: Callable[[], None]
    needs: tuple[str, ...] = ()


def run_in_order(steps: Mapping[str, Step]) -> None:
    """Run each step as soon as the steps that it needs are done.

    :raises graphlib.CycleError: the steps need each other in a circle
    :raises Exception: the first failure of a step, after which no step starts
    """
    order = graphlib.TopologicalSorter(
        {name: step.needs for name, step in steps.items()}
    )
    order.prepare()
    pool = ThreadPoolExecutor(len(steps))
    running: dict[Future[None], str] = {}
    try:
        while order.is_active():
            running |= {
                pool.submit(steps[name].work): name for name in order.get_ready()
            }
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                order.done(running.pop(future))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
