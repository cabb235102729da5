# SPDX-License-Identifier: Apache-2.0
"""The memory of an upload: a few blocks, filled again and again."""

from collections.abc import Callable

BLOCK = 4 * 1024 * 1024
# 32 MiB for an upload, or 8 MiB if there is no more room: one block is read while
# another is written. A verifier's copy of a block adds 4 MiB.
COUNT = 8
LEAST = 2


class Buffer:
    """One block of an image.

    Pieces of the stream are copied into it, so that blocks begin at multiples of
    their size: pages are written whole, and runs of zeros are found however a
    socket cut the stream. The copy costs about 1 % of hashing the same bytes. It
    also fixes the memory of an upload, which keeping the pieces would not.
    """

    def __init__(self, size: int = BLOCK) -> None:
        self._room = memoryview(bytearray(size))
        self.block = self._room[:0]

    def fill(self, read: Callable[[int], bytes]) -> bool:
        """Read the next block from *read*, and return False if nothing is left.

        Only the last block may be shorter. `block` is valid until the next call.
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
