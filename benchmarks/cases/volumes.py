# SPDX-License-Identifier: Apache-2.0
"""Volumes that Cinder makes from an image."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools
from pathlib import Path

from benchmarks import images
from benchmarks import measure
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.disk import Kept
from benchmarks.images import GIB
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Takes
from benchmarks.results import Sample

AVAILABLE_TIMEOUT_S = 600


def _one_on(
    flexvol: str, lines: Sequence[LinePlan], are_images_kept: bool = True
) -> Prepare:
    """Return the preparation of volumes on *flexvol* from images on FlexVol ``fv1``.

    The variants of *lines* are the images' sizes in GiB. A quarter of an image is
    data, at most 1 GiB. With the images that are kept, ``fv1`` is nearly full.
    """

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        # The first volume is not measured: Cinder's services connect for it.
        one_volume(bench, "fv1", TRIAL, flexvol, 1)
        takes = {}
        images_used = []
        for plan in lines:
            store, _, gib = plan.name.partition("-")
            image = bench.image(int(gib), min(1.0, int(gib) / 4))
            takes[plan.name] = functools.partial(
                one_volume, bench, store, image, flexvol
            )
            images_used.append((store, image))
        yield takes
        if not are_images_kept:
            for store, image in images_used:
                bench.remove_from_glance(store, image)

    return prepare


def one_volume(
    bench: Bench,
    store: str,
    image: Image,
    flexvol: str,
    repeat: int,
    is_compared: bool = True,
) -> Sample:
    """Make a volume on *flexvol* from *image*, which is in *store*.

    In the first repeat its bytes are compared, if *is_compared*.
    """
    image_id, _path = bench.image_in_glance(store, image)
    seconds, volume_id = make(bench, image_id, image, flexvol)
    try:
        path = bench.volume_path(flexvol, volume_id)
        wrong = images.mistake(path, image) if repeat == 1 and is_compared else ""
        return Sample(repeat, {"seconds": seconds}, wrong=wrong)
    finally:
        delete(bench, image_id, flexvol, [volume_id])


def make(
    bench: Bench,
    image_id: str,
    image: Image,
    flexvol: str,
    unsynced: Path | None = None,
) -> tuple[float, str]:
    """Make a volume; return the seconds until it is available, and its id.

    The seconds end when the file system of *unsynced* is synced, if that is given.
    """
    cloud = bench.cloud
    volume_ids: list[str] = []

    def make_it() -> None:
        gib = -(-image.size // GIB)
        volume_ids.append(cloud.create_volume(image_id, gib, flexvol))
        cloud.wait_available(volume_ids, AVAILABLE_TIMEOUT_S)

    try:
        seconds, _ = measure.until_durable(make_it, unsynced)
    except BaseException:
        delete(bench, image_id, flexvol, volume_ids)
        raise
    return seconds, volume_ids[0]


def delete(bench: Bench, image_id: str, flexvol: str, volume_ids: list[str]) -> None:
    """Delete the volumes, and the copy of the image that NetApp's driver keeps.

    The next volume would be a clone of the copy.
    """
    bench.cloud.delete_volumes(volume_ids)
    forget(bench, image_id, flexvol)


def forget(bench: Bench, image_id: str, flexvol: str) -> None:
    """Delete the copy of the image that NetApp's driver keeps on *flexvol*."""
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
# Upstream's store writes the zeros too.
_IMAGES = Kept("of 1, 4 and 16 GiB for volumes", 24)

CASES = (
    CasePlan(
        "volume-same",
        "glance",
        "Volume from an image on the same FlexVol",
        _SAME,
        _one_on("fv1", _SAME),
        baseline="peer",
        prepare_s=200,
        disk=Disk((_IMAGES,)),
    ),
    CasePlan(
        "volume-other",
        "glance",
        "Volume from an image on another FlexVol",
        _OTHER,
        _one_on("fv2", _OTHER, are_images_kept=False),
        baseline="peer",
        prepare_s=10,
        # A download of 16 GiB, the volume, and the copy that NetApp's driver keeps.
        disk=Disk((_IMAGES,), 20),
    ),
)
