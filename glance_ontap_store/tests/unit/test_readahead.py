# SPDX-License-Identifier: Apache-2.0
import threading

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.readahead import AHEAD
from glance_ontap_store.transfer.readahead import Readahead
from glance_ontap_store.transfer.readahead import parts
from glance_ontap_store.units import ByteRange

# The page size of the device in memory, and so of its holes.
PAGE = 64 * 1024


def everything(ahead):
    found = []
    while piece := ahead.next_piece():
        found.append(piece)
    ahead.stop()
    return found


class Counting(MemoryDevice):
    """A device that records the calls."""

    def __init__(self, length):
        super().__init__(length, name="volume-7")
        self.read, self.asked = [], []

    def read_at(self, offset, length):
        self.read.append((offset, length))
        return super().read_at(offset, length)

    def extent(self, offset):
        self.asked.append(offset)
        return super().extent(offset)


@pytest.fixture(params=["threads", "green"])
def green_or_not(request, monkeypatch):
    monkeypatch.setattr(threads, "are_real", lambda: request.param == "threads")


class TestParts:
    @given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 200))
    def test_parts_make_up_the_range_and_end_at_multiples(self, offset, length, piece):
        wanted = ByteRange(offset, length)
        found = list(parts(wanted, piece))
        assert [at for part in found for at in range(part.offset, part.end)] == list(
            range(offset, offset + length)
        )
        assert all(part.end % piece == 0 for part in found[:-1])


class TestBytes:
    @given(
        st.sets(st.integers(0, 9)),
        st.integers(0, 10 * PAGE),
        st.integers(0, 10 * PAGE),
        st.sampled_from([1000, PAGE, 3 * PAGE + 1]),
        st.booleans(),
    )
    def test_the_bytes_are_right_with_holes_and_green_threads(
        self, pages, offset, length, piece, are_real
    ):
        device = Counting(10 * PAGE)
        for page in pages:
            device.write_at(page * PAGE, Pattern(PAGE).at(0, PAGE))
        wanted = ByteRange.clipped(offset, length, 10 * PAGE)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(threads, "are_real", lambda: are_real)
            found = everything(Readahead(device, wanted, piece))
        expected = MemoryDevice.read_at(device, wanted.offset, wanted.length)
        assert b"".join(found) == expected

    def test_holes_are_not_read(self, green_or_not):
        device = Counting(100 * PAGE)
        device.write_at(50 * PAGE, b"x" * PAGE)
        everything(Readahead(device, ByteRange(0, 100 * PAGE), PAGE))
        assert device.read == [(50 * PAGE, PAGE)]

    def test_the_device_is_asked_once_for_an_extent(self, green_or_not):
        device = Counting(0)
        device.write_at(0, b"x" * (100 * PAGE))
        everything(Readahead(device, ByteRange(0, 100 * PAGE), PAGE))
        assert device.asked == [0]

    def test_the_device_is_asked_at_most_once_for_a_piece(self, green_or_not):
        device = Counting(100 * PAGE)
        for page in range(0, 100, 2):
            device.write_at(page * PAGE, b"x" * PAGE)
        everything(Readahead(device, ByteRange(0, 100 * PAGE), 10 * PAGE))
        assert len(device.asked) <= 10

    @pytest.mark.parametrize("there", [0, 1, PAGE, 3 * PAGE, 4 * PAGE - 1])
    def test_a_device_that_was_cut_is_a_short_read(self, green_or_not, there):
        """It does not matter whether data or a hole was cut."""
        device = Counting(there)
        ahead = Readahead(device, ByteRange(0, 4 * PAGE), PAGE)
        with pytest.raises(errors.ShortRead, match=f"ends at {there} bytes"):
            everything(ahead)
        ahead.stop()


class TestAhead:
    def test_at_most_four_pieces_are_read_ahead(self):
        device = Counting(0)
        device.write_at(0, b"x" * 100)
        ahead = Readahead(device, ByteRange(0, 100), 1)
        for taken in range(1, 30):
            ahead.next_piece()
            assert len(device.read) < taken + AHEAD
        ahead.stop()
        assert len(device.read) < 30 + AHEAD

    def test_two_pieces_are_read_at_the_same_time(self):
        """Two reads wait for each other; a single one would never end."""
        both = threading.Barrier(2, timeout=60)

        class Slow(MemoryDevice):
            def read_at(self, offset, length):
                both.wait()
                return super().read_at(offset, length)

        device = Slow(0)
        device.write_at(0, b"x" * 10)
        ahead = Readahead(device, ByteRange(0, 10), 1)
        assert b"".join(everything(ahead)) == b"x" * 10

    def test_an_error_is_raised_at_its_place_in_the_stream(self, green_or_not):
        class Failing(MemoryDevice):
            def read_at(self, offset, length):
                if offset == 3:
                    raise OSError(5, "Input/output error")
                return super().read_at(offset, length)

        device = Failing(0, name="volume-7")
        device.write_at(0, b"0123456789")
        ahead = Readahead(device, ByteRange(0, 10), 1)
        assert [ahead.next_piece() for _ in range(3)] == [b"0", b"1", b"2"]
        with pytest.raises(errors.Broken, match="volume-7 at 3 failed"):
            ahead.next_piece()
        ahead.stop()

    def test_an_error_of_the_search_for_holes_names_the_device(self, green_or_not):
        device = Faulty(MemoryDevice(10, name="volume-7"))
        device.fail("extent", OSError(5, "Input/output error"))
        ahead = Readahead(device, ByteRange(0, 10), 1)
        with pytest.raises(errors.Broken, match="volume-7 at 0 failed"):
            ahead.next_piece()
        ahead.stop()

    def test_stop_waits_for_current_reads_and_starts_no_more(self):
        began, may_end, order = threading.Event(), threading.Event(), []

        class Slow(MemoryDevice):
            def read_at(self, offset, length):
                began.set()
                may_end.wait()
                order.append("read")
                return super().read_at(offset, length)

        device = Slow(0)
        device.write_at(0, b"x" * 10)
        ahead = Readahead(device, ByteRange(0, 10), 1)
        ahead._begin(ByteRange(0, 1))
        began.wait()
        stopping = threading.Thread(
            target=lambda: (ahead.stop(), order.append("stopped"))
        )
        stopping.start()
        may_end.set()
        stopping.join()
        assert order == ["read", "stopped"]

    def test_stop_leaves_no_thread(self):
        before = threading.active_count()
        device = Counting(0)
        device.write_at(0, b"x" * 100)
        ahead = Readahead(device, ByteRange(0, 100), 1)
        ahead.next_piece()
        assert threading.active_count() > before
        ahead.stop()
        ahead.stop()
        assert threading.active_count() == before

    def test_a_range_of_one_piece_needs_no_thread(self):
        before = threading.active_count()
        device = Counting(0)
        device.write_at(0, b"x" * 100)
        assert Readahead(device, ByteRange(0, 50), 50).next_piece() == b"x" * 50
        assert threading.active_count() == before
