# SPDX-License-Identifier: Apache-2.0
"""Many downloads of one image at once: by calls of the store, and through Glance."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import threading
import time

from benchmarks import measure
from benchmarks import running
from benchmarks import streams
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.cases.lines import STORES
from benchmarks.cases.lines import line
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes
from benchmarks.results import Sample

READERS = 8
TIMEOUT_S = 120


def read_together(
    size: int, read: Callable[[], int], readers: int, repeat: int
) -> Sample:
    """Call *read* on *readers* threads at once and return the sample.

    *read* reads the whole image and returns the number of bytes; a reader has
    finished if that is *size*. The seconds last until the last thread has ended, at
    most `TIMEOUT_S`. The sample's note counts the readers that did not finish.
    """
    counts: list[int] = []
    errors: list[BaseException] = []

    def read_once() -> None:
        try:
            counts.append(read())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read_once, daemon=True) for _ in range(readers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + TIMEOUT_S - time.monotonic()))
    seconds = time.monotonic() - began
    late = sum(thread.is_alive() for thread in threads)
    finished = counts.count(size)
    note = "" if finished == readers else _note(finished, readers, late, errors)
    for thread in threads:
        # The next sample must not share the machine with late readers.
        thread.join(TIMEOUT_S)
    metrics = {"finished": float(finished), "readers": float(readers)}
    if finished:
        metrics |= {"seconds": seconds, "bytes_per_s": finished * size / seconds}
    return Sample(repeat, metrics, note=note)


def _note(finished: int, readers: int, late: int, errors: list[BaseException]) -> str:
    note = f"{finished} of {readers} finished"
    if late:
        note += f", {late} not within {TIMEOUT_S} s"
    if errors:
        note += f"; {running.describe(errors[0])[:120]}"
    return note


@contextlib.contextmanager
def _by_the_store(bench: Bench) -> Iterator[Takes]:
    def sample(name: str, readers: int, repeat: int) -> Sample:
        stored = bench.image_in_store(name)
        store = bench.store(name)
        measure.make_warm(stored.path)
        return read_together(
            stored.size, lambda: streams.drain(store.get(stored)), readers, repeat
        )

    yield _takes(sample)


@contextlib.contextmanager
def _through_glance(bench: Bench) -> Iterator[Takes]:
    image = bench.image(1)

    def sample(store: str, readers: int, repeat: int) -> Sample:
        image_id, path = bench.image_in_glance(store, image)
        measure.make_warm(path)
        return read_together(
            image.size, lambda: sum(bench.cloud.download(image_id)), readers, repeat
        )

    yield _takes(sample)


def _takes(sample: Callable[[str, int, int], Sample]) -> Takes:
    return {
        "fv1-1": functools.partial(sample, "fv1", 1),
        **{
            f"{store}-{READERS}": functools.partial(sample, store, READERS)
            for store in STORES
        },
    }


_LINES = (
    LinePlan("fv1-1", f"{LABELS['fv1']}, 1 reader", 1),
    line(f"fv1-{READERS}", 3, unit="readers"),
    # Its time is that of upstream's retries, for any size of the image.
    line(f"peer-{READERS}", 26, unit="readers"),
    line(f"file-{READERS}", 3, unit="readers"),
)
_TITLE = f"{READERS} downloads of one image of 1 GiB at once, warm"

STORE = (
    CasePlan("store-readers", "store", _TITLE, _LINES, _by_the_store, baseline="peer"),
)
GLANCE = (
    CasePlan(
        "glance-readers", "glance", _TITLE, _LINES, _through_glance, baseline="peer"
    ),
)
