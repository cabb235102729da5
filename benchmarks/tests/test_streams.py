# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path
import time

import pytest

from benchmarks import streams
from benchmarks.images import BLOCK
from benchmarks.images import Image

IMAGE = Image(BLOCK + 5)


class ClosingStream:
    """A stream that remembers whether it was closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self.is_closed = True


def test_drain_counts_the_bytes_and_closes_the_stream() -> None:
    stream = ClosingStream([b"ab", b"c"])
    assert streams.drain(stream) == 3
    assert stream.is_closed


def test_an_iterator_without_close_is_drained_too() -> None:
    assert streams.drain(iter([b"ab"])) == 2


def test_pread_reads_the_file_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(IMAGE.at(0, IMAGE.size))
    pieces = list(streams.pread(path, IMAGE.size))
    assert [len(piece) for piece in pieces] == [BLOCK, 5]
    assert streams.difference(iter(pieces), IMAGE) == ""


def test_wrong_bytes_of_a_download_are_told_with_their_place() -> None:
    stream = ClosingStream([IMAGE.at(0, BLOCK), b"wrong"])
    assert streams.difference(stream, IMAGE) == f"bytes read at {BLOCK} differ"
    assert stream.is_closed


def test_right_bytes_have_no_difference_even_if_some_are_missing() -> None:
    assert streams.difference(iter([memoryview(IMAGE.at(0, 9))]), IMAGE) == ""


def test_bytes_after_the_image_are_a_difference() -> None:
    pieces = [IMAGE.at(0, BLOCK), IMAGE.at(BLOCK, 5), b"x"]
    assert streams.difference(iter(pieces), IMAGE) != ""


class SlowToClose(ClosingStream):
    """A stream whose attachment takes a while to end."""

    PAUSE_S = 0.05

    def close(self) -> None:
        time.sleep(self.PAUSE_S)


def test_the_detachment_is_measured_apart_from_the_reading() -> None:
    stream = SlowToClose([b"a", b"bc"])
    times = streams.timed(stream, 3, time.monotonic())
    parts = times["first_byte_s"] + times["reading_s"] + times["detach_s"]
    assert parts == pytest.approx(times["seconds"])
    assert times["detach_s"] >= SlowToClose.PAUSE_S


@pytest.mark.parametrize("pieces", [[], [b"ab"], [b"abcd"]])
def test_a_download_of_another_length_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"bytes read of 3"):
        streams.timed(iter(pieces), 3, time.monotonic())
