# SPDX-License-Identifier: Apache-2.0
"""The open block device of a volume: bytes at positions, and zeros that are proved."""

from collections.abc import Callable
import ctypes
import errno
import fcntl
import mmap
import os
import sys

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach.positional import Positional
from glance_ontap_store.attach.transport import Access
from glance_ontap_store.units import Extent

LOG = logging.getLogger(__name__)

# From <linux/falloc.h>.
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
# Zeros are written in pieces of this size, and looked at in samples of it. A device
# that failed is asked once more with such a piece.
_PIECE = 1024 * 1024
# A write past the page cache begins at a multiple of a block of any device.
_BLOCK = 4096
# Dirty pages of zeros are sent to the array after so many bytes.
_SYNC_AFTER = 128 * 1024 * 1024
# fallocate(2) for a device that cannot zero a range by itself.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_int64,
]


def punch(fd: int, offset: int, length: int) -> None:
    """Make a range of a device or a file read as zeros, without taking space.

    A block device does so itself, or this fails (fallocate(2), FALLOC_FL_PUNCH_HOLE:
    the kernel does not fall back to writing).

    :raises OSError: EOPNOTSUPP and others if the device cannot do it
    """
    if _libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write_past_cache(fd: int, offset: int, data: bytes) -> None:
    """Write whole blocks to a device, which answers itself.

    :raises OSError: what the device said
    """
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    # Its memory is aligned, as the kernel wants it.
    with mmap.mmap(-1, len(data)) as buffer:
        buffer.write(data)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        try:
            os.pwrite(fd, buffer, offset)
        finally:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)


class BlockDevice(Positional):
    """The device of a LUN or a namespace, open on this host.

    It implements `transport.OpenVolume`. *grow* extends the volume, and the host's
    device with it, to so many GiB. *is_thin*: the device takes no space for a range
    that it is told to zero, so that it is worth being told.
    """

    is_file = False

    def __init__(
        self,
        fd: int,
        name: str,
        remedies: errors.Remedies,
        grow: Callable[[int], object],
        is_thin: bool,
    ) -> None:
        super().__init__(fd, name, remedies)
        self._grow = grow
        self._is_thin = is_thin
        # The bytes up to here were zeroed by the device itself.
        self._is_blank = False
        # The end of the last data.
        self._written_to = 0

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of *data*, as `Positional.write_at`."""
        super().write_at(offset, data)
        if len(data):
            self._written_to = max(self._written_to, offset + len(data))

    def extent(self, offset: int) -> Extent:
        """Return that there are no holes: nothing tells of those of a device."""
        return Extent(is_hole=False, end=sys.maxsize)

    def length(self) -> int:
        """Return the device's length in bytes."""
        return os.lseek(self._fd, 0, os.SEEK_END)

    def ensure(self, size: int) -> None:
        """Extend the volume if *size* bytes do not fit, to the GiB that they need.

        It never becomes larger than the image needs: a smaller volume could not be a
        clone of it. New bytes read as zeros if the device was blank.

        :raises errors.NoSpace: no pool or quota has room
        :raises errors.Broken: the volume or the device did not grow
        """
        before = self.length()
        gib = units.gib_for(size)
        if before >= gib * units.GIB:
            return
        self._grow(gib)
        if self._is_blank and not self._zeroed(before, self.length() - before):
            self._write_zeros(before, self.length())

    def clear_from(self, offset: int) -> None:
        """Make every byte from *offset* on read as zero."""
        end = self.length()
        if offset < end:
            self._write_zeros(offset, end)

    def is_blank(self) -> bool:
        """Let the device zero itself; return whether it is certain that it did.

        A new volume of NetApp reads as zeros, but nothing proves it of the device
        that this host has. False if zeros would have to be sent, or would take space.
        """
        self._is_blank = self._zeroed(0, self.length())
        return self._is_blank

    def _zeroed(self, offset: int, length: int) -> bool:
        """Let the device zero a range; return whether that is proved.

        The kernel says that it is done, and both ends of the range are looked at.
        """
        if not self._is_thin:
            return False
        try:
            punch(self._fd, offset, length)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            LOG.info("%s does not zero a range itself: %s", self.name, error.strerror)
            return False
        last = max(offset, offset + length - _PIECE)
        if any(self.read_at(offset, min(_PIECE, length))) or any(
            self.read_at(last, offset + length - last)
        ):
            LOG.warning(
                "%s said that it zeroed a range, and does not read as zeros there:"
                " every byte is written",
                self.name,
            )
            return False
        return True

    def _write_zeros(self, offset: int, end: int) -> None:
        zeros = memoryview(bytes(_PIECE))
        synced = offset
        while offset < end:
            piece = zeros[: end - offset]
            self.write_at(offset, piece)
            offset += len(piece)
            if offset - synced >= _SYNC_AFTER:
                self.sync()
                self.forget(synced, offset - synced)
                synced = offset

    def sync(self) -> None:
        """Return when all written data is on the array, or raise what it reported.

        Linux has one error for all writes that failed behind the writer's back: EIO,
        also if the device said that it has no room (fs/buffer.c,
        mark_buffer_write_io_error). So the device is asked once more.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno == errno.EIO and self._is_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise

    def _is_full(self) -> bool:
        """Return whether the device says that it has no room for what came last."""
        end = -(-self._written_to // _BLOCK) * _BLOCK
        start = max(0, end - _PIECE)
        if start == end:
            return False
        try:
            write_past_cache(self._fd, start, self.read_at(start, end - start))
        except OSError as error:
            LOG.warning("%s failed, and says: %s", self.name, error.strerror)
            return error.errno == errno.ENOSPC
        return False

    def access(self) -> Access | None:
        """Return None: the volume is not a file."""
        return None

    def holds_qcow2(self) -> bool:
        """Return False: a LUN is always raw, whatever its bytes begin with."""
        return False
