# SPDX-License-Identifier: Apache-2.0
"""Peak memory of one transfer, in a process of its own."""

from collections.abc import Iterator
import contextlib
import functools

from benchmarks import peak_memory
from benchmarks.cases.bench import IN_STORES
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import STORES
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes
from benchmarks.results import Sample


@contextlib.contextmanager
def _uploads(bench: Bench) -> Iterator[Takes]:
    size = bench.image(0.5).size

    def sample(store: str, repeat: int) -> Sample:
        return Sample(repeat, {"peak_bytes": peak_memory.of_upload(store, size)})

    yield {store: functools.partial(sample, store) for store in ("null", *STORES)}


@contextlib.contextmanager
def _downloads(bench: Bench) -> Iterator[Takes]:
    def sample(store: str, repeat: int) -> Sample:
        stored = bench.image_in_store("fv1" if store == "null" else store)
        return Sample(repeat, {"peak_bytes": peak_memory.of_download(store, stored)})

    yield {store: functools.partial(sample, store) for store in ("null", *STORES)}


def _lines(expected_s: float) -> tuple[LinePlan, ...]:
    null = LinePlan("null", "no store", expected_s)
    return (null, *(line(store, expected_s) for store in STORES))


CASES = (
    CasePlan(
        "memory-upload",
        "store",
        "Peak memory of an upload of 512 MiB, in a new process",
        _lines(5),
        _uploads,
        baseline="null",
        disk=Disk(passing=2),
    ),
    CasePlan(
        "memory-download",
        "store",
        "Peak memory of a download of 1 GiB, in a new process",
        _lines(4),
        _downloads,
        baseline="null",
        disk=Disk((IN_STORES,)),
    ),
)
