# SPDX-License-Identifier: Apache-2.0
import errno
import gc
import hashlib
import threading

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import RecordingVerifier
from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.buffers import Buffer
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.pipeline import Written
from glance_ontap_store.transfer.sink import PAGE
from glance_ontap_store.transfer.sink import Sink

# The devices grow in steps of so many bytes, as volumes do in GiB.
UNIT = 1000


def fill(way, device, content, announced=None, thin=True, **reader):
    return way(
        OnePass(content, **reader),
        content.size if announced is None else announced,
        Digests("sha256"),
        Sink(device, thin=thin),
    )


@pytest.mark.parametrize("way", [pipeline.fill, pipeline.fill_threaded])
class TestBothWaysAlone:
    @given(
        st.integers(min_value=0, max_value=5000),
        st.integers(min_value=1, max_value=3000),
        st.booleans(),
        st.integers(min_value=0, max_value=7000),
        st.booleans(),
    )
    def test_the_device_holds_the_image_and_then_zeros(
        self, way, size, most, is_known, length_before, is_old
    ):
        device = MemoryDevice(length_before, unit=UNIT)
        if is_old:
            device.write_at(0, b"old!" * (length_before // 4))
        content = Pattern(size)
        written = fill(way, device, content, size if is_known else 0, most=most)
        length = max(length_before, UNIT, -(-size // UNIT) * UNIT)
        assert device.length() == length
        image = content.at(0, size)
        assert device.read_at(0, 10_000) == image.ljust(length, b"\0")
        assert written == Written(
            size,
            hashlib.md5(image).hexdigest(),
            hashlib.sha256(image).hexdigest(),
            "raw",
        )

    def test_the_device_is_synced_at_the_end(self, way):
        device = MemoryDevice()
        fill(way, device, Pattern(1500))
        assert device.is_synced

    @pytest.mark.parametrize(("size", "announced"), [(10, 20), (20, 10), (0, 1)])
    def test_a_length_other_than_announced_is_an_error(self, way, size, announced):
        with pytest.raises(errors.WrongLength):
            fill(way, MemoryDevice(), Pattern(size), announced)

    def test_no_byte_after_the_announced_ones_is_written(self, way):
        device = MemoryDevice()
        with pytest.raises(errors.WrongLength):
            fill(way, device, Pattern(1000), 600, most=500)
        assert device.length() <= 600

    @pytest.mark.parametrize("method", ["write_at", "ensure", "sync"])
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, errors.NoSpace),
            (errno.EACCES, errors.WriteDenied),
            (errno.EIO, errors.Broken),
        ],
    )
    def test_an_error_of_the_device_names_it(self, way, method, code, expected):
        device = Faulty(MemoryDevice(name="volume-7"))
        device.fail(method, OSError(code, "no"))
        with pytest.raises(expected, match="volume-7"):
            fill(way, device, Pattern(1500))

    def test_an_oserror_of_the_reader_passes_unchanged(self, way):
        """An OSError of Glance's socket must not look like a write error."""
        with pytest.raises(ConnectionResetError):
            fill(
                way,
                MemoryDevice(),
                Pattern(1500),
                breaks_at=0,
                error=ConnectionResetError(),
            )

    def test_upstream_unknown_size_keeps_what_was_written_before(self, way):
        """Each step of 1 GiB zeroed the bytes before it; the checksum hid it."""
        device = MemoryDevice(UNIT, unit=UNIT)
        content = Pattern(3500)
        fill(way, device, content, announced=0, most=300)
        assert device.read_at(0, 3500) == content.at(0, 3500)


class Taps:
    """A device that fails when it is to write a certain byte."""

    def __init__(self, fails_at):
        self.inner = MemoryDevice(name="volume-7", unit=UNIT)
        self._fails_at = fails_at

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def write_at(self, offset, data):
        if self._fails_at is not None and (
            offset <= self._fails_at < offset + len(data)
        ):
            raise OSError(errno.ENOSPC, "no")
        self.inner.write_at(offset, data)


class ClientGone(Exception):
    pass


class Bytes:
    def __init__(self, data):
        self.size = len(data)
        self._data = data

    def at(self, offset, length):
        return self._data[offset : offset + length]


PIECES = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=3 * PAGE),
        st.one_of(st.just(b"\0"), st.binary(min_size=1, max_size=3)),
    ),
    max_size=8,
).map(lambda pairs: b"".join((byte * size)[:size] for size, byte in pairs))


class TestBothWays:
    """With threads the result is the same as without."""

    @staticmethod
    def outcome(way, data, announced, breaks_at, fails_at, **most):
        device = Taps(fails_at)
        verifier = RecordingVerifier()
        reader = OnePass(Bytes(data), breaks_at=breaks_at, error=ClientGone(), **most)
        before = threading.active_count()
        try:
            written = way(
                reader,
                announced,
                Digests("sha256", verifier),
                Sink(device, thin=True),
                block_size=2 * PAGE,
            )
        except (errors.StoreError, ClientGone) as error:
            return type(error)
        finally:
            assert threading.active_count() == before
        length = device.length()
        return (
            written,
            verifier.taken,
            length,
            device.inner.is_synced,
            device.read_at(0, length + 1),
        )

    @given(
        PIECES,
        st.integers(min_value=1, max_value=5 * PAGE),
        st.sampled_from([0, None, -1, 1]),
        st.none() | st.integers(min_value=0, max_value=20 * PAGE),
        st.none() | st.integers(min_value=0, max_value=20 * PAGE),
    )
    def test_bytes_digests_and_errors(self, data, most, wrong_by, breaks_at, fails_at):
        announced = 0 if wrong_by is None else max(0, len(data) + wrong_by)
        given_ = (data, announced, breaks_at, fails_at)
        simple = self.outcome(pipeline.fill, *given_, most=most)
        threaded = self.outcome(pipeline.fill_threaded, *given_, most=most)
        if threaded == simple:
            return
        # Of two failures, one thread raises the first in the stream, and several
        # threads raise the first in time. Both must be failures that do happen.
        assert isinstance(simple, type)
        alone = [
            self.outcome(pipeline.fill, data, announced, *which, most=most)
            for which in ((breaks_at, None), (None, fails_at), (None, None))
        ]
        assert threaded in alone
        assert isinstance(threaded, type)


class TestThreads:
    def test_the_reader_is_called_by_the_calling_thread(self):
        """It may use state of that thread, such as a request's context."""
        seen = set()

        class Reader:
            left = 3

            def read(self, size):
                seen.add(threading.current_thread())
                self.left -= 1
                return b"x" * size if self.left else b""

        fill_reader(Reader())
        assert seen == {threading.current_thread()}

    @pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
    def test_an_interrupted_reader_leaves_no_thread(self, error):
        before = threading.active_count()
        with pytest.raises(error):
            fill_reader(Raising(error))
        assert threading.active_count() == before

    def test_no_memory_of_an_upload_stays_after_its_failure(self):
        """A cycle through a traceback would keep it until a garbage collection."""

        def count():
            return sum(isinstance(found, Buffer) for found in gc.get_objects())

        gc.collect()
        gc.disable()
        try:
            before = count()
            with pytest.raises(ClientGone):
                fill_reader(Raising(ClientGone))
            assert count() == before
        finally:
            gc.enable()

    @pytest.mark.parametrize("are_real", [True, False])
    def test_green_threads_are_not_used(self, monkeypatch, are_real):
        monkeypatch.setattr(threads, "are_real", lambda: are_real)
        used = set()

        class Device(MemoryDevice):
            def write_at(self, offset, data):
                used.add(threading.current_thread())
                super().write_at(offset, data)

        fill(pipeline.run, Device(), Pattern(1000))
        assert (used == {threading.current_thread()}) is not are_real


class Raising:
    """A reader of a few blocks, and then an error."""

    def __init__(self, error):
        self._error = error
        self._left = 2 * buffers.COUNT

    def read(self, size):
        self._left -= 1
        if not self._left:
            raise self._error()
        return b"x" * size


def fill_reader(reader):
    pipeline.fill_threaded(
        reader,
        0,
        Digests("sha256"),
        Sink(MemoryDevice(), thin=True),
        block_size=5000,
    )
