# SPDX-License-Identifier: Apache-2.0
"""Volumes that Cinder makes from an image."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools

from benchmarks import images
from benchmarks import measure
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import line
from benchmarks.images import GIB
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Takes
from benchmarks.results import Sample

MANY = 20
AVAILABLE_TIMEOUT_S = 600


def _one_on(flexvol: str, lines: Sequence[LinePlan]) -> Prepare:
    """Return the preparation of volumes on *flexvol* from images on FlexVol ``fv1``.

    The variants of *lines* are the images' sizes in GiB. A quarter of an image is
    data, at most 1 GiB.
    """

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        # The first volume is not measured: Cinder's services connect for it.
        _one_volume(bench, "fv1", TRIAL, flexvol, 1)
        takes = {}
        for plan in lines:
            store, _, gib = plan.name.partition("-")
            image = bench.image(int(gib), min(1.0, int(gib) / 4))
            takes[plan.name] = functools.partial(
                _one_volume, bench, store, image, flexvol
            )
        yield takes

    return prepare


def _one_volume(
    bench: Bench, store: str, image: Image, flexvol: str, repeat: int
) -> Sample:
    image_id, _path = bench.image_in_glance(store, image)
    seconds, volume_ids = _make(bench, image_id, image, flexvol, 1)
    try:
        wrong = ""
        if repeat == 1:
            path = bench.lab.flexvol(flexvol) / f"volume-{volume_ids[0]}"
            offset = images.difference(path, image)
            wrong = "" if offset is None else f"bytes differ from offset {offset} on"
        return Sample(repeat, {"seconds": seconds}, wrong=wrong)
    finally:
        _delete(bench, image_id, flexvol, volume_ids)


@contextlib.contextmanager
def _many_at_once(bench: Bench) -> Iterator[Takes]:
    image = bench.image(1)

    def sample(store: str, repeat: int) -> Sample:
        image_id, _path = bench.image_in_glance(store, image)
        before = measure.used_bytes(bench.fv1)
        seconds, volume_ids = _make(bench, image_id, image, "fv1", MANY)
        try:
            new = measure.used_bytes(bench.fv1) - before
            return Sample(repeat, {"seconds": seconds, "new_bytes": float(new)})
        finally:
            _delete(bench, image_id, "fv1", volume_ids)

    yield {store: functools.partial(sample, store) for store in ("fv1", "peer")}


def _make(
    bench: Bench, image_id: str, image: Image, flexvol: str, count: int
) -> tuple[float, list[str]]:
    """Make *count* volumes; return the seconds until all are available, and their ids.

    The seconds start with the first request.
    """
    cloud = bench.cloud
    volume_ids: list[str] = []

    def make() -> None:
        for _number in range(count):
            gib = -(-image.size // GIB)
            volume_ids.append(cloud.create_volume(image_id, gib, flexvol))
        cloud.wait_available(volume_ids, AVAILABLE_TIMEOUT_S)

    try:
        seconds, _ = measure.timed(make)
    except BaseException:
        _delete(bench, image_id, flexvol, volume_ids)
        raise
    return seconds, volume_ids


def _delete(bench: Bench, image_id: str, flexvol: str, volume_ids: list[str]) -> None:
    """Delete the volumes, and the copy of the image that NetApp's driver keeps.

    The next volume would be a clone of the copy.
    """
    bench.cloud.delete_volumes(volume_ids)
    copy = bench.lab.flexvol(flexvol) / f"img-cache-{image_id}"
    copy.unlink(missing_ok=True)


_SAME = tuple(
    line(name, 2, unit="GiB")
    for name in ("fv1-1", "peer-1", "fv1-4", "peer-4", "fv1-16", "peer-16")
)
_OTHER = (
    line("fv1-1", 6, unit="GiB"),
    line("peer-1", 7, unit="GiB"),
    line("fv1-4", 24, unit="GiB"),
    line("peer-4", 24, unit="GiB"),
    line("fv1-16", 65, unit="GiB"),
    line("peer-16", 80, unit="GiB"),
)

CASES = (
    CasePlan(
        "volume-same",
        "glance",
        "Volume from an image on the same FlexVol",
        _SAME,
        _one_on("fv1", _SAME),
        baseline="peer",
        prepare_s=200,
    ),
    CasePlan(
        "volume-other",
        "glance",
        "Volume from an image on another FlexVol",
        _OTHER,
        _one_on("fv2", _OTHER),
        baseline="peer",
        prepare_s=10,
    ),
    CasePlan(
        "volumes-many",
        "glance",
        f"{MANY} volumes at once from one image of 1 GiB on the same FlexVol",
        (line("fv1", 12), line("peer", 12)),
        _many_at_once,
        baseline="peer",
    ),
)
