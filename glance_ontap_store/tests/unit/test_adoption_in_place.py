# SPDX-License-Identifier: Apache-2.0
"""An image-volume of upstream's store becomes ours, over the fakes."""

import hashlib
import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.adoption.in_place import Adopter
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.stopping.interruption import Interrupted
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.units import GIB

SIZE = 3_000_001
DATA = Pattern(SIZE).at(0, SIZE)
IMAGE = Image(
    "image-1",
    size=SIZE,
    owner="globex",
    hash_algo="sha512",
    hash_value=hashlib.sha512(DATA).hexdigest(),
)


def upstreams(cloud, data=DATA, length=None):
    """A volume as upstream's store leaves it: its file is as long as the image."""
    record = Record(image_id="image-1", owner="acme", size=len(data))
    made = cloud.cinder.create(
        NewVolume("image-image-1", 1, "ontap-fv1", record.to_metadata())
    )
    cloud.clock.sleep(60)
    with open(cloud.cinder.path_of(made.id), "wb") as file:
        file.write(data)
        file.truncate(length or len(data))
    cloud.cinder.set_readonly(made.id)
    return made.id


def adopter_of(cloud, stop=None):
    volumes, attacher = cloud.waiting_volumes(), cloud.attacher()
    return Adopter("fv1", volumes, attacher, stop or Stop(), print)


def adopt(cloud, volume_id, image=IMAGE, verify=True, stop=None):
    made = adopter_of(cloud, stop)
    made.adopt(made.volume(volume_id), image, verify)


def assert_adopted(cloud, volume_id):
    volume = cloud.cinder.get(volume_id)
    assert volume.status == "available"
    record = Record.parse(volume.metadata)
    assert (record.store, record.state) == ("fv1", State.SEALED)
    # Glance knows whose it is now.
    assert (record.image_id, record.owner) == ("image-1", "globex")
    assert (record.size, record.hash_algo) == (SIZE, "sha512")
    assert record.hash_value == IMAGE.hash_value
    assert record.content == "raw"
    assert os.path.getsize(cloud.cinder.path_of(volume_id)) == GIB
    stream, size = cloud.lifecycle().read(volume_id, 0, None)
    assert (b"".join(stream), size) == (DATA, SIZE)
    assert cloud.cinder.is_readonly(volume_id)


def assert_untouched(cloud, volume_id):
    volume = cloud.cinder.get(volume_id)
    assert not Record.parse(volume.metadata).is_by_this_store
    with open(cloud.cinder.path_of(volume_id), "rb") as file:
        assert file.read(SIZE) == DATA


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("length", [None, GIB])
def test_it_is_sealed_with_its_length_and_digest(cloud, verify, length):
    volume_id = upstreams(cloud, length=length)
    adopt(cloud, volume_id, verify=verify)
    assert_adopted(cloud, volume_id)
    # What the store has written itself has one.
    assert "ontap_write_id" not in cloud.cinder.get(volume_id).metadata
    assert cloud.mounter.mounted() == set()


def test_a_file_longer_than_its_volume_makes_the_volume_longer(cloud):
    volume_id = upstreams(cloud, length=GIB + 5)
    adopt(cloud, volume_id)
    cloud.clock.sleep(60)
    assert cloud.cinder.get(volume_id).size_gib == 2
    assert os.path.getsize(cloud.cinder.path_of(volume_id)) == 2 * GIB


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ({"hash_value": "0" * 128}, "digest"),
        ({"hash_algo": None, "hash_value": None}, "neither"),
        ({"hash_algo": None, "hash_value": None, "checksum": "0" * 32}, "digest"),
        ({"size": SIZE + 1}, f"ends after {SIZE} bytes"),
    ],
)
def test_what_is_not_the_image_is_not_sealed(cloud, image, says):
    volume_id = upstreams(cloud)
    with pytest.raises(errors.Broken, match=says):
        adopt(cloud, volume_id, Image(**{**vars(IMAGE), **image}))
    assert_untouched(cloud, volume_id)


def test_an_old_image_without_a_multihash_is_verified_by_its_checksum(cloud):
    checksum = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    values = {**vars(IMAGE), "hash_value": None, "checksum": checksum}
    volume_id = upstreams(cloud)
    adopt(cloud, volume_id, Image(**values))
    assert_adopted(cloud, volume_id)


@pytest.mark.parametrize("verify", [True, False])
def test_a_file_that_begins_like_qcow2_is_refused(cloud, verify):
    data = b"QFI\xfb" + bytes(1000)
    volume_id = upstreams(cloud, data)
    image = Image("image-1", size=len(data), hash_value="x", hash_algo="sha512")
    with pytest.raises(errors.Broken, match="qcow2"):
        adopt(cloud, volume_id, image, verify)


def test_an_image_that_somebody_reads_is_left_alone(cloud):
    volume_id = upstreams(cloud)
    attachment_id = cloud.cinder.reserve(volume_id, "ro")
    with pytest.raises(errors.StoreError):
        adopt(cloud, volume_id)
    cloud.cinder.detach(attachment_id)
    assert_untouched(cloud, volume_id)
    adopt(cloud, volume_id)
    assert_adopted(cloud, volume_id)


def test_what_a_killed_command_has_attached_is_released(cloud):
    volume_id = upstreams(cloud)
    killed = cloud.another_process()
    attaching = killed.journal().attaching(volume_id)
    attaching.complete(killed.cinder.reserve(volume_id, "ro"))
    # It lives.
    adopter = adopter_of(cloud)
    assert adopter.volume(volume_id).status == "reserved"
    killed.processes.close()
    assert adopter.volume(volume_id).status == "available"
    adopt(cloud, volume_id)
    assert_adopted(cloud, volume_id)


def test_an_interruption_ends_the_reading(cloud):
    volume_id = upstreams(cloud)
    stop = Stop()
    stop.set()
    with pytest.raises(Interrupted):
        adopt(cloud, volume_id, stop=stop)
    assert_untouched(cloud, volume_id)
    assert cloud.cinder.get(volume_id).status == "available"
    assert cloud.mounter.mounted() == set()


# The requests of an adoption, in order: each may fail, before it is done or after.
CALLS = [
    ("set_readonly", 1),
    ("reserve", 1),
    ("connect", 1),
    ("complete", 1),
    ("set_readonly", 2),
    ("reserve", 2),
    ("connect", 2),
    ("complete", 2),
    ("set_readonly", 3),
    ("set_metadata", 1),
]


def test_the_requests_are_these(cloud):
    volume_id = upstreams(cloud)
    before = len(cloud.volumes.calls)
    adopt(cloud, volume_id)
    made = cloud.volumes.calls[before:]
    kept = [name for name in made if name in {name for name, _ in CALLS}]
    assert kept == [name for name, _ in CALLS]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("method", "nth"), CALLS)
@pytest.mark.parametrize(
    "error", [errors.CinderUnreachable("No answer."), errors.Broken("No.")], ids=repr
)
def test_a_failure_at_any_request_is_mended_by_the_next_run(
    cloud, error, method, nth, done
):
    """The image is what it was, and nothing else is left."""
    volume_id = upstreams(cloud)
    cloud.volumes.fail(method, error, nth=nth, done=done)
    try:
        adopt(cloud, volume_id)
    except errors.StoreError:
        is_sealed = method == "set_metadata" and done
        if not is_sealed:
            assert_untouched(cloud, volume_id)
    for attachment_id in cloud.cinder.attachments(volume_id):
        # An attachment that the answer did not name: recovery takes it.
        assert (method, done) == ("reserve", True)
        cloud.cinder.detach(attachment_id)
    adopt(cloud, volume_id)
    assert_adopted(cloud, volume_id)
