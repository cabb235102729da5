# SPDX-License-Identifier: Apache-2.0
import contextlib
import gc
import threading

from glance_store import exceptions
from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import ByteRange


def device_of(size):
    device = MemoryDevice(name="volume-7")
    device.write_at(0, Pattern(size).at(0, size))
    return device


class Opened:
    """A stream that counts its releases."""

    def __init__(self, device, offset=0, length=100, piece=10, error=None):
        self.released = 0
        self.is_released = threading.Event()
        self._error = error
        self.stream = ImageStream(
            device, ByteRange(offset, length), self._release, piece
        )

    def _release(self):
        self.released += 1
        self.is_released.set()
        if self._error:
            raise self._error


class TestReading:
    @given(
        st.integers(min_value=0, max_value=300),
        st.integers(min_value=0, max_value=300),
        st.integers(min_value=1, max_value=120),
    )
    def test_the_bytes_are_those_of_a_slice(self, offset, length, piece):
        image = Pattern(600).at(0, 600)
        opened = Opened(device_of(600), offset, length, piece)
        found = list(opened.stream)
        assert b"".join(found) == image[offset : offset + length]
        assert all(0 < len(part) <= piece for part in found)
        assert opened.released == 1

    def test_bytes_after_the_image_are_not_given(self):
        device = device_of(100)
        device.write_at(100, b"another image's bytes")
        assert b"".join(Opened(device, 0, 100).stream) == device.read_at(0, 100)

    def test_nothing_is_read_before_it_is_asked_for(self):
        device = Faulty(device_of(100))
        opened = Opened(device)
        assert device.calls == []
        next(opened.stream)
        assert "read_at" in device.calls

    def test_an_empty_range_is_released_at_the_first_read(self):
        opened = Opened(device_of(100), 50, 0)
        assert list(opened.stream) == []
        assert opened.released == 1

    def test_the_stream_stays_at_its_end(self):
        opened = Opened(device_of(100))
        assert len(list(opened.stream)) == 10
        assert list(opened.stream) == []
        assert opened.released == 1


class TestFailing:
    @pytest.mark.parametrize("there", [0, 1, 55, 60, 99])
    def test_upstream_short_device_data_raises(self, there):
        """Upstream ended the stream, and the reader believed it had the whole image."""
        opened = Opened(device_of(there))
        taken = 0
        with pytest.raises(exceptions.BackendException, match=f"ends at {there}"):
            for piece in opened.stream:
                taken += len(piece)
        assert taken <= there
        assert opened.released == 1

    def test_an_error_of_the_device_releases_the_volume(self):
        class Failing(MemoryDevice):
            def read_at(self, offset, length):
                if offset == 20:
                    raise OSError(5, "Input/output error")
                return super().read_at(offset, length)

        device = Failing(100, name="volume-7")
        device.write_at(0, b"x" * 100)
        opened = Opened(device)
        next(opened.stream)
        next(opened.stream)
        with pytest.raises(exceptions.BackendException, match="volume-7 at 20"):
            next(opened.stream)
        assert opened.released == 1
        assert list(opened.stream) == []

    def test_a_failed_release_does_not_spoil_the_bytes(self, caplog):
        opened = Opened(device_of(100), error=errors.CinderUnreachable("No answer."))
        assert len(b"".join(opened.stream)) == 100
        assert "No answer." in caplog.text

    def test_a_failed_release_does_not_hide_the_first_error(self):
        opened = Opened(device_of(50), error=errors.CinderUnreachable("No answer."))
        with pytest.raises(exceptions.BackendException, match="ends at 50") as caught:
            list(opened.stream)
        notes = getattr(caught.value, "__notes__", ["No answer."])
        assert any("No answer." in note for note in notes)


class TestClosing:
    @pytest.mark.parametrize("taken", [0, 1, 10])
    def test_close_releases_once(self, taken):
        opened = Opened(device_of(100))
        for _piece in range(taken):
            next(opened.stream)
        opened.stream.close()
        assert opened.released == 1
        opened.stream.close()
        assert opened.released == 1
        assert list(opened.stream) == []

    def test_a_with_block_closes_the_stream(self):
        opened = Opened(device_of(100))
        with opened.stream as stream:
            next(stream)
        assert opened.released == 1

    def test_an_error_in_a_with_block_closes_the_stream(self):
        opened = Opened(device_of(100))
        with pytest.raises(KeyError), opened.stream:
            raise KeyError
        assert opened.released == 1

    def test_a_collected_stream_is_released(self):
        opened = Opened(device_of(100))
        next(opened.stream)
        del opened.stream
        gc.collect()
        assert opened.is_released.wait(60)
        assert opened.released == 1

    def test_a_stream_is_collected_while_the_release_needs_a_held_lock(self):
        lock, is_released = threading.Lock(), threading.Event()

        def release():
            with lock:
                is_released.set()

        stream = ImageStream(device_of(9), ByteRange(0, 9), release)
        with lock:
            del stream
            gc.collect()
        assert is_released.wait(60)

    def test_a_stream_in_a_cycle_is_not_released_by_the_thread_that_collects_it(self):
        """Such as that of an exception, whose traceback has it. See `_HELD`."""
        released_by, is_released = [], threading.Event()

        @contextlib.contextmanager
        def attached():
            try:
                yield
            finally:
                released_by.append(threading.current_thread())
                is_released.set()

        with contextlib.ExitStack() as stack:
            stack.enter_context(attached())
            release = stack.pop_all().close
        cycle = [ImageStream(device_of(9), ByteRange(0, 9), release)]
        cycle.append(cycle)
        del stack, release, cycle
        gc.collect()
        assert is_released.wait(60)
        assert released_by != [threading.current_thread()]

    def test_a_collected_stream_is_not_released_twice(self):
        opened = Opened(device_of(100))
        list(opened.stream)
        del opened.stream
        gc.collect()
        assert opened.released == 1

    def test_a_failed_constructor_is_collected_quietly(self):
        with pytest.raises(TypeError):
            ImageStream()
        gc.collect()

    def test_another_thread_closes_while_one_reads(self):
        """The release waits for the read: the device is open until then."""
        is_reading, may_go_on = threading.Event(), threading.Event()
        order = []

        class Slow(MemoryDevice):
            def read_at(self, offset, length):
                is_reading.set()
                assert may_go_on.wait(60)
                order.append("read")
                return super().read_at(offset, length)

        device = Slow(20)
        device.write_at(0, b"x" * 20)
        stream = ImageStream(
            device, ByteRange(0, 20), lambda: order.append("release"), 10
        )
        got = []
        reader = threading.Thread(target=lambda: got.extend(stream))
        closer = threading.Thread(target=stream.close)
        reader.start()
        assert is_reading.wait(60)
        closer.start()
        may_go_on.set()
        reader.join()
        closer.join()
        # The reader may have taken one piece or both before the close came.
        assert order[-1] == "release"
        assert order.count("release") == 1
        assert len(got) <= order.count("read")


class TestEndedByOthers:
    def test_the_reader_gets_the_error(self):
        opened = Opened(device_of(100))
        next(opened.stream)
        opened.stream.end(errors.Stopping("glance-api is stopping"))
        assert opened.released == 1
        for _time in range(2):
            with pytest.raises(exceptions.BackendException, match="is stopping"):
                next(opened.stream)
        assert opened.released == 1

    def test_a_reader_that_is_done_gets_none(self):
        opened = Opened(device_of(100))
        assert len(b"".join(opened.stream)) == 100
        opened.stream.end(errors.Stopping("glance-api is stopping"))
        assert list(opened.stream) == []
        assert opened.released == 1
