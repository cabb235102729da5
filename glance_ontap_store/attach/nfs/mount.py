# SPDX-License-Identifier: Apache-2.0
"""One mounted NFS export: its files are opened, and only on the mount itself."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import stat
from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.attach.answering import Answering


class Mounter(Protocol):
    """Mounts and unmounts exports, and knows nothing of their users."""

    def mount_point(self, export: str) -> str:
        """Return the directory for *export*, the same in every process."""

    def shared_base(self) -> str | None:
        """Return which file system of several hosts the base is on, in words; or None.

        The server is not asked.
        """

    def filesystem(self, export: str) -> str | None:
        """Return which file system is mounted for *export*, in words; or None.

        The words are the same in every process, and the same again after the
        export was unmounted and mounted. The server is not asked.
        """

    def mount(self, export: str, options: str) -> None:
        """Create the mount point if it is missing, and mount.

        :raises errors.Broken: it cannot be mounted
        """

    def unmount(self, export: str) -> None:
        """Unmount *export*.

        :raises errors.Broken: it cannot be unmounted
        """

    def open_root(self, export: str) -> int:
        """Return a descriptor of the mount point's directory.

        :raises OSError: as open(2), for example if the server is gone
        """

    def open_as_owner(self, export: str, name: str, flags: int) -> int:
        """Return a descriptor of file *name*, opened with the rights of its owner.

        *flags* are O_RDONLY or O_RDWR. The file keeps its owner and its mode.

        :raises PermissionError: its owner may not open it either
        :raises OSError: as open(2)
        :raises errors.WriteDenied: it belongs to root
        :raises errors.Broken: the file is not a regular one, or the helper failed
        """


class Mount:
    """A mounted export, which stays mounted until `close`.

    *device* is st_dev of the mounted file system: a file elsewhere is not on the
    FlexVol. *release* is called once, by `close`.
    """

    def __init__(
        self,
        export: str,
        path: str,
        device: int,
        mounter: Mounter,
        answering: Answering,
        release: Callable[[], None],
    ) -> None:
        self.export = export
        self.path = path
        self.device = device
        self._mounter = mounter
        self._answering = answering
        self._release: Callable[[], None] | None = release

    def open(self, name: str, flags: int) -> int:
        """Return a file descriptor of the existing regular file *name*.

        The file is opened relative to the mount's own directory. An unmount at the
        same time cannot lead to a file on the host's own disk.

        :raises OSError: as open(2)
        :raises errors.Broken: the export is not mounted there any more, *name* is not
            a regular file, or the server does not answer in time
        """
        return self._answering.ask(
            f"{self.export}/{name} on {self.path}",
            lambda: self._open(name, flags),
            too_late=os.close,
        )

    def _open(self, name: str, flags: int) -> int:
        with self._root() as directory:
            # Checked first, because opening a device can already have an effect.
            self._check(name, os.stat(name, dir_fd=directory, follow_symlinks=False))
            safe = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            return self._checked(name, os.open(name, flags | safe, dir_fd=directory))

    def open_as_owner(self, name: str, flags: int) -> int:
        """Return a file descriptor of *name*, opened with the rights of its owner.

        :raises OSError, errors.Broken: as `open`
        :raises errors.WriteDenied: it belongs to root
        """
        fd = self._mounter.open_as_owner(self.export, name, flags)
        return self._checked(name, fd)

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        """Yield a descriptor of the mounted directory."""
        with contextlib.ExitStack() as stack:
            directory = self._mounter.open_root(self.export)
            undo.always(stack, f"close {self.path}", lambda: os.close(directory))
            self._check_device(os.fstat(directory))
            yield directory

    def _checked(self, name: str, fd: int) -> int:
        """Return *fd* if it is a regular file of this mount; else close it."""
        with contextlib.ExitStack() as stack:
            undo.always(stack, f"close {name}", lambda: os.close(fd))
            self._check(name, os.fstat(fd))
            stack.pop_all()
        return fd

    def _check(self, name: str, status: os.stat_result) -> None:
        self._check_device(status)
        if not stat.S_ISREG(status.st_mode):
            raise errors.Broken(
                f"{name!r} on {self.export} is {_kind(status.st_mode)} and not a"
                " regular file, although Cinder says that it is a volume. It was not"
                " opened. Find out who placed it on the FlexVol."
            )

    def _check_device(self, status: os.stat_result) -> None:
        if status.st_dev != self.device:
            raise errors.Broken(
                f"{self.path} is no longer the mount of {self.export}: something on"
                " this host unmounted it. Nothing was written there. Only the store may"
                " unmount below ontap_mount_point_base."
            )

    def close(self) -> None:
        """Stop using the mount; the last user unmounts it. Safe to repeat.

        :raises errors.StoreError: the lock files cannot be used
        """
        release, self._release = self._release, None
        if release is not None:
            release()


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
