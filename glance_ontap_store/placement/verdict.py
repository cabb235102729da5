# SPDX-License-Identifier: Apache-2.0
"""The answer of ``explain``: how Cinder makes a volume in one pool, and why so."""

from collections.abc import Iterable
import dataclasses
import enum


class Path(str, enum.Enum):
    """A way to make a volume from an image, in the order in which Cinder tries them."""

    DRIVER_CACHE = "driver cache clone"
    IMAGE_VOLUME = "image-volume clone"
    CINDER_CACHE = "cinder cache clone"
    DOWNLOAD = "download"
    FAILURE = "failure"

    @property
    def is_clone(self) -> bool:
        """Return whether the array makes the volume, without the image's bytes."""
        return self not in (Path.DOWNLOAD, Path.FAILURE)


class Code(str, enum.Enum):
    """The condition that kept Cinder from a better way; programs rely on the words."""

    # The request fails before Cinder tries any way, or in the last one.
    INVISIBLE = "image-invisible"
    NOT_ACTIVE = "image-not-active"
    SIZE = "volume-too-small"
    LOCATIONS_FAIL = "locations-fail"
    NO_POOL = "no-pool"
    NOT_RAW_BYTES = "bytes-are-not-raw"
    DATA_GONE = "data-gone"
    # Cinder clones nothing, or not this image.
    SCHEMES = "direct-url-schemes"
    ENCRYPTED = "volume-type-encrypts"
    FORMAT = "image-format"
    HIDDEN = "locations-hidden"
    FLEXGROUP = "flexgroup"
    # The image-volume that Cinder would clone.
    NO_IMAGE_VOLUME = "no-image-volume"
    OTHER_NODE = "other-node"
    OWNER = "image-owner"
    SHRINK = "image-volume-larger"
    FILE_GONE = "file-gone"
    SHARED_BLOCKS = "shared-blocks"
    # The caches.
    NOT_CACHED = "not-cached"
    CACHE_OFF = "cache-off"
    CACHE_STALE = "cache-stale"
    CACHE_LARGER = "cache-larger"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How Cinder makes a volume in one pool.

    *pool* is the whole name, None if there is no pool. *why* is the first condition
    that kept Cinder from a clone of the image-volume, and *remedy* a command or a
    setting that changes it; both are empty for such a clone. *doubts* are the
    conditions that nobody told; without any the verdict is certain. *notes* hold
    whichever way Cinder takes.
    """

    pool: str | None
    path: Path
    code: Code | None = None
    why: str = ""
    remedy: str = ""
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def certainty(self) -> str:
        """``certain``, or what the verdict depends on."""
        return "; ".join(self.doubts) or "certain"

    @property
    def gains(self) -> bool:
        """Return whether a replica of the image in this pool would make clones."""
        return self.path is Path.DOWNLOAD and self.code is Code.NO_IMAGE_VOLUME


def unless(condition: str) -> str:
    """Return the doubt that the verdict is another one if *condition* holds."""
    return f"unless {condition}"


def not_known(fact: str) -> str:
    """Return the doubt about a fact that was not told."""
    return f"not known: {fact}"


def distinct(doubts: Iterable[str]) -> tuple[str, ...]:
    """Return the doubts in their order, none of them twice."""
    return tuple(dict.fromkeys(doubts))


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return 0 if all are clones, 1 with a download, 2 with a failure."""
    paths = {each.path for each in verdicts}
    if Path.FAILURE in paths:
        return 2
    return 1 if Path.DOWNLOAD in paths else 0
