# SPDX-License-Identifier: Apache-2.0
"""NFS mounts that all workers of a host share, and that stay while one is used.

There is one directory per export under one base, the same in every process. Each
user of a mount holds a shared flock(2) on the export's ``.users`` file. The last one
to release it can take the lock exclusively and unmounts. The kernel releases the
lock of a process that dies, so the count of users is never wrong. A mount that such
a process leaves is unmounted by the next process that stops using the same export,
or by the first use of any mount in another process.

The ``.users`` file records which file system was mounted. Anything else that is
mounted on the same directory is neither used nor unmounted.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import stat
import threading
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.attach.nfs import lockfiles
from glance_ontap_store.attach.nfs.lockfiles import LockFiles
from glance_ontap_store.attach.nfs.lockfiles import UsersFile

LOG = logging.getLogger(__name__)


class Mounter(Protocol):
    """Mounts and unmounts exports, and knows nothing of their users."""

    def mount_point(self, export: str) -> str:
        """Return the directory for *export*, the same in every process."""

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

    def change_owner(self, export: str, name: str, uid: int) -> None:
        """Give the regular file *name* of the mounted *export* to user *uid*.

        :raises OSError: it was denied
        :raises errors.Broken: the file is not a regular one
        """


@dataclasses.dataclass
class Mount:
    """The right to use a mounted export until `close`."""

    export: str
    path: str
    # st_dev of the mounted file system: a file elsewhere is not on the FlexVol.
    device: int
    _mounts: "Mounts"
    _mounter: Mounter
    # Holds the shared lock; None once closed.
    _users: UsersFile | None

    def open(self, name: str, flags: int) -> int:
        """Return a file descriptor of the existing regular file *name*.

        The file is opened relative to the mount's own directory. An unmount at the
        same time cannot lead to a file on the host's own disk.

        :raises OSError: as open(2)
        :raises errors.Broken: the export is not mounted there any more, or *name*
            is not a regular file
        """
        with self._root() as directory:
            # Looked at first, because opening a device can already do something.
            self._check(name, os.stat(name, dir_fd=directory, follow_symlinks=False))
            safe = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(name, flags | safe, dir_fd=directory)
            with contextlib.ExitStack() as stack:
                undo.always(stack, f"close {name}", lambda: os.close(fd))
                self._check(name, os.fstat(fd))
                stack.pop_all()
            return fd

    def owner_of(self, name: str) -> int:
        """Return the user id that the regular file *name* belongs to.

        :raises OSError, errors.Broken: as `open`
        """
        with self._root() as directory:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            self._check(name, status)
            return status.st_uid

    def change_owner(self, name: str, uid: int) -> None:
        """Give the regular file *name* to user *uid*.

        :raises OSError: it was denied
        :raises errors.Broken: the file is not a regular one
        """
        self._mounter.change_owner(self.export, name, uid)

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        """Yield a descriptor of the mounted directory."""
        with contextlib.ExitStack() as stack:
            directory = self._mounter.open_root(self.export)
            undo.always(stack, f"close {self.path}", lambda: os.close(directory))
            self._check_device(os.fstat(directory))
            yield directory

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
                " this host unmounted it. Nothing was written there."
            )

    def close(self) -> None:
        """Stop using the mount; the last user unmounts it. Safe to repeat.

        :raises errors.StoreError: the lock files cannot be used
        """
        if self._users is not None:
            users, self._users = self._users, None
            self._mounts.let_go(self.export, users)


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


class Mounts:
    """The mounts under one base directory, for any number of processes.

    Making one touches neither a mount nor the base, and starts nothing.
    """

    def __init__(self, base: str, mounter: Mounter) -> None:
        self._files = LockFiles(base)
        self._mounter = mounter
        # The process that has looked for mounts of dead workers. A forked process
        # has another id, and looks for itself.
        self._cleaned_by: int | None = None
        # The thread that unmounts what dead workers left, if they left anything.
        self.cleaning: threading.Thread | None = None

    def use(self, export: str, options: str) -> Mount:
        """Mount *export* if it is not mounted yet, and keep it mounted.

        *options* count if this call mounts it.

        :raises errors.Broken: it cannot be mounted, or something else is mounted
            in its place
        :raises errors.Misconfigured: the base directory cannot be used
        """
        self._files.prepare()
        self._clean_up_once(export)
        with self._files.guarded(export), contextlib.ExitStack() as stack:
            users = self._files.users(export)
            undo.always(
                stack, f"release {export}", lambda: self._abandon(export, users)
            )
            self._ensure_mounted(export, options, users)
            device = self._device(export)
            users.share()
            stack.pop_all()
        path = self._mounter.mount_point(export)
        return Mount(export, path, device, self, self._mounter, users)

    def let_go(self, export: str, users: UsersFile) -> None:
        """Release what `use` acquired, for `Mount.close`."""
        with contextlib.ExitStack() as stack:
            # Whatever fails: else the export would seem used for ever.
            undo.always(stack, f"release the lock of {export}", users.close)
            with self._files.guarded(export):
                if users.is_exclusive():
                    self._unmount(export, users)
                # Within the guard, so that the next user can find itself the last.
                users.close()

    def _abandon(self, export: str, users: UsersFile) -> None:
        """Undo a `use` that failed, within its guard."""
        with contextlib.ExitStack() as stack:
            undo.always(stack, f"release the lock of {export}", users.close)
            if users.is_exclusive():
                self._unmount(export, users)

    def _ensure_mounted(self, export: str, options: str, users: UsersFile) -> None:
        point = self._mounter.mount_point(export)
        now = self._mounter.filesystem(export)
        if now is not None and not _is_ours(users, now):
            raise errors.Broken(
                f"On {point} another file system is mounted ({now}), which the store"
                f" did not mount for {export}. Unmount it."
            )
        if now is not None and self._must_go(export, users):
            self._unmount(export, users)
            now = self._mounter.filesystem(export)
            if now is not None:
                raise errors.Broken(
                    f"{export} is mounted on {point}, but does not answer or is not"
                    " completely mounted, and cannot be unmounted: see the log."
                )
        if now is None:
            self._mount(export, options, users)

    def _mount(self, export: str, options: str, users: UsersFile) -> None:
        point = self._mounter.mount_point(export)
        LOG.info("Mounting %s on %s", export, point)
        users.record(lockfiles.MOUNTING)
        self._mounter.mount(export, options)
        now = self._mounter.filesystem(export)
        if now is None:
            raise errors.Broken(
                f"mount reported success, but {export} is not mounted on {point}."
            )
        users.record(now)

    def _must_go(self, export: str, users: UsersFile) -> bool:
        """Return whether the mount is of no use, and has no user."""
        # With that record, its process died before the mount was complete.
        if not users.is_recorded(lockfiles.MOUNTING):
            try:
                self._device(export)
                return False
            except errors.Broken as error:
                LOG.warning("%s", error)
        return users.is_exclusive()

    def unmount_unused(self) -> list[str]:
        """Unmount what processes that died left mounted; return the exports.

        :raises errors.Misconfigured: the lock files cannot be used
        """
        return [
            export
            for export in self._files.exports()
            if self._unmount_if_unused(export)
        ]

    def _clean_up_once(self, export: str) -> None:
        """Unmount what dead workers left, once per process, at its first use.

        A thread does it, because an unmount can wait for ever for a server that is
        gone; a transfer waits only for its own export. *export* is left out: it is
        about to be used. Finding out whether there is anything to do reads local
        files alone, so ordinarily there is no thread.
        """
        if self._cleaned_by == os.getpid():
            return
        self._cleaned_by = os.getpid()
        left = [
            known
            for known in self._files.exports()
            if known != export and self._mounter.filesystem(known)
        ]
        if left:
            self.cleaning = threading.Thread(
                target=self._clean_up, args=(left,), daemon=True, name="ontap-unmount"
            )
            self.cleaning.start()

    def _clean_up(self, exports: list[str]) -> None:
        for export in exports:
            try:
                if self._unmount_if_unused(export):
                    LOG.info("%s was left mounted; it is unmounted now", export)
            except errors.StoreError as error:
                LOG.warning("%s may stay mounted: %s", export, error)

    def _unmount_if_unused(self, export: str) -> bool:
        with self._files.guarded(export), contextlib.ExitStack() as stack:
            users = self._files.users(export)
            undo.always(stack, f"release the lock of {export}", users.close)
            return users.is_exclusive() and self._unmount(export, users)

    def _unmount(self, export: str, users: UsersFile) -> bool:
        """Return whether *export* was mounted and is not any more.

        A failure is logged only: the data is on the array, nothing waits for the
        unmount, and the next user tries again.
        """
        now = self._mounter.filesystem(export)
        if now is not None and not _is_ours(users, now):
            LOG.warning(
                "In the place of %s something is mounted (%s) that the store did not"
                " mount: it stays.",
                export,
                now,
            )
            return False
        if now is not None:
            try:
                self._mounter.unmount(export)
            except errors.Broken as error:
                LOG.warning("%s; it stays mounted for now.", error)
                return False
        users.record("")
        return now is not None

    def _device(self, export: str) -> int:
        """Return st_dev of the mounted file system.

        :raises errors.Broken: the mount does not answer
        """
        path = self._mounter.mount_point(export)
        with contextlib.ExitStack() as stack:
            try:
                root = self._mounter.open_root(export)
                undo.always(stack, f"close {path}", lambda: os.close(root))
                return os.fstat(root).st_dev
            except OSError as error:
                raise errors.Broken(
                    f"{path} cannot be opened: {error}. Does the FlexVol's NFS server"
                    " answer?"
                ) from error


def _is_ours(users: UsersFile, filesystem: str) -> bool:
    """Return whether the store mounted *filesystem*, or began to mount something."""
    return users.is_recorded(filesystem) or users.is_recorded(lockfiles.MOUNTING)
