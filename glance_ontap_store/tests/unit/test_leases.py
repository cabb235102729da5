# SPDX-License-Identifier: Apache-2.0
import contextlib
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.leases import Leases
from glance_ontap_store.tests.fakes.clock import FakeClock


class Volume:
    """Fails if it is opened while it is open, or used while it is closed."""

    def __init__(self):
        self.is_open = False
        self.opens = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def opened(self):
        with self._lock:
            assert not self.is_open, "opened twice"
            self.is_open = True
            self.opens += 1
        yield self
        with self._lock:
            self.is_open = False


def test_the_first_reader_opens_and_the_last_closes():
    leases, volume = Leases(), Volume()
    with contextlib.ExitStack() as last:
        with leases.share("v", volume.opened) as first:
            assert last.enter_context(leases.share("v", volume.opened)) is first
        assert volume.is_open
    assert not volume.is_open
    assert volume.opens == 1


def test_volumes_are_opened_independently():
    leases, one, two = Leases(), Volume(), Volume()
    with leases.share("1", one.opened), leases.share("2", two.opened) as opened:
        assert opened is two


def test_after_an_error_of_opening_the_next_reader_tries_again():
    leases, volume = Leases(), Volume()

    @contextlib.contextmanager
    def refused():
        raise OSError("refused")
        yield

    with pytest.raises(OSError, match="refused"), leases.share("v", refused):
        raise AssertionError("it was not opened")
    with leases.share("v", volume.opened):
        assert volume.is_open


def test_the_last_reader_gets_the_error_of_closing():
    leases, volume = Leases(), Volume()

    @contextlib.contextmanager
    def stuck():
        yield volume
        raise OSError("stuck")

    with pytest.raises(OSError, match="stuck"):
        with leases.share("v", stuck):
            with leases.share("v", stuck):
                pass
    with leases.share("v", volume.opened):
        assert volume.is_open


def test_a_reader_does_not_wait_for_ever_for_one_that_opens():
    leases, volume = Leases(patience_s=0.05), Volume()

    @contextlib.contextmanager
    def hangs():
        with pytest.raises(errors.Broken, match="Another download"):
            with leases.share("v", volume.opened):
                raise AssertionError("it was not open yet")
        yield volume

    with leases.share("v", hangs):
        pass
    with leases.share("v", volume.opened):
        assert volume.is_open


class TestWaitingForReaders:
    @pytest.fixture
    def clock(self):
        return FakeClock()

    def test_a_volume_without_readers_is_free_at_once(self, clock):
        before = clock.monotonic()
        assert Leases().wait_until_free("v", clock, 10)
        assert clock.monotonic() == before

    def test_a_reader_that_ends_is_waited_for(self, clock):
        leases, stack = Leases(), contextlib.ExitStack()
        stack.enter_context(leases.share("v", Volume().opened))
        clock.at(5, stack.close)
        assert leases.wait_until_free("v", clock, 10)
        assert 5 <= clock.monotonic() - 1000 < 10

    def test_the_wait_has_an_end(self, clock):
        leases = Leases()
        with leases.share("v", Volume().opened):
            assert not leases.wait_until_free("v", clock, 10)
            assert leases.wait_until_free("w", clock, 10)

    def test_a_reader_that_is_still_opening_counts(self, clock):
        leases = Leases()

        @contextlib.contextmanager
        def slow():
            assert not leases.wait_until_free("v", clock, 1)
            yield

        with leases.share("v", slow):
            pass
        assert leases.wait_until_free("v", clock, 1)


def test_many_threads_never_overlap():
    leases, volume = Leases(), Volume()
    start = threading.Barrier(8)
    failures = []

    def read():
        start.wait()
        try:
            for _time in range(200):
                with leases.share("v", volume.opened):
                    assert volume.is_open, "used while closed"
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not volume.is_open
    assert not leases._table
