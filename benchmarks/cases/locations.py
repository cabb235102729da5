# SPDX-License-Identifier: Apache-2.0
"""Volumes from an image, by each way in which Cinder reads the image's locations."""

from collections.abc import Iterator
import contextlib
import functools
import statistics

from benchmarks.cases import storms
from benchmarks.cases import volumes
from benchmarks.cases.bench import IN_GLANCE
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import LABELS
from benchmarks.disk import Disk
from benchmarks.locations import Locations
from benchmarks.locations import Way
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Takes
from benchmarks.results import Sample

_STORES = ("fv1", "peer")
_WAYS = {Way.TOKEN: "service token", Way.LOGIN: "user in [glance]"}
# One volume is made so often, after a first one for which the services connect.
_ONES = 3


@contextlib.contextmanager
def _prepare(bench: Bench) -> Iterator[Takes]:
    locations = Locations(bench.lab)
    try:
        with storms.without_sums(bench):
            yield {
                f"{store}-{way.value}": functools.partial(
                    _sample, bench, locations, store, way
                )
                for way in Way
                for store in _STORES
            }
    finally:
        locations.use(Way.TOKEN)


def _sample(
    bench: Bench, locations: Locations, store: str, way: Way, repeat: int
) -> Sample:
    """Make one volume, several times, and then many at once."""
    image = bench.image(1)
    bench.image_in_glance(store, image)
    locations.use(way)
    ones = [
        volumes.one_volume(bench, store, image, "fv1", repeat, is_compared=False)
        for _number in range(1 + _ONES)
    ]
    sample = storms.on_one_flexvol(bench, store, image, storms.FEW, repeat)
    sample.metrics["one_volume_s"] = statistics.median(
        one.metrics["seconds"] for one in ones[1:]
    )
    return sample


CASES = (
    CasePlan(
        "volumes-locations",
        "glance",
        f"{storms.FEW} volumes at once, by Cinder's two ways to read locations",
        # Each repeat restarts services, up to three times.
        tuple(
            LinePlan(f"{store}-{way.value}", f"{LABELS[store]}, {text}", 35, 3)
            for way, text in _WAYS.items()
            for store in _STORES
        ),
        _prepare,
        baseline="peer",
        prepare_s=15,
        disk=Disk((IN_GLANCE,), 1),
    ),
)
