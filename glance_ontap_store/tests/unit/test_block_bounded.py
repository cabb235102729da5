# SPDX-License-Identifier: Apache-2.0
"""What hangs in os-brick has an end, and nothing is deleted while it hangs."""

import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach.block import bounded
from glance_ontap_store.attach.block import connection
from glance_ontap_store.attach.block.bounded import BoundedConnector
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.tests.builders import assert_nothing_is_left
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.unit.test_block_connection import ISCSI
from glance_ontap_store.tests.unit.test_block_connection import NVME

LUN = connection.parse(ISCSI)
NAMESPACE = connection.parse(NVME)
# Bytes of a GiB in the test that fills one.
SMALL = 4 << 20
SILENCE = "has not answered for 0.05 s"


class Hanging:
    """Calls of the kernel that hang until `end`, which waits for their threads."""

    def __init__(self, kernel):
        self._kernel = kernel
        self._before = set(threading.enumerate())
        self._event = threading.Event()

    def hang(self, *calls):
        for call in calls:
            self._kernel.hangs[call] = self._event

    def end(self):
        self._event.set()
        for thread in set(threading.enumerate()) - self._before:
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} runs on"


@pytest.fixture
def hanging(cloud):
    cloud.connector = BoundedConnector(cloud.kernel, bounded.answering(0.05))
    found = Hanging(cloud.kernel)
    yield found
    found.end()


@pytest.fixture
def volume(cloud):
    found = cloud.cinder.create(NewVolume("x", 1, "ontap-lun1", {}))
    cloud.clock.sleep(60)
    return cloud.cinder.get(found.id)


def use(cloud, volume):
    with cloud.attacher().writable(volume) as opened:
        opened.write_at(0, b"abc")


class TestCalls:
    @pytest.mark.parametrize(
        ("call", "arguments", "error"),
        [
            ("connect", (LUN,), errors.Broken),
            ("disconnect", (LUN,), errors.StillConnected),
            ("extend", (LUN,), errors.Broken),
            ("ask_again", (["sda", "sdb"],), errors.Broken),
        ],
    )
    def test_one_that_hangs_fails_and_names_cause_and_remedy(
        self, cloud, hanging, call, arguments, error
    ):
        hanging.hang(call)
        with pytest.raises(error, match=SILENCE) as caught:
            getattr(cloud.connector, call)(*arguments)
        assert type(caught.value) is error
        what = "sda, sdb" if call == "ask_again" else LUN.place
        assert what in str(caught.value)
        assert "all paths to the array lost" in str(caught.value)
        assert "no_path_retry" in str(caught.value)

    def test_nothing_is_disconnected_that_is_being_connected(self, cloud, hanging):
        hanging.hang("connect")
        with pytest.raises(errors.Broken, match=SILENCE):
            cloud.connector.connect(LUN)
        for _time in range(2):
            with pytest.raises(errors.StillConnected, match=SILENCE):
                cloud.connector.disconnect(LUN)
        assert cloud.kernel.events == ["connect"]

    def test_other_volumes_are_asked(self, cloud, hanging):
        hanging.hang("disconnect")
        with pytest.raises(errors.StillConnected):
            cloud.connector.disconnect(LUN)
        cloud.connector.extend(NAMESPACE)
        assert cloud.kernel.events == ["disconnect", "extend"]

    def test_all_stores_of_a_process_know_what_hangs(self, cloud, hanging):
        one = BoundedConnector(cloud.kernel)
        other = BoundedConnector(cloud.kernel)
        assert one._answering is other._answering

    def test_a_namespace_has_no_disks_to_ask_for(self, cloud, hanging):
        cloud.connector.ask_again(())
        assert cloud.kernel.events == []


class TestAttachments:
    @pytest.mark.parametrize("call", ["connect", "disconnect"])
    def test_one_stays_until_the_call_has_ended(self, cloud, hanging, volume, call):
        hanging.hang(call)
        with pytest.raises(errors.Broken, match=SILENCE):
            use(cloud, volume)
        assert len(cloud.cinder.attachments(volume.id)) == 1
        (entry,) = cloud.journal().left()
        assert not cloud.recovery().release(entry)
        assert len(cloud.cinder.attachments(volume.id)) == 1
        hanging.end()
        assert cloud.recovery().release(entry)
        assert cloud.cinder.attachments(volume.id) == []
        assert not cloud.kernel.devices
        assert cloud.journal().left() == []

    def test_a_disk_that_does_not_tell_what_it_is_is_not_written(
        self, cloud, hanging, volume
    ):
        hanging.hang("ask_again")
        with pytest.raises(errors.Broken, match=SILENCE):
            use(cloud, volume)
        assert "open" not in cloud.kernel.events
        assert cloud.cinder.attachments(volume.id) == []

    def test_an_upload_whose_device_does_not_grow_is_left_to_recovery(
        self, cloud, hanging, monkeypatch
    ):
        monkeypatch.setattr(units, "GIB", SMALL)
        hanging.hang("extend")
        with pytest.raises(errors.Broken, match=SILENCE):
            cloud.lifecycle(volume_type="ontap-lun1").store(upload(SMALL + 1))
        (volume,) = cloud.cinder.find("image-image-1")
        assert len(cloud.cinder.attachments(volume.id)) == 1
        hanging.end()
        for entry in cloud.journal().left():
            assert cloud.recovery().release(entry)
        assert_nothing_is_left(cloud)
