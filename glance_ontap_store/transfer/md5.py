# SPDX-License-Identifier: Apache-2.0
"""md5 by the fastest library of this host that lets other threads run meanwhile."""

from collections.abc import Callable
import functools
import hashlib
from typing import Any
from typing import Protocol
from typing import TypeAlias

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

# The first release of cryptography that gives Python's lock free while it hashes
# (pull request 15359 of pyca/cryptography). With an older one nothing else of an upload
# would run meanwhile.
_LETS_THREADS_RUN = 50


class Md5(Protocol):
    """One md5; the names are hashlib's."""

    @property
    def update(self) -> Callable[[bytes | memoryview], None]:
        """Take the next bytes, which are not kept."""

    def hexdigest(self) -> str:
        """Return the md5 of the bytes so far."""


Maker: TypeAlias = Callable[[], Md5]


class OfCryptography:
    """`Md5` with the OpenSSL of the package cryptography.

    *made* is a new `cryptography.hazmat.primitives.hashes.Hash`.
    """

    def __init__(self, made: Any) -> None:
        self._hash = made
        self.update: Callable[[bytes | memoryview], None] = made.update

    def hexdigest(self) -> str:
        """Return the md5 of the bytes so far."""
        return str(self._hash.copy().finalize().hex())


def of_hashlib() -> Md5:
    """Return a new md5 with Python's OpenSSL."""
    return hashlib.md5(usedforsecurity=False)


def of_cryptography() -> tuple[str, Maker]:
    """Return the version of cryptography, and what makes its md5.

    :raises ImportError: it is not installed
    """
    # Glance has loaded it. It is not loaded where nothing is hashed.
    import cryptography
    from cryptography.hazmat.primitives import hashes

    def make() -> Md5:
        return OfCryptography(hashes.Hash(hashes.MD5()))  # noqa: S303 - a checksum

    return cryptography.__version__, make


def chosen(load: Callable[[], tuple[str, Maker]] = of_cryptography) -> Maker:
    """Return what makes an md5: cryptography's if it can be used, or `of_hashlib`.

    An upload takes as long as its slowest hash, which is mostly this one. OpenSSL 3.5
    and newer make it in 5 % less time than 3.0, which Python has on many hosts. The
    wheels of cryptography bring OpenSSL 4.0; the packages of distributions use that of
    Python.
    """
    try:
        version, make = load()
        if int(version.partition(".")[0]) < _LETS_THREADS_RUN:
            return of_hashlib
        make()
    except Exception as error:  # it is not installed, or has no md5, as under FIPS
        LOG.debug("md5 is made by hashlib and not by cryptography: %r", error)
        return of_hashlib
    return make


@functools.cache
def _maker() -> Maker:
    return chosen()


def new() -> Md5:
    """Return a new md5."""
    return _maker()()
