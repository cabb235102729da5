# SPDX-License-Identifier: Apache-2.0
"""Ways to read a file or a download to its end."""

from collections.abc import Iterator
from collections.abc import Sized
import contextlib
import os
from pathlib import Path
import time
from typing import Any

from benchmarks.images import BLOCK
from benchmarks.images import Image


def pread(path: Path, size: int) -> Iterator[bytes]:
    """Read the first *size* bytes of a file in the plainest way."""
    with open(path, "rb", buffering=0) as file:
        for offset in range(0, size, BLOCK):
            yield os.pread(file.fileno(), min(BLOCK, size - offset), offset)


@contextlib.contextmanager
def closing(stream: Any) -> Iterator[None]:
    """Close *stream* at the end of the block if it has a ``close``.

    The stores' streams have one; a plain iterator does not.
    """
    try:
        yield
    finally:
        close = getattr(stream, "close", None)
        if close:
            close()


def drain(stream: Iterator[Sized]) -> int:
    """Read *stream* to its end and return the number of bytes."""
    with closing(stream):
        return sum(len(piece) for piece in stream)


def difference(stream: Iterator[Any], image: Image) -> str:
    """Read *stream* to its end and return where it differs from *image*.

    "" if all bytes that arrive are right, even if they are not the whole image.
    """
    offset = 0
    with closing(stream):
        for piece in stream:
            if bytes(piece) != image.at(offset, len(piece)):
                return f"bytes read at {offset} differ"
            offset += len(piece)
    return ""


def timed(stream: Iterator[Sized], size: int, began: float) -> dict[str, float]:
    """Read *stream* to its end and return its times as metrics of a sample.

    The times count from *began*, a reading of the monotonic clock: until the first
    piece, from there until *size* bytes have arrived, from there until the stream is
    closed (a store detaches then), and the whole.

    :raises ValueError: another number of bytes has arrived
    """
    arrived = 0
    first = last = began
    with closing(stream):
        for piece in stream:
            last = time.monotonic()
            if not arrived:
                first = last
            arrived += len(piece)
    end = time.monotonic()
    if arrived != size:
        raise ValueError(f"{arrived} bytes read of {size}")
    return {
        "seconds": end - began,
        "first_byte_s": first - began,
        "reading_s": last - first,
        "detach_s": end - last,
    }
