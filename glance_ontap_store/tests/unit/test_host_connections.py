# SPDX-License-Identifier: Apache-2.0
"""No attachment of a block volume is deleted while a host may have its device."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.builders import assert_nothing_is_left
from glance_ontap_store.tests.builders import upload

TYPE = "ontap-lun1"


@pytest.fixture
def image(cloud):
    return cloud.lifecycle(volume_type=TYPE).store(upload()).volume_id


@pytest.fixture
def dead(cloud, image):
    """A process that was killed while it read the image; its device is there."""
    process = cloud.another_process()
    opened = process.attacher().readable(image, True, 0)
    device = opened.__enter__()
    # The kernel closes what a killed process has open.
    cloud.kernel.is_open = lambda _path: False
    process.processes.close()
    yield device
    del opened


def the_attachment(cloud, volume_id):
    (found,) = cloud.cinder.attachments(volume_id)
    return found


def test_recovery_disconnects_before_it_detaches(cloud, image, dead):
    cloud.kernel.events.clear()
    assert cloud.recovery().release_dead() == set()
    assert cloud.kernel.events == ["disconnect"]
    assert not cloud.kernel.devices
    assert cloud.cinder.get(image).status == "available"


def test_a_device_that_stays_keeps_the_attachment_for_a_later_round(cloud, image, dead):
    cloud.kernel.fail("disconnect", errors.StillConnected("busy"), times=2)
    assert cloud.recovery().release_dead()
    assert cloud.cinder.get(image).status == "in-use"
    assert cloud.recovery().release_dead() == set()
    assert cloud.cinder.get(image).status == "available"


def test_an_attachment_in_no_journal_is_known_by_its_mark(cloud, image, dead):
    for entry in cloud.journal().attachings():
        cloud.journal().remove(entry.token, entry.name)
    cloud.recovery().release_dead()
    assert not cloud.kernel.devices
    assert cloud.cinder.get(image).status == "available"


def test_an_attachment_of_another_host_is_not_taken_away(cloud, image):
    connector = {
        "host": "glance-2",
        "initiator": "iqn.2",
        "mountpoint": "glance_store:elsewhere",
    }
    attachment = cloud.cinder.attach(image, connector, "ro")
    cloud.cinder.complete(attachment.id)
    volumes = cloud.waiting_volumes()
    with pytest.raises(errors.StillConnected, match="on that host"):
        volumes.release(image, attachment.id)
    cause = errors.Broken("x")
    assert not volumes.discard(image, cause)
    assert cloud.cinder.get(image).status == "in-use"
    assert cause.may_leave


def test_an_attachment_of_a_live_process_is_not_taken_away(cloud, image):
    process = cloud.another_process()
    with process.attacher().readable(image, True, 0) as device:
        with pytest.raises(errors.StillConnected, match="lives"):
            cloud.waiting_volumes().release(image, the_attachment(cloud, image))
        assert device.read_at(0, 1)
    assert cloud.cinder.get(image).status == "available"


def test_a_device_without_its_attachment_is_reported_until_it_is_gone(
    cloud, image, dead
):
    """Somebody has deleted the attachment of a dead process by hand."""
    cloud.cinder.detach(the_attachment(cloud, image))
    assert cloud.recovery().release_dead()
    (number,) = cloud.kernel.devices
    device = cloud.kernel.devices.pop(number)
    path = cloud.kernel._directory(device.name) / "device" / "wwid"
    path.unlink()
    assert cloud.recovery().release_dead() == set()


def test_an_upload_that_was_killed_is_taken_away_with_its_device(cloud):
    process = cloud.another_process()

    class Killed(BaseException):
        pass

    class Reader:
        def read(self, _size):
            raise Killed

    # What a killed process does: nothing.
    stop = errors.StillConnected("killed")
    cloud.kernel.fail("disconnect", stop, times=2)
    with pytest.raises(Killed):
        process.lifecycle(volume_type=TYPE).store(
            upload(reader=Reader(), announced=5000)
        )
    process.processes.close()
    assert cloud.kernel.devices
    cloud.recovery().release_dead()
    assert_nothing_is_left(cloud)


def test_reservations_and_files_of_nfs_are_detached_without_ado(cloud):
    image = cloud.lifecycle().store(upload()).volume_id
    attachment_id = cloud.cinder.reserve(image, "ro")
    cloud.waiting_volumes().release(image, attachment_id)
    assert cloud.cinder.get(image).status == "available"
    assert cloud.kernel.events == []
