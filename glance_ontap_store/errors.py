# SPDX-License-Identifier: Apache-2.0
"""The errors of this package, and the exceptions that Glance gets for them.

::

    StoreError
     +-- BadLocation            the URL is not one of this store's
     +-- Misconfigured          the operator must change a setting
     +-- ImageVolumeGone        it does not exist, or not any more
     +-- ImageVolumeInUse       attached or busy: a later try may succeed
     +-- ImageVolumeStuck       in a state that does not end by itself
     +-- ImageVolumeHasSnapshot it cannot be deleted before its snapshots
     +-- Refused                the user or the store may not do this
          +-- NotAuthenticated  Cinder does not accept the token
     +-- NoSpace                FlexVol full, no pool with room, quota full
     +-- WriteDenied            the host may not write the backing file
     +-- WrongLength            fewer or more bytes than announced
     +-- UnknownHash            hashlib cannot make the multihash asked for
     +-- Broken                 a service or a device failed
          +-- CinderUnreachable no answer from Cinder or Keystone
          +-- NotConnected      Cinder's driver does not connect the volume
          +-- FileMissing       the volume's file is not on its export
          +-- StillConnected    this host has a device of the volume yet
          +-- ShortRead         the device ended before the image did
          +-- Stopping          this process is told to stop

Each class stands for a different next step. Operators read the messages, so they
name the cause and what to change.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import enum
import errno

from glance_store import exceptions
from oslo_log import log as logging
import webob.exc

LOG = logging.getLogger(__name__)


class Reason(enum.Enum):
    """The reason why a question has no answer. The next step depends on it."""

    UNREACHABLE = "no answer came"
    UNAUTHORIZED = "the credentials were refused"
    FORBIDDEN = "the credentials do not permit it"
    MISSING = "it does not exist"
    CONFLICT = "something else has to end first"
    NO_ENDPOINT = "the catalog has no such endpoint"
    CERTIFICATE = "a certificate was refused"
    BROKEN = "the answer could not be understood"
    UNREADABLE = "it cannot be read"
    NOT_GIVEN = "a file or credentials were not given"
    EARLIER = "an earlier question was not answered"


class Doubt(enum.Enum):
    """What a service may have done, or may yet do, for a request that failed."""

    # It did not get the request, or has put it off.
    UNSENT = "nothing was done"
    # It answered that it failed. What it did before stays, but nothing will follow.
    OVER = "nothing more will happen"
    # The connection was lost: it may be at work for a moment longer.
    LOST = "it may have been done"
    # No answer in time: it may be at work for a long time.
    LATE = "it may still be done"


@dataclasses.dataclass(frozen=True)
class Transient:
    """A failure that may pass. *retry_after_s* is the time that the service wished."""

    doubt: Doubt
    retry_after_s: float = 0


@dataclasses.dataclass(frozen=True)
class Remedies:
    """What an operator can do about a device that fails, in whole sentences."""

    # The device reports an error.
    failed: str
    # It may not be written.
    denied: str


# Of a file of NFS.
FILE = Remedies(
    failed="Check the FlexVol, its NFS server, and the log of this host's kernel.",
    denied=(
        "Check the export policy of the FlexVol for this host. Set Cinder's"
        " nas_secure_file_permissions and nas_secure_file_operations to false, or add"
        " Glance's user to Cinder's group."
    ),
)


class StoreError(Exception):
    """Base of every error that this package raises on purpose.

    *reason* is set if a service was asked and gave no answer, *request* names what it
    was asked for, and *transient* is set if that may be over soon. *is_last_of_many*
    tells that the request was sent before, and may have been done then.
    """

    reason: Reason | None = None
    request: str | None = None
    transient: Transient | None = None
    is_last_of_many = False
    may_leave = False


class BadLocation(StoreError):
    """The URL, the volume id or the byte range is not a valid one."""


class Misconfigured(StoreError):
    """The operator must change a setting."""


class ImageVolumeGone(StoreError):
    """The image-volume does not exist, or not any more."""


class ImageVolumeInUse(StoreError):
    """The image-volume is attached or busy; a later try may succeed."""


class ImageVolumeStuck(StoreError):
    """The image-volume is in a state that does not end by itself."""


class ImageVolumeHasSnapshot(StoreError):
    """The image-volume cannot be deleted before its snapshots."""


class Refused(StoreError):
    """The user or the store is not permitted to do this."""


class NotAuthenticated(Refused):
    """Cinder does not accept the token."""


class NoSpace(StoreError):
    """The FlexVol or a quota is full, or no pool has room."""


class WriteDenied(StoreError):
    """This host is not permitted to write the volume's file."""


class WrongLength(StoreError):
    """Glance's stream had fewer or more bytes than it announced."""


class UnknownHash(StoreError):
    """hashlib on this host cannot compute the multihash."""


class Broken(StoreError):
    """A service or a device failed."""


class CinderUnreachable(Broken):
    """Cinder or Keystone did not answer."""


class NotConnected(Broken):
    """Cinder's driver does not connect the volume to this host."""


class FileMissing(Broken):
    """The volume's file is not on the export that Cinder names."""


class StillConnected(Broken):
    """The host has a device of the volume yet, so that its attachment must stay."""


class ShortRead(Broken):
    """The volume ended before the image did."""


class Stopping(Broken):
    """This process is told to stop, and ends its transfers."""


class Forbidden(exceptions.Forbidden, webob.exc.HTTPForbidden):
    """An exception for which every request to Glance answers 403.

    A deletion answers 403 for glance_store's exception. An upload, or the addition
    of a location, would answer 500 for it, but passes an HTTP error on.
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
    """Return the glance_store exception that tells Glance what *error* means.

    :raises TypeError: the class of *error* has no such exception
    """
    for cls in type(error).__mro__:
        if cls in _TO_GLANCE_STORE:
            return _TO_GLANCE_STORE[cls](describe(error))
    raise TypeError(f"{type(error).__name__} has no glance_store exception") from error


@contextlib.contextmanager
def as_glance_store() -> Iterator[None]:
    """Raise the glance_store exception of a StoreError from it."""
    try:
        yield
    except StoreError as error:
        raise to_glance_store(error) from error


@contextlib.contextmanager
def writing(what: str, remedies: Remedies = FILE) -> Iterator[None]:
    """Raise errors of ours for an OSError while *what* is written.

    *remedies* are those of its kind of device.

    :raises NoSpace: the file system is full
    :raises WriteDenied: this host may not write
    :raises Broken: any other error of the operating system
    """
    try:
        yield
    except OSError as error:
        raise _write_error(what, remedies, error) from error


@contextlib.contextmanager
def reading(what: str, remedies: Remedies = FILE) -> Iterator[None]:
    """Raise an error of ours for an OSError while *what* is read.

    *remedies* are those of its kind of device.

    :raises Broken: the operating system reported an error
    """
    try:
        yield
    except OSError as error:
        raise Broken(f"Reading {what} failed: {error}. {remedies.failed}") from error


def _write_error(what: str, remedies: Remedies, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(
            f"There is no room to write {what}: {error.strerror}. The FlexVol is"
            " full, or its quota is used up: free space, grow the FlexVol, or use a"
            " store on another one."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WriteDenied(
            f"Writing {what} was denied: {error.strerror}. {remedies.denied}"
        )
    return Broken(f"Writing {what} failed: {error}. {remedies.failed}")


def note(error: BaseException | None, text: str) -> None:
    """Log *text*, and attach it to *error*, which stays the error that is raised.

    A failed clean-up is reported this way. Without an *error* it is only logged.
    """
    LOG.warning("%s", text)
    if error is not None:
        add(error, text)


def add(error: BaseException, text: str) -> None:
    """Attach *text* to *error*, whose log line will show it."""
    # What add_note of Python 3.11 does, for 3.10 as well.
    vars(error).setdefault("__notes__", []).append(text)


def describe(error: BaseException) -> str:
    """Return the message of *error* with its notes, in one line."""
    return " ".join([str(error), *getattr(error, "__notes__", ())])
