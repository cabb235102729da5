# SPDX-License-Identifier: Apache-2.0
"""The lock files of the mounts of a host, in ``.locks`` of their base directory.

Each export has a guard, ``mount-<export>``, and a file ``<export>.users``. Each user
of a mount holds a shared lock on the latter; it records which file system the store
mounted for the export.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import fcntl
import os
import stat
import time

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.attach.nfs import lockholders
from glance_ontap_store.liveness import files

# The record of a mount that has begun; the file system is not known yet.
MOUNTING = "mounting"

# Seconds to wait for a lock. A mount takes about one second; one that takes longer
# than this waits for a server that does not answer, so the next user would too.
PATIENCE_S = 60.0

_RECORD_BYTES = 1024
_POLL_S = 0.02
_USERS = ".users"


class LockFiles:
    """The lock files below one base. No symbolic link among them is followed.

    *patience_s*: seconds to wait for a lock that somebody else holds.
    """

    def __init__(self, base: str, patience_s: float = PATIENCE_S) -> None:
        self._base = base
        self._patience_s = patience_s
        self._directory = os.path.join(base, ".locks")

    def prepare(self) -> None:
        """Make the base and its directory of lock files.

        :raises errors.Misconfigured: they cannot be made or used
        """
        with files.using(self._base):
            os.makedirs(self._directory, mode=0o750, exist_ok=True)
            with self._opened_directory() as directory:
                os.listdir(directory)

    def exports(self) -> list[str]:
        """Return every export that a process of this host has used.

        :raises errors.Misconfigured: the directory cannot be used
        """
        with files.using(self._base):
            try:
                with self._opened_directory() as directory:
                    names = sorted(os.listdir(directory))
            except FileNotFoundError:
                return []
        return [_export_of(name) for name in names if name.endswith(_USERS)]

    @contextlib.contextmanager
    def guarded(self, export: str) -> Iterator[None]:
        """Let one thread of one process at a time mount or unmount *export*.

        It guards the users' file too. Its reach is every thread of every process of
        the host with this base. The lock is polled, because waiting in flock(2) would
        stop every green thread of a process under eventlet, and would have no end.

        :raises errors.Misconfigured: the lock file cannot be used
        :raises errors.Broken: somebody else held it all the time that is waited
        """
        name = f"mount-{_escaped(export)}"
        with contextlib.ExitStack() as stack:
            guard = self._locked_file(name)
            undo.always(stack, f"release the guard of {export}", guard.close)
            if not self._in_time(guard.is_exclusive):
                raise errors.Broken(
                    f"{export} is not available: {guard.holders()} has held the lock"
                    f" {guard.name} for {self._patience_s:g} s, to mount or unmount it."
                    " Does the FlexVol's NFS server answer? See the log of this host's"
                    " kernel (dmesg)."
                )
            yield

    def _in_time(self, is_done: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + self._patience_s
        while not is_done():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def users(self, export: str) -> "UsersFile":
        """Open the file of the users of *export*.

        :raises errors.Misconfigured: the file cannot be used
        """
        return self._locked_file(_users_name(export))

    def _locked_file(self, name: str) -> "UsersFile":
        return UsersFile(self._open(name), os.path.join(self._directory, name))

    def _open(self, name: str) -> int:
        # Without O_NONBLOCK, opening a device or a FIFO could wait for ever.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with files.using(self._base), self._opened_directory() as directory:
            fd = os.open(name, flags, 0o640, dir_fd=directory)
        with contextlib.ExitStack() as stack:
            undo.always(stack, f"close {name}", lambda: os.close(fd))
            self._check(name, os.fstat(fd))
            stack.pop_all()
        return fd

    def _check(self, name: str, status: os.stat_result) -> None:
        # Another name of the file is a hard link: its content would be replaced.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise errors.Misconfigured(
                f"{os.path.join(self._directory, name)} must be a regular file, without"
                " hard links: it was not used. Remove it."
            )

    @contextlib.contextmanager
    def _opened_directory(self) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        directory = os.open(self._directory, flags)
        with contextlib.ExitStack() as stack:
            undo.always(stack, f"close {self._directory}", lambda: os.close(directory))
            yield directory


class UsersFile:
    """An open lock file: the lock of one user, and the record of the mount."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        # The path, for messages.
        self.name = name
        self._is_open = True
        self._process = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Return whether the lock is the parent's, which this process came from.

        Both have the same lock: to change it or to unlock would do so for the parent.
        """
        return self._process != os.getpid()

    def is_exclusive(self) -> bool:
        """Try to take the lock exclusively; return whether this succeeded.

        :raises errors.Broken: the file system does not have flock(2)
        """
        return self._lock(fcntl.LOCK_EX)

    def share(self) -> None:
        """Hold the lock as one of the users, until `close`.

        :raises errors.Broken: another program holds the lock
        """
        if not self._lock(fcntl.LOCK_SH):
            raise errors.Broken(
                f"Another program ({self.holders()}) holds a lock on {self.name}: end"
                " it. Only the store uses that directory."
            )

    def holders(self) -> str:
        """Return who holds a lock of the file, in words."""
        return lockholders.of(self._fd)

    def _lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise errors.Broken(
                f"{self.name} cannot be locked: {error}. ontap_mount_point_base must"
                " be on a file system with flock(2)."
            ) from error
        return True

    def record(self, text: str) -> None:
        """Replace the record by *text*.

        :raises errors.Broken: the file cannot be written
        """
        # The length is always the same, so that only the first record needs room on
        # the disk.
        data = _encoded(text).ljust(_RECORD_BYTES, b"\0")
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, data)
        except OSError as error:
            raise errors.Broken(
                f"{self.name} cannot be written: {error}. Check the file system of"
                " ontap_mount_point_base."
            ) from error

    def is_recorded(self, text: str) -> bool:
        """Return whether the record is *text*.

        :raises errors.Broken: the file cannot be read
        """
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            data = os.read(self._fd, _RECORD_BYTES)
        except OSError as error:
            raise errors.Broken(f"{self.name} cannot be read: {error}") from error
        return data.rstrip(b"\0") == _encoded(text)

    def close(self) -> None:
        """Release the lock. Safe to repeat.

        It unlocks first: closing alone would not release the lock while a process
        that was forked just now has a copy of the descriptor.
        """
        if self._is_open:
            self._is_open = False
            with contextlib.ExitStack() as stack:
                undo.always(stack, f"close {self.name}", lambda: os.close(self._fd))
                if not self.is_inherited:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")[:_RECORD_BYTES]


def _users_name(export: str) -> str:
    return _escaped(export) + _USERS


def _escaped(export: str) -> str:
    # Exports have slashes, which a file name cannot have.
    return export.replace("%", "%25").replace("/", "%2F")


def _export_of(name: str) -> str:
    return name.removesuffix(_USERS).replace("%2F", "/").replace("%25", "%")
