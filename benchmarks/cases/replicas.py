# SPDX-License-Identifier: Apache-2.0
"""Replicas of an image on other FlexVols, and the volumes made from them."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools

from benchmarks import images
from benchmarks import measure
from benchmarks import usage
from benchmarks.cases import storms
from benchmarks.cases import volumes
from benchmarks.cases.bench import IN_GLANCE
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.disk import Kept
from benchmarks.images import GIB
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import Takes
from benchmarks.replicas import STORES
from benchmarks.results import Sample
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Verify

# Where the image is uploaded, and where the replica is.
_HERE, _THERE = STORES[:2]
_SIZES = (1, 4)


@contextlib.contextmanager
def _made(bench: Bench) -> Iterator[Takes]:
    """Prepare the making of replicas, and a first volume on the same FlexVol."""
    replicas = bench.replicas
    makers: dict[str, Callable[[str], None]] = {
        "array": functools.partial(replicas.make, store=_THERE),
        "sample": functools.partial(replicas.make, store=_THERE, verify=Verify.SAMPLE),
        "copy": functools.partial(replicas.make, store=_THERE, by=By.COPY_IMAGE),
    }
    volumes.one_volume(bench, _HERE, TRIAL, _THERE, 1)
    takes: dict[str, Callable[[int], Sample]] = {}
    for gib in _SIZES:
        image = bench.image(gib)
        for name, make in makers.items():
            takes[f"{name}-{gib}"] = functools.partial(
                _replica, bench, image, make, name == "copy"
            )
        takes[f"download-{gib}"] = functools.partial(_downloaded, bench, image)
    yield takes


def _replica(
    bench: Bench,
    image: Image,
    make: Callable[[str], None],
    is_by_glance: bool,
    repeat: int,
) -> Sample:
    """Make a replica and remove it.

    What Glance copies itself does not pass its API, so those bytes are not told.
    """
    image_id, _path = bench.image_in_glance(_HERE, image)
    before = bench.cloud.data_bytes(image_id)
    passed_before = usage.passed_bytes(bench.lab)
    seconds, _ = measure.until_durable(
        lambda: make(image_id), bench.lab.flexvol(_THERE)
    )
    passed = usage.passed_bytes(bench.lab) - passed_before
    try:
        metrics = _per_gib(seconds, image) | {"host_bytes": passed}
        if not is_by_glance:
            metrics["glance_bytes"] = bench.cloud.data_bytes(image_id) - before
        path = bench.replicas.path(image_id, _THERE)
        wrong = images.mistake(path, image) if repeat == 1 else ""
        return Sample(repeat, metrics, wrong=wrong)
    finally:
        bench.replicas.retire(image_id, _THERE)


def _downloaded(bench: Bench, image: Image, repeat: int) -> Sample:
    image_id, _path = bench.image_in_glance(_HERE, image)
    before = bench.cloud.data_bytes(image_id)
    passed_before = usage.passed_bytes(bench.lab)
    seconds, volume_id = volumes.make(
        bench, image_id, image, _THERE, bench.lab.flexvol(_THERE)
    )
    passed = usage.passed_bytes(bench.lab) - passed_before
    try:
        metrics = _per_gib(seconds, image) | {"host_bytes": passed}
        metrics["glance_bytes"] = bench.cloud.data_bytes(image_id) - before
        path = bench.volume_path(_THERE, volume_id)
        wrong = images.mistake(path, image) if repeat == 1 else ""
        return Sample(repeat, metrics, wrong=wrong)
    finally:
        volumes.delete(bench, image_id, _THERE, [volume_id])


def _per_gib(seconds: float, image: Image) -> dict[str, float]:
    return {"seconds": seconds, "seconds_per_gib": seconds * GIB / image.size}


@contextlib.contextmanager
def _volumes(bench: Bench) -> Iterator[Takes]:
    """Prepare volumes on the image's FlexVol, and on one with a replica."""
    for flexvol in (_HERE, _THERE):
        volumes.one_volume(bench, _HERE, TRIAL, flexvol, 1)
    with contextlib.ExitStack() as stack:
        takes = {}
        for gib in _SIZES:
            image = bench.image(gib, gib / 4)
            image_id, _path = bench.image_in_glance(_HERE, image)
            stack.enter_context(_replicated(bench, image_id, (_THERE,)))
            for name, flexvol in (("original", _HERE), ("replica", _THERE)):
                takes[f"{name}-{gib}"] = functools.partial(
                    _cloned, bench, image, [flexvol]
                )
        yield takes


@contextlib.contextmanager
def _storms(bench: Bench) -> Iterator[Takes]:
    """Prepare volumes on all FlexVols at once, each with the image or a replica."""
    image = bench.image(1, 0.25)
    image_id, _path = bench.image_in_glance(_HERE, image)
    with _replicated(bench, image_id, STORES[1:]), storms.without_sums(bench):
        # The first volume is not measured: Cinder logs in for it, and connects.
        volumes.one_volume(bench, _HERE, TRIAL, _HERE, 1)
        yield {
            f"storm-{count}": functools.partial(
                _cloned, bench, image, storms.spread(count, STORES)
            )
            for count in (storms.FEW, storms.MANY)
        }


@contextlib.contextmanager
def _replicated(bench: Bench, image_id: str, flexvols: Sequence[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for flexvol in flexvols:
            bench.replicas.make(image_id, flexvol)
            stack.callback(bench.replicas.retire, image_id, flexvol)
        yield


def _cloned(bench: Bench, image: Image, flexvols: Sequence[str], repeat: int) -> Sample:
    """Make a volume on each of *flexvols* at once, each of which has the image."""
    image_id, _path = bench.image_in_glance(_HERE, image)
    sources = {name: bench.replicas.path(image_id, name) for name in set(flexvols)}
    return storms.at_once(bench, image_id, image, flexvols, sources, repeat)


_IMAGES = Kept("of 1 and 4 GiB for volumes from replicas", 2)

_MADE = (
    line("array-1", 16, "GiB"),
    line("sample-1", 17, "GiB"),
    line("copy-1", 15, "GiB"),
    line("download-1", 9, "GiB"),
    line("array-4", 36, "GiB", 2),
    line("copy-4", 45, "GiB", 2),
    line("download-4", 35, "GiB", 2),
)

CASES = (
    CasePlan(
        "replica",
        "glance",
        "Replica of an image of random data on another FlexVol",
        _MADE,
        _made,
        prepare_s=90,
        # A first volume: its download, itself, and the copy that NetApp's driver keeps.
        disk=Disk((IN_GLANCE, Kept("of 4 GiB for replicas", 4)), 12),
    ),
    CasePlan(
        "volume-replica",
        "glance",
        "Volume from an image with a replica on another FlexVol",
        tuple(
            line(f"{name}-{gib}", 3, "GiB")
            for gib in _SIZES
            for name in ("original", "replica")
        ),
        _volumes,
        prepare_s=60,
        disk=Disk((_IMAGES,), 2),
    ),
    CasePlan(
        "volumes-storm",
        "glance",
        "Volumes at once from one image of 1 GiB with replicas on all FlexVols",
        (line("storm-20", 30, "volumes"), line("storm-100", 150, "volumes", 2)),
        _storms,
        prepare_s=60,
        disk=Disk((_IMAGES,), 1),
    ),
)
