# SPDX-License-Identifier: Apache-2.0
"""Many downloads of one image at once: by calls of the store, and through Glance."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
from typing import Any

from benchmarks import measure
from benchmarks import streams
from benchmarks import together
from benchmarks.cases.bench import IN_GLANCE
from benchmarks.cases.bench import IN_STORES
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.cases.lines import STORES
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes
from benchmarks.results import Sample

READERS = 8


def read(begin: Callable[[], Any], image: Image, readers: int, repeat: int) -> Sample:
    """Download *image* on *readers* threads at once and return the sample.

    *begin* returns a stream of the image's bytes. In the first repeat as many readers
    follow that are not measured and compare the bytes.
    """
    sample = together.transfer(
        image.size, lambda: streams.drain(begin()), "readers", readers, repeat
    )
    if repeat == 1:
        sample.wrong = difference(begin, image, readers)
    return sample


def difference(begin: Callable[[], Any], image: Image, readers: int) -> str:
    """Return what one of *readers* at once reads wrong; "" if nothing.

    A reader that is refused, or gets only the image's beginning, reads nothing wrong.
    """
    found = []

    def compare() -> int:
        found.append(streams.difference(begin(), image))
        return image.size

    together.transfer(image.size, compare, "readers", readers, 1)
    return next(filter(None, found), "")


@contextlib.contextmanager
def _by_the_store(bench: Bench) -> Iterator[Takes]:
    def sample(name: str, readers: int, repeat: int) -> Sample:
        stored = bench.image_in_store(name)
        store = bench.store(name)
        measure.make_warm(stored.path)
        return read(lambda: store.get(stored), bench.image(1), readers, repeat)

    yield _takes(sample)


@contextlib.contextmanager
def _through_glance(bench: Bench) -> Iterator[Takes]:
    image = bench.image(1)

    def sample(store: str, readers: int, repeat: int) -> Sample:
        image_id, path = bench.image_in_glance(store, image)
        measure.make_warm(path)
        return read(lambda: bench.cloud.download(image_id), image, readers, repeat)

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
# The readers that compare bytes.
_COMPARED_S = 45

STORE = (
    CasePlan(
        "store-readers",
        "store",
        _TITLE,
        _LINES,
        _by_the_store,
        baseline="peer",
        prepare_s=_COMPARED_S,
        disk=Disk((IN_STORES,)),
    ),
)
GLANCE = (
    CasePlan(
        "glance-readers",
        "glance",
        _TITLE,
        _LINES,
        _through_glance,
        baseline="peer",
        prepare_s=_COMPARED_S,
        disk=Disk((IN_GLANCE,)),
    ),
)
