# SPDX-License-Identifier: Apache-2.0
"""The SVMs of a lab, each with FlexVols and a back end of Cinder of its own.

A lab has the first one. With ``--svms 2`` it has both, on one cluster, and one
``cinder-volume`` serves their two back ends. The second SVM has what the first has not:

=============  ==============  =====================================================
FlexVol        mounted at      why
=============  ==============  =====================================================
``s2a``        ``/s2a``        as those of the first SVM
``fv2``        ``/fv2``        the first SVM has a FlexVol of this name too
``gold_new``   ``/gold``       its name is not its junction path, but ...
``gold``       ``/old/gold``   ... that of another FlexVol, as after a restore
``group``      ``/group``      a FlexGroup
=============  ==============  =====================================================
"""

from dataclasses import dataclass
from dataclasses import replace

# Also that of the first SVM's NFS server.
CLUSTER_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class FlexVol:
    """A FlexVol, or a FlexGroup if ``style`` says so, mounted at ``path``."""

    name: str
    size: str
    path: str
    style: str = "flexvol"


@dataclass(frozen=True)
class Svm:
    """An SVM, its NFS server's address, and Cinder's back end for it.

    ``types`` names volume types that are pinned to a FlexVol, by its path. ``protocol``
    is the one by which hosts reach volumes: ``nfs``, or one of ``san.PROTOCOLS``.
    """

    name: str
    address: str
    backend: str
    flexvols: tuple[FlexVol, ...]
    types: tuple[tuple[str, str], ...]
    protocol: str = "nfs"

    def by(self, protocol: str) -> "Svm":
        """Return the same SVM, its volumes reached by another protocol."""
        return replace(self, protocol=protocol)

    def pool(self, path: str) -> str:
        """Return what Cinder calls the pool of the FlexVol mounted at *path*."""
        if self.protocol == "nfs":
            return self.share(path)
        return {flexvol.path: flexvol.name for flexvol in self.flexvols}[path]

    @property
    def pools(self) -> list[str]:
        return [self.pool(flexvol.path) for flexvol in self.flexvols]

    def share(self, path: str) -> str:
        """Return the export of a path."""
        return f"{self.address}:{path}"

    @property
    def shares(self) -> list[str]:
        return [self.share(flexvol.path) for flexvol in self.flexvols]


# Upstream's store takes 16 GiB of fv1 for an image of 16 GiB.
SIZES = {"fv1": "32GiB", "fv2": "24GiB", "fv3": "3GiB"}
FIRST = Svm(
    "svm1",
    CLUSTER_ADDRESS,
    "ontap",
    tuple(FlexVol(name, size, f"/{name}") for name, size in SIZES.items()),
    # ``own`` keeps images in the uploading user's project.
    (*((name, f"/{name}") for name in SIZES), ("own", "/fv2")),
)
SECOND = Svm(
    "svm2",
    "127.0.0.2",
    "ontap2",
    (
        FlexVol("s2a", "8GiB", "/s2a"),
        FlexVol("fv2", "8GiB", "/fv2"),
        FlexVol("gold_new", "8GiB", "/gold"),
        FlexVol("gold", "8GiB", "/old/gold"),
        FlexVol("group", "8GiB", "/group", "flexgroup"),
    ),
    (("s2a", "/s2a"), ("s2fv2", "/fv2"), ("s2gold", "/gold"), ("s2group", "/group")),
)
# Stores of Glance on the second SVM; the type of each has its name.
SECOND_STORES = tuple(name for name, _path in SECOND.types)
