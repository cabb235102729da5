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
    streams.check_equal(iter(pieces), IMAGE)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([IMAGE.at(0, BLOCK), b"wrong"], f"WRONG bytes read at {BLOCK}"),
        ([IMAGE.at(0, BLOCK)], f"WRONG: {BLOCK} bytes read of {IMAGE.size}"),
    ],
)
def test_wrong_bytes_of_a_download_are_an_error(
    pieces: list[bytes], message: str
) -> None:
    stream = ClosingStream(pieces)
    with pytest.raises(ValueError, match=message):
        streams.check_equal(stream, IMAGE)
    assert stream.is_closed


def test_times_until_the_first_piece_and_after_it_make_up_the_whole() -> None:
    times = streams.timed(iter([b"a", b"b"]), time.monotonic())
    whole = times["first_byte_s"] + times["after_first_s"]
    assert whole == pytest.approx(times["seconds"])


def test_an_empty_download_has_no_first_byte() -> None:
    assert set(streams.timed(iter([]), time.monotonic())) == {"seconds"}
