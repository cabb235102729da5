# SPDX-License-Identifier: Apache-2.0
"""Stores called directly in this process: this package's and upstream's."""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
import uuid

from glance_store import location
from glance_store._drivers import filesystem
from glance_store._drivers.cinder import store
from oslo_config import cfg

from benchmarks import limits
from benchmarks.images import Image
from benchmarks.images import Reader
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.opts import OPTIONS
from lab import polling
from lab.client import Lab
from lab.stores import CONFIG
from lab.stores import make_store
from lab.stores import prepare_privileges

PROJECT = "0123456789abcdef0123456789abcdef"
DELETE_TIMEOUT_S = 120


@dataclass(frozen=True)
class StoredImage:
    """An image in a store: its URL, size, multihash, and the file with its bytes."""

    url: str
    size: int
    multihash: str
    path: Path


class DirectStore:
    """A configured store, called as Glance calls it.

    *find* returns the file with an image's bytes, given the image's URL. *unsynced*
    is a directory on the store's file system if `add` leaves dirty pages there, and
    None if `add` returns only when the bytes are durable.
    """

    def __init__(
        self,
        name: str,
        driver: Any,
        location_class: Any,
        find: Callable[[str], Path],
        unsynced: Path | None,
    ) -> None:
        self.name = name
        self.unsynced = unsynced
        self._driver = driver
        self._location_class = location_class
        self._find = find

    def add(
        self,
        image: Image,
        is_size_known: bool = True,
        reader: Reader | None = None,
    ) -> StoredImage:
        """Store *image* as Glance does for an upload; *reader* has its bytes."""
        url, size, _md5, multihash, _metadata = self._driver.add(
            str(uuid.uuid4()),
            reader or Reader(image),
            image.size if is_size_known else 0,
            limits.ALGORITHM,
            context=SimpleNamespace(project_id=PROJECT, user_id=PROJECT),
        )
        return StoredImage(url, size, multihash, self._find(url))

    def get(self, stored: StoredImage) -> Iterator[bytes]:
        """Return the image's bytes as Glance gets them for a download.

        The caller must read the stream to its end or close it.
        """
        stream, _size = self._driver.get(self._location(stored))
        return iter(stream)

    def delete(self, stored: StoredImage) -> None:
        """Delete the image as Glance does; return when its file is gone.

        :raises TimeoutError: the file is still there
        """
        self._driver.delete(self._location(stored))
        polling.wait_until(
            lambda: not stored.path.exists(),
            f"{stored.path} is deleted",
            DELETE_TIMEOUT_S,
        )

    def _location(self, stored: StoredImage) -> location.Location:
        return location.Location(
            stored.url.partition(":")[0],
            self._location_class,
            self._driver.conf,
            uri=stored.url,
            backend=self.name,
        )


def can_linger() -> bool:
    """Return whether this version of the store has the option ``ontap_linger``."""
    return any(option.name == "ontap_linger" for option in OPTIONS)


def ours(lab: Lab, linger_s: int = 0) -> DirectStore:
    """Return this package's store, configured as in the lab's Glance.

    It keeps an attachment for *linger_s* seconds after the last reader, if it can.
    """
    options: dict[str, Any] = {"linger": linger_s} if can_linger() else {}
    driver = make_store(lab, "fv1", **options)
    find = _volume_file(lab.flexvol("fv1"))
    return DirectStore("fv1", driver, StoreLocation, find, None)


def upstream_cinder(lab: Lab) -> DirectStore:
    """Return glance_store's cinder store, with mounts apart from those of Glance."""
    prepare_privileges(lab)
    conf = _conf()
    # The constructor registers the options.
    driver = store.Store(conf, backend="peer")
    mounts = Path(lab.facts["root"], "data", "bench-mnt")
    mounts.mkdir(exist_ok=True)
    conf.set_override("cinder_mount_point_base", str(mounts), group="peer")
    driver.configure(re_raise_bsc=True)
    flexvol = lab.flexvol("fv1")
    find = _volume_file(flexvol)
    return DirectStore("peer", driver, store.StoreLocation, find, flexvol)


def upstream_file(lab: Lab) -> DirectStore:
    """Return glance_store's file store, on a file system like a FlexVol's."""
    driver = filesystem.Store(_conf(), backend="file")
    driver.configure(re_raise_bsc=True)

    def find(url: str) -> Path:
        return Path(url.removeprefix("file://"))

    directory = Path(lab.facts["file_store"])
    return DirectStore("file", driver, filesystem.StoreLocation, find, directory)


# The functions that make the stores, by the store's name in the lab's Glance.
MAKERS: dict[str, Callable[[Lab], DirectStore]] = {
    "fv1": ours,
    "peer": upstream_cinder,
    "file": upstream_file,
}


def _conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], project="glance", default_config_files=[CONFIG])
    return conf


def _volume_file(flexvol: Path) -> Callable[[str], Path]:
    return lambda url: flexvol / f"volume-{url.rpartition('/')[2]}"
