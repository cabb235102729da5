# SPDX-License-Identifier: Apache-2.0
"""The files in which a process records: it takes over those of one that is dead.

A process holds flock(2) on ``slot-<n>`` of the directory until it dies, and records in
the files ``*_<n>.db`` of prometheus_client's multiprocess mode. The library names them
after process ids, so that the files of dead workers stay for ever: their counters
must not go down. Here the next process counts on in them. So there are never more files
than processes at once, and ids of processes in containers do not matter.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import stat
import sys

from oslo_log import log as logging
from prometheus_client import mmap_dict

from glance_ontap_store.telemetry import catalogue

LOG = logging.getLogger(__name__)

_LOCK = "slot-"
# More processes than any host has. It ends the search where nothing can be locked.
_MOST = 1000
# The beginnings of the names of files, by the library.
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_mostrecent")
_FIRST_ROOM = 64 * 1024
# One time series with its buckets needs less.
_STEP = 16 * 1024
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Slot:
    """The files of this process, from now until `close` or its death.

    *most* are tried.

    :raises OSError: the directory cannot be used
    """

    def __init__(self, directory: str, most: int = _MOST) -> None:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        if os.stat(directory).st_mode & stat.S_IWOTH:
            raise PermissionError(f"every user may write in {directory}")
        self.directory = directory
        self.number, self._fd = _claimed(directory, most)

    def make_room(self) -> None:
        """Allocate room for another time series in each file.

        The library makes its files longer without allocating the bytes, and writes
        through memory. If the file system is full by then, the kernel kills the
        process (SIGBUS). So the room is there before, and this fails instead.

        :raises OSError: there is no room
        """
        for kind in _KINDS:
            _allocate(_path(self.directory, kind, self.number))

    def close(self) -> None:
        """Let another process take the files over."""
        # A child that was forked just now may have a copy.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)

    def forget(self) -> None:
        """Leave the files to the parent, in a child that was forked just now."""
        os.close(self._fd)


def live_and_free(directory: str) -> tuple[list[str], list[str]]:
    """Return the numbers of slots that a live process holds, and of all others.

    Slots of a release with other metrics are left out.
    """
    live, free = [], []
    for path in glob.glob(os.path.join(glob.escape(directory), f"{_LOCK}*")):
        with _opened(path, os.O_RDONLY) as fd:
            number = os.path.basename(path).removeprefix(_LOCK)
            if not _got(fd, fcntl.LOCK_SH):
                live.append(number)
            elif _is_current(fd):
                free.append(number)
    return sorted(live), sorted(free)


def files(directory: str) -> tuple[list[str], int]:
    """Return the sound files that count, and the number of live processes."""
    live, free = live_and_free(directory)
    found = [
        path
        for numbers, kinds in (
            (live, _KINDS),
            # What a dead process had running does not run.
            (free, [kind for kind in _KINDS if "live" not in kind]),
        )
        for number in numbers
        for kind in kinds
        if os.path.exists(path := _path(directory, kind, number))
    ]
    return [path for path in found if _is_sound(path)], len(live)


def _claimed(directory: str, most: int) -> tuple[str, int]:
    for number in map(str, range(most)):
        path = os.path.join(directory, f"{_LOCK}{number}")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o644)
        except PermissionError:
            continue  # another user's
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, fd)
            if not _got(fd, fcntl.LOCK_EX):
                continue
            try:
                _prepare(directory, number, fd)
            except PermissionError:
                continue
            stack.pop_all()
        return number, fd
    raise PermissionError(f"no file in {directory} can be locked")


def _prepare(directory: str, number: str, fd: int) -> None:
    """Keep what the dead process counted, and forget what it had running."""
    is_current = _is_current(fd)
    for kind in _KINDS:
        path = _path(directory, kind, number)
        if not os.path.exists(path):
            continue
        if "live" in kind or not is_current or not _is_sound(path):
            os.remove(path)
    if not is_current:
        os.ftruncate(fd, 0)
        os.pwrite(fd, _stamp(), 0)


def _stamp() -> bytes:
    """Name the metrics of this release: buckets of two releases do not add up."""
    known = [(m.name, m.kind.value, m.labels) for m in catalogue.METRICS]
    text = repr((known, catalogue.BUCKETS))
    return hashlib.sha256(text.encode()).hexdigest().encode()


def _is_current(fd: int) -> bool:
    return os.pread(fd, 256, 0) == _stamp()


def _is_sound(path: str) -> bool:
    """Return whether a file can be read: after a power failure it may not."""
    try:
        for key, *_ in mmap_dict.MmapedDict.read_all_values_from_file(path):
            _name, _sample, labels, _help = json.loads(key)
            _ = labels.items()
    except Exception as error:
        LOG.warning("%s is damaged, and is left out: %r", path, error)
        return False
    return True


def _path(directory: str, kind: str, number: str) -> str:
    return os.path.join(directory, f"{kind}_{number}.db")


def _allocate(path: str) -> None:
    with _opened(path, os.O_RDWR | os.O_CREAT) as fd:
        used = int.from_bytes(os.pread(fd, 4, 0), sys.byteorder)
        # The library doubles a file that is full: half of it has to be free.
        room = _FIRST_ROOM
        while room < 2 * (used + _STEP):
            room *= 2
        if os.fstat(fd).st_size < room:
            os.posix_fallocate(fd, 0, room)


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | _SAFE, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _got(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
