# SPDX-License-Identifier: Apache-2.0
"""FlexVols as file systems: made, mounted, measured, cloned in, destroyed.

The real one is :class:`LoopFlexVol`: XFS with reflink on a loop file, which needs
root. :class:`DirectoryFlexVol` is a plain directory for the unit tests: where its
file system has no FICLONE, a clone is a copy and the space is only counted.
"""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import errno
import fcntl
import logging
import os
from pathlib import Path
import struct
import subprocess
import threading
from typing import Protocol

LOG = logging.getLogger(__name__)

FICLONE = 0x40049409
FICLONERANGE = 0x4020940D
FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 0x1
FIEMAP_EXTENT_LAST = 0x1
FIEMAP_EXTENT_UNKNOWN = 0x2
FIEMAP_EXTENT_SHARED = 0x2000

# The size of a block in ONTAP, and by default in XFS.
BLOCK_BYTES = 4096
# mkfs.xfs refuses less (xfsprogs 5.19 and later).
MIN_LOOP_BYTES = 300 << 20
COPY_CHUNK_BYTES = 4 << 20
_MOUNT_ATTEMPTS = 5
_NO_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV})


@dataclass(frozen=True)
class Usage:
    """Space of one FlexVol in bytes; shared blocks are counted once."""

    total: int
    used: int
    available: int


@dataclass(frozen=True)
class BlockRange:
    """A part of a file to clone, in blocks of 4 KiB."""

    source: int
    destination: int
    count: int


class FlexVol(Protocol):
    """The file system of a FlexVol, as the simulator needs it.

    Calls block until they are done, and raise the file system's OSError. Paths are
    absolute and lie in ``directory``; the caller checks this.
    """

    directory: Path

    def open(self) -> None:
        """Make it ready to use; what it holds from an earlier run stays."""

    def close(self) -> None:
        """Unmount. The data stays. A second call does nothing."""

    def destroy(self) -> None:
        """Unmount and remove the data."""

    def usage(self) -> Usage:
        """Measure."""

    def grow(self, size_bytes: int) -> None:
        """Make it larger, while mounted."""

    def clone(self, source: Path, destination: Path) -> None:
        """Make the destination share all blocks of the source, at its length.

        An existing destination keeps its inode and loses its data. One that was
        made here does not survive a failure.
        """

    def clone_range(self, source: Path, destination: Path, part: BlockRange) -> None:
        """Make a part of an existing destination share blocks of the source."""


class LoopFlexVol:
    """XFS with reflink on a sparse loop file beside its mount point.

    If the process dies after mounting, the mount stays unless it lies in a mount
    namespace of its own (as in the lab); the loop device goes with the mount
    (``mount -o loop`` sets autoclear).
    """

    def __init__(self, root: Path, name: str, size_bytes: int) -> None:
        self.directory = root / name
        self.image = root / f"{name}.img"
        self._size_bytes = size_bytes
        self._mounted = False

    def open(self) -> None:
        """Make the file system unless there is one, and mount it."""
        if self._size_bytes < MIN_LOOP_BYTES:
            raise OSError(errno.EINVAL, "a FlexVol on XFS needs 300 MiB or more")
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.directory.is_mount():
            LOG.warning("unmounting what a killed simulator left: %s", self.directory)
            _run("umount", "-l", str(self.directory))
        if not self.image.exists():
            self._make_file_system()
        self._mount()
        self._mounted = True
        self.directory.chmod(0o777)

    def _make_file_system(self) -> None:
        new = self.image.with_suffix(".new")
        with new.open("wb") as file:
            file.truncate(self._size_bytes)
        _run("mkfs.xfs", "-K", "-q", "-f", "-m", "reflink=1", str(new))
        new.rename(self.image)

    def _mount(self) -> None:
        # mount(8) asks for a free loop device and takes it in two steps: others
        # on the host may come between. "discard": deleted data leaves the file.
        command = ("mount", "-o", "loop,discard,noatime", self.image, self.directory)
        for attempt in range(1, _MOUNT_ATTEMPTS + 1):
            try:
                _run(*map(str, command))
            except OSError as error:
                if attempt == _MOUNT_ATTEMPTS:
                    raise
                LOG.warning("mount failed, trying again: %s", error)
            else:
                return

    def close(self) -> None:
        """Unmount, lazily if files in it are still open."""
        if not self._mounted:
            return
        self._mounted = False
        try:
            _run("umount", str(self.directory))
        except OSError as error:
            LOG.warning("FlexVol is busy, detaching it lazily: %s", error)
            _run("umount", "-l", str(self.directory))

    def destroy(self) -> None:
        """Unmount and remove mount point and loop file."""
        self.close()
        self.directory.rmdir()
        self.image.unlink()

    def usage(self) -> Usage:
        """Ask the file system: it counts a shared block once."""
        found = os.statvfs(self.directory)
        total = found.f_blocks * found.f_frsize
        free = found.f_bfree * found.f_frsize
        return Usage(total, total - free, found.f_bavail * found.f_frsize)

    def grow(self, size_bytes: int) -> None:
        """Grow the loop file, its device and the file system."""
        os.truncate(self.image, size_bytes)
        _run("losetup", "-c", _device_of(self.directory))
        _run("xfs_growfs", str(self.directory))
        self._size_bytes = size_bytes

    def clone(self, source: Path, destination: Path) -> None:
        """One FICLONE."""
        with _clone_files(source, destination) as (source_fd, destination_fd):
            fcntl.ioctl(destination_fd, FICLONE, source_fd)

    def clone_range(self, source: Path, destination: Path, part: BlockRange) -> None:
        """One FICLONERANGE."""
        with _range_files(source, destination) as (source_fd, destination_fd):
            _ficlonerange(source_fd, destination_fd, part)


class DirectoryFlexVol:
    """A plain directory, for tests without root. Its space is only counted.

    ``force_emulation`` leaves FICLONE out even where the file system has it.
    """

    def __init__(
        self, root: Path, name: str, size_bytes: int, force_emulation: bool = False
    ) -> None:
        self.directory = root / name
        self._size_bytes = size_bytes
        self._force_emulation = force_emulation

    def open(self) -> None:
        """Make the directory."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Nothing to unmount."""

    def destroy(self) -> None:
        """Remove what is in it."""
        remove_tree(self.directory)

    def usage(self) -> Usage:
        """Sum what the files take: a shared block counts as often as it is used."""
        used = sum(
            path.lstat().st_blocks * 512
            for path in self.directory.rglob("*")
            if path.is_file()
        )
        return Usage(self._size_bytes, used, max(0, self._size_bytes - used))

    def grow(self, size_bytes: int) -> None:
        """Only count differently."""
        self._size_bytes = size_bytes

    def clone(self, source: Path, destination: Path) -> None:
        """FICLONE where there is one, else a copy that keeps holes."""
        with _clone_files(source, destination) as (source_fd, destination_fd):
            if not self._emulate(
                lambda: fcntl.ioctl(destination_fd, FICLONE, source_fd)
            ):
                return
            copy_data(source_fd, destination_fd, lambda copied: None)

    def clone_range(self, source: Path, destination: Path, part: BlockRange) -> None:
        """FICLONERANGE where there is one, else a copy of the part."""
        with _range_files(source, destination) as (source_fd, destination_fd):
            if not self._emulate(
                lambda: _ficlonerange(source_fd, destination_fd, part)
            ):
                return
            data = os.pread(
                source_fd, part.count * BLOCK_BYTES, part.source * BLOCK_BYTES
            )
            os.pwrite(destination_fd, data, part.destination * BLOCK_BYTES)

    def _emulate(self, real: Callable[[], object]) -> bool:
        if self._force_emulation:
            return True
        try:
            real()
        except OSError as error:
            if error.errno in _NO_CLONE:
                return True
            raise
        return False


def _run(*command: str) -> str:
    """Run a program.

    :raises OSError: EIO with what the program said, if it fails
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise OSError(errno.EIO, f"{command[0]} exited {done.returncode}: {said}")
    return done.stdout


def _device_of(directory: Path) -> str:
    return _run("findmnt", "-n", "-o", "SOURCE", "--mountpoint", str(directory)).strip()


@contextmanager
def _clone_files(source: Path, destination: Path) -> Iterator[tuple[int, int]]:
    """Open both; the destination empty, with owner and mode of the source."""
    existed = destination.exists()
    source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        destination_fd = os.open(destination, flags, 0o600)
        try:
            _copy_attributes(source_fd, destination_fd)
            yield source_fd, destination_fd
        except BaseException:
            if not existed:
                destination.unlink()
            raise
        finally:
            os.close(destination_fd)
    finally:
        os.close(source_fd)


@contextmanager
def _copy_files(source: Path, destination: Path) -> Iterator[tuple[int, int]]:
    source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        destination_fd = os.open(destination, flags, 0o600)
        try:
            _copy_attributes(source_fd, destination_fd)
            yield source_fd, destination_fd
        finally:
            os.close(destination_fd)
    finally:
        os.close(source_fd)


@contextmanager
def _range_files(source: Path, destination: Path) -> Iterator[tuple[int, int]]:
    source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        destination_fd = os.open(destination, os.O_RDWR | os.O_NOFOLLOW)
        try:
            yield source_fd, destination_fd
        finally:
            os.close(destination_fd)
    finally:
        os.close(source_fd)


def _copy_attributes(source_fd: int, destination_fd: int) -> None:
    found = os.fstat(source_fd)
    if os.geteuid() == 0:
        os.fchown(destination_fd, found.st_uid, found.st_gid)
    os.fchmod(destination_fd, found.st_mode & 0o7777)


def _ficlonerange(source_fd: int, destination_fd: int, part: BlockRange) -> None:
    argument = struct.pack(
        "qQQQ",
        source_fd,
        part.source * BLOCK_BYTES,
        part.count * BLOCK_BYTES,
        part.destination * BLOCK_BYTES,
    )
    fcntl.ioctl(destination_fd, FICLONERANGE, argument)


def remove_tree(directory: Path) -> None:
    """Remove a directory and all in it, without following links."""
    for folder, names, files in os.walk(directory, topdown=False):
        for name in (*files, *names):
            path = Path(folder, name)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
    directory.rmdir()


class Cancelled(Exception):
    """A copy was told to stop."""


def copy_file(
    source: Path,
    destination: Path,
    progress: Callable[[int], None],
    stop: threading.Event,
) -> int:
    """Copy one file really, holes stay holes. Returns the bytes that it moved.

    ``progress`` is called with the bytes moved so far. The destination must not
    exist. A failure or a cancel leaves what was copied: Cinder's driver says that
    ONTAP does ("the REST cancel only stops the job and leaves the partial file").

    :raises Cancelled: ``stop`` was set meanwhile
    """
    with _copy_files(source, destination) as (source_fd, destination_fd):

        def step(copied: int) -> None:
            progress(copied)
            if stop.is_set():
                raise Cancelled

        copied = copy_data(source_fd, destination_fd, step)
        os.fsync(destination_fd)
        return copied


def copy_data(
    source_fd: int, destination_fd: int, progress: Callable[[int], None]
) -> int:
    """Copy the data of an open file into an empty one, at the same length."""
    length = os.fstat(source_fd).st_size
    copied = 0
    progress(copied)
    for start, end in data_extents(source_fd, length):
        offset = start
        while offset < end:
            wanted = min(COPY_CHUNK_BYTES, end - offset)
            chunk = os.pread(source_fd, wanted, offset)
            if not chunk:
                break
            written = os.pwrite(destination_fd, chunk, offset)
            offset += written
            copied += written
            progress(copied)
    os.ftruncate(destination_fd, length)
    return copied


def data_extents(fd: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each extent that is not a hole."""
    offset = 0
    while offset < length:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end
        offset = end


def unshared_bytes(path: Path) -> int:
    """Return the bytes that only this file uses, as FIEMAP tells.

    Without FIEMAP (tmpfs) all its blocks count.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        extents = list(_fiemap(fd))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
            return path.stat().st_blocks * 512
        raise
    finally:
        os.close(fd)
    return sum(size for size, flags in extents if not flags & FIEMAP_EXTENT_SHARED)


def _fiemap(fd: int) -> Iterator[tuple[int, int]]:
    """Yield (bytes, flags) of each extent that has blocks."""
    header, extent, room = struct.Struct("=QQLLLL"), struct.Struct("=QQQQQLLLL"), 256
    start = 0
    while True:
        buffer = bytearray(header.size + room * extent.size)
        header.pack_into(
            buffer, 0, start, 2**63 - 1 - start, FIEMAP_FLAG_SYNC, 0, room, 0
        )
        fcntl.ioctl(fd, FS_IOC_FIEMAP, buffer)
        mapped = header.unpack_from(buffer)[3]
        for n in range(mapped):
            found = extent.unpack_from(buffer, header.size + n * extent.size)
            logical, _, size, _, _, flags = found[:6]
            if not flags & FIEMAP_EXTENT_UNKNOWN:
                yield size, flags
            if flags & FIEMAP_EXTENT_LAST:
                return
            start = logical + size
        if not mapped:
            return
