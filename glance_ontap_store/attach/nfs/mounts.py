# SPDX-License-Identifier: Apache-2.0
"""NFS mounts that all workers of a host share, and that nobody takes away early.

One directory per export under one base, the same in every process. Who uses a
mount holds a shared flock(2) on a file beside it for as long; who lets go last
can lock it exclusively, and unmounts. A process that dies lets go by dying: no
count can be wrong. What it left mounted is unmounted by the next who lets go,
or by `Mounts.unmount_unused` when a worker starts.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import fcntl
import os
from typing import Protocol

from oslo_concurrency import lockutils
from oslo_log import log as logging

from glance_ontap_store import errors

LOG = logging.getLogger(__name__)


class Mounter(Protocol):
    """Mounts and unmounts exports; knows nothing of who uses them."""

    def mount_point(self, export: str) -> str:
        """The directory for *export*, the same in every process."""

    def mount(self, export: str, options: str) -> None:
        """Create the mount point if need be and mount.

        :raises errors.Broken: it cannot be mounted
        """

    def unmount(self, export: str) -> None:
        """
        :raises errors.Broken: it cannot be unmounted
        """


@dataclasses.dataclass
class Mount:
    """The right to use a mounted export until `close`."""

    export: str
    path: str
    # Of the mounted file system: a file elsewhere is not on the FlexVol.
    device: int
    _mounts: "Mounts"
    # Holds the shared lock while it is open; None once closed.
    _users_fd: int | None

    def open(self, name: str, flags: int) -> int:
        """A file descriptor of the existing file *name* on this mount.

        The file is opened relative to the directory that was compared, so that
        an unmount in between cannot lead to a file of the host's own disk.

        :raises OSError: as open(2)
        :raises errors.Broken: the export is not mounted there any more
        """
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._compare(directory)
            fd = os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
            try:
                self._compare(fd)
            except BaseException:
                os.close(fd)
                raise
            return fd
        finally:
            os.close(directory)

    def _compare(self, fd: int) -> None:
        if os.fstat(fd).st_dev != self.device:
            raise errors.Broken(
                f"{self.path} is no longer the mount of {self.export}: something on"
                " this host unmounted it. Nothing was written there."
            )

    def close(self) -> None:
        """Let go; unmounts if nobody else uses it. Safe to repeat."""
        if self._users_fd is not None:
            fd, self._users_fd = self._users_fd, None
            self._mounts.let_go(self.export, fd)


class Mounts:
    """The mounts under one base directory, for any number of processes."""

    def __init__(self, base: str, mounter: Mounter) -> None:
        self._base = base
        self._locks = os.path.join(base, ".locks")
        self._mounter = mounter

    def use(self, export: str, options: str) -> Mount:
        """Mount *export* if it is not mounted yet, and keep it so.

        *options* are those of the first who mounts it.

        :raises errors.Broken: it cannot be mounted
        :raises errors.Misconfigured: the base directory cannot be used
        """
        self._make_base()
        with self._guarded(export), contextlib.ExitStack() as undo:
            users = self._open_users(export)
            undo.callback(os.close, users)
            path = self._mounter.mount_point(export)
            self._unmount_if_dead(export, users)
            if self._device(path) is None:
                LOG.info("Mounting %s on %s", export, path)
                self._mounter.mount(export, options)
            device = self._device(path)
            if device is None:
                raise errors.Broken(
                    f"mount reported success, but {path} still lies on the host's own"
                    f" file system: {export} is not mounted."
                )
            fcntl.flock(users, fcntl.LOCK_SH)
            undo.pop_all()
        return Mount(export, path, device, self, users)

    def _unmount_if_dead(self, export: str, users: int) -> None:
        """Make room for a new mount where nobody uses one that does not answer."""
        try:
            self._device(self._mounter.mount_point(export))
        except errors.Broken:
            if self._is_last(users):
                self._unmount(export)

    def let_go(self, export: str, users: int) -> None:
        """The other half of `use`, for `Mount.close`."""
        try:
            with self._guarded(export):
                if self._is_last(users):
                    self._unmount(export)
        finally:
            os.close(users)

    def unmount_unused(self) -> list[str]:
        """Unmount what processes that died left mounted; the exports."""
        if not os.path.isdir(self._base):
            return []
        self._make_base()
        return [export for export in self._known() if self._unmount_if_unused(export)]

    def _unmount_if_unused(self, export: str) -> bool:
        with self._guarded(export):
            users = self._open_users(export)
            try:
                return self._is_last(users) and self._unmount(export)
            finally:
                os.close(users)

    def _unmount(self, export: str) -> bool:
        """Whether *export* was mounted and is not any more."""
        try:
            if self._device(self._mounter.mount_point(export)) is None:
                return False
        except errors.Broken as error:
            # Of a server that is gone, say: it is mounted, and of no use.
            LOG.warning("%s", error)
        try:
            self._mounter.unmount(export)
        except errors.Broken as error:
            # The data is on the array and nobody waits for the unmount: the
            # next who lets go tries again.
            LOG.warning("%s; it stays mounted for now.", error)
            return False
        return True

    def _is_last(self, users: int) -> bool:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _device(self, path: str) -> int | None:
        """The device mounted on *path*, or None if nothing is.

        :raises errors.Broken: what is mounted there does not answer
        """
        try:
            device = os.stat(path).st_dev
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Broken(
                f"{path} cannot be looked at: {error}. Does the FlexVol's NFS server"
                " answer?"
            ) from error
        return None if device == os.stat(self._base).st_dev else device

    def _make_base(self) -> None:
        try:
            os.makedirs(self._locks, mode=0o750, exist_ok=True)
            os.listdir(self._locks)
        except OSError as error:
            raise errors.Misconfigured(
                f"ontap_mount_point_base = {self._base!r} cannot be used: {error}."
                " Create it for Glance's user, or set another."
            ) from error

    def _known(self) -> Iterator[str]:
        for entry in sorted(os.listdir(self._locks)):
            if entry.endswith(_USERS):
                yield _export_of(entry)

    def _open_users(self, export: str) -> int:
        path = os.path.join(self._locks, _users_name(export))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _guarded(self, export: str) -> contextlib.AbstractContextManager[object]:
        # Guards the mounting and unmounting of one export, and the change of
        # its users' lock; reach: every process of the host with this base.
        guard: contextlib.AbstractContextManager[object] = lockutils.lock(
            f"{self._base}/{export}".replace("/", "_"),
            lock_file_prefix="mount-",
            external=True,
            lock_path=self._locks,
        )
        return guard


_USERS = ".users"


def _users_name(export: str) -> str:
    # Exports have slashes, which a file name cannot have.
    return export.replace("%", "%25").replace("/", "%2F") + _USERS


def _export_of(name: str) -> str:
    return name.removesuffix(_USERS).replace("%2F", "/").replace("%25", "%")
