# SPDX-License-Identifier: Apache-2.0
"""The operations of a store that a process may die in, and what exists before.

They are the same over the fakes and in the lab.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any
from typing import Protocol

from glance_store import exceptions

from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern

DATA = Pattern(300_000)
# Cinder refuses to connect a clone that begins like a vmdk file.
_VMDK = b"KDMV"


@dataclasses.dataclass(frozen=True)
class _Vmdk:
    """Content that begins so."""

    size: int = DATA.size

    def at(self, offset: int, length: int) -> bytes:
        data = DATA.at(offset, length)
        return _VMDK[offset : offset + len(data)] + data[len(_VMDK[offset:]) :]


VMDK = _Vmdk()


@dataclasses.dataclass(frozen=True)
class Long:
    """`DATA`, zeros up to *gap_to*, and `DATA` again: cheap to store, hash and read."""

    gap_to: int

    @property
    def size(self) -> int:
        return self.gap_to + DATA.size

    def at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        zeros_to = min(end, self.gap_to)
        found = DATA.at(offset, min(length, zeros_to - offset))
        found += bytes(max(0, zeros_to - offset - len(found)))
        at = offset + len(found)
        return found + DATA.at(at - self.gap_to, end - at) if at < end else found


# A volume begins with 1 GiB, so that it grows for the second part.
LONG = Long(2**30)


class Rig(Protocol):
    """A store, and its locations; part of `tests.conformance.store.Rig`."""

    store: Any

    def location(self, uri: str) -> Any:
        """The location of a URL, as Glance hands it to the store."""


class World(Protocol):
    """Where the operations are done."""

    def new_id(self) -> str:
        """The id of a new image."""

    def upload(self, data: Content = DATA) -> str:
        """An image, stored by a process that has ended; its URL."""

    def clone(self, url: str) -> str:
        """A clone of an image-volume, as sealed as that one; its URL."""

    def remove(self, url: str) -> None:
        """Delete an image by a process that has ended."""

    def attach_elsewhere(
        self, volume_id: str, connects: bool = True
    ) -> contextlib.AbstractContextManager[Any]:
        """Let another host read the volume until the block ends.

        *connects*: Cinder tells the place of the volume.
        """

    def growing(self) -> OnePass:
        """A reader of `DATA` or `LONG`, for which its volume has to grow."""

    def slow_growth(self) -> contextlib.AbstractContextManager[None]:
        """Let a volume take its time to grow, so that a process can die meanwhile."""

    def leave_remains(self) -> None:
        """Let processes die that hold something in Cinder."""

    def recover(self, rig: Rig) -> None:
        """Release what dead processes left, as a new process does by itself."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """An operation; *url* is of an image that exists before, with *data*."""

    operation: Callable[[Rig], Any]
    url: str | None = None
    data: Content = DATA
    # Whether the image may be gone afterwards.
    deletes: bool = False
    # What another process does to end it; None: recovery takes back what was begun.
    ends: Callable[[Rig], Any] | None = None


Maker = Callable[[contextlib.ExitStack, World], Scene]


def add(
    rig: Rig,
    image_id: str,
    reader: OnePass | None = None,
    size: int = DATA.size,
    data: Content = DATA,
) -> str:
    """Upload *data*, or what *reader* gives; return the URL."""
    reader = reader or OnePass(data)
    answer = rig.store.add(image_id, reader, size, "sha256", context=Context())
    return str(answer[0])


def read(rig: Rig, url: str) -> bytes:
    """The whole image."""
    stream, _size = rig.store.get(rig.location(url))
    return b"".join(stream)


def delete(rig: Rig, url: str) -> None:
    """Delete the image."""
    rig.store.delete(rig.location(url))


def volume_of(url: str) -> str:
    """The volume's id in an image's URL."""
    return url.rpartition("/")[2]


def _upload(_stack: contextlib.ExitStack, world: World) -> Scene:
    image_id = world.new_id()
    return Scene(lambda rig: add(rig, image_id))


def _upload_of_unknown_size(stack: contextlib.ExitStack, world: World) -> Scene:
    image_id = world.new_id()
    stack.enter_context(world.slow_growth())
    return Scene(lambda rig: add(rig, image_id, world.growing(), size=0))


def _upload_that_fails(_stack: contextlib.ExitStack, world: World) -> Scene:
    image_id = world.new_id()

    def fail(rig: Rig) -> None:
        half = DATA.size // 2
        reader = OnePass(DATA, half, breaks_at=half)
        with contextlib.suppress(OSError):
            add(rig, image_id, reader)

    return Scene(fail)


def _download(_stack: contextlib.ExitStack, world: World) -> Scene:
    url = world.upload()
    return Scene(lambda rig: read(rig, url), url)


def _download_of_busy(stack: contextlib.ExitStack, world: World) -> Scene:
    url = world.upload()
    stack.enter_context(world.attach_elsewhere(volume_of(url)))
    return Scene(lambda rig: read(rig, url), url)


def _download_of_attached_clone(stack: contextlib.ExitStack, world: World) -> Scene:
    url = world.upload()
    stack.enter_context(world.attach_elsewhere(volume_of(url), connects=False))
    return Scene(lambda rig: read(rig, url), url)


def _download_beside_a_new_volume(_stack: contextlib.ExitStack, world: World) -> Scene:
    first = world.upload(VMDK)
    url = world.clone(first)
    world.remove(first)
    return Scene(lambda rig: read(rig, url), url, VMDK)


def _deletion(_stack: contextlib.ExitStack, world: World) -> Scene:
    url = world.upload()
    return Scene(lambda rig: delete(rig, url), url, deletes=True)


def _recovery(_stack: contextlib.ExitStack, world: World) -> Scene:
    world.leave_remains()
    return Scene(world.recover)


SCENES: dict[str, Maker] = {
    "add": _upload,
    "add, size unknown": _upload_of_unknown_size,
    "add, client goes away": _upload_that_fails,
    "get": _download,
    "get beside a clone": _download_of_busy,
    "get through a clone": _download_of_attached_clone,
    "get beside a new volume": _download_beside_a_new_volume,
    "delete": _deletion,
    "recovery": _recovery,
}


def check_content(found: Iterable[bytes], *expected: Content) -> None:
    """Raise if the pieces *found* are none of the images.

    :raises AssertionError: they are none
    """
    left: list[Content] = list(expected or (DATA,))
    position = 0
    for piece in found:
        left = [each for each in left if each.at(position, len(piece)) == piece]
        assert left, f"wrong bytes from {position} on"
        position += len(piece)
    assert position in [each.size for each in left], f"it ends after {position} bytes"


def check_served(rig: Rig, url: str) -> None:
    """The store refuses the volume, or serves the image; nothing else."""
    try:
        check_content(_pieces(rig, url), DATA, VMDK, LONG)
    except AssertionError:
        raise
    except Exception:
        return  # refused, which is right for all but a sealed volume


def _pieces(rig: Rig, url: str) -> Iterator[bytes]:
    stream, _size = rig.store.get(rig.location(url))
    yield from stream


def check_usable(rig: Rig, scene: Scene, image_id: str) -> None:
    """The image is as it must be, and the same can be uploaded and deleted."""
    if scene.url is not None:
        try:
            check_content([read(rig, scene.url)], scene.data)
        except exceptions.NotFound:
            assert scene.deletes, "the image is gone"
        else:
            delete(rig, scene.url)
    url = add(rig, image_id)
    check_content([read(rig, url)])
    delete(rig, url)
