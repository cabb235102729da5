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

import contextlib
import os
import threading

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.attach.answering import Answering
from glance_ontap_store.attach.nfs import lockfiles
from glance_ontap_store.attach.nfs.lockfiles import LockFiles
from glance_ontap_store.attach.nfs.lockfiles import UsersFile
from glance_ontap_store.attach.nfs.mount import Mount
from glance_ontap_store.attach.nfs.mount import Mounter
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)

_REMEDY = (
    "Is the NFS server of the FlexVol reachable from this host? See the log of this"
    " host's kernel (dmesg). If the server does not come back: umount -f -l on the"
    " mount point."
)


class Mounts:
    """The mounts under one base directory, for any number of processes.

    The constructor touches neither a mount nor the base directory, and starts
    nothing. *patience_s*: seconds to wait for a lock that somebody else holds, and for
    each answer of a server.
    """

    def __init__(
        self,
        base: str,
        mounter: Mounter,
        patience_s: float = lockfiles.PATIENCE_S,
    ) -> None:
        self._files = LockFiles(base, patience_s)
        self._answering = Answering(_REMEDY, patience_s)
        self._mounter = mounter
        # The process that has looked for mounts of dead workers. A forked process
        # has another id, and looks for itself.
        self._cleaned_by: int | None = None
        # The thread that unmounts what dead workers left; None if they left nothing.
        self.cleaning: threading.Thread | None = None

    def use(self, export: str, options: str) -> Mount:
        """Mount *export* if it is not mounted yet, and keep it mounted.

        *options* are ignored if it is mounted already.

        :raises errors.Broken: it cannot be mounted, something else is mounted in its
            place, or another process has been mounting it for too long
        :raises errors.Misconfigured: the base directory cannot be used
        """
        self._check_base()
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
        recording.record(catalogue.MOUNT_USERS)
        path = self._mounter.mount_point(export)
        return Mount(
            export,
            path,
            device,
            self._mounter,
            self._answering,
            lambda: self._let_go(export, users),
        )

    def _check_base(self) -> None:
        """Refuse a base on NFS and the like before anything there is touched."""
        found = self._mounter.shared_base()
        if found is not None:
            raise errors.Misconfigured(
                f"ontap_mount_point_base is on a file system that other hosts share"
                f" ({found}). The locks there would count the users of other hosts'"
                " mounts, and if it is the FlexVol itself, its mounts cannot be told"
                " from the directory. Set it to a directory on a disk of this host."
            )

    def _let_go(self, export: str, users: UsersFile) -> None:
        """Stop being a user, and unmount the export if there is no other user.

        In a process that was forked meanwhile the parent remains the user.
        """
        if users.is_inherited:
            users.close()
            return
        recording.record(catalogue.MOUNT_USERS, value=-1)
        with contextlib.ExitStack() as stack:
            # In any case: otherwise the export would seem to be used for ever.
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
        with recording.outcome(catalogue.MOUNTS):
            self._mounter.mount(export, options)
        now = self._mounter.filesystem(export)
        if now is None:
            raise errors.Broken(
                f"mount reported success, but {export} is not mounted on {point}. See"
                " the log of this host's kernel (dmesg)."
            )
        users.record(now)

    def _must_go(self, export: str, users: UsersFile) -> bool:
        """Return whether the mount does not work, and has no user."""
        # With this record, the process died before the mount was complete.
        if not users.is_recorded(lockfiles.MOUNTING):
            try:
                self._device(export)
                return False
            except errors.Broken as error:
                LOG.warning("%s", error)
        return users.is_exclusive()

    def unused(self) -> list[str]:
        """Return the exports that are mounted, by this store, without any user.

        :raises errors.Misconfigured: the lock files cannot be used
        """
        return [export for export in self._files.exports() if self._is_unused(export)]

    def _is_unused(self, export: str) -> bool:
        now = self._mounter.filesystem(export)
        if now is None:
            return False
        with self._files.guarded(export), contextlib.ExitStack() as stack:
            users = self._files.users(export)
            undo.always(stack, f"release the lock of {export}", users.close)
            return users.is_exclusive() and _is_ours(users, now)
        raise AssertionError("no exit callback hides an error")

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
        about to be used. The thread is started only if local files show a mount that
        is left.
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

    def clean_up(self) -> None:
        """Unmount what processes that died left mounted; failures are logged only.

        It can wait for ever for a server that is gone.

        :raises errors.Misconfigured: the lock files cannot be used
        """
        self._clean_up(self._files.exports())

    def _clean_up(self, exports: list[str]) -> None:
        for export in exports:
            try:
                if self._unmount_if_unused(export):
                    LOG.info("%s was left mounted; it is unmounted now", export)
                    recording.record(catalogue.RECOVERED, "mount")
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
                with recording.step("unmount"), recording.outcome(catalogue.UNMOUNTS):
                    self._mounter.unmount(export)
            except errors.Broken as error:
                LOG.warning("%s; it stays mounted for now.", error)
                return False
        users.record("")
        return now is not None

    def _device(self, export: str) -> int:
        """Return st_dev of the mounted file system.

        :raises errors.Broken: the mount does not answer, or not in time
        """
        path = self._mounter.mount_point(export)
        return self._answering.ask(
            f"{export} on {path}", lambda: self._device_of_root(export, path)
        )

    def _device_of_root(self, export: str, path: str) -> int:
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
