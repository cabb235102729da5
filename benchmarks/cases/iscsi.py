# SPDX-License-Identifier: Apache-2.0
"""Images on iSCSI, through Glance and Cinder, beside upstream's store there.

The lab has no iSCSI: a volume is a loop device on the LUN's file (``lab/san.py``). So
the figures are of what the stores ask of Cinder and of a device, not of a network.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools

from benchmarks.cases import downloads
from benchmarks.cases import uploads
from benchmarks.cases import volumes
from benchmarks.cases.bench import TRIAL
from benchmarks.cases.bench import Bench
from benchmarks.cases.bench import try_in_glance
from benchmarks.cases.lines import line
from benchmarks.disk import Disk
from benchmarks.disk import Kept
from benchmarks.images import Image
from benchmarks.plans import CasePlan
from benchmarks.plans import LinePlan
from benchmarks.plans import Prepare
from benchmarks.plans import Takes
from benchmarks.results import Sample

FLEXVOL = "iscsi1"
# Glance's stores, by the names of the lines.
STORES = {"iscsi1": "iscsi1", "peer": "peer-iscsi"}
_LAB = ("--san",)
# Upstream's store writes the zeros too.
_IMAGES = Kept("of 1 and 4 GiB on iSCSI", 7)


def _for_each(
    gib: float, data_gib: float | None, take: Callable[[Bench, str, Image, int], Sample]
) -> Prepare:
    """Return the preparation of a transfer of one image for each of `STORES`."""

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        _tried(bench)
        image = bench.image(gib, data_gib)
        yield {
            name: functools.partial(take, bench, store, image)
            for name, store in STORES.items()
        }

    return prepare


def _upload(bench: Bench, store: str, image: Image, repeat: int) -> Sample:
    return uploads.through_glance(bench, store, image, True, repeat)


def _volumes(lines: Sequence[LinePlan]) -> Prepare:
    """Return the preparation of volumes; the variants of *lines* are sizes in GiB."""

    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        _tried(bench)
        # Cinder's services connect for the first volume.
        volumes.one_volume(bench, "iscsi1", TRIAL, FLEXVOL, 1)
        takes = {}
        for plan in lines:
            name, _, gib = plan.name.partition("-")
            image = bench.image(int(gib), int(gib) / 4)
            takes[plan.name] = functools.partial(
                volumes.one_volume, bench, STORES[name], image, FLEXVOL
            )
        yield takes

    return prepare


@functools.cache
def _tried(bench: Bench) -> None:
    for store in STORES.values():
        try_in_glance(bench.cloud, store)


_VOLUMES = tuple(
    line(name, 3, unit="GiB") for name in ("iscsi1-1", "peer-1", "iscsi1-4", "peer-4")
)

CASES = (
    CasePlan(
        "iscsi-upload",
        "glance",
        "iSCSI: upload of 1 GiB random data, size known",
        (line("iscsi1", 6), line("peer", 10)),
        _for_each(1, None, _upload),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=30,
        disk=Disk(passing=2),
        lab=_LAB,
    ),
    CasePlan(
        "iscsi-sparse",
        "glance",
        "iSCSI: upload of 4 GiB with 512 MiB of data, size known",
        (line("iscsi1", 12), line("peer", 25)),
        _for_each(4, 0.5, _upload),
        bytes=lambda bench: bench.image(4, 0.5).size,
        baseline="peer",
        disk=Disk(passing=5),
        lab=_LAB,
    ),
    CasePlan(
        "iscsi-download",
        "glance",
        "iSCSI: download of 1 GiB, warm: the LUN's file is in the page cache",
        (line("iscsi1", 4), line("peer", 4)),
        _for_each(1, None, downloads.through_glance),
        bytes=lambda bench: bench.image(1).size,
        baseline="peer",
        prepare_s=20,
        disk=Disk((_IMAGES,)),
        lab=_LAB,
    ),
    CasePlan(
        "iscsi-volume",
        "glance",
        "iSCSI: volume from an image on the same FlexVol",
        _VOLUMES,
        _volumes(_VOLUMES),
        baseline="peer",
        prepare_s=40,
        disk=Disk((_IMAGES,)),
        lab=_LAB,
    ),
)
