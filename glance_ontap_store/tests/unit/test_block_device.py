# SPDX-License-Identifier: Apache-2.0
"""A block device's bytes, and its zeros, which are proved or written.

A file stands for the device: it has a fixed length here too.
"""

import errno
import os
import random

import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach.block import device as block
from glance_ontap_store.attach.block.device import BlockDevice
from glance_ontap_store.transfer.sink import Sink

# A GiB is 8 MiB here, because some devices get every byte of it.
MIB, GIB = 1 << 20, 8 << 20
OLD = b"\xee" * 4096


@pytest.fixture(autouse=True)
def _small_gib(monkeypatch):
    monkeypatch.setattr(units, "GIB", GIB)


@pytest.fixture
def path(tmp_path):
    """A device of 1 GiB with old bytes at its ends, in the middle and at 3 MiB."""
    path = tmp_path / "sda"
    with open(path, "wb") as file:
        file.truncate(GIB)
        for offset in (0, 3 * MIB, GIB // 2 + 512, GIB - len(OLD)):
            file.seek(offset)
            file.write(OLD)
    return path


@pytest.fixture
def opened(path):
    """A function that opens it; growth only makes the file longer."""
    fd = os.open(path, os.O_RDWR)

    def make(is_thin=True, dirt=b""):
        def grow(gib):
            before = os.fstat(fd).st_size
            os.ftruncate(fd, gib * GIB)
            os.pwrite(fd, dirt, before)

        return BlockDevice(fd, str(path), errors.FILE, grow, is_thin)

    yield make
    os.close(fd)


def data_of(path):
    """Return the parts of a file that are not zeros, by their offset."""
    found = {}
    with open(path, "rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return found
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            piece = os.pread(file.fileno(), end - start, start)
            if any(piece):
                found[start] = piece


def write(device, image, thin=True):
    sink = Sink(device, thin)
    for at in range(0, len(image), MIB):
        sink.write(image[at : at + MIB])
    sink.finish()


IMAGE = random.Random(1).randbytes(MIB) + bytes(4 * MIB) + b"tail of 12 b"


def assert_holds(path, image, gib=1):
    """The device has the image and then zeros only: no old byte is left."""
    with open(path, "rb") as file:
        assert file.read(len(image)) == image
        assert os.fstat(file.fileno()).st_size == gib * GIB
    ends = [start + len(piece.rstrip(b"\0")) for start, piece in data_of(path).items()]
    assert max(ends) == len(image)


@pytest.mark.parametrize("is_thin", [True, False])
@pytest.mark.parametrize("thin", [True, False])
def test_nothing_old_is_left_beside_an_image(opened, path, is_thin, thin):
    write(opened(is_thin), IMAGE, thin)
    assert_holds(path, IMAGE)


def test_zeros_take_no_space_where_the_device_zeroes_itself(opened, path):
    write(opened(), IMAGE)
    assert os.stat(path).st_blocks * 512 < 3 * MIB


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV])
def test_a_device_that_cannot_zero_itself_gets_every_byte(
    opened, path, monkeypatch, code
):
    def refuse(*_args):
        raise OSError(code, "no")

    monkeypatch.setattr(block, "punch", refuse)
    device = opened()
    assert not device.is_blank()
    write(device, IMAGE)
    assert_holds(path, IMAGE)


def test_another_error_while_zeroing_is_not_hidden(opened, monkeypatch):
    def fail(*_args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(block, "punch", fail)
    with pytest.raises(OSError, match="Input/output"):
        opened().is_blank()


@pytest.mark.parametrize("offset", [0, GIB - 1])
def test_a_device_that_lies_about_its_zeros_gets_every_byte(
    opened, path, monkeypatch, offset
):
    """The kernel said that it zeroed, and one end still has old bytes."""
    with open(path, "r+b") as file:
        file.truncate(0)
        file.truncate(GIB)
        file.seek(offset)
        file.write(b"\1")
    monkeypatch.setattr(block, "punch", lambda *_args: None)
    device = opened()
    assert not device.is_blank()
    write(device, IMAGE)
    assert_holds(path, IMAGE)


def test_a_device_of_which_no_zeroing_is_known_to_be_thin_is_not_blank(opened, path):
    before = data_of(path)
    assert not opened(is_thin=False).is_blank()
    assert data_of(path) == before


@pytest.mark.parametrize("offset", [0, 1, 4096, 3 * MIB + 100, GIB - 1, GIB, 2 * GIB])
def test_bytes_from_the_cleared_offset_on_are_zeros(opened, path, offset):
    device = opened(is_thin=False)
    before = device.read_at(0, min(offset, 4 * MIB))
    device.clear_from(offset)
    assert device.length() == GIB
    assert device.read_at(0, len(before)) == before
    rest = device.read_at(offset, GIB)
    assert rest == bytes(max(0, GIB - offset))


class TestFailedWrites:
    """Linux says EIO of what it wrote in the background, whatever the device said."""

    @pytest.fixture(autouse=True)
    def _failing(self, monkeypatch):
        def fail(_fd):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)

    @pytest.fixture
    def answering(self, monkeypatch):
        """A function that sets the answer of the device; where it was asked."""
        asked = []

        def answer(code):
            def write(_fd, offset, data):
                asked.append((offset, len(data)))
                if code:
                    raise OSError(code, os.strerror(code))

            monkeypatch.setattr(block, "write_past_cache", write)
            return asked

        return answer

    def test_a_full_flexvol_was_an_input_output_error(self, opened, answering):
        asked = answering(errno.ENOSPC)
        sink = Sink(opened(), thin=True)
        sink.write(b"x" * (3 * MIB + 4095))
        sink.write(b"y" * 2)
        with pytest.raises(errors.NoSpace, match="The FlexVol is full"):
            sink.finish()
        # Whole blocks, up to the one with the last data.
        assert asked == [(2 * MIB + 8192, MIB)]

    @pytest.mark.parametrize(
        ("offset", "data", "start", "length"),
        [(0, b"head", 0, 4096), (4096, b"more", 0, 8192)],
    )
    def test_before_the_first_mib_it_is_asked_for_less(
        self, opened, answering, offset, data, start, length
    ):
        asked = answering(errno.ENOSPC)
        device = opened()
        device.write_at(offset, data)
        device.write_at(GIB, b"")
        with pytest.raises(OSError, match="No space"):
            device.sync()
        assert asked == [(start, length)]

    def test_a_device_that_got_no_data_is_not_asked(self, opened, answering):
        asked = answering(errno.ENOSPC)
        with pytest.raises(OSError, match="Input/output"):
            opened().sync()
        assert asked == []

    @pytest.mark.parametrize("code", [0, errno.EIO, errno.EREMOTEIO])
    def test_another_answer_leaves_it_an_input_output_error(
        self, opened, answering, code
    ):
        answering(code)
        with pytest.raises(errors.Broken, match="Input/output error"):
            write(opened(), IMAGE)


class TestGrowth:
    @pytest.mark.parametrize("size", [0, 1, GIB])
    def test_a_size_that_fits_needs_none(self, opened, path, size):
        device = opened()
        device.ensure(size)
        assert device.length() == GIB

    @pytest.mark.parametrize(
        ("size", "gib"), [(GIB + 1, 2), (2 * GIB, 2), (3 * GIB + 7, 4)]
    )
    def test_it_grows_to_exactly_the_gib_that_are_needed(self, opened, size, gib):
        device = opened()
        device.ensure(size)
        assert device.length() == gib * GIB

    @pytest.mark.parametrize("is_thin", [True, False])
    def test_new_bytes_of_an_extended_device_do_no_harm(self, opened, path, is_thin):
        """The array may give anything for them: nothing of it gets into an image."""
        device = opened(is_thin, dirt=OLD)
        sink = Sink(device, thin=True)
        sink.write(b"head")
        step = bytes(2 * MIB)
        for _ in range(4):
            sink.write(step)
        sink.write(b"tail")
        sink.finish()
        assert device.length() == 2 * GIB
        with open(path, "rb") as file:
            assert file.read(4) == b"head"
            file.seek(GIB + 4)
            assert file.read(4) == b"tail"
        ends = [start + len(p.rstrip(b"\0")) for start, p in data_of(path).items()]
        assert max(ends) == GIB + 8
        assert OLD not in b"".join(data_of(path).values())


def test_a_lun_never_holds_qcow2_of_cinder(opened, path):
    with open(path, "r+b") as file:
        file.write(b"QFI\xfb")
    assert not opened().holds_qcow2()
    assert opened().access() is None
    assert not opened().extent(0).is_hole
