# SPDX-License-Identifier: Apache-2.0
"""The store itself over the lab's real Cinder and array: its failures.

A failure before the seal must leave no volume, no attachment, no mount and no file,
and say what to change.
"""

from collections.abc import Iterator
import contextlib
import gc
import hashlib
import os
import threading
from typing import Any
import uuid

from glance_store import exceptions
import pytest

from glance_ontap_store import backend
from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.backend import Backend
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.settings import Settings
from glance_ontap_store.tests.fakes import glance
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import RecordingVerifier
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from lab import stores
from lab.polling import wait_until

ACME = Context(project_id="acme")


@pytest.fixture
def base(lab: Any) -> str:
    """A base of mounts that Glance's workers do not use."""
    return stores.new_base()


@pytest.fixture
def make(lab: Any, base: str) -> Any:
    def make_store(store_id: str = "fv1", **options: Any) -> Any:
        return stores.make_store(lab, store_id, mount_point_base=base, **options)

    return make_store


@pytest.fixture
def leftovers(lab: Any, admin: Any, base: str) -> Iterator[Leftovers]:
    """Fail the test if it leaves anything behind."""
    watch = Leftovers(lab, admin, base)
    yield watch
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not watch.new(), "nothing is left", timeout_s=60)
    assert watch.new() == {}


def add(store: Any, reader: Any, size: int, algo: str = "sha512", **kw: Any) -> Any:
    return store.add(str(uuid.uuid4()), reader, size, algo, context=ACME, **kw)


@contextlib.contextmanager
def added(store: Any, size: int) -> Iterator[str]:
    """Add an image of the pattern to *store* until the block ends; yield its URL."""
    url = add(store, Pattern(size), size)[0]
    try:
        yield url
    finally:
        with contextlib.suppress(exceptions.NotFound):
            store.delete(direct.located(store.backend_group, url), context=ACME)


@pytest.mark.parametrize(
    "algo", ["md5", "sha256", "sha512", "blake2b", "sha3_512", "shake_256"]
)
def test_digests_and_verifier(make: Any, leftovers: Any, algo: str) -> None:
    store = make()
    verifier = RecordingVerifier()
    size = 5 * MIB + 3
    url, written, checksum, multihash, metadata = add(
        store, Pattern(size), size, algo, verifier=verifier
    )
    store.delete(direct.located("fv1", url))
    whole = pattern.at(0, size)
    assert written == size
    assert metadata == {"store": "fv1"}
    assert checksum == hashlib.md5(whole).hexdigest()
    expected = hashlib.new(algo, whole)
    length = (64,) if algo == "shake_256" else ()
    assert multihash == expected.hexdigest(*length)
    assert verifier.taken == whole


@pytest.mark.parametrize("came", [MIB - 1, MIB + 1, 0, 9 * MIB])
def test_wrong_length_is_refused(make: Any, leftovers: Any, came: int) -> None:
    with pytest.raises(exceptions.Invalid, match=str(MIB)):
        add(make(), Pattern(came), MIB)


def test_a_client_that_goes_away(make: Any, leftovers: Any) -> None:
    reader = OnePass(glance.Pattern(9 * MIB), breaks_at=5 * MIB)
    with pytest.raises(OSError, match="went away"):
        add(make(), reader, 9 * MIB)


@pytest.mark.nfs_only("options of mounts")
def test_the_stores_mount_options_are_those_of_its_mounts(
    make: Any, leftovers: Any
) -> None:
    """The lab's mount.nfs heeds ``ro``: images can be read, and not written."""
    with added(make("fv1"), MIB) as url:
        read_only = make("fv1", nfs_mount_options="ro,nconnect=4")
        stream, length = read_only.get(direct.located("fv1", url))
        with contextlib.closing(stream):
            assert b"".join(stream) == pattern.at(0, MIB)
        assert length == MIB
        with pytest.raises(exceptions.StorageWriteDenied):
            add(read_only, Pattern(MIB), MIB)


def test_unknown_volume_type(make: Any, leftovers: Any) -> None:
    with pytest.raises(
        exceptions.BadStoreConfiguration, match=r"'no-such-type'.*ontap_v"
    ):
        add(make(volume_type="no-such-type"), Pattern(1), 1)


def test_an_availability_zone_that_cinder_has(make: Any, leftovers: Any) -> None:
    store = make(availability_zone="nova")
    with added(store, MIB) as url:
        volume = stores.cinder("fv1").get(url.rpartition("/")[2])
        assert volume.availability_zone == "nova"
        assert volume.metadata["ontap_content"] == "raw"


def test_an_unknown_availability_zone(make: Any, leftovers: Any) -> None:
    with pytest.raises(
        exceptions.BadStoreConfiguration, match=r"'az9' is invalid.*ontap_availability"
    ):
        add(make(availability_zone="az9"), Pattern(1), 1)


def test_wrong_password(make: Any, leftovers: Any) -> None:
    with pytest.raises(exceptions.Forbidden, match="credentials of store 'fv1'"):
        add(make(store_password="wrong"), Pattern(1), 1)


def test_keystone_that_does_not_answer(make: Any, leftovers: Any) -> None:
    store = make(store_auth_address="http://127.0.0.1:1/v3", http_retries=0)
    with pytest.raises(exceptions.BackendException, match="ontap_store_auth_address"):
        add(store, Pattern(1), 1)


def test_cinder_that_does_not_answer(lab: Any, make: Any, leftovers: Any) -> None:
    store = make(http_retries=0)
    lab.stop("cinder-api")
    try:
        with pytest.raises(exceptions.BackendException, match="no answer from Cinder"):
            add(store, Pattern(1), 1)
        with pytest.raises(exceptions.BackendException, match="no answer from Cinder"):
            store.get_size(direct.at("fv1", str(uuid.uuid4())))
    finally:
        lab.start("cinder-api")


def test_region_without_cinder(make: Any, leftovers: Any) -> None:
    with pytest.raises(exceptions.BadStoreConfiguration, match="ontap_os_region_name"):
        add(make(os_region_name="Nowhere"), Pattern(1), 1)


def test_full_quota(admin: Any, make: Any, leftovers: Any) -> None:
    project = admin.identity.find_project("service")
    volumes = direct.used(admin, project.id)["volumes"]
    with direct.quota(admin, project.id, volumes=volumes):
        with pytest.raises(exceptions.StorageFull, match="quota of the project"):
            add(make(), Pattern(1), 1)


def test_quota_that_the_unknown_size_outgrows(
    admin: Any, make: Any, leftovers: Any
) -> None:
    project = admin.identity.find_project("service")
    used = direct.used_gib(admin, project.id)
    with direct.quota(admin, project.id, gigabytes=used + 1):
        with pytest.raises(exceptions.StorageFull, match="quota of the project"):
            add(make(), Pattern(GIB + 1), 0)


def test_encrypted_volume_type(admin: Any, make: Any, leftovers: Any) -> None:
    storage = admin.block_storage
    usual = storage.find_type("ontap-fv1", ignore_missing=False)
    made = storage.create_type(name="encrypted", extra_specs=usual.extra_specs)
    try:
        answer = storage.post(
            f"/types/{made.id}/encryption",
            json={
                "encryption": {
                    "provider": "luks",
                    "cipher": "aes-xts-plain64",
                    "key_size": 256,
                    "control_location": "front-end",
                }
            },
        )
        assert answer.status_code == 200, answer.text
        with pytest.raises(
            exceptions.BadStoreConfiguration, match="'encrypted' encrypts"
        ):
            add(make(volume_type="encrypted"), Pattern(1), 1)
        wait_until(lambda: not leftovers.new(), "the volume is deleted")
    finally:
        storage.delete_type(made.id)


@pytest.mark.nfs_only("Cinder makes qcow2 files on exports alone")
def test_qcow2_volumes(lab: Any, make: Any, leftovers: Any) -> None:
    with direct.cinder_options(lab, {"ontap": {"nfs_qcow2_volumes": "true"}}):
        with pytest.raises(
            exceptions.BadStoreConfiguration, match="nfs_qcow2_volumes = false"
        ):
            add(make(), Pattern(1), 1)
        wait_until(lambda: not leftovers.new(), "the volume is deleted")


# Each request of an upload of unknown size over 1 GiB, in order; a wait asks more.
STEPS = [
    "create",
    "get",
    "reserve",
    "connect",
    "complete",
    "detach",
    "extend",
    "set_readonly",
    "set_metadata",
]


@pytest.mark.parametrize("done", [False, True], ids=["refused", "answer-lost"])
@pytest.mark.parametrize(
    "step",
    [
        # test_faults.py has every request; with the real Cinder some are enough.
        pytest.param(
            step,
            marks=() if step in ("create", "set_metadata") else pytest.mark.long,
        )
        for step in STEPS
    ],
)
def test_upstream_left_things_behind_when_a_request_failed(
    make: Any, leftovers: Any, step: str, done: bool
) -> None:
    made: list[Faulty] = []

    def build(settings: Settings) -> Backend:
        session = identity.session_for(settings)
        cinder = Faulty(CinderClient(settings, session))
        made.append(cinder)
        return backend.assemble(settings, session, cinder)

    store = make(build=build)
    (cinder,) = made
    cinder.fail(step, errors.CinderUnreachable(f"{step} was made to fail"), done=done)
    with pytest.raises(exceptions.BackendException, match=f"{step} was made to fail"):
        add(store, Pattern(GIB + 1), 0)
    assert step in cinder.calls


def _detached(admin: Any, volume_id: str) -> None:
    """Wait for the end of the detachment, for which readers do not wait."""
    wait_until(
        lambda: admin.block_storage.get_volume(volume_id).status == "available",
        "the volume is detached",
    )


def test_upstream_attached_at_the_first_read(
    admin: Any, make: Any, leftovers: Any
) -> None:
    store = make()
    with added(store, 9 * MIB) as url:
        stream, size = store.get(direct.located("fv1", url), context=ACME)
        assert size == 9 * MIB
        volume_id = url.rpartition("/")[2]
        wait_until(
            lambda: admin.block_storage.get_volume(volume_id).status == "in-use",
            "the volume is attached before anything is read",
        )
        next(stream)
        stream.close()
        with pytest.raises(StopIteration):
            next(stream)
        _detached(admin, volume_id)


def test_an_abandoned_download_detaches(admin: Any, make: Any, leftovers: Any) -> None:
    store = make()
    with added(store, 9 * MIB) as url:
        stream, _size = store.get(direct.located("fv1", url), context=ACME)
        wrapped = (chunk for chunk in stream)
        next(wrapped)
        del stream, wrapped
        gc.collect()
        volume_id = url.rpartition("/")[2]
        _detached(admin, volume_id)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 1, (0, 1)),
        (4 * MIB - 1, 2, (4 * MIB - 1, 2)),
        (5 * MIB, None, (5 * MIB, 4 * MIB)),
        (9 * MIB - 3, 100, (9 * MIB - 3, 3)),
        (9 * MIB, 10, (9 * MIB, 0)),
        (20 * MIB, None, (20 * MIB, 0)),
    ],
)
def test_ranges_are_clipped(
    make: Any,
    leftovers: Any,
    offset: int,
    length: int | None,
    expected: tuple[int, int],
) -> None:
    store = make()
    with added(store, 9 * MIB) as url:
        stream, size = store.get(
            direct.located("fv1", url), offset=offset, chunk_size=length, context=ACME
        )
        assert size == expected[1]
        assert b"".join(stream) == pattern.at(*expected)


def test_upstream_ended_short_data_silently(
    lab: Any, make: Any, leftovers: Any
) -> None:
    store = make()
    with added(store, 9 * MIB) as url:
        path = os.path.join(lab.flexvol("fv1"), f"volume-{url.rpartition('/')[2]}")
        os.truncate(path, 5 * MIB)
        # A device is refused before its first byte is read.
        words = "damaged or was cut" if lab.protocol == "nfs" else "another volume"
        with pytest.raises(exceptions.BackendException, match=words):
            list(store.get(direct.located("fv1", url), context=ACME)[0])
        os.truncate(path, GIB)


def test_readers_of_one_process_share_an_attachment(
    admin: Any, make: Any, leftovers: Any
) -> None:
    store = make()
    with added(store, 9 * MIB) as url:
        streams = [store.get(direct.located("fv1", url))[0] for _reader in range(4)]
        volume_id = url.rpartition("/")[2]
        assert len(admin.block_storage.get_volume(volume_id).attachments) == 1
        next(streams[0])
        streams[0].close()
        for stream in streams[1:]:
            assert b"".join(stream) == pattern.at(0, 9 * MIB)
        _detached(admin, volume_id)


def test_another_process_reads_from_a_temporary_clone(
    admin: Any, make: Any, leftovers: Any
) -> None:
    """Each store object has its own readers, like another process."""
    store, other = make(), make()
    with added(store, 9 * MIB) as url:
        first, _ = store.get(direct.located("fv1", url))
        second, _ = other.get(direct.located("fv1", url))
        name = f"reading-{url.rpartition('/')[2]}"
        assert len(list(admin.block_storage.volumes(all_projects=True, name=name))) == 1
        assert b"".join(second) == pattern.at(0, 9 * MIB)
        assert b"".join(first) == pattern.at(0, 9 * MIB)


def test_with_a_full_quota_a_reader_waits_for_the_other_process(
    admin: Any, make: Any, leftovers: Any
) -> None:
    store, other = make(), make()
    project = admin.identity.find_project("service")
    with added(store, 9 * MIB) as url:
        first, _ = store.get(direct.located("fv1", url))
        got: list[bytes] = []
        second = threading.Thread(
            target=lambda: got.extend(other.get(direct.located("fv1", url))[0])
        )
        used = direct.used_gib(admin, project.id)
        with direct.quota(admin, project.id, gigabytes=used):
            second.start()
            assert b"".join(first) == pattern.at(0, 9 * MIB)
            second.join(timeout=120)
        assert b"".join(got) == pattern.at(0, 9 * MIB)


def test_a_reader_that_may_not_wait_gets_an_error(
    admin: Any, make: Any, leftovers: Any
) -> None:
    store, hasty = make(), make(attach_wait=0)
    project = admin.identity.find_project("service")
    with added(store, MIB) as url:
        first, _ = store.get(direct.located("fv1", url))
        used = direct.used_gib(admin, project.id)
        with direct.quota(admin, project.id, gigabytes=used), first:
            with pytest.raises(exceptions.InUseByStore):
                hasty.get(direct.located("fv1", url))


def test_upstream_reported_a_missing_volume_as_broken(
    make: Any, leftovers: Any
) -> None:
    store = make()
    gone = direct.at("fv1", str(uuid.uuid4()))
    for action in (store.get, store.get_size, store.delete):
        with pytest.raises(exceptions.NotFound):
            action(gone, context=ACME)


def test_foreign_volumes_are_left_alone(user: Any, make: Any) -> None:
    """Another store's image-volume, and a volume that is not an image-volume."""
    store, other = make("fv1"), make("fv2")
    plain = user.volume(volume_type="ontap-fv1")
    with added(other, MIB) as url:
        for volume_id in (url.rpartition("/")[2], plain.id):
            volume = direct.at("fv1", volume_id)
            # Alice's volume is not even visible to the store's user.
            refusals = (exceptions.Forbidden, exceptions.NotFound)
            for action in (store.get, store.get_size, store.delete):
                with pytest.raises(refusals):
                    action(volume, context=ACME)
        assert b"".join(other.get(direct.located("fv2", url), context=ACME)[0])
        own = url.rpartition("/")[2]
        assert other.is_image_associated_with_store(ACME, own)
        assert not store.is_image_associated_with_store(ACME, own)


def test_application_credential(
    lab: Any, admin: Any, make: Any, leftovers: Any
) -> None:
    owner = direct.owner("fv1")
    user_id = owner.current_user_id
    credential = owner.identity.create_application_credential(
        user=user_id, name="functional"
    )
    try:
        store = make(
            store_user_name=None,
            store_password=None,
            store_project_name=None,
            store_application_credential_id=credential.id,
            store_application_credential_secret=credential.secret,
        )
        with added(store, MIB) as url:
            volume = admin.block_storage.get_volume(url.rpartition("/")[2])
            assert volume.user_id == user_id
    finally:
        owner.identity.delete_application_credential(user_id, credential)


@pytest.mark.nfs_only("volumes share a mount, and never a device")
def test_two_stores_share_mounts_in_one_process(
    make: Any, leftovers: Any, base: str
) -> None:
    store, other = make(), make()
    with added(store, MIB) as one, added(store, MIB) as two:
        first, _ = store.get(direct.located("fv1", one), context=ACME)
        second, _ = other.get(direct.located("fv1", two), context=ACME)
        assert len(direct.mounted_below(base)) == 1
        first.close()
        assert len(direct.mounted_below(base)) == 1
        assert b"".join(second) == pattern.at(0, MIB)
        wait_until(lambda: not direct.mounted_below(base), "it is unmounted")
