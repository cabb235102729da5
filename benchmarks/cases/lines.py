# SPDX-License-Identifier: Apache-2.0
"""The stores and limits that the cases compare, and their labels."""

from benchmarks.plans import LinePlan

# The lab's Glance has stores of these names.
STORES = ("fv1", "peer", "file")
LABELS = {
    "fv1": "this store",
    "peer": "upstream cinder",
    "file": "upstream file",
    "iscsi1": "this store",
    "null": "limit: hashes only, on threads",
    "serial": "hashes only, in series",
    "dd": "limit: dd with fsync",
    "pread": "limit: pread loop",
    "array": "replica, copied by the array",
    "sample": "the same, with samples compared",
    "copy": "replica, copied by Glance",
    "download": "first volume, downloaded",
    "original": "on the image's FlexVol",
    "replica": "on another one, after replicate",
    "storm": "over all FlexVols",
}


def line(
    name: str, expected_s: float, unit: str = "", most_repeats: int | None = None
) -> LinePlan:
    """Return a line with the label of its store and, if it has one, its variant.

    *unit* is the unit of the variant, as GiB in "this store, 4 GiB" for ``fv1-4``.
    """
    store, _, variant = name.partition("-")
    label = LABELS[store] + (f", {variant} {unit}" if variant else "")
    return LinePlan(name, label, expected_s, most_repeats)
