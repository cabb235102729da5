# SPDX-License-Identifier: Apache-2.0
"""Reads image-volumes again, as the store does for users, and compares digests."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import os
import random
from typing import Any
from typing import Protocol

from glance_ontap_store import errors
from glance_ontap_store.auditing.defect import Code
from glance_ontap_store.auditing.defect import Defect
from glance_ontap_store.auditing.judging import Located
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.transfer import content
from glance_ontap_store.units import GIB

_MIB = 1024 * 1024
# A sample is this much of an image at its beginning, at its end, and in between.
_PIECE = _MIB
_PIECES = 8
_SAY_EVERY_S = 10.0
# shake_128 and shake_256 have no length of their own; Glance's digests have these.
_SHAKE_BYTES = {"shake_128": 32, "shake_256": 64}


class Images(Protocol):
    """The reading side of `images.lifecycle.Lifecycle`."""

    def read(self, volume_id: str, offset: int, length: int | None) -> Any:
        """A stream of the image, and the bytes it will give."""


class Stopped(Exception):
    """The operator asked to stop."""


class Reader:
    """Reads images at *bandwidth* bytes a second at most; 0: as fast as it goes.

    *say* gets lines about the progress. Nothing more is read once *is_stopped*.
    """

    def __init__(
        self,
        clock: Clock,
        bandwidth: float,
        say: Callable[[str], object],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._bandwidth = bandwidth
        self._say = say
        self._is_stopped = is_stopped

    def full(self, images: Images, one: Located) -> Defect | None:
        """Read the whole image and compare its digest with Glance's.

        :raises Stopped: it was not read to its end
        """
        algorithm, expected = one.image.hash_algo, one.image.hash_value
        if not algorithm or not expected:
            return _defect(
                one,
                Code.UNREADABLE,
                "Glance has no digest of the image, so it cannot be compared.",
                "Images that were added by their location lack one.",
            )
        digest = hashlib.new(algorithm)
        size = 0
        try:
            for piece in self._pieces(images, one, 0, None):
                digest.update(piece)
                size += len(piece)
        except Stopped:
            raise
        except Exception as error:  # the stream raises Glance's exceptions
            return _unreadable(one, error)
        found = _hex(digest, algorithm)
        if size == one.image.size and found == expected:
            return None
        return _defect(
            one,
            Code.DIGEST,
            f"The {algorithm} of the {size} bytes of the image-volume is {found}, and"
            f" Glance's, of {one.image.size} bytes, {expected}.",
            "Delete this copy: the image is damaged. Restore it from another store or"
            " its origin.",
        )

    def sample(self, images: Images, one: Located) -> Defect | None:
        """Read the image's beginning, end, and some pieces between; look at its format.

        :raises Stopped: it was not read to its end
        """
        size = one.image.size or 0
        places = [0, max(0, size - _PIECE)]
        if size > 2 * _PIECE:
            places += [random.randrange(size - _PIECE) for _ in range(_PIECES)]  # noqa: S311
        head = b""
        try:
            with contextlib.ExitStack() as stack:
                # All pieces are read through the one attachment that it keeps.
                kept, _length = images.read(one.held.volume.id, 0, 1)
                stack.callback(kept.close)
                for place in places:
                    length = min(_PIECE, size - place)
                    got = b"".join(self._pieces(images, one, place, length))
                    if len(got) != length:
                        raise errors.ShortRead(
                            f"{len(got)} of {length} bytes came from {place} on"
                        )
                    head = head or got
        except Stopped:
            raise
        except Exception as error:  # the stream raises Glance's exceptions
            return _unreadable(one, error)
        found = content.detect(head[: content.HEAD])
        if one.image.disk_format == "raw" and found not in (content.RAW, "luks"):
            return _defect(
                one,
                Code.FORMAT,
                f"Glance calls the image raw, and its bytes are {found}.",
                "Upload it with its real format, or converted to raw.",
            )
        return None

    def _pieces(
        self, images: Images, one: Located, offset: int, length: int | None
    ) -> Iterator[bytes]:
        begun = said = self._clock.monotonic()
        size = one.image.size or 1
        done = 0
        stream, _length = images.read(one.held.volume.id, offset, length)
        with contextlib.closing(stream):
            for piece in stream:
                if self._is_stopped():
                    raise Stopped
                yield piece
                done += len(piece)
                if self._bandwidth:
                    ahead = done / self._bandwidth - (self._clock.monotonic() - begun)
                    if ahead > 0:
                        self._clock.sleep(ahead)
                now = self._clock.monotonic()
                if now - said >= _SAY_EVERY_S:
                    said = now
                    rate = done / _MIB / (now - begun)
                    self._say(
                        f"  {100 * done // size} % of {size / GIB:.1f} GiB,"
                        f" {rate:.0f} MiB/s"
                    )


class Progress:
    """The images that were found right, in a file, so that a later run can go on.

    *path* None: nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._known: set[str] = set()
        if path and os.path.exists(path):
            try:
                with open(path, encoding="utf-8") as file:
                    self._known = {line.strip() for line in file}
            except (OSError, UnicodeDecodeError) as error:
                raise errors.Misconfigured(
                    f"The file {path} of --resume cannot be read: {error}"
                ) from error

    def has(self, one: Located) -> bool:
        """Return whether an earlier run found these bytes right."""
        return _key(one) in self._known

    def add(self, one: Located) -> None:
        """Note that the image was found right.

        :raises errors.Misconfigured: the file cannot be written
        """
        if self._path:
            try:
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(f"{_key(one)}\n")
            except OSError as error:
                raise errors.Misconfigured(
                    f"The file {self._path} of --resume cannot be written: {error}"
                ) from error


def _key(one: Located) -> str:
    return f"{one.held.volume.id} {one.image.hash_value}"


def _hex(digest: Any, algorithm: str) -> str:
    if algorithm in _SHAKE_BYTES:
        return str(digest.hexdigest(_SHAKE_BYTES[algorithm]))
    return str(digest.hexdigest())


def _unreadable(one: Located, error: Exception) -> Defect:
    return _defect(
        one,
        Code.UNREADABLE,
        f"The image cannot be read: {errors.describe(error)}",
        "If its volume is in use, run the command again later. Otherwise look at the"
        " FlexVol.",
    )


def _defect(one: Located, code: Code, problem: str, remedy: str) -> Defect:
    return Defect(code, one.store_id, one.image.id, problem, remedy, one.held.volume.id)
