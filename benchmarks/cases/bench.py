# SPDX-License-Identifier: Apache-2.0
"""The lab, the stores, and the images that all cases share."""

import functools
from pathlib import Path
import threading

from benchmarks import stores
from benchmarks import streams
from benchmarks.cases.lines import STORES
from benchmarks.disk import Kept
from benchmarks.glance import Cloud
from benchmarks.images import GIB
from benchmarks.images import MIB
from benchmarks.images import Image
from benchmarks.replicas import Replicas
from benchmarks.stores import DirectStore
from benchmarks.stores import StoredImage
from glance_ontap_store.replication.step import Verify
from lab.client import Lab

# The image for the first use of a store, which is not measured.
TRIAL = Image(MIB)
_TRIALS = 4
# Images of 1 GiB, in each store.
IN_STORES = Kept("written by calls of the stores", 3)
IN_GLANCE = Kept("written through Glance", 3)


class Bench:
    """One lab, with the stores and images that were made in it so far.

    They end with the lab. All sizes are multiplied by *scale*.
    """

    def __init__(self, lab: Lab, scale: float = 1) -> None:
        self.lab = lab
        self.scale = scale
        self.fv1: Path = lab.flexvol("fv1")
        self._in_glance: dict[tuple[str, Image], tuple[str, Path]] = {}

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The lab's Glance and Cinder; Glance has used each store before.

        So tokens, the privileged helper, and imports are not part of a transfer.
        """
        cloud = Cloud(self.lab)
        for store in STORES:
            try_in_glance(cloud, store)
        return cloud

    @functools.cached_property
    def replicas(self) -> Replicas:
        """The images' replicas. The array has made one before."""
        replicas = Replicas(self.lab)
        image_id, _path = self.image_in_glance("fv1", TRIAL)
        replicas.make(image_id, "fv2", verify=Verify.SAMPLE)
        replicas.retire(image_id, "fv2")
        return replicas

    @functools.cache  # noqa: B019 - lives as long as the process
    def store(self, name: str) -> DirectStore:
        """Return the store, configured in this process and used once before."""
        store = stores.MAKERS[name](self.lab)
        stored = store.add(TRIAL)
        streams.drain(store.get(stored))
        store.delete(stored)
        return store

    @functools.cache  # noqa: B019 - the image keeps its multihash
    def image(self, gib: float, data_gib: float | None = None) -> Image:
        """Return an image of *gib*, with *data_gib* of data if it is sparse."""
        data = None if data_gib is None else self._scaled(data_gib)
        return Image(self._scaled(gib), data)

    @functools.cache  # noqa: B019 - stays in the store until the lab ends
    def image_in_store(self, name: str) -> StoredImage:
        """Return an image of 1 GiB that a call of the store has written."""
        return self.store(name).add(self.image(1))

    def image_in_glance(self, store: str, image: Image) -> tuple[str, Path]:
        """Return the id of *image* in Glance, and the file with its bytes.

        The first call uploads it. It stays there for later cases.
        """
        found = self._in_glance.get((store, image))
        if found is None:
            image_id = self.cloud.create()
            self.cloud.upload(image_id, image, store, True)
            found = image_id, self.cloud.path(image_id, store)
            self._in_glance[store, image] = found
        return found

    def remove_from_glance(self, store: str, image: Image) -> None:
        """Delete *image*, if `image_in_glance` has uploaded it."""
        if found := self._in_glance.pop((store, image), None):
            self.cloud.delete_image(*found)

    def volume_path(self, flexvol: str, volume_id: str) -> Path:
        """Return the file of a volume."""
        return self.lab.flexvol(flexvol) / f"volume-{volume_id}"

    def unsynced(self, store: str) -> Path | None:
        """Return where the store's uploads leave dirty pages.

        None if its uploads end only when the bytes are durable.
        """
        if store == "peer-iscsi":
            return self.lab.flexvol("iscsi1")
        return {
            "peer": self.fv1,
            "file": Path(self.lab.facts["file_store"]),
        }.get(store)

    def _scaled(self, gib: float) -> int:
        return max(MIB, int(gib * GIB * self.scale) // MIB * MIB)


def try_in_glance(cloud: Cloud, store: str) -> None:
    """Use *store* several times at once, so that each of Glance's workers does."""
    threads = [
        threading.Thread(target=_try, args=[cloud, store], daemon=True)
        for _number in range(_TRIALS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _try(cloud: Cloud, store: str) -> None:
    image_id = cloud.create()
    cloud.upload(image_id, TRIAL, store, True)
    streams.drain(cloud.download(image_id))
    cloud.delete_image(image_id, cloud.path(image_id, store))
