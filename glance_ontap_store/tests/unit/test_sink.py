# SPDX-License-Identifier: Apache-2.0
import errno

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.transfer import sink as sink_

PAGE = sink_.PAGE
MIB = 1024 * 1024


class Recording(MemoryDevice):
    """Grows in steps of a million bytes."""

    def __init__(self, *args):
        super().__init__(*args, unit=1_000_000)
        self.written = []
        self.told = []

    def write_at(self, offset, data):
        self.written.append((offset, offset + len(data)))
        super().write_at(offset, data)

    def sync(self):
        self.told.append("sync")
        super().sync()

    def forget(self, offset, length):
        self.told.append((offset, length))


def put(device, *blocks, thin=True):
    sink = sink_.Sink(device, thin=thin)
    for block in blocks:
        sink.write(block)
    sink.finish()


class TestThin:
    def test_pages_of_zeros_are_not_written(self):
        device = Recording(1_000_000)
        put(device, b"a" * PAGE + bytes(PAGE) + b"b" * PAGE, bytes(50 * PAGE), b"c")
        assert device.written == [
            (0, PAGE),
            (2 * PAGE, 3 * PAGE),
            (53 * PAGE, 53 * PAGE + 1),
        ]
        assert device.length() == 1_000_000

    def test_an_image_of_zeros(self):
        device = Recording()
        put(device, bytes(2_500_000))
        assert device.written == []
        assert device.length() == 3_000_000
        assert device.is_synced

    def test_a_device_with_old_data_gets_every_byte(self):
        device = Recording(2_000_000)
        device.write_at(0, b"old" * 600_000)
        put(device, bytes(500_000))
        assert device.length() == 2_000_000
        assert device.read_at(0, 2_000_000) == bytes(2_000_000)

    def test_a_device_that_cannot_tell_gets_every_byte(self):
        device = Recording()
        device.is_blank = lambda: False
        put(device, bytes(PAGE))
        assert device.written == [(0, PAGE)]

    def test_it_grows_before_it_is_written_and_only_then(self):
        class Growing(Recording):
            def write_at(self, offset, data):
                assert offset + len(data) <= self.length()
                super().write_at(offset, data)

            def ensure(self, size):
                self.told.append(f"ensure {size}")
                super().ensure(size)

        device = Growing(1_000_000)
        put(device, b"x" * 600_000, b"x" * 600_000, b"x" * 900_000)
        grown = [call for call in device.told if str(call).startswith("ensure")]
        assert grown == ["ensure 1200000", "ensure 2100000", "ensure 2100000"]

    def test_it_can_be_switched_off(self):
        device = Recording()
        put(device, bytes(PAGE), thin=False)
        assert device.written == [(0, PAGE)]

    def test_asked_before_the_first_write_only(self):
        """Its own data must not make it stop."""
        device = Recording()
        put(device, b"a" * PAGE, bytes(PAGE), b"b")
        assert device.written == [(0, PAGE), (2 * PAGE, 2 * PAGE + 1)]

    def test_a_device_that_cannot_be_asked(self):
        device = Faulty(MemoryDevice(name="volume-7"))
        device.fail("is_blank", OSError(errno.EIO, "no"))
        with pytest.raises(errors.Broken, match="volume-7"):
            put(device)


class TestDataRuns:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([1, 100, PAGE, 3 * PAGE, 16 * PAGE, 40 * PAGE]),
                st.sampled_from([b"\0", b"x", b"\0x"]),
            ),
            max_size=10,
        )
    )
    def test_exactly_the_pages_that_are_not_zeros(self, parts):
        data = b"".join((byte * size)[:size] for size, byte in parts)
        covered = set()
        before = -1
        for start, end in sink_.data_runs(memoryview(data)):
            assert before < start < end
            assert start % PAGE == 0
            assert end % PAGE == 0 or end == len(data)
            covered.update(range(start // PAGE, -(-end // PAGE)))
            before = end
        assert covered == {
            page
            for page in range(-(-len(data) // PAGE))
            if any(data[page * PAGE : (page + 1) * PAGE])
        }


class TestDurable:
    def test_written_and_cut_before_it_is_synced(self):
        device = Recording()
        put(device, b"x" * 10)
        assert device.told == ["sync", (0, 1_000_000)]
        assert device.is_synced

    def test_sent_and_synced_in_steps(self, monkeypatch):
        monkeypatch.setattr(sink_, "_SEND_AFTER", 2 * PAGE)
        monkeypatch.setattr(sink_, "_SYNC_AFTER", 6 * PAGE)
        device = Recording()
        put(device, *[b"x" * PAGE] * 9)
        assert device.told == [
            (0, 2 * PAGE),
            (2 * PAGE, 2 * PAGE),
            "sync",
            (0, 6 * PAGE),
            (6 * PAGE, 2 * PAGE),
            "sync",
            (0, 1_000_000),
        ]

    def test_zeros_that_are_not_written_make_no_step(self, monkeypatch):
        monkeypatch.setattr(sink_, "_SEND_AFTER", PAGE)
        device = Recording()
        put(device, *[bytes(PAGE)] * 9)
        assert device.told == ["sync", (0, 1_000_000)]

    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_any_sync_that_fails_fails_the_upload(self, monkeypatch, nth):
        """The kernel tells of a lost write once: the next sync would succeed."""
        monkeypatch.setattr(sink_, "_SYNC_AFTER", PAGE)
        device = Faulty(MemoryDevice(name="volume-7"))
        device.fail("sync", OSError(errno.EIO, "lost"), nth=nth)
        with pytest.raises(errors.Broken, match=r"volume-7.*lost"):
            put(device, b"x" * PAGE, b"x" * PAGE)
