# SPDX-License-Identifier: Apache-2.0
"""Transfers: thin volumes, few requests, little page cache, independent readers.

``tox -e bench`` measures their speed.
"""

from collections.abc import Iterator
import itertools
import os
import threading
from typing import Any

from glance_store import exceptions
import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import cinder_requests
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import page_cache
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.cinder_requests import Requests
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab.polling import wait_until

IMAGE_ID = "11111111-1111-4111-8111-111111111111"
# Where an image has data, offset and length; one run begins and ends within a page.
RUNS = (
    (0, 3 * MIB),
    (10 * MIB + 4096, 50 * MIB),
    (GIB + 123, 100 * MIB),
    (2 * GIB - 7 * MIB, 2 * MIB),
)
SIZE = 2 * GIB - 4 * MIB - 5


def holed(offset: int, length: int) -> bytes:
    """Return bytes of an image that has the pattern in RUNS and zeros elsewhere."""
    found = bytearray(max(0, min(length, SIZE - offset)))
    for start, size in RUNS:
        first, last = max(start, offset), min(start + size, offset + len(found))
        if first < last:
            found[first - offset : last - offset] = pattern.at(first, last - first)
    return bytes(found)


class Holed(Pattern):
    """One pass over the image with holes, of unknown size."""

    def __init__(self) -> None:
        super().__init__(SIZE)

    def read(self, size: int = MIB) -> bytes:
        data = holed(self.position, size)
        self.position += len(data)
        self.sha512.update(data)
        self.md5.update(data)
        return data


class HoledOfKnownSize(Holed):
    def __len__(self) -> int:
        return self.size - self.position


@pytest.fixture(
    scope="class",
    params=sampling.one_of(2, [Holed, HoledOfKnownSize]),
    ids=["unknown", "known"],
)
def image(request: Any, alice: Any) -> Iterator[Any]:
    user = User(alice)
    try:
        yield user.uploaded(request.param())
    finally:
        user.clean()


@pytest.mark.shared
class TestThin:
    def test_only_data_takes_room_and_every_byte_is_right(
        self, lab: Any, admin: Any, user: User, image: Any
    ) -> None:
        volume = images.image_volume(admin, image.id)
        path = images.backing_file(lab, volume)
        assert path.stat().st_size == 2 * GIB
        data = sum(length for _offset, length in RUNS)
        assert data <= path.stat().st_blocks * 512 <= 1.05 * data
        position = 0
        for piece in user.download(image.id).iter_content(4 * MIB):
            assert piece == holed(position, len(piece)), f"at {position}"
            position += len(piece)
        assert position == SIZE

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            (0, 0),
            (3 * MIB - 1, 3 * MIB),  # out of data into a hole
            (5 * MIB, 6 * MIB),  # all hole
            (5 * MIB + 1, 30 * MIB),  # out of a hole into data
            (9 * MIB, 70 * MIB),  # over a run
            (GIB + 122, GIB + 124),
            (SIZE - 10, SIZE - 1),
        ],
    )
    def test_ranges_over_holes(
        self, user: User, image: Any, first: int, last: int
    ) -> None:
        answer = user.download(image.id, Range=f"bytes={first}-{last}")
        assert answer.status_code == 206
        assert answer.content == holed(first, last - first + 1)


def opened_by_host(lab: Any, volume: Any) -> str:
    """Return what a writer of the volume has open: its file, or a device."""
    name = f"volume-{volume.id}"
    paths = [each["path"] for each in lab.devices().values() if each["name"] == name]
    return paths[0] if paths else str(images.backing_file(lab, volume))


@pytest.mark.shared
def test_an_upload_leaves_the_page_cache_to_others(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.image()
    cached: list[int] = []

    def look(reader: Pattern) -> None:
        if reader.position > 500 * MIB and not cached:
            (volume,) = images.image_volumes(admin, image.id)
            cached.append(page_cache.bytes_of(opened_by_host(lab, volume)))

    answer = user.put(image, Announcing(512 * MIB, look), "fv1")
    assert answer.status_code == 204, answer.text
    # After 128 MiB it waits until they are written.
    assert 0 < cached[0] < 160 * MIB
    if lab.protocol == "nfs":
        # The pages of a device have gone with it.
        path = images.backing_file(lab, images.image_volume(admin, image.id))
        assert page_cache.bytes_of(str(path)) < 51 * MIB


@pytest.fixture
def store(lab: Any) -> Any:
    """Store fv1 in this process, with its token and Cinder's endpoint in hand."""
    made = stores.make_store(lab, mount_point_base=stores.new_base())
    with pytest.raises(exceptions.NotFound):
        made.get_size(direct.at("fv1", "00000000-0000-4000-8000-000000000000"))
    return made


class TestRequests:
    """The table in doc/source/performance.rst. Polls depend on Cinder's speed."""

    UPLOAD = (
        "create",
        "reserve",
        "connect",
        "complete",
        "detach",
        "act",  # read-only
        "set metadata",
    )
    DELETE = ("show", "delete")

    @pytest.fixture
    def requests(self, lab: Any) -> Requests:
        return Requests(lab)

    def test_known_size(self, lab: Any, store: Any, requests: Requests) -> None:
        location = self._add(store, Pattern(9 * MIB), 9 * MIB)
        found = requests.new("set metadata")
        assert [word for word in found if word != "show"] == list(self.UPLOAD)
        assert found[1] == "show"  # when the volume is ready
        # From there on its size is known, that of a device too.
        assert "show" not in found[found.index("reserve") :]
        stream, _size = store.get(location)
        for _piece in stream:
            pass
        download = ["show", *cinder_requests.ATTACHING, "detach"]
        assert requests.new("detach") == download
        store.delete(location)
        assert requests.new("delete") == list(self.DELETE)

    def test_unknown_size_takes_an_extension_and_a_question_more(
        self, lab: Any, store: Any, requests: Requests
    ) -> None:
        location = self._add(store, Pattern(GIB + 1), 0)
        found = requests.new("set metadata")
        # A device is extended before its end is written, a file after the detachment.
        at = self.UPLOAD.index("detach") + (lab.protocol == "nfs")
        words = [*self.UPLOAD[:at], "act", *self.UPLOAD[at:]]
        assert [word for word in found if word != "show"] == words
        store.delete(location)

    def test_fewer_than_upstream(self, lab: Any, user: User) -> None:
        counts = {}
        for name, last in (("peer", "act"), ("fv1", "set metadata")):
            requests = Requests(lab)
            image = user.uploaded(Sized(9 * MIB), store=name)
            upload = self._count(requests.new(last))
            assert len(user.download(image.id).content) == 9 * MIB
            download = self._count(requests.new("detach"))
            counts[name] = (upload, download)
        # Over NFS upstream asks for the format of the file, too.
        assert counts["fv1"][0] <= counts["peer"][0] - (lab.protocol == "nfs")
        assert counts["fv1"][1] < counts["peer"][1]

    @staticmethod
    def _count(words: list[str]) -> int:
        """The requests; those that ask again while Cinder works are not counted."""
        polls = [pair for pair in itertools.pairwise(words) if set(pair) == {"show"}]
        return len(words) - len(polls)

    @staticmethod
    def _add(store: Any, reader: Any, size: int) -> Any:
        url = store.add(IMAGE_ID, reader, size, "sha512")[0]
        return direct.located("fv1", url)


@pytest.mark.shared
class TestReaders:
    def test_a_slow_reader_does_not_delay_others(self, lab: Any, user: User) -> None:
        image = user.uploaded(Sized(64 * MIB))
        with user.download(image.id) as slow:
            pieces = slow.iter_content(MIB)
            assert next(pieces) == pattern.at(0, MIB)
            for _reader in range(3):
                assert user.download(image.id).content == pattern.at(0, 64 * MIB)
            rest = b"".join(pieces)
        assert rest == pattern.at(MIB, 63 * MIB)

    def test_a_hundred_readers_at_once(self, store: Any) -> None:
        url = store.add(IMAGE_ID, Pattern(16 * MIB), 16 * MIB, "sha512")[0]
        location = direct.located("fv1", url)
        threads = threading.active_count()
        streams = [store.get(location)[0] for _reader in range(100)]
        try:
            for number in range(3):
                for stream in streams:
                    assert next(stream) == pattern.at(number * MIB, MIB)
        finally:
            for stream in streams:
                stream.close()
        # It waits for the thread that detaches.
        store.delete(location)
        assert threading.active_count() == threads

    def test_a_deletion_waits_for_a_slow_reader_no_longer_than_it_should(
        self, lab: Any, user: User
    ) -> None:
        image = user.uploaded(Sized(64 * MIB))
        with user.download(image.id) as slow:
            pieces = slow.iter_content(MIB)
            next(pieces)
            refused = user.cloud.image.delete(f"/images/{image.id}")
            assert refused.status_code == 409
            assert len(b"".join(pieces)) == 63 * MIB
        assert user.cloud.image.delete(f"/images/{image.id}").status_code == 204

    @pytest.mark.exclusive
    def test_a_client_that_goes_away_frees_everything(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(Sized(512 * MIB))
        volume = images.image_volume(admin, image.id)
        answer = user.download(image.id)
        assert next(answer.iter_content(MIB)) == pattern.at(0, MIB)
        # A reader does not wait until Cinder knows that it is attached.
        wait_until(
            lambda: admin.block_storage.get_volume(volume.id).status == "in-use",
            "the image-volume is attached",
        )
        answer.close()
        wait_until(
            lambda: admin.block_storage.get_volume(volume.id).status == "available",
            "the image-volume is detached",
            timeout_s=20,
        )
        base = stores.option("fv1", "ontap_mount_point_base")
        wait_until(
            lambda: not direct.connected(os.path.realpath(base)),
            "the host is disconnected",
        )
