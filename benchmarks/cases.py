# SPDX-License-Identifier: Apache-2.0
"""The cases: what is measured, and between what."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import os
from pathlib import Path
import threading
import time
from typing import Any

from benchmarks import apicalls
from benchmarks import measure
from benchmarks import memory
from benchmarks import peers
from benchmarks.glance import Cloud
from benchmarks.peers import Closing
from benchmarks.peers import Dd
from benchmarks.peers import Peer
from benchmarks.peers import Stored
from benchmarks.reader import GIB
from benchmarks.reader import MIB
from benchmarks.reader import Image
from benchmarks.reader import difference
from benchmarks.results import Sample
from benchmarks.running import CasePlan
from benchmarks.running import LinePlan
from benchmarks.running import Take
from lab import stores

READERS = 8
MANY = 20
READERS_TIMEOUT_S = 120
VOLUME_TIMEOUT_S = 600
STORES = ("fv1", "peer", "file")
LABELS = {
    "fv1": "this store",
    "peer": "upstream cinder",
    "file": "upstream file",
    "null": "limit: hashes only, on threads",
    "serial": "hashes only, in series",
    "dd": "limit: dd with fsync",
    "pread": "limit: pread loop",
}
Takes = Mapping[str, Take]


class Bench:
    """What all cases work with: the lab, its stores, and the sizes' scale."""

    def __init__(self, lab: Any, scale: float = 1) -> None:
        self.lab = lab
        self.scale = scale
        self.fv1: Path = lab.flexvol("fv1")

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The services; each of Glance's workers has used each store before."""
        cloud = Cloud(self.lab)
        for store in STORES:
            _several(functools.partial(_try_in_glance, cloud, store))
        return cloud

    @functools.cache  # noqa: B019 - lives as long as the process
    def peer(self, name: str) -> Peer:
        """The store, configured in this process and used once: tokens, the helper
        that runs as root, and imports are no part of a transfer."""
        peer = peers.MAKERS[name](self.lab)
        stored = peer.add(_SMALL)
        peers.drain(peer.get(stored))
        peer.delete(stored)
        return peer

    @functools.cache  # noqa: B019 - and keeps its multihash
    def image(self, gib: float, data_gib: float | None = None) -> Image:
        """An image of that size, scaled."""
        data = None if data_gib is None else self._scaled(data_gib)
        return Image(self._scaled(gib), data)

    @functools.cache  # noqa: B019 - and stays in the store until the lab ends
    def stored(self, store: str) -> Stored:
        """An image of 1 GiB, written by a call of the store; read once and compared."""
        peer = self.peer(store)
        stored = peer.add(self.image(1))
        _compare(peer.get(stored), self.image(1))
        return stored

    @functools.cache  # noqa: B019 - and stays in Glance until the lab ends
    def in_glance(self, store: str, image: Image) -> tuple[str, Path]:
        """The id of an image in Glance, and the file with its bytes."""
        image_id = self.cloud.create()
        self.cloud.upload(image_id, image, store, True)
        return image_id, self.cloud.path(image_id, store)

    def _scaled(self, gib: float) -> int:
        return max(MIB, int(gib * GIB * self.scale) // MIB * MIB)

    def unsynced(self, store: str) -> Path | None:
        """Where a store leaves dirty pages; None: it does not."""
        return {
            "peer": self.fv1,
            "file": Path(self.lab.facts["file_store"]),
        }.get(store)


# Of an image to try a store with.
_SMALL = Image(MIB)


def _several(do: Callable[[], None]) -> None:
    """Several calls at once, so that each of Glance's workers has some."""
    threads = [threading.Thread(target=do, daemon=True) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _try_in_glance(cloud: Cloud, store: str) -> None:
    image_id = cloud.create()
    cloud.upload(image_id, _SMALL, store, True)
    sum(cloud.download(image_id))
    cloud.delete_image(image_id, cloud.path(image_id, store))


# Uploads, by a call of the store.


def _store_uploads(
    gib: float, data_gib: float | None = None, is_size_known: bool = True
) -> Callable[[Bench], contextlib.AbstractContextManager[Takes]]:
    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        image = bench.image(gib, data_gib)

        def hashes(how: Callable[[Image], str], repeat: int) -> Sample:
            seconds, digest = measure.timed(lambda: how(image))
            assert digest == image.sha512
            return Sample(repeat, {"seconds": seconds})

        with contextlib.ExitStack() as stack:
            takes: dict[str, Take] = {
                name: functools.partial(
                    _store_upload, bench.peer(name), image, is_size_known
                )
                for name in STORES
            }
            takes["null"] = functools.partial(hashes, peers.hash_on_threads)
            takes["serial"] = functools.partial(hashes, peers.hash_in_series)
            if data_gib is None and is_size_known:
                dd = stack.enter_context(contextlib.closing(Dd(image, bench.fv1)))
                takes["dd"] = functools.partial(_dd, dd)
            yield takes

    return prepare


def _store_upload(peer: Peer, image: Image, is_size_known: bool, repeat: int) -> Sample:
    seconds, stored = measure.until_durable(
        lambda: peer.add(image, is_size_known), peer.unsynced
    )
    try:
        is_compared = repeat == 1 or not is_size_known
        return Sample(
            repeat,
            {
                "seconds": seconds,
                "stored_bytes": measure.stored_bytes(stored.path),
                "data_bytes": image.data_bytes,
            },
            wrong=_wrong(stored.path, stored.multihash, image, is_compared),
        )
    finally:
        peer.delete(stored)


def _dd(dd: Dd, repeat: int) -> Sample:
    seconds, _ = measure.timed(dd.run)
    dd.path.unlink()
    return Sample(repeat, {"seconds": seconds})


def _wrong(path: Path, multihash: str, image: Image, is_compared: bool) -> str:
    """What is wrong with an image as it was stored; "" if nothing is."""
    if is_compared and (offset := difference(path, image)) is not None:
        return f"stored bytes differ from offset {offset} on"
    if path.stat().st_size < image.size:
        return f"the file has only {path.stat().st_size} bytes"
    if multihash != image.sha512:
        return "the multihash is not that of the image"
    return ""


# Uploads, through Glance.


def _glance_uploads(
    gib: float,
    data_gib: float | None = None,
    is_size_known: bool = True,
    stores: Sequence[str] = STORES,
) -> Callable[[Bench], contextlib.AbstractContextManager[Takes]]:
    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        image = bench.image(gib, data_gib)
        yield {
            store: functools.partial(_glance_upload, bench, store, image, is_size_known)
            for store in stores
        }

    return prepare


def _glance_upload(
    bench: Bench,
    store: str,
    image: Image,
    is_size_known: bool,
    repeat: int,
) -> Sample:
    cloud = bench.cloud
    image_id = cloud.create()
    path = None
    try:
        seconds, _ = measure.until_durable(
            lambda: cloud.upload(image_id, image, store, is_size_known),
            bench.unsynced(store),
        )
        path = cloud.path(image_id, store)
        is_compared = repeat == 1 or not is_size_known
        wrong = _wrong(path, cloud.multihash(image_id), image, is_compared)
        return Sample(repeat, {"seconds": seconds}, wrong=wrong)
    finally:
        cloud.delete_image(image_id, path)


# Downloads.


def _first_and_all(stream: Iterator[Any], began: float) -> dict[str, float]:
    """Times from *began* to the first piece, from there on, and in all."""
    metrics: dict[str, float] = {}
    with contextlib.closing(Closing(stream)):
        for _piece in stream:
            metrics.setdefault("first_byte_s", time.monotonic() - began)
    metrics["seconds"] = time.monotonic() - began
    if "first_byte_s" in metrics:
        metrics["after_first_s"] = metrics["seconds"] - metrics["first_byte_s"]
    return metrics


def _compare(stream: Iterator[bytes], image: Image) -> None:
    offset = 0
    with contextlib.closing(Closing(stream)):
        for piece in stream:
            if piece != image.at(offset, len(piece)):
                raise ValueError(f"WRONG bytes read at {offset}")
            offset += len(piece)
    if offset != image.size:
        raise ValueError(f"WRONG: {offset} bytes read of {image.size}")


def _store_downloads(
    is_cold: bool,
) -> Callable[[Bench], contextlib.AbstractContextManager[Takes]]:
    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        def sample(store: str, repeat: int) -> Sample:
            stored = bench.stored("fv1" if store == "pread" else store)
            _warm_or_cold(stored.path, is_cold)
            began = time.monotonic()
            stream = (
                peers.pread(stored.path, stored.size)
                if store == "pread"
                else bench.peer(store).get(stored)
            )
            return Sample(repeat, _first_and_all(stream, began))

        yield {store: functools.partial(sample, store) for store in (*STORES, "pread")}

    return prepare


def _warm_or_cold(path: Path, is_cold: bool) -> None:
    """Whatever earlier readers did to the page cache: all of the file is in it, or
    nothing."""
    os.sync()
    if is_cold:
        measure.make_cold(path)
    else:
        peers.drain(peers.pread(path, path.stat().st_size))


@contextlib.contextmanager
def _glance_downloads(bench: Bench) -> Iterator[Takes]:
    def sample(store: str, repeat: int) -> Sample:
        image_id, path = bench.in_glance(store, bench.image(1))
        _warm_or_cold(path, False)
        began = time.monotonic()
        return Sample(repeat, _first_and_all(bench.cloud.download(image_id), began))

    yield {store: functools.partial(sample, store) for store in STORES}


# Many readers.


def _together(size: int, read: Callable[[], int], readers: int, repeat: int) -> Sample:
    """*readers* threads that each *read* all; time until the last one has ended."""
    counts: list[int] = []
    errors: list[BaseException] = []

    def one() -> None:
        try:
            counts.append(read())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _reader in range(readers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + READERS_TIMEOUT_S - time.monotonic()))
    seconds = time.monotonic() - began
    late = sum(thread.is_alive() for thread in threads)
    finished = counts.count(size)
    note = ""
    if finished < readers:
        note = f"{finished} of {readers} finished"
        if late:
            note += f", {late} not within {READERS_TIMEOUT_S} s"
        if errors:
            note += f"; {_in_short(errors[0])}"
        for thread in threads:
            thread.join(READERS_TIMEOUT_S)
    metrics = {"finished": float(finished), "readers": float(readers)}
    if finished:
        metrics |= {"seconds": seconds, "bytes_per_s": finished * size / seconds}
    return Sample(repeat, metrics, note=note)


def _in_short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]


@contextlib.contextmanager
def _store_readers(bench: Bench) -> Iterator[Takes]:
    def sample(store: str, readers: int, repeat: int) -> Sample:
        stored = bench.stored(store)
        peer = bench.peer(store)
        _warm_or_cold(stored.path, False)
        return _together(
            stored.size, lambda: peers.drain(peer.get(stored)), readers, repeat
        )

    yield _readers_takes(sample)


@contextlib.contextmanager
def _glance_readers(bench: Bench) -> Iterator[Takes]:
    image = bench.image(1)

    def sample(store: str, readers: int, repeat: int) -> Sample:
        image_id, path = bench.in_glance(store, image)
        _warm_or_cold(path, False)
        return _together(
            image.size, lambda: sum(bench.cloud.download(image_id)), readers, repeat
        )

    yield _readers_takes(sample)


def _readers_takes(sample: Callable[[str, int, int], Sample]) -> Takes:
    return {
        "fv1-1": functools.partial(sample, "fv1", 1),
        **{
            f"{store}-{READERS}": functools.partial(sample, store, READERS)
            for store in STORES
        },
    }


# Volumes.

SIZES_GIB = (1, 4, 16)


def _volumes_on(
    flexvol: str, lines: Sequence[LinePlan]
) -> Callable[[Bench], contextlib.AbstractContextManager[Takes]]:
    @contextlib.contextmanager
    def prepare(bench: Bench) -> Iterator[Takes]:
        # Cinder's services have done it once.
        _volume(bench, "fv1", _SMALL, flexvol, 1)
        takes = {}
        for line in lines:
            store, _, gib = line.name.partition("-")
            # A quarter is data, at most 1 GiB.
            image = bench.image(int(gib), min(1.0, int(gib) / 4))
            takes[line.name] = functools.partial(_volume, bench, store, image, flexvol)
        yield takes

    return prepare


def _volume(
    bench: Bench, store: str, image: Image, flexvol: str, repeat: int
) -> Sample:
    image_id, _path = bench.in_glance(store, image)
    seconds, made = _make_volumes(bench, image_id, image, flexvol, 1)
    try:
        wrong = ""
        if repeat == 1:
            path = bench.lab.flexvol(flexvol) / f"volume-{made[0]}"
            offset = difference(path, image)
            wrong = "" if offset is None else f"bytes differ from offset {offset} on"
        return Sample(repeat, {"seconds": seconds}, wrong=wrong)
    finally:
        _delete_volumes(bench, image_id, flexvol, made)


def _make_volumes(
    bench: Bench, image_id: str, image: Image, flexvol: str, count: int
) -> tuple[float, list[str]]:
    """Seconds from the first request until all are available, and their ids."""
    cloud = bench.cloud
    made: list[str] = []

    def make() -> None:
        for _number in range(count):
            gib = -(-image.size // GIB)
            made.append(cloud.create_volume(image_id, gib, flexvol))
        cloud.wait_available(made, VOLUME_TIMEOUT_S)

    try:
        seconds, _ = measure.timed(make)
    except BaseException:
        _delete_volumes(bench, image_id, flexvol, made)
        raise
    return seconds, made


def _delete_volumes(
    bench: Bench, image_id: str, flexvol: str, volume_ids: list[str]
) -> None:
    """And what NetApp's driver keeps for next time, which would then be a clone."""
    bench.cloud.delete_volumes(volume_ids)
    cache = bench.lab.flexvol(flexvol) / f"img-cache-{image_id}"
    cache.unlink(missing_ok=True)


@contextlib.contextmanager
def _many_volumes(bench: Bench) -> Iterator[Takes]:
    image = bench.image(1)

    def sample(store: str, repeat: int) -> Sample:
        image_id, _path = bench.in_glance(store, image)
        before = measure.used_bytes(bench.fv1)
        seconds, made = _make_volumes(bench, image_id, image, "fv1", MANY)
        try:
            new = measure.used_bytes(bench.fv1) - before
            return Sample(repeat, {"seconds": seconds, "new_bytes": float(new)})
        finally:
            _delete_volumes(bench, image_id, "fv1", made)

    yield {store: functools.partial(sample, store) for store in ("fv1", "peer")}


# Memory.


@contextlib.contextmanager
def _memory_of_uploads(bench: Bench) -> Iterator[Takes]:
    size = bench.image(0.5).size

    def sample(store: str, repeat: int) -> Sample:
        return Sample(repeat, {"peak_bytes": memory.of_upload(store, size)})

    yield {store: functools.partial(sample, store) for store in ("null", *STORES)}


@contextlib.contextmanager
def _memory_of_downloads(bench: Bench) -> Iterator[Takes]:
    def sample(store: str, repeat: int) -> Sample:
        stored = bench.stored("fv1" if store == "null" else store)
        return Sample(repeat, {"peak_bytes": memory.of_download(store, stored)})

    yield {store: functools.partial(sample, store) for store in ("null", *STORES)}


# Requests.


@contextlib.contextmanager
def _requests(bench: Bench) -> Iterator[Takes]:
    yield {
        f"{store}-{kind}": functools.partial(
            _count_requests, bench, store, kind == "known"
        )
        for store in ("fv1", "peer")
        for kind in ("known", "unknown")
    }


def _count_requests(
    bench: Bench, store: str, is_size_known: bool, repeat: int
) -> Sample:
    """Requests to Cinder's API of an upload, a download and a deletion."""
    peer = bench.peer(store)
    image = bench.image(2.5)
    metrics: dict[str, float] = {}
    prefix = "ontap" if store == "fv1" else "cinder"
    user = stores.option(store, f"{prefix}_store_user_name")

    def counted(what: str, do: Callable[[], Any]) -> Any:
        before = len(_settled_log(bench))
        result = do()
        found = apicalls.count(_settled_log(bench)[before:], user)
        metrics[f"{what}_requests"] = found.requests
        metrics[f"{what}_polls"] = found.polls
        return result

    stored = counted("upload", lambda: peer.add(image, is_size_known))
    counted("download", lambda: peers.drain(peer.get(stored)))
    counted("delete", lambda: peer.delete(stored))
    return Sample(repeat, metrics)


def _settled_log(bench: Bench) -> list[dict[str, Any]]:
    """Cinder's request log; a line may come a moment after the answer."""
    entries: list[dict[str, Any]] = bench.lab.cinder_requests()
    while True:
        time.sleep(0.3)
        again = bench.lab.cinder_requests()
        if len(again) == len(entries):
            return entries
        entries = again


# The list.


def _line(name: str, about_s: float, unit: str = "") -> LinePlan:
    """A line named for its store and, behind a hyphen, its variant of *unit*."""
    store, _, variant = name.partition("-")
    label = LABELS[store] + (f", {variant} {unit}" if variant else "")
    return LinePlan(name, label, about_s)


_SAME = tuple(
    _line(name, 2, unit="GiB")
    for name in ("fv1-1", "peer-1", "fv1-4", "peer-4", "fv1-16", "peer-16")
)
_OTHER = (
    _line("fv1-1", 6, unit="GiB"),
    _line("peer-1", 7, unit="GiB"),
    _line("fv1-4", 24, unit="GiB"),
    _line("peer-4", 24, unit="GiB"),
    _line("fv1-16", 65, unit="GiB"),
    _line("peer-16", 80, unit="GiB"),
)
_READERS = (
    LinePlan("fv1-1", f"{LABELS['fv1']}, 1 reader", 1),
    _line(f"fv1-{READERS}", 3, unit="readers"),
    # Takes as long as its retries, whatever the image's size.
    _line(f"peer-{READERS}", 26, unit="readers"),
    _line(f"file-{READERS}", 3, unit="readers"),
)

CASES = (
    CasePlan(
        "store-upload",
        "store",
        "Upload of 1 GiB random data, size known",
        (
            _line("fv1", 6),
            _line("peer", 10),
            _line("file", 8),
            _line("null", 2),
            _line("serial", 3),
            _line("dd", 3),
        ),
        _store_uploads(1),
        lambda bench: bench.image(1).size,
        "peer",
        10,
    ),
    CasePlan(
        "store-sparse",
        "store",
        "Upload of 8 GiB with 1 GiB of data, size known",
        (
            _line("fv1", 16),
            _line("peer", 37),
            _line("file", 35),
            _line("null", 15),
            _line("serial", 22),
        ),
        _store_uploads(8, 1),
        lambda bench: bench.image(8, 1).size,
        "peer",
    ),
    CasePlan(
        "store-unknown",
        "store",
        "Upload of 2.5 GiB random data, size unknown",
        (
            _line("fv1", 8),
            _line("peer", 15),
            _line("file", 10),
            _line("null", 4),
            _line("serial", 7),
        ),
        _store_uploads(2.5, is_size_known=False),
        lambda bench: bench.image(2.5).size,
        "peer",
    ),
    CasePlan(
        "store-download",
        "store",
        "Download of 1 GiB, warm: the file is in the page cache",
        (_line("fv1", 2), _line("peer", 2), _line("file", 2), _line("pread", 1)),
        _store_downloads(is_cold=False),
        lambda bench: bench.image(1).size,
        "peer",
        30,
    ),
    CasePlan(
        "store-download-cold",
        "store",
        "Download of 1 GiB, cold: dropped from the page cache (posix_fadvise)",
        (_line("fv1", 2), _line("peer", 2), _line("file", 2), _line("pread", 2)),
        _store_downloads(is_cold=True),
        lambda bench: bench.image(1).size,
        "peer",
    ),
    CasePlan(
        "store-readers",
        "store",
        f"{READERS} downloads of one image of 1 GiB at once, warm",
        _READERS,
        _store_readers,
        baseline="peer",
    ),
    CasePlan(
        "glance-upload",
        "glance",
        "Upload of 1 GiB random data, size known",
        (_line("fv1", 5), _line("peer", 9), _line("file", 7)),
        _glance_uploads(1),
        lambda bench: bench.image(1).size,
        "peer",
        20,
    ),
    CasePlan(
        "glance-sparse",
        "glance",
        "Upload of 8 GiB with 1 GiB of data, size known",
        (_line("fv1", 20), _line("peer", 46)),
        _glance_uploads(8, 1, stores=("fv1", "peer")),
        lambda bench: bench.image(8, 1).size,
        "peer",
    ),
    CasePlan(
        "glance-unknown",
        "glance",
        "Upload of 2.5 GiB random data, size unknown",
        (_line("fv1", 10), _line("peer", 17), _line("file", 18)),
        _glance_uploads(2.5, is_size_known=False),
        lambda bench: bench.image(2.5).size,
        "peer",
    ),
    CasePlan(
        "glance-download",
        "glance",
        "Download of 1 GiB, warm: the file is in the page cache",
        (_line("fv1", 2), _line("peer", 2), _line("file", 2)),
        _glance_downloads,
        lambda bench: bench.image(1).size,
        "peer",
        35,
    ),
    CasePlan(
        "glance-readers",
        "glance",
        f"{READERS} downloads of one image of 1 GiB at once, warm",
        _READERS,
        _glance_readers,
        baseline="peer",
    ),
    CasePlan(
        "volume-same",
        "glance",
        "Volume from an image on the same FlexVol",
        _SAME,
        _volumes_on("fv1", _SAME),
        baseline="peer",
        about_prepare_s=200,
    ),
    CasePlan(
        "volume-other",
        "glance",
        "Volume from an image on another FlexVol",
        _OTHER,
        _volumes_on("fv2", _OTHER),
        baseline="peer",
        about_prepare_s=10,
    ),
    CasePlan(
        "volumes-many",
        "glance",
        f"{MANY} volumes at once from one image of 1 GiB on the same FlexVol",
        (_line("fv1", 12), _line("peer", 12)),
        _many_volumes,
        baseline="peer",
    ),
    CasePlan(
        "memory-upload",
        "store",
        "Peak memory of an upload of 512 MiB, in a new process",
        (LinePlan("null", "no store", 5), *(_line(name, 5) for name in STORES)),
        _memory_of_uploads,
        baseline="null",
    ),
    CasePlan(
        "memory-download",
        "store",
        "Peak memory of a download of 1 GiB, in a new process",
        (LinePlan("null", "no store", 4), *(_line(name, 4) for name in STORES)),
        _memory_of_downloads,
        baseline="null",
    ),
    CasePlan(
        "requests",
        "store",
        "Requests to Cinder's API, for an image of 2.5 GiB",
        tuple(
            # They do not differ from one repeat to the next, but for polls.
            LinePlan(f"{store}-{kind}", f"{LABELS[store]}, size {kind}", 15, 1)
            for store in ("fv1", "peer")
            for kind in ("known", "unknown")
        ),
        _requests,
    ),
)
