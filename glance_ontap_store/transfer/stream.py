"""An image on its way to a reader."""

import _thread
from collections.abc import Callable
import threading
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store import model
from glance_ontap_store.transfer import device as device_

CHUNK = 4 * 1024 * 1024


class ImageStream:
    """The bytes of *wanted* from *device*, in pieces; then *release* is called.

    Released once: at the end, at an error, at `close`, and, by a thread of its own,
    when a reader that went away leaves the stream to the garbage collector. Any
    thread may close it while another reads, who then gets the end of the iteration.
    """

    def __init__(
        self,
        device: device_.Device,
        wanted: model.ByteRange,
        release: Callable[[], None],
        chunk: int = CHUNK,
    ) -> None:
        self._device = device
        self._position = wanted.offset
        self._end = wanted.offset + wanted.length
        self._release: Callable[[], None] | None = release
        self._chunk = chunk
        # Guards position and release against a close from another thread.
        self._lock = threading.Lock()

    def __iter__(self) -> "ImageStream":
        return self

    def __next__(self) -> bytes:
        """The next piece.

        :raises errors.ShortRead: the device ended before the image did; as the
            BackendException that Glance expects, see `store`
        """
        with self._lock:
            if self._release is None:
                raise StopIteration
            length = min(self._chunk, self._end - self._position)
            try:
                data = self._read(length) if length else b""
            except BaseException as error:
                self._let_go(error)
                raise
            self._position += len(data)
            if not data:
                self._let_go(None)
                raise StopIteration
            return data

    def _read(self, length: int) -> bytes:
        with errors.as_glance_store():
            try:
                data = self._device.read_at(self._position, length)
            except OSError as error:
                raise errors.Broken(
                    f"Reading {self._device.name} at {self._position} failed: {error}"
                ) from error
            if len(data) < length:
                raise errors.ShortRead(
                    f"{self._device.name} ends at {self._position + len(data)} bytes,"
                    f" the image at {self._end}: it is damaged or was cut."
                )
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
