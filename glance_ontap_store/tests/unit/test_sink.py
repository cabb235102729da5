# SPDX-License-Identifier: Apache-2.0
import errno

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.transfer import sink
from glance_ontap_store.transfer.sink import PAGE
from glance_ontap_store.transfer.sink import Sink


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
    target = Sink(device, thin=thin)
    for block in blocks:
        target.write(block)
    target.finish()


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

    def test_an_image_of_zeros_writes_nothing_and_has_its_length(self):
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

    def test_the_device_is_asked_to_grow_before_a_write_past_its_end(self):
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

    def test_zeros_are_written_if_thin_is_off(self):
        device = Recording()
        put(device, bytes(PAGE), thin=False)
        assert device.written == [(0, PAGE)]

    def test_a_device_is_asked_once_whether_it_is_blank(self):
        """The image's own data must not end the thin writing."""
        device = Recording()
        put(device, b"a" * PAGE, bytes(PAGE), b"b")
        assert device.written == [(0, PAGE), (2 * PAGE, 2 * PAGE + 1)]

    def test_an_error_of_the_question_names_the_device(self):
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
    def test_runs_are_exactly_the_pages_that_are_not_zeros(self, parts):
        data = b"".join((byte * size)[:size] for size, byte in parts)
        covered = set()
        before = -1
        for start, end in sink.data_runs(memoryview(data)):
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
    def test_the_length_is_set_before_the_last_sync(self):
        device = Recording()
        put(device, b"x" * 10)
        assert device.told == ["sync", (0, 1_000_000)]
        assert device.is_synced

    def test_bytes_are_sent_and_synced_in_steps(self, monkeypatch):
        monkeypatch.setattr(sink, "_SEND_AFTER", 2 * PAGE)
        monkeypatch.setattr(sink, "_SYNC_AFTER", 6 * PAGE)
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

    def test_skipped_zeros_do_not_count_for_the_steps(self, monkeypatch):
        monkeypatch.setattr(sink, "_SEND_AFTER", PAGE)
        device = Recording()
        put(device, *[bytes(PAGE)] * 9)
        assert device.told == ["sync", (0, 1_000_000)]

    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_any_sync_that_fails_fails_the_upload(self, monkeypatch, nth):
        """The kernel reports a lost write once: the next sync would succeed."""
        monkeypatch.setattr(sink, "_SYNC_AFTER", PAGE)
        device = Faulty(MemoryDevice(name="volume-7"))
        device.fail("sync", OSError(errno.EIO, "lost"), nth=nth)
        with pytest.raises(errors.Broken, match=r"volume-7.*lost"):
            put(device, b"x" * PAGE, b"x" * PAGE)
