# SPDX-License-Identifier: Apache-2.0
import os
import queue
import signal
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.transfer.fanout import Fanout
from glance_ontap_store.transfer.memory import Memory
from glance_ontap_store.transfer.memory import Room


def room(count=3, size=4):
    return Room(Memory(), size, count, count)


def reader(data):
    left = memoryview(data)

    def read(size):
        nonlocal left
        found, left = bytes(left[:size]), left[size:]
        return found

    return read


def one_after_the_other(first, second):
    """Return two consumers; one raises *first*, then the other raises *second*.

    The second one waits for the first one's thread, which ends only after its
    failure has ended the reading.
    """
    failing, is_called = queue.SimpleQueue(), threading.Event()

    def fail_first(block):
        is_called.wait()
        failing.put(threading.current_thread())
        raise first

    def fail_second(block):
        is_called.set()
        failing.get().join()
        raise second

    return [fail_first, fail_second]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class TestRun:
    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("consumers", [1, 2, 5])
    @pytest.mark.parametrize("size", [0, 1, 4, 1001])
    def test_every_consumer_gets_all_bytes_in_order(self, count, consumers, size):
        data = os.urandom(size)
        taken = [bytearray() for _ in range(consumers)]
        Fanout([target.extend for target in taken], room(count)).run(reader(data))
        assert taken == [data] * consumers

    def test_consumers_run_at_the_same_time(self):
        """Each one waits for all others, which would block a single thread."""
        meeting = threading.Barrier(3)
        Fanout([lambda block: meeting.wait()] * 3, room()).run(reader(b"data"))

    def test_a_slow_consumer_limits_how_far_is_read(self):
        """No more buffers are filled than there are."""
        go = threading.Event()
        asked = []
        data = reader(bytes(40))

        def read(size):
            asked.append(size)
            if len(asked) == 3:  # all buffers are in use when this is called
                go.set()
            assert len(asked) <= 3 or go.is_set()
            return data(size)

        done = []

        def slow(block):
            go.wait()
            done.append(len(asked) - len(done))

        Fanout([slow], room(3)).run(read)
        assert max(done) <= 3 + 1

    @pytest.mark.parametrize("nth", [1, 2, 10, 100])
    def test_a_failed_consumer_is_not_called_again(self, nth):
        calls = []

        def fails(block):
            calls.append(1)
            if len(calls) == nth:
                raise errors.NoSpace("full")

        with pytest.raises(errors.NoSpace):
            Fanout([len, fails, len], room()).run(reader(bytes(400)))
        assert len(calls) == nth

    def test_a_failure_ends_the_reading(self):
        """An endless stream ends."""

        def fails(block):
            raise errors.NoSpace("full")

        with pytest.raises(errors.NoSpace):
            Fanout([fails], room()).run(bytes)

    def test_a_later_failure_is_a_note_on_the_first(self):
        consumers = one_after_the_other(errors.NoSpace("1st"), errors.Broken("2nd"))
        with pytest.raises(errors.NoSpace) as caught:
            Fanout(consumers, room()).run(reader(b"data"))
        assert "2nd" in errors.describe(caught.value)

    @pytest.mark.parametrize(
        "interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit]
    )
    def test_an_interrupt_is_raised_although_a_failure_came_first(self, interrupt):
        consumers = one_after_the_other(errors.NoSpace("full"), interrupt())
        with pytest.raises(interrupt) as caught:
            Fanout(consumers, room()).run(reader(b"data"))
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
            Fanout([len] * 4, room()).run(reader(b"data"))

    def test_interrupts_do_not_end_the_wait_for_the_threads(self):
        """A consumer's current call ends before its file can be closed."""
        finished, interrupts = [], []
        main = threading.main_thread().ident

        def consume(block):
            for number in range(1, 4):
                signal.pthread_kill(main, signal.SIGINT)
                while len(interrupts) < number:
                    # A signal that arrives just before a thread waits for a lock is
                    # handled only after the wait. This one ends the wait.
                    signal.pthread_kill(main, signal.SIGUSR1)
            finished.append(True)

        def interrupt(_number, _frame):
            interrupts.append(True)
            raise KeyboardInterrupt

        old_wake = signal.signal(signal.SIGUSR1, lambda number, frame: None)
        old_interrupt = signal.signal(signal.SIGINT, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                Fanout([consume], room()).run(reader(b"data"))
        finally:
            signal.signal(signal.SIGINT, old_interrupt)
            signal.signal(signal.SIGUSR1, old_wake)
        assert finished
