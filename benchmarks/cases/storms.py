# SPDX-License-Identifier: Apache-2.0
"""Many volumes at once from one image."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import itertools
from pathlib import Path

from benchmarks import images
from benchmarks import measure
from benchmarks import usage
from benchmarks.cases import volumes
from benchmarks.cases.bench import IN_GLANCE
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.glance import POLL_S
from benchmarks.images import GIB
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Takes
from benchmarks.results import Sample
from lab.demo import blocks
from lab.demo.blocks import Span

FEW, MANY = 20, 100
_HERE = "fv1"
# Cinder lists all volumes for each poll, which takes its time from a storm's volumes.
_STORM_POLL_S = 0.5
_TIMEOUT_S = 900
# Without the filter that adds up the nominal sizes of volumes: the lab's FlexVols are
# small, and 100 clones take no room.
_FILTERS = "AvailabilityZoneFilter,CapabilitiesFilter"


def at_once(
    bench: Bench,
    image_id: str,
    image: Image,
    flexvols: Sequence[str],
    sources: Mapping[str, Path],
    repeat: int,
) -> Sample:
    """Make a volume on each of *flexvols*, all requested at once.

    The seconds start with the first request and end when all volumes are available.
    *sources* are the files with the image's bytes by FlexVol, of which the volumes
    should be clones.
    """
    cloud = bench.cloud
    before = cloud.data_bytes(image_id)
    passed_before = usage.passed_bytes(bench.lab)
    cpu_before = usage.cpu_time(bench.lab)
    made: list[str] = []

    def make() -> None:
        gib = -(-image.size // GIB)
        made.extend(cloud.create_volumes(image_id, gib, flexvols))
        poll_s = POLL_S if len(flexvols) == 1 else _STORM_POLL_S
        cloud.wait_available(made, _TIMEOUT_S, poll_s)

    try:
        seconds, _ = measure.timed(make)
        metrics = usage.cpu_time(bench.lab).since(cpu_before)
        metrics["seconds"] = seconds
        metrics["host_bytes"] = usage.passed_bytes(bench.lab) - passed_before
        metrics["glance_bytes"] = cloud.data_bytes(image_id) - before
        files = [
            (flexvol, bench.volume_path(flexvol, volume_id))
            for flexvol, volume_id in zip(flexvols, made, strict=True)
        ]
        metrics |= compared(
            [(flexvol, blocks.extents(str(path))) for flexvol, path in files],
            {name: blocks.extents(str(path)) for name, path in sources.items()},
        )
        # One of each FlexVol; the files of the others have the same blocks.
        wrong = [
            images.mistake(path, image) for path in dict(files).values() if repeat == 1
        ]
        return Sample(repeat, metrics, wrong="; ".join(filter(None, wrong)))
    finally:
        cloud.delete_volumes(made)
        for flexvol in set(flexvols):
            volumes.forget(bench, image_id, flexvol)


def compared(
    files: Sequence[tuple[str, Sequence[Span]]], sources: Mapping[str, Sequence[Span]]
) -> dict[str, float]:
    """Return the volumes that are no clones of the image, and their new bytes.

    *files* are the volumes' FlexVols and places, *sources* the places of the
    image-volume on each FlexVol. A clone has all its blocks in common with it.
    """
    new = [blocks.not_in(spans, sources[flexvol]) for flexvol, spans in files]
    fallbacks = sum(
        unshared > 0 or not spans
        for unshared, (_, spans) in zip(new, files, strict=True)
    )
    return {
        "volumes": len(files),
        "fallbacks": fallbacks,
        "unshared_bytes": sum(new),
    }


def spread(count: int, flexvols: Sequence[str]) -> list[str]:
    """Return the FlexVols of *count* volumes, spread evenly over *flexvols*."""
    return list(itertools.islice(itertools.cycle(flexvols), count))


@contextlib.contextmanager
def without_sums(bench: Bench) -> Iterator[None]:
    """Have Cinder's scheduler not add up the nominal sizes of volumes."""
    option = ("DEFAULT", "scheduler_default_filters")
    bench.lab.set_cinder_option(*option, _FILTERS)
    bench.lab.restart("cinder-scheduler")
    try:
        yield
    finally:
        bench.lab.set_cinder_option(*option, None)
        bench.lab.restart("cinder-scheduler")


def on_one_flexvol(
    bench: Bench, store: str, image: Image, count: int, repeat: int
) -> Sample:
    """Make *count* volumes at once on the FlexVol of *image*, which is in *store*."""
    image_id, path = bench.image_in_glance(store, image)
    return at_once(bench, image_id, image, [_HERE] * count, {_HERE: path}, repeat)


def _many(count: int) -> Prepare:
    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        image = bench.image(1)
        with without_sums(bench):
            # The first volume is not measured: Cinder logs in for it, and connects.
            volumes.one_volume(bench, _HERE, TRIAL, _HERE, 1)
            yield {
                f"{store}-{count}": functools.partial(
                    on_one_flexvol, bench, store, image, count
                )
                for store in ("fv1", "peer")
            }

    return prepare


def _case(
    name: str, count: int, expected_s: float, most_repeats: int | None
) -> CasePlan:
    return CasePlan(
        name,
        "glance",
        f"{count} volumes at once from one image of 1 GiB on the same FlexVol",
        tuple(
            line(f"{store}-{count}", expected_s, "volumes", most_repeats)
            for store in ("fv1", "peer")
        ),
        _many(count),
        baseline="peer",
        prepare_s=15,
        disk=Disk((IN_GLANCE,), 1),
    )


CASES = (
    _case("volumes-many", FEW, 15, None),
    _case("volumes-hundred", MANY, 70, 2),
)
