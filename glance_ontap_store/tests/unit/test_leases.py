# SPDX-License-Identifier: Apache-2.0
import contextlib
import gc
import sys
import threading
import types

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.leases import Leases
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.tests.fakes.clock import FakeClock
from glance_ontap_store.tests.forking import in_child


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


# Longer than any test.
LONG_S = 3600


def settle():
    """Wait until the threads of volumes whose time is over have ended."""
    for thread in threading.enumerate():
        if thread.name == "ontap-linger":
            thread.join()


def read(leases, volume, is_good=lambda _opened: True):
    with leases.share("v", volume.opened, is_good):
        assert volume.is_open


class TestLingering:
    @pytest.fixture
    def volume(self):
        return Volume()

    @pytest.fixture
    def running(self):
        """Ends what still lingers after the test."""
        transfers = Transfers()
        with transfers.begun():
            pass
        yield transfers
        transfers.stop(60)
        settle()

    @pytest.fixture
    def leases(self, running):
        return Leases(LONG_S, running=running)

    def test_the_next_reader_finds_it_open(self, leases, volume):
        for _time in range(3):
            read(leases, volume)
        assert volume.is_open
        assert volume.opens == 1

    def test_it_is_closed_when_its_time_is_over(self, running, volume):
        read(Leases(0.01, running=running), volume)
        settle()
        assert not volume.is_open

    def test_its_time_begins_anew_after_each_reader(self, leases, volume):
        read(leases, volume)
        (first,) = (t for t in threading.enumerate() if t.name == "ontap-linger")
        with leases.share("v", volume.opened):
            first.join()
            assert volume.is_open
        assert volume.is_open

    def test_it_does_not_linger_while_it_has_a_reader(self, leases, volume):
        with leases.share("v", volume.opened):
            read(leases, volume)
            assert not any(t.name == "ontap-linger" for t in threading.enumerate())

    def test_what_may_not_linger_is_closed_by_its_last_reader(self, running, volume):
        leases = Leases(LONG_S, lambda opened: opened is not volume, running)
        read(leases, volume)
        assert not volume.is_open
        other = Volume()
        read(leases, other)
        assert other.is_open

    def test_what_is_not_good_any_more_is_opened_anew(self, leases, volume):
        read(leases, volume)
        read(leases, volume, lambda opened: opened is not volume)
        assert volume.opens == 2

    def test_a_device_with_an_error_does_not_linger(self, leases, volume):
        with leases.share("v", volume.opened):
            leases.spoil("v")
        assert not volume.is_open
        read(leases, volume)
        assert volume.is_open

    def test_whoever_waits_for_readers_closes_it(self, leases, volume):
        read(leases, volume)
        clock = FakeClock()
        assert leases.wait_until_free("v", clock, 10)
        assert not volume.is_open
        assert clock.monotonic() == 1000

    def test_one_that_ends_during_the_wait_is_closed(self, leases, volume):
        clock, stack = FakeClock(), contextlib.ExitStack()
        stack.enter_context(leases.share("v", volume.opened))
        clock.at(5, stack.close)
        assert leases.wait_until_free("v", clock, 10)
        assert not volume.is_open

    def test_a_stop_closes_it_and_waits(self, leases, running, volume):
        read(leases, volume)
        running.stop(60)
        assert not volume.is_open

    def test_a_download_that_the_stop_ends_leaves_nothing_open(
        self, leases, running, volume
    ):
        stack = contextlib.ExitStack()
        transfer = stack.enter_context(running.begun())
        stack.enter_context(leases.share("v", volume.opened))
        transfer.on_stop(stack.close)
        running.stop(60)
        assert not volume.is_open

    def test_an_error_of_closing_is_logged(self, running, volume, caplog):
        @contextlib.contextmanager
        def stuck():
            yield volume
            raise errors.Broken("Cinder is away")

        leases = Leases(0.01, running=running)
        with leases.share("v", stuck):
            pass
        settle()
        assert "after reading: Cinder is away" in caplog.text
        read(leases, volume)

    def test_a_server_whose_threads_stand_still_keeps_nothing(
        self, leases, volume, monkeypatch
    ):
        """uWSGI without ``enable-threads``: nothing would close it in time."""
        uwsgi = types.SimpleNamespace(opt={})
        monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
        read(leases, volume)
        assert not volume.is_open

    def test_a_forked_process_has_none_of_its_parents(self, leases, volume):
        read(leases, volume)

        def found_by_child():
            gc.collect()
            own = Volume()
            with leases.share("v", own.opened) as opened:
                return opened is own, volume.is_open

        assert in_child(found_by_child) == "(True, True)"
        read(leases, volume)
        assert volume.opens == 1

    def test_it_is_counted_in_the_metrics(self, leases, volume, recorder):
        with recording.operation("fv1", "download"):
            read(leases, volume)
            assert recorder.of(catalogue.LINGERING) == {("fv1",): 1}
            read(leases, volume)
            assert recorder.of(catalogue.READS) == {("fv1", "lingering"): 1}
            assert leases.wait_until_free("v", FakeClock(), 10)
        assert recorder.of(catalogue.LINGERING) == {}


@pytest.mark.parametrize("linger_s", [0, 0.0001])
def test_many_threads_never_overlap(linger_s):
    leases, volume = Leases(linger_s), Volume()
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
    settle()
    assert not failures
    assert not volume.is_open
    assert not leases._table
