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


def check_equal(stream: Iterator[bytes], image: Image) -> None:
    """Read *stream* to its end and compare it with *image*.

    :raises ValueError: the bytes differ; the message has the offset of the piece
    """
    offset = 0
    with closing(stream):
        for piece in stream:
            if piece != image.at(offset, len(piece)):
                raise ValueError(f"WRONG bytes read at {offset}")
            offset += len(piece)
    if offset != image.size:
        raise ValueError(f"WRONG: {offset} bytes read of {image.size}")


def timed(stream: Iterator[Any], began: float) -> dict[str, float]:
    """Read *stream* to its end and return its times as metrics of a sample.

    The times count from *began*, a reading of the monotonic clock: until the first
    piece, from the first piece to the end, and the whole.
    """
    metrics: dict[str, float] = {}
    with closing(stream):
        for _piece in stream:
            metrics.setdefault("first_byte_s", time.monotonic() - began)
    metrics["seconds"] = time.monotonic() - began
    if "first_byte_s" in metrics:
        metrics["after_first_s"] = metrics["seconds"] - metrics["first_byte_s"]
    return metrics
