# SPDX-License-Identifier: Apache-2.0
"""The memory of all transfers of this process together."""

import collections
from collections.abc import Iterator
import contextlib
import queue
import threading

from glance_ontap_store.transfer.buffers import Buffer


class Room:
    """The buffers of one upload: *least* of them for certain, and at most *most*.

    A buffer is made when it is needed first. See `Memory.room`.
    """

    def __init__(self, memory: "Memory", size: int, least: int, most: int) -> None:
        self.size, self.least, self.most = size, least, most
        # The next two are guarded by the memory's lock: buffers that the memory counts,
        # and those among them that exist.
        self.counted = least
        self.made = 0
        # Those that nobody uses. SimpleQueue's calls are atomic even if a signal
        # handler raises in the calling thread.
        self.idle: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
        self._memory = memory

    def take(self) -> Buffer:
        """Wait for a buffer that nobody uses, and return it."""
        with contextlib.suppress(queue.Empty):
            return self.idle.get_nowait()
        if self._memory.grow(self):
            return Buffer(self.size)
        return self.idle.get()

    def put_back(self, buffer: Buffer) -> None:
        """Say that nobody uses the buffer any more."""
        self._memory.put_back(self, buffer)


class Turn:
    """An upload that has its room, or waits for it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.is_admitted = False
        # The wait ends when it is set. Where threads are green, so is this one.
        self.ready = threading.Event()


class Memory:
    """Shares *limit* bytes among transfers; None: there is no limit.

    An upload begins when there is room for the least that it can work with: whoever
    came first begins first. What it has beyond that it gives back while others wait,
    and idle buffers are taken from it, so that a client that sends nothing keeps nobody
    waiting as long as there is room for the least of all. An upload asks once and for
    all that it must have, so that none waits for another that waits for it.

    A download never waits, because it may be the source of an upload. What it reads
    ahead is lent to it, or it reads nothing ahead. At most half of all is lent, and
    nothing while an upload waits.
    """

    def __init__(self, limit: int | None = None) -> None:
        # Guards all that follows, and the counts of rooms. Reach: this process.
        self._lock = threading.Lock()
        self._limit = limit
        self._used = 0
        self._lent = 0
        self._rooms: list[Room] = []
        self._turns: collections.deque[Turn] = collections.deque()

    @property
    def used(self) -> int:
        """The bytes that are counted for transfers now."""
        return self._used

    @property
    def waiting(self) -> int:
        """The number of uploads that wait."""
        return len(self._turns)

    def limit_to(self, limit: int) -> None:
        """Set the limit. Transfers that run keep what they have."""
        with self._lock:
            self._limit = limit
            self._admit()

    @contextlib.contextmanager
    def room(self, size: int, least: int, most: int) -> Iterator[Room]:
        """Wait for the room for *least* buffers of *size* bytes, and yield it."""
        turn = Turn(Room(self, size, least, most))
        try:
            self.queue(turn)
            turn.ready.wait()
            yield turn.room
        finally:
            self.leave(turn)

    def queue(self, turn: Turn) -> None:
        """Let an upload wait; its turn may be at once."""
        with self._lock:
            self._turns.append(turn)
            self._reclaim()
            self._admit()

    def leave(self, turn: Turn) -> None:
        """Free what an upload has, or end its wait."""
        with self._lock:
            if turn.is_admitted:
                self._rooms.remove(turn.room)
                self._used -= turn.room.counted * turn.room.size
                # An error may keep the room for longer.
                turn.room.idle = queue.SimpleQueue()
            elif turn in self._turns:
                self._turns.remove(turn)
            self._admit()

    def grow(self, room: Room) -> bool:
        """Return whether the room may have one more buffer, which is counted then."""
        with self._lock:
            if room.made == room.counted:
                if room.counted == room.most or self._turns or not self._has(room.size):
                    return False
                room.counted += 1
                self._used += room.size
            room.made += 1
            return True

    def put_back(self, room: Room, buffer: Buffer) -> None:
        """Keep the buffer for the room, or free its memory if an upload waits."""
        with self._lock:
            if self._turns and room.counted > room.least:
                room.made -= 1
                self._shrink(room)
                self._admit()
            else:
                room.idle.put(buffer)

    def lend(self, size: int) -> bool:
        """Return whether a download may have *size* bytes; `give_back` ends that."""
        with self._lock:
            is_too_much = (
                self._limit is not None and (self._lent + size) * 2 > self._limit
            )
            if self._turns or is_too_much or not self._has(size):
                return False
            self._used += size
            self._lent += size
            return True

    def give_back(self, size: int) -> None:
        """Say that a download needs *size* bytes no more."""
        with self._lock:
            self._used -= size
            self._lent -= size
            self._admit()

    # The rest is called with the lock held.

    def _has(self, size: int) -> bool:
        return self._limit is None or self._used + size <= self._limit

    def _is_short(self) -> bool:
        """Return whether the upload that waits first has to wait on."""
        if not self._turns:
            return False
        room = self._turns[0].room
        return not self._has(room.least * room.size)

    def _reclaim(self) -> None:
        """Take what the uploads do not use, as far as it is needed."""
        for room in self._rooms:
            while self._is_short() and room.counted > room.least:
                if room.made == room.counted:
                    try:
                        room.idle.get_nowait()
                    except queue.Empty:
                        break
                    room.made -= 1
                self._shrink(room)

    def _shrink(self, room: Room) -> None:
        room.counted -= 1
        self._used -= room.size

    def _admit(self) -> None:
        while self._turns:
            # One upload alone may work even if the limit is below its least.
            if self._is_short() and self._rooms:
                return
            turn = self._turns.popleft()
            self._rooms.append(turn.room)
            self._used += turn.room.least * turn.room.size
            turn.is_admitted = True
            turn.ready.set()


# That of all stores of this process: see ``ontap_transfer_memory``.
PROCESS = Memory()
