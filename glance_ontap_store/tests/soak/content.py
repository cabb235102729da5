# SPDX-License-Identifier: Apache-2.0
"""The bytes of the soak's images: made when needed, different for each image."""

import dataclasses
import random

from glance_ontap_store.tests.fakes import glance

BLOCK = 64 * 1024
_ENDLESS = glance.Pattern(2**62)
_ZEROS = bytes(BLOCK)


@dataclasses.dataclass(frozen=True)
class Bytes:
    """`fakes.glance.Content` of *size* bytes; some blocks are zeros."""

    seed: int
    size: int

    def at(self, offset: int, length: int) -> bytes:
        """At most *length* bytes from *offset* on; fewer at the end."""
        end = min(offset + length, self.size)
        found = []
        while offset < end:
            number, start = divmod(offset, BLOCK)
            part = min(BLOCK - start, end - offset)
            found.append(self._block(number)[start : start + part])
            offset += part
        return b"".join(found)

    def _block(self, number: int) -> bytes:
        mixed = (self.seed * 1_000_003 + number) * 2_654_435_761 % 2**32
        if mixed % 4 == 0:
            return _ZEROS
        return _ENDLESS.at(mixed, BLOCK)


def random_size(rng: random.Random) -> int:
    """A size in bytes: most images are small, and some sizes are at an edge."""
    return rng.choice(
        [
            1,
            BLOCK,
            rng.randrange(1, BLOCK),
            rng.randrange(BLOCK, 2**20),
            rng.randrange(2**20, 6 * 2**20),
        ]
    )
