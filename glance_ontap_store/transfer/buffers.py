# SPDX-License-Identifier: Apache-2.0
"""The memory of an upload: a few blocks, filled again and again."""

from collections.abc import Callable

from glance_ontap_store.transfer import zeros

BLOCK = 4 * 1024 * 1024
# 32 MiB for an upload, or 8 MiB if there is no more room: one block is read while
# another is written. A verifier's copy of a block adds 4 MiB.
COUNT = 8
LEAST = 2


class Buffer:
    """One block of an image, of at most `BLOCK` bytes.

    Pieces of the stream are copied into it, so that blocks begin at multiples of
    their size: pages are written whole, and runs of zeros are found however a
    socket cut the stream. The copy takes about 2 % of the time of hashing the same
    bytes. It also fixes the memory of an upload, which keeping the pieces would not.

    A block of zeros is not copied: all such blocks share the same memory, which is
    never written and stays in the processor's cache.
    """

    def __init__(self, size: int = BLOCK) -> None:
        self._room = memoryview(bytearray(size))
        self.block = self._room[:0]

    def fill(self, read: Callable[[int], bytes]) -> bool:
        """Read the next block from *read*, and return False if nothing is left.

        Only the last block may be shorter. `block` is valid until the next call.
        """
        filled = begin_with_zeros = 0
        while filled < len(self._room):
            piece = read(len(self._room) - filled)
            if not piece:
                break
            if begin_with_zeros == filled and zeros.are_all(piece):
                begin_with_zeros += len(piece)
            else:
                if begin_with_zeros == filled:
                    self._room[:filled] = zeros.of_length(filled)
                self._room[filled : filled + len(piece)] = piece
            filled += len(piece)
        is_all_zeros = begin_with_zeros == filled
        self.block = zeros.of_length(filled) if is_all_zeros else self._room[:filled]
        return filled > 0
