# SPDX-License-Identifier: Apache-2.0
"""The thread that recovers: rounds over all stores of a process, now and then."""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import os
import threading
import time
import weakref

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.liveness.journal import Entry
from glance_ontap_store.recovery import judging
from glance_ontap_store.recovery.store import StoreRecovery

LOG = logging.getLogger(__name__)

# A dead process stays known for so long after the last change of its journal: what
# Cinder still makes for it has its mark.
KEEP_S = 3600.0
# The next round after one that failed, or left something.
_SOON_S = 60.0
# New entries are noticed by `wake`; without one the thread looks this often.
_LONGEST_WAIT_S = 600.0


class Member:
    """One store in the rounds.

    *interval_s* is ``ontap_recovery_interval``; 0: there are no rounds, but what this
    process itself could not release is released later. *unmount* takes away the
    mounts that nobody uses; it may wait for a server for ever.
    """

    def __init__(
        self,
        recovery: StoreRecovery,
        interval_s: float,
        unmount: Callable[[], object],
    ) -> None:
        self.recovery = recovery
        self.interval_s = interval_s
        self.unmount = unmount
        self.due_at = float("-inf")
        # The dead processes of which the last round found nothing more.
        self.done: set[str] = set()
        self._pauses: dict[str, _Pause] = {}

    def release_left(self, now: float) -> float:
        """Release what is due of the process's own list; seconds until the next."""
        try:
            left = self.recovery.journal.left()
        except errors.StoreError as error:
            LOG.warning("%s", error)
            return _SOON_S
        pauses = {
            entry.name: self._pauses.get(entry.name, _Pause(0, now)) for entry in left
        }
        for entry in left:
            pause = pauses[entry.name]
            if pause.until <= now:
                self._release(entry, pause, pauses, now)
        self._pauses = pauses
        return min((pause.until - now for pause in pauses.values()), default=1e9)

    def _release(
        self, entry: Entry, pause: "_Pause", pauses: "dict[str, _Pause]", now: float
    ) -> None:
        if self.recovery.release(entry):
            del pauses[entry.name]
        else:
            later = now + judging.pause_s(pause.tries)
            pauses[entry.name] = _Pause(pause.tries + 1, later)

    def round(self, now: float) -> None:
        """Release what dead processes left, unless another process does it now."""
        processes = self.recovery.journal.processes
        soon = now + min(self.interval_s, _SOON_S)
        self.due_at = now + self.interval_s
        try:
            with processes.only_one() as is_mine:
                if not is_mine:
                    return
                dead = set(processes.dead())
                waiting = self.recovery.release_dead()
                self.done = dead - waiting
                if waiting:
                    self.due_at = soon
        except errors.StoreError as error:
            LOG.warning(
                "What dead processes left in store %s is not released yet: %s",
                self.recovery.journal.store_id,
                error,
            )
            self.due_at = soon


@dataclasses.dataclass(frozen=True)
class _Pause:
    """An entry that was tried *tries* times, and is not tried before *until*."""

    tries: int
    until: float


class Rounds:
    """The recovery of a process: *members* tells its stores, when they are asked for.

    `begin` starts a thread, once in each process; nothing else does.
    """

    def __init__(
        self,
        members: Callable[[], Iterable[Member]],
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._members = members
        self._monotonic = monotonic
        self._now = now
        # The process whose thread runs. A forked process has another id.
        self._pid: int | None = None
        self._wake = threading.Event()
        # Guards the start; reach: this process.
        self._lock = threading.Lock()
        self.thread: threading.Thread | None = None
        # Threads that unmount, by the base: one that hangs is not joined by another.
        self._unmounting: dict[str, threading.Thread] = {}
        _ALL.add(self)

    def begin(self) -> None:
        """Start the thread of this process, unless it runs or no store recovers."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid == os.getpid() or not list(self._members()):
                return
            self._pid = os.getpid()
            self._wake = threading.Event()
            self._unmounting = {}
            self.thread = threading.Thread(
                target=self._run, daemon=True, name="ontap-recovery"
            )
            self.thread.start()

    def wake(self) -> None:
        """Let the thread look at the process's own list at once."""
        self._wake.set()

    def after_fork(self) -> None:
        """Forget the parent's thread, in a child that was forked just now."""
        self._lock = threading.Lock()
        self._pid = None
        self.thread = None

    def join_unmounting(self) -> None:
        """Wait for the threads that unmount."""
        for thread in list(self._unmounting.values()):
            thread.join()

    def _run(self) -> None:
        wake = self._wake
        while True:
            try:
                wait_s = self.work()
            except Exception:
                # Whatever it is, the thread must not end.
                LOG.exception("Recovery failed; it goes on in %s s", _SOON_S)
                wait_s = _SOON_S
            wake.wait(wait_s)
            wake.clear()

    def work(self) -> float:
        """Do what is due; return the seconds until something is due again."""
        members = list(self._members())
        wait_s = _LONGEST_WAIT_S
        has_worked = False
        for member in members:
            now = self._monotonic()
            wait_s = min(wait_s, member.release_left(now))
            if member.interval_s and member.due_at <= now:
                member.round(now)
                has_worked = True
            if member.interval_s:
                wait_s = min(wait_s, member.due_at - self._monotonic())
        if has_worked:
            self._clean_up(members)
        return max(wait_s, 0.1)

    def _clean_up(self, members: list[Member]) -> None:
        """Forget dead processes of which nothing is left; unmount what they left."""
        for base, group in _by_base(members).items():
            try:
                self._forget(group)
            except errors.StoreError as error:
                LOG.warning("%s", error)
            self._unmount(base, group[0])

    def _forget(self, group: list[Member]) -> None:
        journal = group[0].recovery.journal
        processes = journal.processes
        processes.forget_unfinished()
        for token in set.intersection(*(member.done for member in group)):
            is_old = self._now() - processes.changed_at(token) > KEEP_S
            if is_old and not journal.all_of(token):
                processes.forget(token)

    def _unmount(self, base: str, member: Member) -> None:
        """Unmount in a thread: it can wait for ever for a server that is gone."""
        running = self._unmounting.get(base)
        if running is not None and running.is_alive():
            return

        def unmount() -> None:
            try:
                member.unmount()
            except Exception as error:
                LOG.warning("Unused mounts below %s may stay: %s", base, error)

        thread = threading.Thread(target=unmount, daemon=True, name="ontap-unmount")
        self._unmounting[base] = thread
        thread.start()


def _by_base(members: Iterable[Member]) -> dict[str, list[Member]]:
    groups: dict[str, list[Member]] = {}
    for member in members:
        base = member.recovery.journal.processes.base
        groups.setdefault(base, []).append(member)
    return groups


# All objects of this process, for the hook after a fork.
_ALL: "weakref.WeakSet[Rounds]" = weakref.WeakSet()


def _after_fork() -> None:
    for rounds in list(_ALL):
        rounds.after_fork()


os.register_at_fork(after_in_child=_after_fork)
