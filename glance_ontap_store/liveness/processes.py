# SPDX-License-Identifier: Apache-2.0
"""Which processes of this host are alive: a lock that dies with its process tells.

Each process that uses a store holds flock(2) on ``lock`` in a directory of its own,
``.locks/processes/<token>`` of the base. The kernel releases it when the process
dies, however that happens. Neither ids of processes nor ages count, so containers
with PID namespaces of their own may share a base.

The lock of a process that lives on another host is free here: so it looks in a copy of
a base, which a cloned virtual machine has. ``lock`` tells the host name and the boot of
its process. A free lock proves nothing if both are others; after a reboot the host's
name is the same.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import enum
import fcntl
import functools
import os
import socket
import threading
import time
import uuid
import weakref

from glance_ontap_store import errors
from glance_ontap_store import undo
from glance_ontap_store.liveness import files
from glance_ontap_store.liveness import marks
from glance_ontap_store.liveness.marks import Mark

_ID = "id"
_PROCESSES = "processes"
_LOCK = "lock"
_RECOVERY = "recovery"
# A directory that a process is just making; it has no lock yet.
_BEGUN = "new-"
_ATTEMPTS = 5
# Without O_NONBLOCK, opening a FIFO could wait for ever.
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Fate(enum.Enum):
    """What is known of the process that made a mark."""

    # It lives: its lock is held.
    LIVE = enum.auto()
    # It is dead: its lock is free.
    DEAD = enum.auto()
    # A process of this base whose lock is gone, may not be read, or was perhaps made on
    # another host: it cannot be told.
    UNKNOWN = enum.auto()
    # Its base is another one: a process of another host, or container.
    ELSEWHERE = enum.auto()


@dataclasses.dataclass(frozen=True)
class _Held:
    """The lock of a process, and what it was when it was taken."""

    mark: Mark
    fd: int
    pid: int


class Processes:
    """The processes that share *base*, and this process among them.

    Every process of a host must see the same base, and no other host may. The
    constructor touches nothing. Objects are safe to use from threads; each is a
    process of its own, so a real process has one for each base: see `of`.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._held: _Held | None = None
        # Guards `_held`; reach: this process.
        self._lock = threading.Lock()
        _ALL.add(self)

    def own(self) -> Mark:
        """The mark of this process, whose lock is held from now until it dies.

        A process gets another mark after a fork, and if its directory was removed.

        :raises errors.Misconfigured: the base cannot be used
        """
        with self._lock, files.using(self.base):
            if self._held is not None and not self._still_holds(self._held):
                # Closed and not unlocked: after a fork the lock is the parent's.
                os.close(self._held.fd)
                self._held = None
            if self._held is None:
                self._held = self._taken()
            return self._held.mark

    def _still_holds(self, held: _Held) -> bool:
        if held.pid != os.getpid():
            return False
        mine = os.fstat(held.fd)
        try:
            with self.opened(held.mark.token) as directory:
                there = os.stat(_LOCK, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(mine, there)

    def _taken(self) -> _Held:
        """A new directory of this process, with the lock held."""
        files.make(self.base, _PROCESSES)
        base_id = self._made_base_id()
        for _attempt in range(_ATTEMPTS):
            mark = Mark(base_id, str(uuid.uuid4()))
            fd = self._locked(mark.token)
            if fd is not None:
                return _Held(mark, fd, os.getpid())
        raise errors.Misconfigured(
            f"No lock can be made in {files.LOCKS}/{_PROCESSES} of"
            f" ontap_mount_point_base = {self.base!r}: another program removes it."
        )

    def _locked(self, token: str) -> int | None:
        """Make the directory of *token* with its lock held; None if it was removed.

        It gets its name when the lock is held: otherwise another process could find
        it without the lock, and take its maker for dead.
        """
        with files.opened(self.base, _PROCESSES) as parent:
            begun = _BEGUN + token
            os.mkdir(begun, 0o750, dir_fd=parent)
            with contextlib.ExitStack() as stack:
                try:
                    with files.opened(self.base, _PROCESSES, begun) as directory:
                        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                        fd = os.open(_LOCK, flags, 0o640, dir_fd=directory)
                        undo.on_failure(stack, lambda _error: os.close(fd))
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.write(fd, _this_host().encode())
                        os.fsync(fd)
                        os.fsync(directory)
                    os.rename(begun, token, src_dir_fd=parent, dst_dir_fd=parent)
                except (FileNotFoundError, BlockingIOError):
                    # Another process cleaned up, and took it for a dead one's.
                    stack.close()
                    return None
                os.fsync(parent)
                return fd
        raise AssertionError("no exit callback hides an error")

    def _made_base_id(self) -> str:
        found = self._base_id()
        if found is None:
            with files.opened(self.base) as locks:
                with contextlib.suppress(FileExistsError):
                    files.put(_ID, locks, str(uuid.uuid4()), is_new=True)
            found = self._base_id()
        if found is None:
            raise errors.Misconfigured(
                f"The file {files.LOCKS}/{_ID} in ontap_mount_point_base ="
                f" {self.base!r} does not hold a UUID: remove it."
            )
        return found

    def base_id(self) -> str | None:
        """The base's UUID; None if it has none yet. It makes nothing.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            return self._base_id()

    def _base_id(self) -> str | None:
        """The base's UUID; None if it has none yet, or none that can be read."""
        try:
            with files.opened(self.base) as locks:
                text = files.read(_ID, locks).strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return text if marks.is_token(text) else None

    @contextlib.contextmanager
    def opened(self, token: str) -> Iterator[int]:
        """The descriptor of the directory of the process *token*.

        :raises FileNotFoundError: there is none
        """
        with files.opened(self.base, _PROCESSES, token) as directory:
            yield directory

    def fate(self, mark: Mark) -> Fate:
        """Return what is known of the process that made *mark*. It makes nothing.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            if mark.base_id != self._base_id():
                return Fate.ELSEWHERE
            try:
                with self.opened(mark.token) as directory:
                    return _fate(directory)
            except (FileNotFoundError, PermissionError):
                return Fate.UNKNOWN

    def tokens(self) -> list[str]:
        """The tokens of all processes of the base that are known, dead or alive.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            try:
                with files.opened(self.base, _PROCESSES) as parent:
                    return sorted(filter(marks.is_token, os.listdir(parent)))
            except FileNotFoundError:
                return []

    def dead(self) -> list[str]:
        """The tokens of the dead processes of the base. It makes nothing.

        :raises errors.Misconfigured: the base cannot be used
        """
        found = []
        with files.using(self.base):
            for token in self.tokens():
                # Another process may forget it meanwhile, or has another user.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    with self.opened(token) as directory:
                        if _fate(directory) is Fate.DEAD:
                            found.append(token)
        return found

    def changed_at(self, token: str) -> float:
        """When the journal of *token* changed last, in seconds since the epoch.

        Now, if there is none.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            try:
                with self.opened(token) as directory:
                    return os.fstat(directory).st_mtime
            except FileNotFoundError:
                return time.time()

    @contextlib.contextmanager
    def only_one(self) -> Iterator[bool]:
        """Whether this is the only one in such a block, of all processes of the base.

        It does not wait.

        :raises errors.Misconfigured: the base cannot be used
        """
        with contextlib.ExitStack() as stack:
            with files.using(self.base):
                files.make(self.base)
                with files.opened(self.base) as locks:
                    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                    fd = os.open(_RECOVERY, os.O_RDWR | flags, 0o640, dir_fd=locks)
                stack.callback(os.close, fd)
                is_mine = _got(fd, fcntl.LOCK_EX)
                if is_mine:
                    # A child that was forked meanwhile may have a copy.
                    stack.callback(fcntl.flock, fd, fcntl.LOCK_UN)
            yield is_mine

    def forget(self, token: str) -> bool:
        """Remove the directory of a dead process; return whether it is gone.

        The process's marks are `Fate.UNKNOWN` from then on. A live process's
        directory stays.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            return self._removed(token)

    def forget_unfinished(self) -> None:
        """Remove what processes left that died while they made their directory.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.base):
            try:
                with files.opened(self.base, _PROCESSES) as parent:
                    names = os.listdir(parent)
            except FileNotFoundError:
                return
            for name in names:
                if name.startswith(_BEGUN):
                    self._removed(name)

    def _removed(self, name: str) -> bool:
        try:
            with (
                files.opened(self.base, _PROCESSES) as parent,
                files.opened(self.base, _PROCESSES, name) as directory,
                contextlib.ExitStack() as stack,
            ):
                if not _seized(stack, directory):
                    return False
                for entry in os.listdir(directory):
                    if entry != _LOCK:
                        files.remove(entry, directory)
                files.remove(_LOCK, directory)
                os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            # Another process was faster.
            return True
        except PermissionError:
            return False
        return True

    def close(self) -> None:
        """Release the lock of this process: from now on it counts as dead."""
        with self._lock:
            held, self._held = self._held, None
            if held is not None and held.pid == os.getpid():
                with contextlib.ExitStack() as stack:
                    stack.callback(os.close, held.fd)
                    # A child that was forked just now may have a copy.
                    fcntl.flock(held.fd, fcntl.LOCK_UN)

    def after_fork(self) -> None:
        """Let go of the parent's lock, in a child that was forked just now."""
        # Another thread of the parent may have held the guard.
        self._lock = threading.Lock()
        held, self._held = self._held, None
        if held is not None:
            # Only closed: unlocking would unlock it for the parent too.
            os.close(held.fd)


@functools.cache
def of(base: str) -> Processes:
    """The processes that share *base*: one object for all stores of this process."""
    return Processes(base)


def _fate(directory: int) -> Fate:
    """What the lock in *directory* tells of its process.

    :raises FileNotFoundError: the lock, and soon the directory, is removed
    """
    if _is_locked(directory):
        return Fate.LIVE
    name, boot = (*files.read(_LOCK, directory).splitlines(), "", "")[:2]
    here = _this_host().splitlines()
    return Fate.DEAD if name == here[0] or boot == here[1] else Fate.UNKNOWN


def _this_host() -> str:
    """The name and the boot id of this host, in two lines."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = "-"
    return f"{socket.gethostname()}\n{boot}\n"


def _is_locked(directory: int) -> bool:
    """Return whether a process holds the lock in *directory*.

    :raises FileNotFoundError: the lock, and soon the directory, is removed
    """
    with contextlib.ExitStack() as stack:
        fd = os.open(_LOCK, _LOOK, dir_fd=directory)
        stack.callback(os.close, fd)
        # Shared, so that two that look at the same time do not see each other.
        return not _got(fd, fcntl.LOCK_SH)
    raise AssertionError("no exit callback hides an error")


def _seized(stack: contextlib.ExitStack, directory: int) -> bool:
    """Take the lock in *directory* until *stack* ends; False if it is held.

    A directory without a lock was left by a process that died while it made it.
    """
    try:
        fd = os.open(_LOCK, _LOOK, dir_fd=directory)
    except FileNotFoundError:
        return True
    stack.callback(os.close, fd)
    # Whoever looks holds the lock for a moment; a process holds it for good.
    for _attempt in range(_ATTEMPTS):
        if _got(fd, fcntl.LOCK_EX):
            return True
        time.sleep(0.01)
    return False


def _got(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# All objects of this process, for the hook after a fork.
_ALL: "weakref.WeakSet[Processes]" = weakref.WeakSet()


def _after_fork() -> None:
    for processes in list(_ALL):
        processes.after_fork()


os.register_at_fork(after_in_child=_after_fork)
