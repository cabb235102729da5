# SPDX-License-Identifier: Apache-2.0
"""Room for an upload's bytes on their way: few blocks, used again and again."""

from collections.abc import Callable

BLOCK = 4 * 1024 * 1024
# 32 MiB for a transfer; a reader that makes a piece of a block's size, perhaps
# from one of its own, adds 8 MiB, and a verifier's copy 4 MiB.
COUNT = 8


class Buffer:
    """One block of an image.

    Pieces are copied together, so that blocks lie at multiples of their size:
    pages are written whole, and runs of zeros are found however a socket cut the
    stream. The copy costs about 1 % of hashing the same bytes, and bounds the
    memory exactly, which pieces of any size from a reader would not.
    """

    def __init__(self, size: int = BLOCK) -> None:
        self._room = memoryview(bytearray(size))
        self.block = self._room[:0]

    def fill(self, read: Callable[[int], bytes]) -> bool:
        """Take the next block; a short one only at the end, False after it.

        `block` is valid until the next call.
        """
        filled = 0
        while filled < len(self._room):
            piece = read(len(self._room) - filled)
            if not piece:
                break
            self._room[filled : filled + len(piece)] = piece
            filled += len(piece)
        self.block = self._room[:filled]
        return filled > 0
