# SPDX-License-Identifier: Apache-2.0
"""Stores called directly in this process: ours, upstream's, and limits."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import subprocess
from types import SimpleNamespace
from typing import Any
import uuid

from glance_store import location
from glance_store._drivers import filesystem
from glance_store._drivers.cinder import store as upstream
from oslo_config import cfg

from benchmarks import measure
from benchmarks.reader import BLOCK
from benchmarks.reader import Image
from benchmarks.reader import Reader
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.digests import Digests
from lab import stores

ALGORITHM = "sha512"
PROJECT = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Stored:
    """An image in a store: its URL, its multihash, and the file with its bytes."""

    url: str
    size: int
    multihash: str
    path: Path


class Peer:
    """A configured store. *unsynced* is a path on its file system if its `add`
    leaves dirty pages."""

    def __init__(
        self,
        name: str,
        store: Any,
        location_class: Any,
        find: Callable[[str], Path],
        unsynced: Path | None,
    ) -> None:
        self.name = name
        self.unsynced = unsynced
        self._store = store
        self._location_class = location_class
        self._find = find

    def add(self, image: Image, is_size_known: bool = True) -> Stored:
        """What Glance does for an upload."""
        url, size, _md5, multihash, _metadata = self._store.add(
            str(uuid.uuid4()),
            Reader(image),
            image.size if is_size_known else 0,
            ALGORITHM,
            context=SimpleNamespace(project_id=PROJECT, user_id=PROJECT),
        )
        return Stored(url, size, multihash, self._find(url))

    def get(self, stored: Stored) -> Iterator[bytes]:
        """What Glance does for a download; to be read to its end or closed."""
        stream, _size = self._store.get(self._location(stored))
        return iter(stream)

    def delete(self, stored: Stored) -> None:
        """Returns when the bytes are gone from the file system."""
        self.ask_delete(stored)
        measure.wait_until(
            lambda: not stored.path.exists(), f"{stored.path} is deleted", 120
        )

    def ask_delete(self, stored: Stored) -> None:
        """What Glance does for a deletion."""
        self._store.delete(self._location(stored))

    def _location(self, stored: Stored) -> location.Location:
        return location.Location(
            stored.url.partition(":")[0],
            self._location_class,
            self._store.conf,
            uri=stored.url,
            backend=self.name,
        )


def ours(lab: Any, name: str = "fv1") -> Peer:
    """This package's store, as the lab's Glance has it."""
    store = stores.make_store(lab, name)
    find = _volume_file(lab.flexvol(name))
    return Peer(name, store, StoreLocation, find, None)


def upstream_cinder(lab: Any) -> Peer:
    """glance_store's cinder store. Its mounts are apart from those of Glance."""
    stores.prepare_privileges(lab)
    conf = _conf()
    # The constructor registers the options.
    store = upstream.Store(conf, backend="peer")
    mounts = Path(lab.facts["root"], "data", "bench-mnt")
    mounts.mkdir(exist_ok=True)
    conf.set_override("cinder_mount_point_base", str(mounts), group="peer")
    store.configure(re_raise_bsc=True)
    flexvol = lab.flexvol("fv1")
    return Peer("peer", store, upstream.StoreLocation, _volume_file(flexvol), flexvol)


def upstream_file(lab: Any) -> Peer:
    """glance_store's file store, on a file system like a FlexVol's."""
    store = filesystem.Store(_conf(), backend="file")
    store.configure(re_raise_bsc=True)

    def find(url: str) -> Path:
        return Path(url.removeprefix("file://"))

    directory = Path(lab.facts["file_store"])
    return Peer("file", store, filesystem.StoreLocation, find, directory)


MAKERS = {"fv1": ours, "peer": upstream_cinder, "file": upstream_file}


def _conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], project="glance", default_config_files=[stores.CONFIG])
    return conf


def _volume_file(flexvol: Path) -> Callable[[str], Path]:
    return lambda url: flexvol / f"volume-{url.rpartition('/')[2]}"


class _Discard:
    """A sink that does nothing: what remains is reading and hashing."""

    def write(self, data: bytes | memoryview) -> None:
        pass

    def finish(self) -> None:
        pass


def hash_on_threads(image: Image) -> str:
    """This store's pipeline without a device; the multihash."""
    digests = Digests(ALGORITHM)
    sink: Any = _Discard()
    pipeline.run(Reader(image), image.size, digests, sink)
    return digests.multihash()


def hash_in_series(image: Image) -> str:
    """md5 and multihash one after the other, as upstream's stores do."""
    md5 = hashlib.md5(usedforsecurity=False)
    multihash = hashlib.new(ALGORITHM)
    reader = Reader(image)
    while block := reader.read(BLOCK):
        md5.update(block)
        multihash.update(block)
    return multihash.hexdigest()


class Dd:
    """dd(1) of an image that lies in memory, into a file of a FlexVol."""

    def __init__(self, image: Image, flexvol: Path) -> None:
        self.path = flexvol / "benchmark-dd"
        # Without a name: nothing to clean up, however the process ends.
        self._source = os.memfd_create("benchmark")
        offset = 0
        while piece := image.piece(offset, BLOCK):
            offset += os.write(self._source, piece)

    def run(self) -> None:
        """Returns when the bytes are durable."""
        subprocess.run(
            [
                "dd", f"if=/proc/self/fd/{self._source}", f"of={self.path}",
                "bs=4M", "conv=fsync", "status=none",
            ],
            pass_fds=[self._source],
            check=True,
        )  # fmt: skip

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._source)


def pread(path: Path, size: int) -> Iterator[bytes]:
    """The plainest way to read *size* bytes of a file."""
    with open(path, "rb", buffering=0) as file:
        for offset in range(0, size, BLOCK):
            yield os.pread(file.fileno(), min(BLOCK, size - offset), offset)


def drain(stream: Iterator[bytes]) -> int:
    """Read to the end; the number of bytes."""
    count = 0
    with contextlib.closing(Closing(stream)):
        for piece in stream:
            count += len(piece)
    return count


class Closing:
    """Closes what has a close; iterators need not have one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close:
            close()
