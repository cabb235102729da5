# SPDX-License-Identifier: Apache-2.0
"""The memory of all transfers: who gets it, who waits, and for how long."""

import threading

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest

from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer import readahead
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.memory import Memory
from glance_ontap_store.transfer.memory import Room
from glance_ontap_store.transfer.memory import Turn
from glance_ontap_store.transfer.readahead import Readahead
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.units import ByteRange

# The bytes of a buffer.
SIZE = 4
# No thread needs so long, unless it waits for ever.
LONG_S = 60


def turn(memory, least=2, most=8):
    """An upload that has its room, or waits."""
    made = Turn(Room(memory, SIZE, least, most))
    memory.queue(made)
    return made


def buffers(limit):
    return Memory(limit * SIZE)


class TestUploads:
    def test_one_gets_what_it_can_use_and_no_more(self):
        memory = buffers(100)
        room = turn(memory).room
        taken = [room.take() for _ in range(8)]
        assert memory.used == 8 * SIZE
        room.put_back(taken[0])
        assert room.take() is taken[0]
        assert not memory.grow(room)

    def test_a_small_one_makes_no_more_buffers_than_it_needs(self):
        memory = buffers(100)
        room = turn(memory).room
        room.put_back(room.take())
        room.put_back(room.take())
        assert (room.made, memory.used) == (1, 2 * SIZE)

    def test_sixteen_of_the_default_have_all_that_they_can_use(self):
        memory = buffers(16 * 8)
        rooms = [turn(memory).room for _ in range(16)]
        assert all(room.take() for room in rooms for _ in range(8))
        assert memory.used == 16 * 8 * SIZE

    def test_they_begin_in_the_order_in_which_they_came(self):
        memory = buffers(4)
        first, second = turn(memory), turn(memory)
        waiting = [turn(memory, least=3), turn(memory, least=1), turn(memory)]
        assert not any(each.is_admitted for each in waiting)
        # There would be room for the second of those who wait.
        memory.leave(first)
        assert [each.is_admitted for each in waiting] == [False, False, False]
        memory.leave(second)
        assert [each.is_admitted for each in waiting] == [True, True, False]
        memory.leave(waiting[0])
        assert waiting[2].is_admitted
        assert memory.waiting == 0

    def test_idle_buffers_are_taken_from_one_that_stalls(self):
        memory = buffers(8)
        stalled = turn(memory).room
        taken = [stalled.take() for _ in range(8)]
        for buffer in taken[1:]:
            stalled.put_back(buffer)
        others = [turn(memory) for _ in range(3)]
        assert all(each.is_admitted for each in others)
        assert (stalled.counted, stalled.made, memory.used) == (2, 2, 8 * SIZE)
        assert not turn(memory).is_admitted

    def test_buffers_in_use_are_given_back_while_others_wait(self):
        memory = buffers(8)
        busy = turn(memory).room
        taken = [busy.take() for _ in range(8)]
        waiting = turn(memory, least=3)
        for buffer in taken[:2]:
            busy.put_back(buffer)
            assert not waiting.is_admitted
        assert not memory.grow(busy)
        busy.put_back(taken[2])
        assert waiting.is_admitted
        # Nobody waits any more, so that the next one is kept.
        busy.put_back(taken[3])
        assert (busy.counted, busy.idle.qsize()) == (5, 1)

    def test_nobody_is_left_with_less_than_the_least(self):
        memory = buffers(4)
        one = turn(memory, most=4).room
        taken = [one.take() for _ in range(4)]
        for _ in range(5):
            turn(memory)
        for buffer in taken:
            one.put_back(buffer)
        assert (one.counted, one.idle.qsize()) == (2, 2)
        assert memory.waiting == 4

    def test_one_that_gives_up_does_not_keep_the_place(self):
        memory = buffers(2)
        first, gone, last = turn(memory), turn(memory), turn(memory)
        memory.leave(gone)
        memory.leave(first)
        assert last.is_admitted
        memory.leave(last)
        assert memory.used == 0

    def test_one_alone_begins_whatever_the_limit_is(self):
        memory = buffers(1)
        first, second = turn(memory), turn(memory)
        assert first.is_admitted
        assert not second.is_admitted
        memory.leave(first)
        assert second.is_admitted

    def test_a_higher_limit_lets_those_begin_who_wait(self):
        memory = buffers(2)
        turn(memory)
        waiting = turn(memory)
        memory.limit_to(4 * SIZE)
        assert waiting.is_admitted

    def test_a_failure_frees_the_memory(self):
        memory = buffers(4)
        with pytest.raises(ZeroDivisionError), memory.room(SIZE, 2, 4) as room:
            room.take()
            raise ZeroDivisionError
        assert memory.used == 0

    def test_without_a_limit_nobody_waits(self):
        memory = Memory()
        assert all(turn(memory).is_admitted for _ in range(1000))
        assert memory.lend(10**12)


class TestDownloads:
    def test_at_most_half_is_lent(self):
        memory = buffers(8)
        assert [memory.lend(2 * SIZE) for _ in range(3)] == [True, True, False]
        memory.give_back(2 * SIZE)
        assert memory.lend(SIZE)

    def test_nothing_is_lent_while_an_upload_waits(self):
        memory = buffers(4)
        first, _second, waiting = turn(memory), turn(memory), turn(memory)
        assert not memory.lend(1)
        memory.leave(first)
        assert waiting.is_admitted

    def test_an_upload_begins_when_a_download_ends(self):
        memory = buffers(4)
        turn(memory)
        assert memory.lend(2 * SIZE)
        waiting = turn(memory)
        assert not waiting.is_admitted
        memory.give_back(2 * SIZE)
        assert waiting.is_admitted

    @pytest.mark.parametrize("limit", [1, 10**9])
    def test_all_bytes_are_read_with_and_without_room(self, limit):
        device, length = MemoryDevice(), 300_000
        device.write_at(0, Pattern(length).at(0, length))
        memory = Memory(limit)
        ahead = Readahead(device, ByteRange(0, length), 65536, memory)
        assert memory.used == ((readahead.AHEAD + 1) * 65536 if limit > 1 else 0)
        found = b""
        while piece := ahead.next_piece():
            found += piece
        ahead.stop()
        ahead.stop()
        assert found == Pattern(length).at(0, length)
        assert memory.used == 0


class Checked(Memory):
    """A memory that is checked after each change."""

    def grow(self, room):
        return self._checked(super().grow(room))

    def put_back(self, room, buffer):
        self._checked(super().put_back(room, buffer))

    def queue(self, turn):
        self._checked(super().queue(turn))

    def _checked(self, result):
        with self._lock:
            counted = sum(room.counted for room in self._rooms)
            assert self._used == counted * SIZE
            assert self._used <= self._limit
            for room in self._rooms:
                assert room.least <= room.counted <= room.most
                assert room.idle.qsize() <= room.made <= room.counted
        return result


# The bytes of an upload, and those that a read returns at most.
_UPLOADS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=5
)


@given(_UPLOADS, st.integers(2, 12))
@settings(max_examples=25)
def test_all_uploads_end_with_their_bytes_within_the_limit(uploads, limit):
    memory = Checked(limit * SIZE)
    failures = []

    def upload(length, most):
        try:
            device = MemoryDevice()
            sink = Sink(device, thin=False)
            reader = OnePass(Pattern(length), most=most)
            written = pipeline.fill_threaded(
                reader, 0, Digests("sha256"), sink, SIZE, memory
            )
            assert written.size == length
            assert device.read_at(0, length) == Pattern(length).at(0, length)
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=upload, args=each) for each in uploads]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in running)
    assert failures == []
    assert (memory.used, memory.waiting) == (0, 0)
