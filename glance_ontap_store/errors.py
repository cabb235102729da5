# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and which exception of glance_store says so to Glance.

::

    StoreError
     +-- BadLocation            the URL is not one of this store's
     +-- Misconfigured          the operator must change a setting
     +-- ImageVolumeGone        there is no such image-volume (any more)
     +-- ImageVolumeInUse       attached or busy: worth another try later
     +-- ImageVolumeStuck       in a state that does not end by itself
     +-- ImageVolumeHasSnapshot a snapshot keeps it
     +-- Refused                somebody may not do this, or must not
          +-- NotAuthenticated  Cinder does not accept the token
     +-- NoSpace                FlexVol full, no pool with room, quota full
     +-- WriteDenied            the host may not write the backing file
     +-- WrongLength            fewer or more bytes than announced
     +-- UnknownHash            hashlib cannot make the multihash asked for
     +-- Broken                 a service or device did not do its part
          +-- CinderUnreachable no answer from Cinder or Keystone
          +-- NotConnected      Cinder's driver does not connect the volume
          +-- ShortRead         the device ended before the image did

Gone, refused, busy and broken are different classes because the next step
differs. Messages name the cause and what to change: operators read them.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import enum
import errno

from glance_store import exceptions
from oslo_log import log as logging
import webob.exc

LOG = logging.getLogger(__name__)


class Reason(enum.Enum):
    """Why a service gave no answer. The next step depends on it."""

    UNREACHABLE = "no answer came"
    UNAUTHORIZED = "the credentials were refused"
    FORBIDDEN = "the credentials do not permit it"
    MISSING = "it does not exist"
    NO_ENDPOINT = "the catalog has no such endpoint"
    CERTIFICATE = "a certificate was refused"
    BROKEN = "the answer made no sense"
    UNREADABLE = "it cannot be read"
    NOT_GIVEN = "nobody said where to ask"
    EARLIER = "an earlier question has no answer"


class StoreError(Exception):
    """Base of every error that this package raises on purpose.

    *reason* is set where a service was asked and gave no answer.
    """

    reason: Reason | None = None


class BadLocation(StoreError):
    pass


class Misconfigured(StoreError):
    pass


class ImageVolumeGone(StoreError):
    pass


class ImageVolumeInUse(StoreError):
    pass


class ImageVolumeStuck(StoreError):
    pass


class ImageVolumeHasSnapshot(StoreError):
    pass


class Refused(StoreError):
    pass


class NotAuthenticated(Refused):
    pass


class NoSpace(StoreError):
    pass


class WriteDenied(StoreError):
    pass


class WrongLength(StoreError):
    pass


class UnknownHash(StoreError):
    pass


class Broken(StoreError):
    pass


class CinderUnreachable(Broken):
    pass


class NotConnected(Broken):
    pass


class ShortRead(Broken):
    pass


class Forbidden(exceptions.Forbidden, webob.exc.HTTPForbidden):
    """Forbidden for all of Glance.

    Its deletion knows glance_store's exception. Its upload and its locations do
    not, and would answer 500; but they pass on what is an HTTP error, with its
    text.
    """


# The one mapping to glance_store's exceptions. Glance answers with these HTTP
# codes: BadStoreUri 400, NotFound 404 (and forgets the location),
# InUseByStore and HasSnapshot 409, Forbidden 403, StorageFull 413,
# StorageWriteDenied 503, Invalid 400, BackendException 500.
_TO_GLANCE_STORE: dict[type[StoreError], Callable[[str], Exception]] = {
    BadLocation: lambda text: exceptions.BadStoreUri(message=text),
    Misconfigured: lambda text: exceptions.BadStoreConfiguration(message=text),
    ImageVolumeGone: lambda text: exceptions.NotFound(message=text),
    ImageVolumeInUse: lambda text: exceptions.InUseByStore(message=text),
    ImageVolumeStuck: lambda text: exceptions.InUseByStore(message=text),
    ImageVolumeHasSnapshot: lambda text: exceptions.HasSnapshot(message=text),
    Refused: lambda text: Forbidden(message=text),
    NoSpace: lambda text: exceptions.StorageFull(message=text),
    WriteDenied: lambda text: exceptions.StorageWriteDenied(message=text),
    WrongLength: lambda text: exceptions.Invalid(message=text),
    UnknownHash: lambda text: exceptions.UnknownHashingAlgo(message=text),
    Broken: exceptions.BackendException,
}


def to_glance_store(error: StoreError) -> Exception:
    """The glance_store exception that tells Glance what *error* means."""
    for cls in type(error).__mro__:
        if cls in _TO_GLANCE_STORE:
            return _TO_GLANCE_STORE[cls](describe(error))
    raise TypeError(f"{type(error).__name__} has no glance_store exception") from error


@contextlib.contextmanager
def as_glance_store() -> Iterator[None]:
    """Let a StoreError leave as its glance_store exception, chained."""
    try:
        yield
    except StoreError as error:
        raise to_glance_store(error) from error


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Translate the operating system's errors while writing *what*."""
    try:
        yield
    except OSError as error:
        raise _write_error(what, error) from error


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Translate the operating system's errors while reading *what*."""
    try:
        yield
    except OSError as error:
        raise Broken(f"Reading {what} failed: {error}") from error


def _write_error(what: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(
            f"No room while writing {what}: {error.strerror}. The FlexVol is full"
            " or its quota is: free space, grow it, or use a store on another one."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WriteDenied(
            f"Writing {what} was denied: {error.strerror}. Check the export policy"
            " of the FlexVol for this host, and Cinder's nas_secure_file_permissions"
            " and nas_secure_file_operations (false, or Glance in Cinder's group)."
        )
    return Broken(f"Writing {what} failed: {error}")


def note(error: BaseException | None, text: str) -> None:
    """Log *text*, and attach it to *error*: a failed clean-up is not the cause."""
    LOG.warning("%s", text)
    # What add_note of Python 3.11 does, for 3.10 as well.
    if error is not None:
        vars(error).setdefault("__notes__", []).append(text)


def describe(error: BaseException) -> str:
    """The message of *error* with its notes, in one line."""
    return " ".join([str(error), *getattr(error, "__notes__", ())])
