# SPDX-License-Identifier: Apache-2.0
"""The first byte: in a first process, in a second one meanwhile, and read again."""

from collections.abc import Iterator
import contextlib
import functools
import time

from benchmarks import measure
from benchmarks import stores
from benchmarks import streams
from benchmarks.cases.bench import IN_STORES
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Take
from benchmarks.plans import Takes
from benchmarks.results import Sample
from benchmarks.second_reader import SecondReader
from benchmarks.stores import DirectStore
from benchmarks.stores import StoredImage
from lab import polling

# Long enough for the next download, and short for the wait after it.
LINGER_S = 5
_DETACHED_TIMEOUT_S = 60


@contextlib.contextmanager
def _prepare(bench: Bench) -> Iterator[Takes]:
    stored = bench.image_in_store("fv1")
    store = bench.store("fv1")
    lingering = stores.ours(bench.lab, LINGER_S)
    trial = store.add(TRIAL)

    def first(name: str, repeat: int) -> Sample:
        image = bench.image_in_store(name)
        measure.make_warm(image.path)
        began = time.monotonic()
        stream = bench.store(name).get(image)
        return Sample(repeat, streams.timed(stream, image.size, began))

    def second(repeat: int) -> Sample:
        measure.make_warm(stored.path)
        stream = store.get(stored)
        with streams.closing(stream):
            next(stream)
            return Sample(repeat, reader.download())

    def again(repeat: int) -> Sample:
        measure.make_warm(stored.path)
        return _again(lingering, stored, repeat)

    def pread(repeat: int) -> Sample:
        measure.make_warm(stored.path)
        began = time.monotonic()
        stream = streams.pread(stored.path, stored.size)
        return Sample(repeat, streams.timed(stream, stored.size, began))

    with SecondReader(trial, stored) as reader:
        yield {
            "fv1-first": _alone(bench, functools.partial(first, "fv1")),
            "fv1-second": _alone(bench, second),
            "fv1-again": _alone(bench, again),
            "peer-first": functools.partial(first, "peer"),
            "pread": pread,
        }
    _wait_detached(bench)
    store.delete(trial)


def _again(store: DirectStore, stored: StoredImage, repeat: int) -> Sample:
    """Download the image, and measure a download that follows at once."""
    streams.drain(store.get(stored))
    began = time.monotonic()
    sample = Sample(repeat, streams.timed(store.get(stored), stored.size, began))
    if stores.can_linger():
        sample.metrics["linger_s"] = LINGER_S
    else:
        sample.note = "this version has no option ontap_linger"
    return sample


def _alone(bench: Bench, take: Take) -> Take:
    """Return *take* with a wait before it, until the image-volume is not attached.

    It raises TimeoutError if the image-volume stays attached.
    """

    def taken(repeat: int) -> Sample:
        _wait_detached(bench)
        return take(repeat)

    return taken


def _wait_detached(bench: Bench) -> None:
    volume_id = bench.image_in_store("fv1").url.rpartition("/")[2]
    cinder = bench.lab.cloud("admin").block_storage
    polling.wait_until(
        lambda: cinder.get_volume(volume_id).status == "available",
        f"image-volume {volume_id} is not attached",
        _DETACHED_TIMEOUT_S,
    )


def _line(name: str, text: str, expected_s: float) -> LinePlan:
    store = name.partition("-")[0]
    return LinePlan(name, f"{LABELS[store]}, {text}", expected_s)


CASES = (
    CasePlan(
        "first-byte",
        "store",
        "Download of 1 GiB, warm: first, while another process reads, and again",
        (
            _line("fv1-first", "first process", 2),
            _line("fv1-second", "second process meanwhile", 6),
            _line("fv1-again", "again at once", LINGER_S + 3),
            _line("peer-first", "first process", 2),
            line("pread", 1),
        ),
        _prepare,
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=30,
        disk=Disk((IN_STORES,)),
    ),
)
