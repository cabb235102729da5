# SPDX-License-Identifier: Apache-2.0
"""An image on its way to a reader."""

import _thread
from collections.abc import Callable
import threading
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.transfer import readahead
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.readahead import Readahead
from glance_ontap_store.units import ByteRange


class ImageStream:
    """The bytes of *wanted* from *device*, in pieces; then *release* is called.

    Nothing is read before the first piece is asked for. Released once: at the end,
    at an error, at `close`, and, by a thread of its own, when a reader that went
    away leaves the stream to the garbage collector. Any thread may close it while
    another reads, who then gets the end of the iteration. The device is not used
    any more when *release* is called.
    """

    def __init__(
        self,
        device: Device,
        wanted: ByteRange,
        release: Callable[[], None],
        piece: int = readahead.PIECE,
    ) -> None:
        self._ahead = Readahead(device, wanted, piece)
        self._release: Callable[[], None] | None = _both(self._ahead.stop, release)
        # Guards both against a close from another thread.
        self._lock = threading.Lock()

    def __iter__(self) -> "ImageStream":
        return self

    def __next__(self) -> bytes:
        """The next piece.

        :raises errors.ShortRead, errors.Broken: see `ahead.Ahead.take`; as the
            BackendException that Glance expects, see `store`
        """
        with self._lock:
            if self._release is None:
                raise StopIteration
            try:
                with errors.as_glance_store():
                    data = self._ahead.take()
            except BaseException as error:
                self._let_go(error)
                raise
            if not data:
                self._let_go(None)
                raise StopIteration
            return data

    def _let_go(self, error: BaseException | None) -> None:
        release, self._release = self._release, None
        if release is not None:
            _call(release, error)

    def close(self) -> None:
        """Let go of the image-volume at once. Safe to repeat."""
        with self._lock:
            self._let_go(None)

    def __enter__(self) -> "ImageStream":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()

    def __del__(self) -> None:
        # Glance wraps streams in generators that do not pass a close on. The
        # collector may run in any thread, also in one that holds a lock which the
        # release needs (and threading.Thread.start needs locks, too).
        release = getattr(self, "_release", None)
        if release is None:
            return
        try:
            _thread.start_new_thread(_call, (release, None))
        except RuntimeError:  # the interpreter is ending: no new threads
            _call(release, None)


def _call(release: Callable[[], None], error: BaseException | None) -> None:
    try:
        release()
    except errors.StoreError as failed:
        # The reader has its bytes, or its error, and can do nothing here.
        errors.note(error or failed, f"After reading: {failed}")


def _both(first: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    """Does both, *then* in any case. It knows no stream, whose end it outlives."""

    def both() -> None:
        try:
            first()
        finally:
            then()

    return both
