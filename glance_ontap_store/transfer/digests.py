# SPDX-License-Identifier: Apache-2.0
"""What Glance wants to know of the bytes that pass."""

from collections.abc import Callable
import hashlib
from typing import Any
from typing import Protocol

from glance_ontap_store import errors

# Digest lengths in bytes of the functions whose length the caller chooses: the
# shortest with the function's full strength (FIPS 202, table 4).
_CHOSEN_LENGTHS = {"shake_128": 32, "shake_256": 64}


class Verifier(Protocol):
    """Checks an image's signature; Glance asks it for the verdict itself."""

    def update(self, data: bytes) -> None:
        """Take the next bytes."""


class Digests:
    """md5 checksum, multihash and verifier, fed alike; counts the bytes."""

    def __init__(self, algorithm: str, verifier: Verifier | None = None) -> None:
        """
        :raises errors.UnknownHash: hashlib of this host cannot make *algorithm*
        """
        self.algorithm = algorithm
        self.size = 0
        self._checksum = hashlib.md5(usedforsecurity=False)
        self._multihash = _new_hash(algorithm)
        # What `update` does, in parts: each is to be given all bytes in order,
        # and different threads may do that for different parts.
        self.parts: list[Callable[[bytes | memoryview], None]] = [
            self._update_checksum,
            self._multihash.update,
        ]
        if verifier is not None:
            # It was promised bytes, may keep them, and is not ours to change.
            self.parts.append(lambda data: verifier.update(bytes(data)))

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes; *data* is not kept."""
        for part in self.parts:
            part(data)

    def _update_checksum(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        self._checksum.update(data)

    def checksum(self) -> str:
        """md5 in hex."""
        return self._checksum.hexdigest()

    def multihash(self) -> str:
        """The multihash in hex; of shake_128 256 bits, of shake_256 512."""
        if self._multihash.digest_size:
            return str(self._multihash.hexdigest())
        return str(self._multihash.hexdigest(_CHOSEN_LENGTHS[self.algorithm.lower()]))


def _new_hash(algorithm: str) -> Any:
    try:
        made = hashlib.new(algorithm, usedforsecurity=False)
    except ValueError as error:
        # OpenSSL lists algorithms that it then does not provide.
        raise errors.UnknownHash(
            f"hashlib on this host cannot make {algorithm!r}: {error}. Change"
            " hashing_algorithm in glance-api.conf."
        ) from error
    if not made.digest_size and algorithm.lower() not in _CHOSEN_LENGTHS:
        raise errors.UnknownHash(
            f"{algorithm!r} has no digest length of its own: change hashing_algorithm"
            " in glance-api.conf."
        )
    return made
