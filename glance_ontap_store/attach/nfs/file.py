# SPDX-License-Identifier: Apache-2.0
"""The open file of an NFS volume: bytes at positions."""

from collections.abc import Iterator
import contextlib
import errno
import os
import stat
import sys

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store import units
from glance_ontap_store.attach.nfs.connection import NfsConnection
from glance_ontap_store.attach.nfs.mount import Mount
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.positional import Positional
from glance_ontap_store.attach.transport import Access
from glance_ontap_store.units import Extent

LOG = logging.getLogger(__name__)

# The first bytes of a qcow2 file (QEMU docs/interop/qcow2.rst, "Header").
_QCOW2_MAGIC = b"QFI\xfb"


# NFS 4.2 asks the server with the rights of the process that asks. Reads and writes
# have those of the process that opened the file, which may be others.
_CANNOT_TELL = (errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM)


class FileDevice(Positional):
    """The backing file of a volume on a mounted FlexVol.

    It implements `transport.OpenVolume`. Reads and writes are positional, so that
    several threads may use it. It grows when it is written past its end.
    """

    is_file = True

    def __init__(self, fd: int, name: str, through_helper: bool = False) -> None:
        super().__init__(fd, name, errors.FILE)
        self._through_helper = through_helper

    def extent(self, offset: int) -> Extent:
        """Return where the hole or the data at *offset* ends, as lseek(2) says.

        A file system that cannot tell, or refuses to, has no holes. Threads share the
        position that lseek(2) moves, but nothing reads or writes there.
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
            if error.errno in _CANNOT_TELL:
                return Extent(is_hole=False, end=sys.maxsize)
            raise

    def length(self) -> int:
        """Return the file's length in bytes."""
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
        """Return whether the file is certainly one hole.

        With NFS 4.2 the server can say where data is. Older versions, and servers
        without that call, report the whole file as data; then a file that uses no
        space is a hole. If both ways report data the answer is False.
        """
        try:
            os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from there to the end
                return True
        return os.fstat(self._fd).st_blocks == 0

    def sync(self) -> None:
        """Return when all written data and the length are on the array.

        fdatasync(2) leaves out only what reading does not need, such as times.
        """
        os.fdatasync(self._fd)

    def access(self) -> Access:
        """Return by which rights the file was opened."""
        status = os.fstat(self._fd)
        return Access(
            owner=status.st_uid,
            group=status.st_gid,
            mode=stat.S_IMODE(status.st_mode) & 0o777,
            through_helper=self._through_helper,
        )

    def holds_qcow2(self) -> bool:
        """Return whether the file begins with the qcow2 magic."""
        return self.read_at(0, len(_QCOW2_MAGIC)) == _QCOW2_MAGIC


@contextlib.contextmanager
def opened(nfs: NfsConnection, mounts: Mounts, mode: str) -> Iterator[FileDevice]:
    """Mount the export and open the volume's file, mode ``ro`` or ``rw``.

    :raises errors.Misconfigured: the directory of the mounts cannot be used
    :raises errors.Broken: the export or the file is not there, or the file is not
        a regular one
    :raises errors.WriteDenied: this host may not open the file
    :raises errors.NoSpace: the file's last bytes did not fit, as closing it reports
    """
    name = f"{nfs.export}/{nfs.name}"
    with contextlib.ExitStack() as stack:
        mount = mounts.use(nfs.export, nfs.options)
        undo.always(stack, f"stop using the mount of {nfs.export}", mount.close)
        flags = os.O_RDWR if mode == "rw" else os.O_RDONLY
        try:
            fd, through_helper = _open(mount, nfs.name, flags)
        except FileNotFoundError as error:
            raise errors.FileMissing(
                f"{nfs.export} has no file {nfs.name!r}, although Cinder says that the"
                " volume is there. Was it moved on the array?"
            ) from error
        except OSError as error:
            with errors.writing(name):
                raise error
        undo.always(stack, f"close {name}", lambda: _close(fd, name))
        yield FileDevice(fd, name, through_helper)


def _close(fd: int, name: str) -> None:
    # NFS may report here that earlier writes failed.
    with errors.writing(name):
        os.close(fd)


def _open(mount: Mount, name: str, flags: int) -> tuple[int, bool]:
    """Return a descriptor of the file, and whether the helper opened it.

    Cinder gives files the mode 0660 when ``nas_secure_file_permissions`` is on. Where
    Glance's user may not open such a file, the helper does so as the file's owner.
    The file itself stays as it is, so nothing must be undone, also after a crash.
    """
    try:
        return mount.open(name, flags), False
    except PermissionError as denied:
        try:
            opened = mount.open_as_owner(name, flags)
        except PermissionError as error:
            raise errors.WriteDenied(
                f"{mount.export}/{name} was opened neither as Glance's user"
                f" {os.geteuid()} ({denied.strerror}) nor, by the helper, as the"
                f" file's owner ({error}). Add Glance's user to Cinder's group on this"
                " host and on the SVM, or correct the file's owner and mode. Check that"
                " the export policy lets this host write, and accepts sec=sys."
            ) from error
        LOG.debug("The helper opened %s/%s as its owner", mount.export, name)
        return opened, True
