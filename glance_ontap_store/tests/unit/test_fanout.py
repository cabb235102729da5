# SPDX-License-Identifier: Apache-2.0
import os
import signal
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.transfer.buffers import Buffer
from glance_ontap_store.transfer.fanout import Fanout


def room(count=3, size=4):
    return [Buffer(size) for _ in range(count)]


def reader(data):
    left = memoryview(data)

    def read(size):
        nonlocal left
        found, left = bytes(left[:size]), left[size:]
        return found

    return read


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class TestPassOn:
    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("works", [1, 2, 5])
    @pytest.mark.parametrize("size", [0, 1, 4, 1001])
    def test_everybody_gets_everything_in_order(self, count, works, size):
        data = os.urandom(size)
        taken = [bytearray() for _ in range(works)]
        Fanout([each.extend for each in taken], room(count)).pass_on(reader(data))
        assert taken == [data] * works

    def test_they_work_at_the_same_time(self):
        """Each of them waits for all others, which one thread could not."""
        meeting = threading.Barrier(3)
        Fanout([lambda block: meeting.wait()] * 3, room()).pass_on(reader(b"data"))

    def test_a_slow_one_bounds_what_is_read(self):
        """No more buffers are filled than there are."""
        go = threading.Event()
        asked = []
        data = reader(bytes(40))

        def read(size):
            asked.append(size)
            if len(asked) == 3:  # all buffers are on their way when this is asked
                go.set()
            assert len(asked) <= 3 or go.is_set()
            return data(size)

        done = []

        def slow(block):
            go.wait()
            done.append(len(asked) - len(done))

        Fanout([slow], room(3)).pass_on(read)
        assert max(done) <= 3 + 1

    @pytest.mark.parametrize("nth", [1, 2, 10, 100])
    def test_one_fails(self, nth):
        calls = []

        def fails(block):
            calls.append(1)
            if len(calls) == nth:
                raise errors.NoSpace("full")

        with pytest.raises(errors.NoSpace):
            Fanout([len, fails, len], room()).pass_on(reader(bytes(400)))
        assert len(calls) == nth

    def test_after_a_failure_nothing_more_is_read(self):
        """An endless stream ends."""

        def fails(block):
            raise errors.NoSpace("full")

        with pytest.raises(errors.NoSpace):
            Fanout([fails], room()).pass_on(bytes)

    def test_the_first_wins_and_the_other_is_a_note(self):
        failed = threading.Event()

        def fails(block):
            try:
                raise errors.NoSpace("first")
            finally:
                failed.set()

        crew_ = Fanout([fails], room())

        def read(size):
            failed.wait()
            while not crew_._stop:
                pass
            raise errors.Broken("second")

        def begin(size):
            nonlocal ways
            ways += 1
            return b"data" if ways == 1 else read(size)

        ways = 0
        with pytest.raises(errors.NoSpace) as caught:
            crew_.pass_on(begin)
        assert "second" in errors.describe(caught.value)

    def test_who_interrupts_is_heard_in_any_case(self):
        crew_ = None

        def fails(block):
            raise errors.NoSpace("full")

        def read(size):
            if not crew_._queues[0].empty() or crew_._users:
                while not crew_._stop:
                    pass
                raise KeyboardInterrupt
            return b"data"

        crew_ = Fanout([fails], room())
        with pytest.raises(KeyboardInterrupt) as caught:
            crew_.pass_on(read)
        assert "full" in errors.describe(caught.value)

    def test_a_thread_that_cannot_be_started(self, monkeypatch):
        start = threading.Thread.start
        started = []

        def third_fails(thread):
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", third_fails)
        with pytest.raises(RuntimeError, match="start new"):
            Fanout([len] * 4, room()).pass_on(reader(b"data"))

    def test_interrupted_while_the_threads_are_waited_for(self):
        """The work under way is finished before anybody closes its file."""
        finished = []
        main = threading.main_thread().ident

        def works(block):
            for count in range(3):
                signal.pthread_kill(main, signal.SIGINT)
                while len(crew_._failures) == count:
                    # A signal that comes just before a lock is waited for is
                    # noticed when the wait is over; this one ends waits.
                    signal.pthread_kill(main, signal.SIGUSR1)
            finished.append(True)

        crew_ = Fanout([works], room())
        wake = signal.signal(signal.SIGUSR1, lambda number, frame: None)
        interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                crew_.pass_on(reader(b"data"))
        finally:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGUSR1, wake)
        assert finished
