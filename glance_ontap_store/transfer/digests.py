# SPDX-License-Identifier: Apache-2.0
"""The digests that Glance records of an image."""

from collections.abc import Callable
import hashlib
from typing import Any
from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.transfer import md5

# Digest lengths in bytes of the functions whose length the caller chooses: the
# shortest with the function's full strength (FIPS 202, table 4).
_CHOSEN_LENGTHS = {"shake_128": 32, "shake_256": 64}


class Verifier(Protocol):
    """Checks an image's signature; Glance asks it for the verdict itself."""

    def update(self, data: bytes) -> None:
        """Take the next bytes."""


class Digests:
    """The md5 checksum, the multihash and the verifier of one image.

    Each of `consumers` has to be called with all bytes in order. Different threads
    may call different consumers.
    """

    def __init__(self, algorithm: str, verifier: Verifier | None = None) -> None:
        """
        :raises errors.UnknownHash: hashlib on this host cannot make *algorithm*
        """
        self._algorithm = algorithm
        self._checksum = md5.new()
        self._multihash = _new_hash(algorithm)
        self.consumers: list[Callable[[bytes | memoryview], None]] = [
            self._checksum.update,
            self._multihash.update,
        ]
        if verifier is not None:
            # A verifier expects bytes and may keep them; our buffers are reused.
            self.consumers.append(lambda data: verifier.update(bytes(data)))

    def update(self, data: bytes | memoryview) -> None:
        """Pass the next bytes to all consumers; *data* is not kept."""
        for consume in self.consumers:
            consume(data)

    def checksum(self) -> str:
        """Return the md5 of the bytes so far, in hex."""
        return self._checksum.hexdigest()

    def multihash(self) -> str:
        """Return the multihash of the bytes so far, in hex.

        It has 256 bits for shake_128 and 512 bits for shake_256.
        """
        if self._multihash.digest_size:
            return str(self._multihash.hexdigest())
        return str(self._multihash.hexdigest(_CHOSEN_LENGTHS[self._algorithm.lower()]))


def _new_hash(algorithm: str) -> Any:
    try:
        made = hashlib.new(algorithm, usedforsecurity=False)
    except ValueError as error:
        # OpenSSL lists some algorithms that it does not provide.
        raise errors.UnknownHash(
            f"hashlib on this host cannot make {algorithm!r}: {error}. Change"
            " hashing_algorithm in glance-api.conf."
        ) from error
    if not made.digest_size and algorithm.lower() not in _CHOSEN_LENGTHS:
        raise errors.UnknownHash(
            f"{algorithm!r} does not have a digest length of its own. Change"
            " hashing_algorithm in glance-api.conf."
        )
    return made
