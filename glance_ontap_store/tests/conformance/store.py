# SPDX-License-Identifier: Apache-2.0
"""The contract between Glance and a store, and this store's additions to it.

`test_fakes` runs it over fakes, and ``functional`` over real services.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import os
import threading
import time
from typing import Any
from typing import Protocol
import uuid

from glance_store import exceptions
import pytest

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.tests.fakes import glance
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import RecordingVerifier
from glance_ontap_store.tests.fakes.glance import Sparse
from glance_ontap_store.transfer import buffers

CHUNK = buffers.BLOCK


class Rig(Protocol):
    """A configured store, and access to its Cinder and its host."""

    # The store that glance_store made from ``enabled_backends``.
    store: Any
    store_id: str
    # Whether its volumes are block devices to the host, and not files of an export.
    has_devices: bool

    def location(self, uri: str) -> Any:
        """The Location that glance_store makes of *uri* for this store."""

    def holdings(self) -> set[str]:
        """Every volume that is not being deleted, every attachment and every mount.

        They are those of the store's project and this host, as texts to compare.
        """

    def file_of(self, volume_id: str) -> str:
        """The path of the file that holds the volume's bytes, not below a mount."""

    def volume(self, volume_id: str) -> Volume:
        """The volume as Cinder shows it.

        :raises errors.ImageVolumeGone: it does not exist
        """

    def settle(self) -> None:
        """Return when Cinder has finished all actions."""

    def make_volume(self, metadata: dict[str, str]) -> str:
        """The id of a new available volume of 1 GiB in the store's own project."""

    def set_metadata(self, volume_id: str, metadata: dict[str, str]) -> None: ...

    def drop_metadata(self, volume_id: str, *keys: str) -> None: ...

    def remove_volume(self, volume_id: str) -> None:
        """Delete the volume behind the store's back and wait until it is gone."""

    def held(self, volume_id: str) -> contextlib.AbstractContextManager[None]:
        """Keep the volume attached by another reader."""

    def with_snapshot(
        self, volume_id: str
    ) -> contextlib.AbstractContextManager[None]: ...


Add = Callable[..., "Added"]


class Added:
    """The answer of `add`, and the content that was added."""

    def __init__(self, rig: Rig, content: Content, answer: Any) -> None:
        self.content = content
        self.uri, self.size, self.checksum, self.multihash, self.metadata = answer
        self.location = rig.location(self.uri)
        self.volume_id = self.uri.rpartition("/")[2]


class StoreContract:
    # Sizes in bytes. Real services add the boundaries of a GiB.
    sizes: tuple[int, ...] = (
        1,
        511,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK,
        2 * CHUNK + 12_345,
    )
    hash_algo = "sha512"

    @pytest.fixture
    def rig(self) -> Rig:
        raise NotImplementedError

    # The contract.

    @pytest.fixture
    def add(self, rig: Rig) -> Iterator[Add]:
        """A function that adds images; those that remain are deleted after the test."""
        added: list[Added] = []

        def add(
            content: Content | int = 1000,
            announced: int | None = None,
            hash_algo: str = self.hash_algo,
            context: Any = None,
            **changes: Any,
        ) -> Added:
            if isinstance(content, int):
                content = Pattern(content)
            answer = rig.store.add(
                changes.pop("image_id", None) or str(uuid.uuid4()),
                OnePass(content, **changes.pop("reader", {})),
                content.size if announced is None else announced,
                hash_algo,
                context=context or Context(),
                **changes,
            )
            added.append(Added(rig, content, answer))
            return added[-1]

        yield add
        for image in reversed(added):
            with contextlib.suppress(exceptions.NotFound):
                rig.store.delete(image.location)

    @pytest.fixture
    def leaves_nothing(self, rig: Rig) -> Iterator[None]:
        """Fail if the test leaves other volumes, attachments or mounts than before."""
        before = rig.holdings()
        yield
        rig.settle()
        assert rig.holdings() == before

    @staticmethod
    def read(rig: Rig, added: Added, **wanted: Any) -> tuple[bytes, int]:
        stream, size = rig.store.get(added.location, **wanted)
        return b"".join(stream), size

    @staticmethod
    def same(chunks: Any, content: Content, offset: int = 0) -> int:
        """Compare piece by piece; return the offset after the last piece."""
        for chunk in chunks:
            assert chunk == content.at(offset, len(chunk)), f"differs after {offset}"
            offset += len(chunk)
        return offset

    # add

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "stored_size" in metafunc.fixturenames:
            metafunc.parametrize("stored_size", self.sizes)

    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
    def test_the_stored_bytes_are_those_of_the_source(
        self, rig, add, stored_size, is_known
    ):
        added = add(stored_size, announced=stored_size if is_known else 0)
        self.check_stored(rig, added)

    def check_stored(self, rig: Rig, added: Added) -> None:
        """Check the answer, the file, the volume and a download after `add`."""
        size = added.content.size
        checksum, multihash = hashlib.md5(), hashlib.new(self.hash_algo)
        for piece in glance.pieces(added.content, CHUNK):
            checksum.update(piece)
            multihash.update(piece)
        assert added.size == size
        assert added.checksum == checksum.hexdigest()
        assert added.multihash == multihash.hexdigest()
        self.check_file(rig.file_of(added.volume_id), added.content)
        assert rig.volume(added.volume_id).size_gib == units.gib_for(size)
        stream, promised = rig.store.get(added.location)
        assert promised == size
        assert self.same(stream, added.content) == size
        assert rig.store.get_size(added.location) == size

    def check_file(self, path: str, content: Content) -> None:
        """Check that the file has the image, then zeros, and the volume's length."""
        full = units.gib_for(content.size) * units.GIB
        with open(path, "rb") as file:
            for piece in glance.pieces(content, CHUNK):
                assert file.read(len(piece)) == piece
            rest = file.read(64 * 1024)
            assert rest == bytes(len(rest))
            assert os.fstat(file.fileno()).st_size == full

    def test_an_empty_image_has_a_location_and_no_volume(
        self, rig, add, leaves_nothing
    ):
        before = rig.holdings()
        verifier = RecordingVerifier()
        added = add(0, verifier=verifier)
        assert rig.holdings() == before
        assert added.uri == f"cinder://{rig.store_id}/empty"
        assert added.metadata == {"store": rig.store_id}
        assert added.size == 0
        assert added.checksum == hashlib.md5().hexdigest()
        assert added.multihash == hashlib.new(self.hash_algo).hexdigest()
        assert verifier.taken == b""
        assert rig.location(added.uri).get_store_uri() == added.uri

    def test_an_empty_image_is_read_and_deleted(self, rig, add, leaves_nothing):
        added = add(0)
        for context in (None, Context(), Context("globex")):
            assert rig.store.get_size(added.location, context=context) == 0
            assert self.read(rig, added, context=context) == (b"", 0)
            assert self.read(rig, added, offset=5, chunk_size=7) == (b"", 0)
        with pytest.raises(exceptions.BadStoreUri):
            rig.store.get(added.location, offset=-1)
        # Other images of no bytes have the same location.
        other = add(0)
        rig.store.delete(added.location)
        assert self.read(rig, other) == (b"", 0)
        rig.store.delete(added.location)

    def test_no_store_claims_the_location_of_an_empty_image(self, rig):
        assert not rig.store.is_image_associated_with_store(None, "empty")

    def test_an_image_volume_of_an_empty_image_is_served_and_deleted(
        self, rig, add, leaves_nothing
    ):
        """Earlier releases made one."""
        added = add(1)
        rig.set_metadata(added.volume_id, {"image_size": "0"})
        assert rig.store.get_size(added.location) == 0
        assert self.read(rig, added) == (b"", 0)
        rig.store.delete(added.location)

    def test_size_none_means_unknown(self, rig):
        content = Pattern(10)
        answer = rig.store.add(
            str(uuid.uuid4()), OnePass(content), None, self.hash_algo
        )
        added = Added(rig, content, answer)
        self.check_stored(rig, added)
        rig.store.delete(added.location)

    def test_upstream_file_is_as_long_as_its_volume(self, rig, add):
        added = add(CHUNK + 1)
        length = os.path.getsize(rig.file_of(added.volume_id))
        assert length == rig.volume(added.volume_id).size_gib * units.GIB

    def test_an_image_from_short_reads_is_stored(self, rig, add):
        self.check_stored(rig, add(100_000, announced=0, reader={"most": 777}))

    def test_cinder_can_clone_from_the_location(self, rig, add):
        added = add()
        volume = rig.volume(added.volume_id)
        assert added.uri == f"cinder://{rig.store_id}/{volume.id}"
        assert added.metadata == {"store": rig.store_id}
        assert rig.location(added.uri).get_store_uri() == added.uri

    def test_the_metadata_name_the_image_and_its_owner(self, rig, add):
        image_id = str(uuid.uuid4())
        added = add(image_id=image_id, context=Context("globex"))
        volume = rig.volume(added.volume_id)
        assert volume.status == "available"
        record = Record.parse(volume.metadata)
        assert record.image_id == image_id
        assert record.owner == "globex"
        assert record.size == added.size
        assert record.store == rig.store_id
        assert record.state is State.SEALED
        assert record.hash_algo == self.hash_algo
        assert record.hash_value == added.multihash

    def test_an_upload_without_a_context_is_stored(self, rig, add):
        answer = rig.store.add(str(uuid.uuid4()), OnePass(Pattern(5)), 5, "sha256")
        added = Added(rig, Pattern(5), answer)
        assert self.read(rig, added) == (Pattern(5).at(0, 5), 5)
        rig.store.delete(added.location)

    @pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha3_512", "blake2b"])
    def test_the_multihash_has_the_requested_algorithm(self, add, algorithm):
        added = add(1000, hash_algo=algorithm)
        expected = hashlib.new(algorithm, added.content.at(0, 1000)).hexdigest()
        assert added.multihash == expected

    def test_an_unknown_multihash_is_refused(self, add, leaves_nothing):
        with pytest.raises(exceptions.UnknownHashingAlgo):
            add(hash_algo="md6")

    def test_the_verifier_sees_every_byte_once(self, add):
        verifier = RecordingVerifier()
        added = add(CHUNK + 10, verifier=verifier)
        assert verifier.taken == added.content.at(0, CHUNK + 10)

    @pytest.mark.parametrize("size", [0, 1, 999, CHUNK])
    def test_too_few_bytes_are_refused(self, add, leaves_nothing, size):
        with pytest.raises(exceptions.Invalid, match=f"only {size} came"):
            add(size, announced=CHUNK + 1)

    @pytest.mark.parametrize("announced", [1, 999, CHUNK, 2 * CHUNK])
    def test_too_many_bytes_are_refused(self, add, leaves_nothing, announced):
        with pytest.raises(exceptions.Invalid, match="more came"):
            add(2 * CHUNK + 1, announced=announced)

    @pytest.mark.parametrize("breaks_at", [0, 1, CHUNK])
    def test_an_interrupted_upload_leaves_nothing(self, add, leaves_nothing, breaks_at):
        class ClientGone(Exception):
            pass

        # Glance knows its reader's errors, so they must pass unchanged.
        with pytest.raises(ClientGone):
            add(2 * CHUNK, reader={"breaks_at": breaks_at, "error": ClientGone()})

    def test_an_upload_leaves_only_its_volume(self, rig, add):
        before = rig.holdings()
        added = add()
        more = rig.holdings() - before
        assert len(more) == 1
        assert added.volume_id in more.pop()

    # get

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, None),
            (0, 1),
            (1, 10),
            (999, 1),
            (0, 1000),
            (500, None),
            (CHUNK - 1, 2),
            (CHUNK, None),
            (2 * CHUNK, 5),
        ],
    )
    def test_a_range_is_read(self, rig, add, offset, length):
        added = add(2 * CHUNK + 10)
        got, size = self.read(rig, added, offset=offset, chunk_size=length)
        assert got == added.content.at(offset, added.size if length is None else length)
        assert size == len(got)

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (990, 100, 10),
            (999, None, 1),
            (1000, None, 0),
            (5000, 3, 0),
            (0, 9999, 1000),
        ],
    )
    def test_a_range_is_clipped_to_the_image(self, rig, add, offset, length, expected):
        added = add(1000)
        got, size = self.read(rig, added, offset=offset, chunk_size=length)
        assert size == expected
        assert got == added.content.at(offset, expected)

    @pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
    def test_a_negative_range_is_refused(self, rig, add, offset, length):
        added = add(1000)
        with pytest.raises(exceptions.BadStoreUri):
            rig.store.get(added.location, offset=offset, chunk_size=length)

    def test_upstream_get_attaches_before_the_first_read(self, rig, add):
        """Glance tries another location only if `get` itself fails."""
        added = add()
        before = rig.holdings()
        stream, _size = rig.store.get(added.location)
        # A thread of the store may complete the attachment a little later.
        assert rig.volume(added.volume_id).status in ("attaching", "in-use")
        stream.close()
        self.assert_released(rig, before)

    @staticmethod
    def assert_released(rig, before):
        """A thread of the store may release it, a little later."""
        deadline = time.monotonic() + 60
        while rig.holdings() != before and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert rig.holdings() == before

    def test_a_finished_download_releases_the_volume(self, rig, add):
        added = add()
        before = rig.holdings()
        self.read(rig, added)
        self.assert_released(rig, before)

    @pytest.mark.parametrize("taken", [0, 1])
    def test_closing_a_download_releases_the_volume(self, rig, add, taken):
        added = add(3 * CHUNK)
        before = rig.holdings()
        stream, _size = rig.store.get(added.location)
        for _piece in range(taken):
            next(stream)
        stream.close()
        self.assert_released(rig, before)
        stream.close()
        assert list(stream) == []

    def test_a_dropped_download_releases_the_volume(self, rig, add):
        """Glance's generators do not pass a close on to the stream."""
        added = add(3 * CHUNK)
        before = rig.holdings()
        stream, _size = rig.store.get(added.location)
        wrapped = (chunk for chunk in stream)
        next(wrapped)
        wrapped.close()
        del stream, wrapped
        self.assert_released(rig, before)

    def test_an_image_is_read_repeatedly(self, rig, add):
        added = add(CHUNK + 3)
        for _time in range(3):
            assert self.read(rig, added)[0] == added.content.at(0, CHUNK + 3)

    def test_two_images_do_not_mix(self, rig, add):
        first, second = add(Pattern(5000)), add(Sparse(5000, {7: b"x"}))
        one, _size = rig.store.get(first.location)
        other, _size = rig.store.get(second.location)
        assert b"".join(other) == second.content.at(0, 5000)
        assert b"".join(one) == first.content.at(0, 5000)

    def test_upstream_short_device_data_is_an_error(self, rig, add):
        added = add(2 * CHUNK)
        before = rig.holdings()
        os.truncate(rig.file_of(added.volume_id), CHUNK + 5)
        # A device has the length of its volume, or it is not the volume's.
        words = "another volume" if rig.has_devices else "ends at"
        with pytest.raises(exceptions.BackendException, match=words):
            b"".join(rig.store.get(added.location)[0])
        assert rig.holdings() == before

    def test_a_missing_file_is_an_error_and_leaves_nothing(self, rig, add):
        added = add()
        before = rig.holdings()
        path = rig.file_of(added.volume_id)
        os.rename(path, f"{path}.away")
        words = "cannot connect" if rig.has_devices else "has no file|No such file"
        try:
            with pytest.raises(exceptions.BackendException, match=words):
                rig.store.get(added.location)
        finally:
            os.rename(f"{path}.away", path)
        assert rig.holdings() == before

    # get_size, and images that cannot be read

    def test_an_image_that_cinder_wrote_is_as_long_as_its_volume(self, rig):
        """Its metadata have no size: the image has the size of the volume."""
        volume_id = rig.make_volume({"image_owner": "acme"})
        location = rig.location(f"cinder://{rig.store_id}/{volume_id}")
        assert rig.store.get_size(location) == units.GIB
        stream, size = rig.store.get(location, offset=units.GIB - 10)
        assert (b"".join(stream), size) == (bytes(10), 10)
        rig.store.delete(location)

    @pytest.mark.parametrize("call", ["get", "get_size", "delete"])
    def test_upstream_missing_volume_is_not_found(self, rig, call):
        location = rig.location(f"cinder://{rig.store_id}/{uuid.uuid4()}")
        with pytest.raises(exceptions.NotFound):
            getattr(rig.store, call)(location)

    @pytest.mark.parametrize("call", ["get", "get_size", "delete"])
    def test_an_image_whose_volume_was_deleted_is_not_found(self, rig, add, call):
        added = add()
        rig.remove_volume(added.volume_id)
        with pytest.raises(exceptions.NotFound):
            getattr(rig.store, call)(added.location)

    @pytest.mark.parametrize("call", ["get", "get_size"])
    def test_an_unfinished_upload_is_not_served(self, rig, add, call):
        added = add()
        rig.set_metadata(added.volume_id, {"ontap_state": State.FILLING.value})
        with pytest.raises(exceptions.BackendException, match="never sealed"):
            getattr(rig.store, call)(added.location)

    @pytest.mark.parametrize("size", ["", "-1", "1e3", str(units.GIB + 1)])
    def test_an_impossible_size_is_an_error(self, rig, add, size):
        added = add()
        rig.set_metadata(added.volume_id, {"image_size": size or "none"})
        with pytest.raises(exceptions.BackendException):
            rig.store.get_size(added.location)
        with pytest.raises(exceptions.BackendException):
            rig.store.get(added.location)
        rig.set_metadata(added.volume_id, {"image_size": str(added.size)})

    # delete

    def test_a_deleted_image_is_not_found(self, rig, add):
        added = add()
        rig.store.delete(added.location)
        rig.settle()
        for call in (rig.store.delete, rig.store.get, rig.store.get_size):
            with pytest.raises(exceptions.NotFound):
                call(added.location)

    def test_deleting_twice_at_once_is_not_found(self, rig, add):
        added = add()
        rig.store.delete(added.location)
        with pytest.raises(exceptions.NotFound):
            rig.store.delete(added.location)

    def test_an_unfinished_upload_can_be_deleted(self, rig, add):
        added = add()
        rig.set_metadata(added.volume_id, {"ontap_state": State.FILLING.value})
        rig.store.delete(added.location)
        rig.settle()
        with pytest.raises(exceptions.NotFound):
            rig.store.get_size(added.location)

    def test_an_image_that_is_being_read_is_in_use(self, rig, add):
        added = add()
        with rig.held(added.volume_id):
            with pytest.raises(exceptions.InUseByStore):
                rig.store.delete(added.location)
        assert self.read(rig, added)[0] == added.content.at(0, added.size)

    def test_an_image_with_a_snapshot_is_not_deleted(self, rig, add):
        added = add()
        with rig.with_snapshot(added.volume_id):
            with pytest.raises(exceptions.HasSnapshot):
                rig.store.delete(added.location)
        rig.store.delete(added.location)

    # Volumes of others

    @pytest.mark.parametrize("call", ["get", "get_size", "delete"])
    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param({}, id="not an image"),
            pytest.param({"purpose": "database"}, id="a user's volume"),
            pytest.param(
                {"glance_image_id": "i", "image_owner": "o", "ontap_store": "other"},
                id="another store's",
            ),
        ],
    )
    def test_foreign_volumes_are_refused(self, rig, call, metadata):
        volume_id = rig.make_volume(metadata)
        location = rig.location(f"cinder://{rig.store_id}/{volume_id}")
        with pytest.raises(exceptions.Forbidden) as caught:
            getattr(rig.store, call)(location)
        assert "database" not in str(caught.value)
        rig.settle()
        assert rig.volume(volume_id).status == "available"
        rig.remove_volume(volume_id)

    def test_users_get_the_same_error_for_every_volume_of_others(self, rig, add):
        """Glance asks for the size when a location is added to an image."""
        added = add()
        others = {
            "another project's": added.volume_id,
            "plain": rig.make_volume({"purpose": "database"}),
            "another store's": rig.make_volume(
                {"image_owner": "globex", "ontap_store": "other"}
            ),
            "unfinished": rig.make_volume(
                {"image_owner": "globex", "ontap_state": State.FILLING.value}
            ),
            "none": str(uuid.uuid4()),
        }
        words = set()
        for volume_id in others.values():
            location = rig.location(f"cinder://{rig.store_id}/{volume_id}")
            with pytest.raises(exceptions.NotFound) as caught:
                rig.store.get_size(location, context=Context("globex"))
            words.add(str(caught.value).replace(volume_id, "ID"))
        assert len(words) == 1, words
        for context in (
            Context("acme"),
            Context("admins", is_admin=True),
            Context("services", roles=("service",)),
        ):
            assert rig.store.get_size(added.location, context=context) == added.size
        for kind in ("plain", "another store's", "unfinished"):
            rig.remove_volume(others[kind])

    def test_users_delete_only_their_own_images(self, rig, add):
        added = add()
        plain = rig.make_volume({})
        words = set()
        for volume_id in (added.volume_id, plain):
            location = rig.location(f"cinder://{rig.store_id}/{volume_id}")
            with pytest.raises(exceptions.Forbidden) as caught:
                rig.store.delete(location, context=Context("globex"))
            words.add(str(caught.value).replace(volume_id, "ID"))
            assert rig.volume(volume_id).status == "available"
        assert len(words) == 1, words
        rig.remove_volume(plain)
        rig.store.delete(added.location, context=Context("acme"))

    def test_only_its_own_images_are_associated_with_the_store(self, rig, add):
        def is_asked(volume_id: str) -> bool:
            return rig.store.is_image_associated_with_store(Context(), volume_id)

        added = add()
        assert is_asked(added.volume_id) is True
        assert is_asked(str(uuid.uuid4())) is False
        for metadata in (
            {},
            # Metadata that upstream's cinder store writes.
            {"image_owner": "acme", "glance_image_id": "x", "image_size": "1"},
            {"image_owner": "acme", "ontap_store": "other"},
        ):
            volume_id = rig.make_volume(metadata)
            assert is_asked(volume_id) is False
            rig.remove_volume(volume_id)

    @pytest.mark.parametrize("text", ["", "detail", "..", "1?limit=1", "not a volume"])
    def test_a_text_that_is_not_a_volume_id_is_not_associated(self, rig, text):
        """Glance passes on the last part of a location, whatever it is."""
        asked = rig.store.is_image_associated_with_store(Context(), text)
        assert asked is False

    def test_the_url_prefix_makes_a_location_of_this_store(self, rig, add):
        added = add()
        rewritten = f"{rig.store.url_prefix}/{added.volume_id}"
        assert rewritten == added.uri

    # Locations

    def test_the_schemes_are_cinder_and_ontap(self, rig):
        assert set(rig.store.get_schemes()) == {"cinder", "ontap"}

    @pytest.mark.parametrize("scheme", ["cinder", "ontap"])
    @pytest.mark.parametrize("has_store_id", [True, False])
    def test_every_form_of_a_location_is_read(self, rig, add, scheme, has_store_id):
        added = add()
        middle = f"{rig.store_id}/" if has_store_id else ""
        location = rig.location(f"{scheme}://{middle}{added.volume_id}")
        assert rig.store.get_size(location) == added.size
        stream, _size = rig.store.get(location)
        assert b"".join(stream) == added.content.at(0, added.size)

    @pytest.mark.parametrize(
        "uri",
        [
            "cinder://",
            "cinder:///",
            "cinder://{store}/",
            "cinder://{store}/not-a-uuid",
            "cinder://other/{volume}",
            "cinder://{store}/{volume}/more",
            "cinder://{store}/{volume}?a=b",
            "cinder://{store}/../{volume}",
        ],
    )
    def test_malformed_urls_are_refused(self, rig, uri):
        with pytest.raises(exceptions.BadStoreUri):
            rig.location(uri.format(store=rig.store_id, volume=uuid.uuid4()))
