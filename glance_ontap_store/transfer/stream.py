# SPDX-License-Identifier: Apache-2.0
"""The stream of an image's bytes that Glance reads."""

import _thread
from collections.abc import Callable
from collections.abc import Generator
import itertools
import threading
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer import readahead
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.readahead import Readahead
from glance_ontap_store.units import ByteRange

# What releases the image-volume of each stream, by the stream's number. Only this holds
# it: the garbage collector ends all that it finds to be garbage, so what a stream
# itself held would be released by whatever thread happens to collect it.
_HELD: dict[int, Callable[[str], None]] = {}
_NUMBERS = itertools.count()


class ImageStream:
    """The bytes of *wanted* from *device*, in pieces; calls *release* afterwards.

    Nothing is read before the first piece is asked for. *release* is called once: at
    the end, after an error, by `close`, or when the stream is garbage collected, by
    a thread of its own. The device is not used any more then. Any thread may call
    `close` while another one reads; the reader's iteration ends then. *part* says for
    metrics whether *wanted* is an ``image`` or a ``range``. *on_error* is called before
    *release* if the reader gets an error.
    """

    def __init__(
        self,
        device: Device,
        wanted: ByteRange,
        release: Callable[[], None],
        piece: int = readahead.PIECE,
        part: str = "image",
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self._operation = recording.current()
        self._part = part
        self._on_error = on_error
        self._left = wanted.length
        self._ahead = Readahead(device, wanted, piece)
        self._number = next(_NUMBERS)
        _HELD[self._number] = self._operation.ending(_both(self._ahead.stop, release))
        # Why the stream was ended before its end, see `end`.
        self._ending: errors.StoreError | None = None
        # Held while a piece is read and while the volume is released.
        self._lock = threading.Lock()

    def __iter__(self) -> "ImageStream":
        return self

    def __next__(self) -> bytes:
        """Return the next piece.

        :raises glance_store.exceptions.BackendException: for errors.ShortRead and
            errors.Broken, see `Readahead.next_piece`; for the error given to `end`
        """
        with self._lock:
            if self._ending is not None:
                raise errors.to_glance_store(self._ending) from self._ending
            if self._number not in _HELD:
                raise StopIteration
            try:
                with errors.as_glance_store():
                    data = self._ahead.next_piece()
            except BaseException as error:
                self._release_once(error)
                raise
            if not data:
                self._release_once(None)
                raise StopIteration
            self._left -= len(data)
            self._operation.record(catalogue.SENT_BYTES, self._part, value=len(data))
            return data

    def _release_once(self, error: BaseException | None) -> None:
        release = _HELD.pop(self._number, None)
        if release is not None:
            if error is not None:
                self._on_error()
            _call(release, error, self._result(error))

    def _result(self, error: BaseException | None) -> str:
        if error is None and self._left:
            return catalogue.ABANDONED
        return recording.result_of(error)

    def close(self) -> None:
        """Release the image-volume now. Safe to repeat."""
        with self._lock:
            self._release_once(None)

    def end(self, error: errors.StoreError) -> None:
        """Release the image-volume now; a reader that is not done gets *error*."""
        with self._lock:
            if self._number in _HELD:
                self._ending = error
                self._release_once(error)

    def __enter__(self) -> "ImageStream":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()

    def __del__(self, held: dict[int, Callable[[str], None]] = _HELD) -> None:
        # Glance wraps streams in generators that do not pass `close` on. The garbage
        # collector may run in any thread, even in one that holds a lock that the
        # release needs. threading.Thread.start needs locks too.
        # An argument, because a module's names may be gone when the interpreter ends.
        release = held.pop(getattr(self, "_number", -1), None)
        if release is None:
            return
        try:
            _thread.start_new_thread(_call, (release, None, self._result(None)))
        except RuntimeError:  # the interpreter is shutting down: no new threads
            _call(release, None, self._result(None))


def nothing() -> Generator[bytes]:
    """Return the stream of an image of zero bytes."""
    yield from ()


def _call(
    release: Callable[[str], None], error: BaseException | None, result: str
) -> None:
    try:
        release(result)
    except errors.StoreError as failed:
        # The reader has all bytes, or an error that matters more.
        errors.note(error or failed, f"After reading: {failed}")


def _both(first: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls both, *then* even if *first* fails.

    It does not refer to the stream, which may be gone when it is called.
    """

    def both() -> None:
        try:
            first()
        finally:
            then()

    return both
