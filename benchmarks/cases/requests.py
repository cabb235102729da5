# SPDX-License-Identifier: Apache-2.0
"""Requests to Cinder's API of an upload, a download and a deletion."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import time
from typing import Any
from typing import TypeVar

from benchmarks import request_count
from benchmarks import streams
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.disk import Disk
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes
from benchmarks.results import Sample
from lab.client import Lab
from lab.stores import option

T = TypeVar("T")
# The option with the name of the store's user, whose requests are counted.
_USER_OPTIONS = {"fv1": "ontap_store_user_name", "peer": "cinder_store_user_name"}
_KINDS = ("known", "unknown")
# A service writes its log at most this long after its answer.
_LOG_DELAY_S = 0.3


@contextlib.contextmanager
def _prepare(bench: Bench) -> Iterator[Takes]:
    yield {
        f"{store}-{kind}": functools.partial(_sample, bench, store, kind == "known")
        for store in _USER_OPTIONS
        for kind in _KINDS
    }


def _sample(bench: Bench, name: str, is_size_known: bool, repeat: int) -> Sample:
    store = bench.store(name)
    image = bench.image(2.5)
    user = option(name, _USER_OPTIONS[name])
    metrics: dict[str, float] = {}

    def counted(operation: str, do: Callable[[], T]) -> T:
        before = len(_settled_log(bench.lab))
        result = do()
        found = request_count.count(_settled_log(bench.lab)[before:], user)
        metrics[f"{operation}_requests"] = found.requests
        metrics[f"{operation}_polls"] = found.polls
        return result

    stored = counted("upload", lambda: store.add(image, is_size_known))
    counted("download", lambda: streams.drain(store.get(stored)))
    counted("delete", lambda: store.delete(stored))
    return Sample(repeat, metrics)


def _settled_log(lab: Lab) -> list[dict[str, Any]]:
    """Return Cinder's request log when it has stopped growing."""
    entries = lab.cinder_requests()
    while True:
        time.sleep(_LOG_DELAY_S)
        again = lab.cinder_requests()
        if len(again) == len(entries):
            return entries
        entries = again


CASES = (
    CasePlan(
        "requests",
        "store",
        "Requests to Cinder's API, for an image of 2.5 GiB",
        tuple(
            # One repeat is enough: only the polls differ between repeats.
            LinePlan(f"{store}-{kind}", f"{LABELS[store]}, size {kind}", 15, 1)
            for store in _USER_OPTIONS
            for kind in _KINDS
        ),
        _prepare,
        disk=Disk(passing=6),
    ),
)
