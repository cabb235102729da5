# SPDX-License-Identifier: Apache-2.0
"""Downloads: by a call of the store, and through Glance."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
from pathlib import Path
import time

from benchmarks import measure
from benchmarks import streams
from benchmarks.cases.bench import IN_GLANCE
from benchmarks.cases.bench import IN_STORES
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import STORES
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Takes
from benchmarks.results import Sample


def _by_the_store(set_cache: Callable[[Path], None]) -> Prepare:
    """Return the preparation of downloads by a call of each store, and their limit.

    *set_cache* warms or empties the page cache for a file before each download. In the
    first repeat another download follows that compares the bytes.
    """

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        def sample(line_name: str, repeat: int) -> Sample:
            is_limit = line_name == "pread"
            store = "fv1" if is_limit else line_name
            stored = bench.image_in_store(store)
            set_cache(stored.path)
            began = time.monotonic()
            stream = (
                streams.pread(stored.path, stored.size)
                if is_limit
                else bench.store(store).get(stored)
            )
            metrics = streams.timed(stream, stored.size, began)
            wrong = ""
            if repeat == 1 and not is_limit:
                again = bench.store(store).get(stored)
                wrong = streams.difference(again, bench.image(1))
            return Sample(repeat, metrics, wrong=wrong)

        yield {name: functools.partial(sample, name) for name in (*STORES, "pread")}

    return prepare


@contextlib.contextmanager
def _through_glance(bench: Bench) -> Iterator[Takes]:
    yield {
        store: functools.partial(through_glance, bench, store, bench.image(1))
        for store in STORES
    }


def through_glance(bench: Bench, store: str, image: Image, repeat: int) -> Sample:
    """Download *image*, which is in *store*. In the first repeat bytes are compared."""
    image_id, path = bench.image_in_glance(store, image)
    measure.make_warm(path)
    began = time.monotonic()
    stream = bench.cloud.download(image_id)
    metrics = streams.timed(stream, image.size, began)
    wrong = ""
    if repeat == 1:
        wrong = streams.difference(bench.cloud.download(image_id), image)
    return Sample(repeat, metrics, wrong=wrong)


STORE = (
    CasePlan(
        "store-download",
        "store",
        "Download of 1 GiB, warm: the file is in the page cache",
        (line("fv1", 2), line("peer", 2), line("file", 2), line("pread", 1)),
        _by_the_store(measure.make_warm),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=30,
        disk=Disk((IN_STORES,)),
    ),
    CasePlan(
        "store-download-cold",
        "store",
        "Download of 1 GiB, cold: dropped from the page cache (posix_fadvise)",
        (line("fv1", 2), line("peer", 2), line("file", 2), line("pread", 2)),
        _by_the_store(measure.make_cold),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        disk=Disk((IN_STORES,)),
    ),
)

GLANCE = (
    CasePlan(
        "glance-download",
        "glance",
        "Download of 1 GiB, warm: the file is in the page cache",
        (line("fv1", 2), line("peer", 2), line("file", 2)),
        _through_glance,
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=35,
        disk=Disk((IN_GLANCE,)),
    ),
)
