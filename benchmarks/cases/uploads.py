# SPDX-License-Identifier: Apache-2.0
"""Uploads: by a call of the store, and through Glance."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools
import os
from pathlib import Path
import time

from benchmarks import images
from benchmarks import limits
from benchmarks import measure
from benchmarks import together
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.cases.lines import STORES
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.images import Image
from benchmarks.images import Reader
from benchmarks.limits import Dd
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Take
from benchmarks.plans import Takes
from benchmarks.results import Sample
from benchmarks.stores import DirectStore
from benchmarks.stores import StoredImage

UPLOADS = 8


def _by_the_store(
    gib: float, data_gib: float | None = None, is_size_known: bool = True
) -> Prepare:
    """Return the preparation of uploads by a call of each store, and their limits."""

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        image = bench.image(gib, data_gib)
        with contextlib.ExitStack() as stack:
            takes: dict[str, Take] = {
                name: functools.partial(
                    _store_upload, bench.store(name), image, is_size_known
                )
                for name in STORES
            }
            takes["null"] = functools.partial(_hash, limits.hash_on_threads, image)
            takes["serial"] = functools.partial(_hash, limits.hash_in_series, image)
            if data_gib is None and is_size_known:
                dd = stack.enter_context(contextlib.closing(Dd(image, bench.fv1)))
                takes["dd"] = functools.partial(_dd, dd)
            yield takes

    return prepare


def _store_upload(
    store: DirectStore, image: Image, is_size_known: bool, repeat: int
) -> Sample:
    reader = Reader(image)
    began = time.monotonic()
    seconds, stored = measure.until_durable(
        lambda: store.add(image, is_size_known, reader), store.unsynced
    )
    assert reader.first_at is not None
    assert reader.last_at is not None
    try:
        is_compared = repeat == 1 or not is_size_known
        return Sample(
            repeat,
            {
                "seconds": seconds,
                "before_data_s": reader.first_at - began,
                "after_data_s": seconds - (reader.last_at - began),
                "stored_bytes": measure.stored_bytes(stored.path),
                "data_bytes": image.data_bytes,
            },
            wrong=_mistake(stored.path, stored.multihash, image, is_compared),
        )
    finally:
        store.delete(stored)


def _hash(method: Callable[[Image], str], image: Image, repeat: int) -> Sample:
    seconds, multihash = measure.timed(lambda: method(image))
    assert multihash == image.sha512
    return Sample(repeat, {"seconds": seconds})


def _dd(dd: Dd, repeat: int) -> Sample:
    seconds, _ = measure.timed(dd.run)
    dd.path.unlink()
    return Sample(repeat, {"seconds": seconds})


def _through_glance(
    gib: float,
    data_gib: float | None = None,
    is_size_known: bool = True,
    stores: Sequence[str] = STORES,
) -> Prepare:
    """Return the preparation of uploads into each of *stores* through Glance."""

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        image = bench.image(gib, data_gib)
        yield {
            store: functools.partial(through_glance, bench, store, image, is_size_known)
            for store in stores
        }

    return prepare


def through_glance(
    bench: Bench, store: str, image: Image, is_size_known: bool, repeat: int
) -> Sample:
    """Upload *image* into *store*, and delete it."""
    cloud = bench.cloud
    image_id = cloud.create()
    path = None
    try:
        seconds, _ = measure.until_durable(
            lambda: cloud.upload(image_id, image, store, is_size_known),
            bench.unsynced(store),
        )
        path = cloud.path(image_id, store)
        is_compared = repeat == 1 or not is_size_known
        wrong = _mistake(path, cloud.multihash(image_id), image, is_compared)
        return Sample(repeat, {"seconds": seconds}, wrong=wrong)
    finally:
        cloud.delete_image(image_id, path)


@contextlib.contextmanager
def _together(bench: Bench) -> Iterator[Takes]:
    """Prepare uploads of several images at once by calls of one store."""
    image = bench.image(0.5)

    def sample(name: str, uploads: int, repeat: int) -> Sample:
        store = bench.store(name)
        made: list[StoredImage] = []

        def upload() -> int:
            made.append(store.add(image))
            return made[-1].size

        os.sync()
        try:
            sample = together.transfer(
                image.size, upload, "uploads", uploads, repeat, store.unsynced
            )
            mistakes = [
                _mistake(stored.path, stored.multihash, image, repeat == 1)
                for stored in made
            ]
            sample.wrong = next(filter(None, mistakes), "")
            return sample
        finally:
            for stored in made:
                store.delete(stored)

    yield {
        "fv1-1": functools.partial(sample, "fv1", 1),
        **{
            f"{store}-{UPLOADS}": functools.partial(sample, store, UPLOADS)
            for store in STORES
        },
    }


def _mistake(path: Path, multihash: str, image: Image, is_compared: bool) -> str:
    """Return the difference between the stored image and *image*; "" if none.

    The bytes of the file are compared only if *is_compared*.
    """
    if is_compared and (mistake := images.mistake(path, image)):
        return f"stored {mistake}"
    if path.stat().st_size < image.size:
        return f"the file has only {path.stat().st_size} bytes"
    if multihash != image.sha512:
        return "the multihash is not that of the image"
    return ""


STORE = (
    CasePlan(
        "store-upload",
        "store",
        "Upload of 1 GiB random data, size known",
        (
            line("fv1", 6),
            line("peer", 10),
            line("file", 8),
            line("null", 2),
            line("serial", 3),
            line("dd", 3),
        ),
        _by_the_store(1),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=10,
        disk=Disk(passing=5),
    ),
    CasePlan(
        "store-sparse",
        "store",
        "Upload of 8 GiB with 1 GiB of data, size known",
        (
            line("fv1", 16),
            line("peer", 37),
            line("file", 35),
            line("null", 15),
            line("serial", 22),
        ),
        _by_the_store(8, 1),
        bytes=lambda bench: bench.image(8, 1).size,
        baseline="peer",
        disk=Disk(passing=18),
    ),
    CasePlan(
        "store-unknown",
        "store",
        "Upload of 2.5 GiB random data, size unknown",
        (
            line("fv1", 8),
            line("peer", 15),
            line("file", 10),
            line("null", 4),
            line("serial", 7),
        ),
        _by_the_store(2.5, is_size_known=False),
        bytes=lambda bench: bench.image(2.5).size,
        baseline="peer",
        disk=Disk(passing=9),
    ),
    CasePlan(
        "store-uploads",
        "store",
        f"{UPLOADS} uploads at once, each 512 MiB of random data",
        (
            LinePlan("fv1-1", f"{LABELS['fv1']}, 1 upload", 4),
            line(f"fv1-{UPLOADS}", 18, "uploads"),
            line(f"peer-{UPLOADS}", 35, "uploads"),
            line(f"file-{UPLOADS}", 25, "uploads"),
        ),
        _together,
        baseline="peer",
        prepare_s=30,
        disk=Disk(passing=13),
    ),
)

GLANCE = (
    CasePlan(
        "glance-upload",
        "glance",
        "Upload of 1 GiB random data, size known",
        (line("fv1", 5), line("peer", 9), line("file", 7)),
        _through_glance(1),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=20,
        disk=Disk(passing=4),
    ),
    CasePlan(
        "glance-sparse",
        "glance",
        "Upload of 8 GiB with 1 GiB of data, size known",
        (line("fv1", 20), line("peer", 46)),
        _through_glance(8, 1, stores=("fv1", "peer")),
        bytes=lambda bench: bench.image(8, 1).size,
        baseline="peer",
        disk=Disk(passing=10),
    ),
    CasePlan(
        "glance-unknown",
        "glance",
        "Upload of 2.5 GiB random data, size unknown",
        (line("fv1", 10), line("peer", 17), line("file", 18)),
        _through_glance(2.5, is_size_known=False),
        bytes=lambda bench: bench.image(2.5).size,
        baseline="peer",
        disk=Disk(passing=9),
    ),
)
