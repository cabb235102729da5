# SPDX-License-Identifier: Apache-2.0
import functools
import hashlib
import os
from pathlib import Path
import subprocess
import sys

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
import pytest

from benchmarks import images
from benchmarks.images import MIB
from benchmarks.images import Image
from benchmarks.images import Reader

IMAGES = [
    Image(9 * MIB + 5),
    Image(200 * MIB, 25 * MIB),
    Image(3 * MIB + 1, MIB),
]


def whole(image: Image, size: int = images.BLOCK) -> bytes:
    """Read the whole image, at most *size* bytes at a time."""
    source = Reader(image)
    pieces = []
    while piece := source.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    assert source.read(size) == b""
    return b"".join(pieces)


@pytest.mark.parametrize("image", IMAGES)
def test_the_size_of_reads_does_not_change_the_bytes(image: Image) -> None:
    expected = whole(image)
    assert len(expected) == image.size
    assert whole(image, 1_000_003) == expected


@settings(deadline=None)
@given(offset=strategies.integers(0, 200 * MIB), length=strategies.integers(0, 9 * MIB))
def test_a_part_has_the_bytes_of_the_whole(offset: int, length: int) -> None:
    image = IMAGES[1]
    expected = whole_sparse()[offset : offset + length]
    assert image.at(offset, length) == expected


@functools.cache
def whole_sparse() -> bytes:
    return whole(IMAGES[1])


def test_pages_in_extents_have_data_and_all_other_bytes_are_zero() -> None:
    image = IMAGES[1]
    data = bytearray(whole_sparse())
    for start, end in image.extents():
        for page in range(start, end, images.PAGE):
            assert data[page : page + images.PAGE].strip(b"\0")
        data[start:end] = bytes(end - start)
    assert not data.strip(b"\0")


def test_a_sparse_image_has_about_as_much_data_as_asked_for() -> None:
    image = Image(8 * images.GIB, images.GIB)
    assert image.data_bytes == pytest.approx(images.GIB, rel=0.01)


def test_extents_begin_at_pages() -> None:
    assert all(start % images.PAGE == 0 for start, _end in IMAGES[1].extents())


def test_no_block_repeats() -> None:
    image = Image(images.GIB)
    blocks = {image.at(n * images.BLOCK, 64) for n in range(256)}
    assert len(blocks) == 256


def test_another_process_makes_the_same_bytes() -> None:
    program = "from benchmarks import images; print(images.Image(5 << 20).sha512)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == Image(5 * MIB).sha512


def test_the_multihash_is_that_of_the_bytes() -> None:
    assert IMAGES[0].sha512 == hashlib.sha512(whole(IMAGES[0])).hexdigest()


class TestDifference:
    @pytest.fixture
    def stored(self, tmp_path: Path) -> Path:
        path = tmp_path / "stored"
        path.write_bytes(whole_sparse())
        return path

    def change(self, path: Path, offset: int, data: bytes) -> None:
        with open(path, "r+b") as file:
            os.pwrite(file.fileno(), data, offset)

    def test_equal_bytes_have_no_difference(self, stored: Path) -> None:
        assert images.difference(stored, IMAGES[1]) is None

    def test_holes_are_zeros(self, tmp_path: Path) -> None:
        path = tmp_path / "thin"
        with open(path, "wb") as file:
            for start, end in IMAGES[1].extents():
                os.pwrite(file.fileno(), IMAGES[1].at(start, end - start), start)
            file.truncate(256 * MIB)
        assert images.difference(path, IMAGES[1]) is None

    def test_wrong_data_is_found(self, stored: Path) -> None:
        start, _end = next(iter(IMAGES[1].extents()))
        self.change(stored, start, bytes(1))
        assert images.difference(stored, IMAGES[1]) == 0

    def test_a_wrong_zero_is_found_with_its_block(self, stored: Path) -> None:
        self.change(stored, 199 * MIB, b"x")
        assert images.difference(stored, IMAGES[1]) == 196 * MIB

    def test_data_after_the_image_is_a_difference(self, stored: Path) -> None:
        self.change(stored, 200 * MIB, b"x")
        assert images.difference(stored, IMAGES[1]) == 200 * MIB

    def test_a_short_file_differs_at_its_end(self, stored: Path) -> None:
        os.truncate(stored, 7)
        assert images.difference(stored, IMAGES[1]) == 7

    def test_a_hole_in_place_of_data_is_a_difference(self, tmp_path: Path) -> None:
        path = tmp_path / "hole"
        with open(path, "wb") as file:
            file.truncate(200 * MIB)
        assert images.difference(path, IMAGES[1]) == 0
