# SPDX-License-Identifier: Apache-2.0
"""Wait until a condition holds.

The lab, its tests and the benchmarks use it. The product does not: its clock can be
replaced in tests (`glance_ontap_store.cinder.waiting`).
"""

from collections.abc import Callable
import sys
import time
from typing import TypeVar

import tenacity

POLL_S = 0.1
NEWS_S = 10

T = TypeVar("T")


def wait_until(
    question: Callable[[], T],
    what: str,
    timeout_s: float = 120,
    poll_s: float = POLL_S,
    state: Callable[[], object] | None = None,
) -> T:
    """Ask until *question* has a true answer, and return that answer.

    *what* names the awaited state, as in "volume 7 is deleted". *state* describes
    the present one, for the line printed every 10 s and for the error.

    :raises TimeoutError: no true answer within *timeout_s* seconds; names *what*.
        An error that *question* raises ends the waiting and is not changed.
    """
    began = told = time.monotonic()

    def now() -> str:
        return f"; now {state()}" if state else ""

    def tell(_: tenacity.RetryCallState) -> None:
        nonlocal told
        if time.monotonic() - told >= NEWS_S:
            told = time.monotonic()
            waited = f"waiting, {told - began:.0f} s of at most {timeout_s:g} s"
            print(f"{waited}: {what}{now()}", file=sys.stderr, flush=True)

    def fail(_: tenacity.RetryCallState) -> T:
        raise TimeoutError(f"not within {timeout_s:g} s: {what}{now()}")

    ask = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda answer: not answer),
        stop=tenacity.stop_after_delay(timeout_s),
        wait=tenacity.wait_fixed(poll_s),
        before_sleep=tell,
        retry_error_callback=fail,
    )
    return ask(question)
