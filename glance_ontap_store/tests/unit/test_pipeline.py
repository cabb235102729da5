import errno
import hashlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes import device as device_
from glance_ontap_store.tests.fakes import faulty
from glance_ontap_store.tests.fakes import glance
from glance_ontap_store.transfer import digests as digests_
from glance_ontap_store.transfer import pipeline


def full_length(size):
    """As for a volume, with a "GiB" of 1000 bytes."""
    return max(1, -(-size // 1000)) * 1000


def fill(device, content, announced=None, **reader):
    digests = digests_.Digests("sha256")
    pipeline.fill(
        glance.OnePass(content, **reader),
        content.size if announced is None else announced,
        digests,
        device,
        full_length,
    )
    return digests


class TestFill:
    @given(
        st.integers(min_value=0, max_value=5000),
        st.integers(min_value=1, max_value=3000),
        st.booleans(),
        st.integers(min_value=0, max_value=7000),
    )
    def test_the_device_holds_the_image_and_then_zeros(
        self, size, most, is_known, length_before
    ):
        device = device_.MemoryDevice(length_before)
        content = glance.Pattern(size)
        digests = fill(device, content, size if is_known else 0, most=most)
        assert device.length() == full_length(size)
        image = content.at(0, size)
        assert device.read_at(0, 10_000) == image.ljust(full_length(size), b"\0")
        assert digests.size == size
        assert digests.multihash() == hashlib.sha256(image).hexdigest()

    def test_it_is_durable_at_the_end(self):
        device = device_.MemoryDevice()
        fill(device, glance.Pattern(1500))
        assert device.is_synced

    @pytest.mark.parametrize(("size", "announced"), [(10, 20), (20, 10), (0, 1)])
    def test_another_length_than_announced(self, size, announced):
        with pytest.raises(errors.WrongLength):
            fill(device_.MemoryDevice(), glance.Pattern(size), announced)

    def test_no_byte_after_the_announced_ones_is_written(self):
        device = device_.MemoryDevice()
        with pytest.raises(errors.WrongLength):
            fill(device, glance.Pattern(1000), 600, most=500)
        assert device.length() == 500

    @pytest.mark.parametrize("method", ["write_at", "set_length", "sync"])
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, errors.NoSpace),
            (errno.EACCES, errors.WriteDenied),
            (errno.EIO, errors.Broken),
        ],
    )
    def test_the_devices_errors(self, method, code, expected):
        device = faulty.Faulty(device_.MemoryDevice(name="volume-7"))
        device.fail(method, OSError(code, "no"))
        with pytest.raises(expected, match="volume-7"):
            fill(device, glance.Pattern(1500))

    def test_the_readers_own_oserror_is_no_error_of_the_device(self):
        """An OSError of Glance's socket must not be told as a write error."""
        with pytest.raises(ConnectionResetError):
            fill(
                device_.MemoryDevice(),
                glance.Pattern(1500),
                breaks_at=0,
                error=ConnectionResetError(),
            )

    def test_upstream_unknown_size_keeps_what_was_written_before(self):
        """Each step of 1 GiB zeroed the bytes before it; the checksum hid it."""
        device = device_.MemoryDevice(1000)
        content = glance.Pattern(3500)
        fill(device, content, announced=0, most=300)
        assert device.read_at(0, 3500) == content.at(0, 3500)
