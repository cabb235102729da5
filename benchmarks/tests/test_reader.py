# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import subprocess
import sys

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
import pytest

from benchmarks import reader
from benchmarks.reader import MIB
from benchmarks.reader import Image
from benchmarks.reader import Reader

IMAGES = [
    Image(9 * MIB + 5),
    Image(200 * MIB, 25 * MIB),
    Image(3 * MIB + 1, MIB),
]


def whole(image, size=reader.BLOCK):
    source = Reader(image)
    pieces = []
    while piece := source.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    assert source.read(size) == b""
    return b"".join(pieces)


@pytest.mark.parametrize("image", IMAGES)
def test_it_has_its_size_however_it_is_read(image):
    expected = whole(image)
    assert len(expected) == image.size
    assert whole(image, 1_000_003) == expected


@settings(deadline=None)
@given(offset=strategies.integers(0, 200 * MIB), length=strategies.integers(0, 9 * MIB))
def test_any_part_is_the_same_part(offset, length):
    image = IMAGES[1]
    expected = wholes()[offset : offset + length]
    assert image.at(offset, length) == expected


def wholes(kept=[]):  # noqa: B006 - made once
    if not kept:
        kept.append(whole(IMAGES[1]))
    return kept[0]


def test_zeros_are_where_no_extent_is_and_data_where_one_is():
    image = IMAGES[1]
    data = bytearray(whole(image))
    for start, end in image.extents():
        for page in range(start, end, reader.PAGE):
            assert data[page : page + reader.PAGE].strip(b"\0")
        data[start:end] = bytes(end - start)
    assert not data.strip(b"\0")


def test_a_sparse_image_has_about_the_data_it_was_asked_for():
    image = Image(8 * reader.GIB, reader.GIB)
    assert image.data_bytes == pytest.approx(reader.GIB, rel=0.01)


def test_extents_begin_at_pages():
    assert all(start % reader.PAGE == 0 for start, _end in IMAGES[1].extents())


def test_no_block_repeats():
    image = Image(reader.GIB)
    blocks = {image.at(n * reader.BLOCK, 64) for n in range(256)}
    assert len(blocks) == 256


def test_another_process_makes_the_same_bytes():
    program = "from benchmarks import reader; print(reader.Image(5 << 20).sha512)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == Image(5 * MIB).sha512


def test_the_multihash_is_that_of_the_bytes():
    assert IMAGES[0].sha512 == hashlib.sha512(whole(IMAGES[0])).hexdigest()


class TestDifference:
    @pytest.fixture
    def stored(self, tmp_path):
        path = tmp_path / "stored"
        path.write_bytes(whole(IMAGES[1]))
        return path

    def change(self, path, offset, data):
        with open(path, "r+b") as file:
            os.pwrite(file.fileno(), data, offset)

    def test_none(self, stored):
        assert reader.difference(stored, IMAGES[1]) is None

    def test_none_where_zeros_are_holes(self, tmp_path):
        path = tmp_path / "thin"
        with open(path, "wb") as file:
            for start, end in IMAGES[1].extents():
                os.pwrite(file.fileno(), IMAGES[1].at(start, end - start), start)
            file.truncate(256 * MIB)
        assert reader.difference(path, IMAGES[1]) is None

    def test_of_data(self, stored):
        start, _end = next(iter(IMAGES[1].extents()))
        self.change(stored, start, bytes(1))
        assert reader.difference(stored, IMAGES[1]) == 0

    def test_of_zeros(self, stored):
        self.change(stored, 199 * MIB, b"x")
        assert reader.difference(stored, IMAGES[1]) == 196 * MIB

    def test_data_behind_the_end(self, stored):
        self.change(stored, 200 * MIB, b"x")
        assert reader.difference(stored, IMAGES[1]) == 200 * MIB

    def test_too_short(self, stored):
        os.truncate(stored, 7)
        assert reader.difference(stored, IMAGES[1]) == 7

    def test_zeros_instead_of_data(self, tmp_path):
        path = tmp_path / "hole"
        with open(path, "wb") as file:
            file.truncate(200 * MIB)
        assert reader.difference(path, IMAGES[1]) == 0
