# SPDX-License-Identifier: Apache-2.0
"""An image-volume stays attached after its last reader (``ontap_linger``).

Without that, readers do not wait for its detachment either.
"""

import dataclasses
import threading
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import leases
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.image_volume import ImageVolume
from glance_ontap_store.images.reading import OpenImage
from glance_ontap_store.images.reading import Seen
from glance_ontap_store.images.record import Record
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.glance import Pattern

# Longer than any test.
LONG_S = 3600
SIZE = 1000


@pytest.fixture
def running():
    """Ends what still lingers after the test."""
    transfers = Transfers()
    yield transfers
    transfers.stop(60)


@pytest.fixture
def images(cloud, running):
    return cloud.lifecycle(running=running, linger_s=LONG_S)


@pytest.fixture
def volume_id(cloud):
    return cloud.lifecycle().store(upload(SIZE)).volume_id


def read(images, volume_id):
    stream, _size = images.read(volume_id, 0, None)
    assert b"".join(stream) == Pattern(SIZE).at(0, SIZE)


def test_the_next_reader_needs_no_request(cloud, images, volume_id):
    read(images, volume_id)
    assert cloud.cinder.get(volume_id).status == "in-use"
    cloud.volumes.calls.clear()
    read(images, volume_id)
    assert cloud.volumes.calls == []


def test_a_reader_beside_another_one_needs_no_request(cloud, images, volume_id):
    first, _size = images.read(volume_id, 0, None)
    cloud.volumes.calls.clear()
    read(images, volume_id)
    assert cloud.volumes.calls == []
    first.close()


def test_without_the_option_each_reader_looks(cloud, volume_id):
    images = cloud.lifecycle()
    first, _size = images.read(volume_id, 0, None)
    cloud.volumes.calls.clear()
    read(images, volume_id)
    assert cloud.volumes.calls == ["get"]
    first.close()


def test_cinder_is_asked_again_when_the_time_is_over(cloud, images, volume_id):
    """However often it is read meanwhile."""
    read(images, volume_id)
    for _look in range(2):
        cloud.clock.sleep(LONG_S - 1)
        cloud.volumes.calls.clear()
        read(images, volume_id)
        assert cloud.volumes.calls == []
        cloud.clock.sleep(1)
        read(images, volume_id)
        assert cloud.volumes.calls == ["get"]


def test_a_device_is_looked_at_by_each_reader(cloud, images, volume_id, monkeypatch):
    """It may be another volume's by now, if somebody deleted the attachment."""
    monkeypatch.setattr(FileDevice, "is_file", False)
    read(images, volume_id)
    cloud.volumes.calls.clear()
    read(images, volume_id)
    assert cloud.volumes.calls == ["get"]


def test_an_attachment_that_somebody_deleted_is_not_used(cloud, images, volume_id):
    read(images, volume_id)
    (attachment_id,) = cloud.cinder.attachments(volume_id)
    cloud.cinder.detach(attachment_id)
    # The bytes are the image's until then: the file is open.
    read(images, volume_id)
    cloud.clock.sleep(LONG_S)
    read(images, volume_id)
    assert cloud.cinder.attachments(volume_id) not in ([], [attachment_id])
    assert cloud.cinder.get(volume_id).status == "in-use"


def test_a_deleted_image_volume_is_not_read_from_what_lingers(cloud, images, volume_id):
    read(images, volume_id)
    images.delete(volume_id)
    with pytest.raises(errors.ImageVolumeGone):
        images.read(volume_id, 0, None)


def test_a_temporary_clone_does_not_linger(cloud, images, volume_id):
    first, _size = cloud.lifecycle().read(volume_id, 0, None)
    before = cloud.holdings()
    read(images, volume_id)
    cloud.clock.sleep(60)
    assert cloud.holdings() == before
    first.close()


def test_a_reader_of_another_process_has_a_clone_meanwhile(cloud, images, volume_id):
    read(images, volume_id)
    second, _size = cloud.lifecycle().read(volume_id, 0, None)
    assert len(cloud.cinder.find(f"reading-{volume_id}")) == 1
    assert b"".join(second) == Pattern(SIZE).at(0, SIZE)


def test_an_upload_leaves_no_attachment(cloud, images):
    volume_id = images.store(upload(SIZE)).volume_id
    assert cloud.cinder.get(volume_id).status == "available"


def test_a_deletion_does_not_wait_for_it(cloud, images, volume_id):
    read(images, volume_id)
    before = cloud.clock.monotonic()
    images.delete(volume_id)
    assert cloud.clock.monotonic() == before
    cloud.clock.sleep(60)
    assert cloud.holdings() == set()


def test_a_deletion_by_another_process_waits_for_it(cloud, images, running, volume_id):
    read(images, volume_id)
    cloud.clock.at(5, lambda: running.stop(60))
    before = cloud.clock.monotonic()
    cloud.lifecycle().delete(volume_id)
    assert cloud.clock.monotonic() - before >= 5


def test_the_wait_of_another_process_has_an_end(cloud, images, volume_id):
    read(images, volume_id)
    with pytest.raises(errors.ImageVolumeInUse, match="ontap_delete_wait"):
        cloud.lifecycle().delete(volume_id)


def test_the_stop_of_the_process_detaches_it(cloud, images, running, volume_id):
    before = cloud.holdings()
    read(images, volume_id)
    assert cloud.holdings() != before
    assert running.stop(60) == 0
    assert cloud.holdings() == before


def test_a_download_that_fails_leaves_no_attachment(cloud, images, volume_id):
    """A file that was cut: the next reader opens it anew."""
    before = cloud.holdings()
    with open(cloud.cinder.path_of(volume_id), "r+b") as file:
        file.truncate(SIZE - 1)
    stream, _size = images.read(volume_id, 0, None)
    with pytest.raises(Exception, match="ends at"):
        b"".join(stream)
    assert cloud.holdings() == before


def test_recovery_detaches_it_after_a_crash(cloud, running, volume_id):
    other = cloud.another_process()
    read(other.lifecycle(running=running, linger_s=LONG_S), volume_id)
    cloud.recovery().release_dead()
    assert cloud.cinder.get(volume_id).status == "in-use"
    other.processes.close()
    cloud.recovery().release_dead()
    assert cloud.cinder.get(volume_id).status == "available"


class Gate:
    """Lets a call of the fake Cinder wait until the test opens it."""

    def __init__(self, cinder, name):
        self._open = threading.Event()
        self._call = getattr(cinder, name)
        self.was_waited_for = threading.Event()
        setattr(cinder, name, self)

    def __call__(self, *args):
        self.was_waited_for.set()
        assert self._open.wait(60)
        return self._call(*args)

    def open(self):
        self._open.set()


def settle():
    for thread in threading.enumerate():
        if thread.name == leases.THREAD:
            thread.join()


class TestBackground:
    @pytest.fixture
    def images(self, cloud, running):
        return cloud.lifecycle(running=running, in_background=True)

    def test_a_reader_does_not_wait_for_the_detachment(self, cloud, images, volume_id):
        before = cloud.holdings()
        gate = Gate(cloud.cinder, "detach")
        read(images, volume_id)
        assert cloud.holdings() != before
        gate.open()
        settle()
        assert cloud.holdings() == before

    def test_a_stop_waits_for_the_detachment(self, cloud, images, running, volume_id):
        before = cloud.holdings()
        gate = Gate(cloud.cinder, "detach")
        read(images, volume_id)
        opener = threading.Timer(0.05, gate.open)
        opener.start()
        running.stop(60)
        assert cloud.holdings() == before
        opener.join()

    def test_the_next_reader_attaches_after_the_detachment(
        self, cloud, images, volume_id
    ):
        gate = Gate(cloud.cinder, "detach")
        read(images, volume_id)
        assert gate.was_waited_for.wait(60)
        reader = threading.Thread(target=read, args=(images, volume_id))
        reader.start()
        gate.open()
        reader.join()
        settle()
        assert cloud.volumes.calls.count("connect") == 2 + 1  # and the upload's
        assert cloud.cinder.get(volume_id).status == "available"

    def test_a_failed_detachment_is_left_to_recovery(self, cloud, images, volume_id):
        before = cloud.holdings()
        cloud.volumes.fail("detach", errors.Refused("no"))
        read(images, volume_id)
        settle()
        assert cloud.holdings() != before
        (entry,) = cloud.journal().left()
        assert cloud.recovery().release(entry)
        assert cloud.holdings() == before

    def test_a_temporary_clone_is_deleted(self, cloud, images, volume_id):
        first, _size = cloud.lifecycle().read(volume_id, 0, None)
        before = cloud.holdings()
        read(images, volume_id)
        settle()
        cloud.clock.sleep(60)
        assert cloud.holdings() == before
        first.close()

    def test_a_reader_does_not_wait_for_the_completion(self, cloud, images, volume_id):
        gate = Gate(cloud.cinder, "complete")
        stream, _size = images.read(volume_id, 0, None)
        assert next(stream) == Pattern(SIZE).at(0, SIZE)
        assert cloud.cinder.get(volume_id).status == "attaching"
        gate.open()
        stream.close()
        settle()
        assert cloud.cinder.get(volume_id).status == "available"

    def test_the_detachment_comes_after_the_completion(self, cloud, images, volume_id):
        gate = Gate(cloud.cinder, "complete")
        read(images, volume_id)
        assert "detach" not in cloud.volumes.calls[-2:]
        gate.open()
        settle()
        assert cloud.volumes.calls[-2:] == ["complete", "detach"]

    def test_a_completion_that_fails_does_not_end_the_download(
        self, cloud, images, volume_id, caplog
    ):
        before = cloud.holdings()
        cloud.volumes.fail("complete", errors.Refused("no"))
        read(images, volume_id)
        settle()
        assert "is not complete" in caplog.text
        assert cloud.holdings() == before

    def test_an_upload_waits_for_both(self, cloud, images):
        volume_id = images.store(upload(SIZE)).volume_id
        assert cloud.cinder.get(volume_id).status == "available"


class TestStillAttached:
    MARK = Mark(str(uuid.uuid4()), str(uuid.uuid4()))
    VOLUME = Volume("v", "in-use", 1, attachments=(Connected("a", MARK.mountpoint),))
    OPENED = OpenImage(
        MemoryDevice(),
        is_attached=True,
        seen=Seen(
            ImageVolume(dataclasses.replace(VOLUME, attachments=()), Record(), SIZE), 7
        ),
    )

    def test_by_this_process(self):
        assert self.OPENED.is_still_attached(self.VOLUME, self.MARK)

    @pytest.mark.parametrize(
        "changes",
        [
            {"attachments": ()},
            {"attachments": (Connected("b", "glance_store"),)},
            # A host has copied the volume meanwhile: its file is another one.
            {"name_id": "w"},
        ],
    )
    def test_not_any_more(self, changes):
        now = dataclasses.replace(self.VOLUME, **changes)
        assert not self.OPENED.is_still_attached(now, self.MARK)

    @pytest.mark.parametrize(
        ("now", "seconds", "is_file", "is_attached", "expected"),
        [
            (7, 5, True, True, True),
            (11.9, 5, True, True, True),
            (12, 5, True, True, False),
            (7, 0, True, True, False),
            (7, 5, False, True, False),
            (7, 5, True, False, False),
        ],
    )
    def test_a_look_is_spared(self, now, seconds, is_file, is_attached, expected):
        device = MemoryDevice()
        device.is_file = is_file
        opened = dataclasses.replace(
            self.OPENED, device=device, is_attached=is_attached
        )
        assert opened.needs_no_look(now, seconds) == expected
