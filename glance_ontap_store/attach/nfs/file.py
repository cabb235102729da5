# SPDX-License-Identifier: Apache-2.0
"""An attached volume, opened: bytes at positions."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import errno
import os
import stat
import sys

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.nfs.connection import NfsConnection
from glance_ontap_store.attach.nfs.mounts import Mount
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.units import Extent

# The first bytes of a qcow2 file (QEMU docs/interop/qcow2.rst, "Header").
_QCOW2_MAGIC = b"QFI\xfb"


class FileDevice:
    """The backing file of a volume on a mounted FlexVol.

    Positional reads and writes, so that several threads may use it. It grows
    when written past its end. Errors of the operating system leave as OSError.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self.name = name

    def read_at(self, offset: int, length: int) -> bytes:
        """At most *length* bytes; fewer only at the end of the file."""
        data = os.pread(self._fd, length, offset)
        while data and len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def extent(self, offset: int) -> Extent:
        """By lseek(2); a file system that cannot tell has no holes.

        The file's position, which all threads share, is of no meaning here.
        """
        end = self.length()
        if offset >= end:
            return Extent(is_hole=False, end=sys.maxsize)
        try:
            data = os.lseek(self._fd, offset, os.SEEK_DATA)
            if data > offset:
                return Extent(is_hole=True, end=min(data, end))
            return Extent(is_hole=False, end=os.lseek(self._fd, offset, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from there to the end
                return Extent(is_hole=True, end=end)
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                return Extent(is_hole=False, end=sys.maxsize)
            raise

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """All of *data*."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset += written
            view = view[written:]

    def length(self) -> int:
        """In bytes."""
        return os.fstat(self._fd).st_size

    def ensure(self, size: int) -> None:
        """Make the file long enough for *size* bytes; a longer file stays as it is.

        The file gets the length of the volume that Cinder will report, in whole
        GiB. The owner of the attachment tells Cinder afterwards: an NFS file may be
        longer than Cinder believes.
        """
        length = units.gib_for(size) * units.GIB
        if self.length() < length:
            os.ftruncate(self._fd, length)

    def clear_from(self, offset: int) -> None:
        """Make every byte from *offset* on read as zero; keep the length."""
        length = self.length()
        if offset < length:
            os.ftruncate(self._fd, offset)
            os.ftruncate(self._fd, length)

    def is_blank(self) -> bool:
        """Whether the file is one hole, as far as the file system tells.

        NFS 4.2 can be asked for data. Older versions, and servers that lack the
        call, say that all is data; there a file without any used space is a hole.
        Where both say "data" it may be so, and this is False.
        """
        try:
            os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from there to the end
                return True
        return os.fstat(self._fd).st_blocks == 0

    def sync(self) -> None:
        """Return when what was written is on the array.

        fdatasync(2) leaves out times alone: the length, and where the blocks lie,
        are needed to read the data, and so are synced with it.
        """
        os.fdatasync(self._fd)

    def forget(self, offset: int, length: int) -> None:
        """Start to write dirty pages, drop clean ones (Linux, mm/fadvise.c)."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)

    def holds_qcow2(self) -> bool:
        """Whether the file begins as a qcow2 file does."""
        return self.read_at(0, len(_QCOW2_MAGIC)) == _QCOW2_MAGIC


@contextlib.contextmanager
def opened(
    nfs: NfsConnection,
    mounts_: Mounts,
    mode: str,
    change_owner: Callable[[str, int], None] = privilege.change_owner,
) -> Iterator[FileDevice]:
    """Mount the export and open the volume's file, mode ``ro`` or ``rw``.

    :raises errors.Broken: the export or the file is not there
    :raises errors.WriteDenied: this host may not open the file
    """
    with contextlib.ExitStack() as stack:
        mount = mounts_.use(nfs.export, nfs.options)
        stack.callback(mount.close)
        flags = os.O_RDWR if mode == "rw" else os.O_RDONLY
        try:
            fd = _open(mount, nfs.name, flags, change_owner, stack)
        except FileNotFoundError as error:
            raise errors.Broken(
                f"{nfs.export} has no file {nfs.name!r}, although Cinder says that the"
                " volume is there. Was it moved on the array?"
            ) from error
        except OSError as error:
            with errors.writing(f"{nfs.name} on {nfs.export}"):
                raise error
        stack.callback(os.close, fd)
        yield FileDevice(fd, f"{nfs.export}/{nfs.name}")


def _open(
    mount: Mount,
    name: str,
    flags: int,
    change_owner: Callable[[str, int], None],
    stack: contextlib.ExitStack,
) -> int:
    """Open the file; where only Cinder's user may, own it meanwhile.

    Cinder makes files 0660 when ``nas_secure_file_permissions`` is on. If the
    process dies meanwhile the file stays Glance's, and the volume's next
    attachment by Glance goes well all the same.
    """
    try:
        return mount.open(name, flags)
    except PermissionError:
        path = os.path.join(mount.path, name)
        status = os.lstat(path)
        if status.st_uid == os.geteuid() or not stat.S_ISREG(status.st_mode):
            raise
        change_owner(path, os.geteuid())
        stack.push(_giving_back(change_owner, path, status.st_uid))
        return mount.open(name, flags)


def _giving_back(
    change_owner: Callable[[str, int], None], path: str, uid: int
) -> Callable[..., None]:
    """An exit callback whose own failure does not hide an earlier error."""

    def leave(_cls: object, error: BaseException | None, _traceback: object) -> None:
        try:
            change_owner(path, uid)
        except Exception as failed:  # OSError, or what privsep raises
            text = (
                f"{path} could not be given back to user {uid}: {failed}. Cinder may"
                " not be able to use the volume."
            )
            if error is None:
                raise errors.WriteDenied(text) from failed
            errors.note(error, text)

    return leave
