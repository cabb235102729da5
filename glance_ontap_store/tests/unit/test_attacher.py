# SPDX-License-Identifier: Apache-2.0
"""Attachments of volumes; `test_lifecycle_failures` tests their failures."""

import contextlib
import errno

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.tests.fakes.cloud import TYPES
from glance_ontap_store.tests.forking import in_child


@pytest.fixture
def volume(cloud):
    made = cloud.cinder.create(NewVolume("x", 1, "ontap-fv2", {}))
    cloud.clock.sleep(60)
    return cloud.cinder.get(made.id)


@pytest.fixture
def volume_id(volume):
    return volume.id


class TestWritable:
    def test_the_volume_is_attached_while_it_is_open(self, cloud, volume, volume_id):
        with cloud.attacher().writable(volume) as opened:
            assert cloud.cinder.get(volume_id).status == "in-use"
            opened.write_at(0, b"abc")
        assert cloud.cinder.get(volume_id).status == "available"
        with open(cloud.cinder.path_of(volume_id), "rb") as file:
            assert file.read(3) == b"abc"

    def test_cinders_mount_options_are_used(self, cloud, volume):
        with cloud.attacher().writable(volume):
            export = TYPES["ontap-fv2"].export
            assert cloud.mounter.options[export] == "vers=4.1"

    def test_a_busy_volume_is_not_waited_for(self, cloud, volume, volume_id):
        before = cloud.clock.monotonic()
        with cloud.attacher().writable(volume):
            with pytest.raises(errors.ImageVolumeInUse):
                with cloud.attacher().writable(volume):
                    pass
        assert cloud.clock.monotonic() == before

    def test_a_volume_that_holds_qcow2_is_not_overwritten(
        self, cloud, volume, volume_id
    ):
        path = cloud.cinder.path_of(volume_id)
        with open(path, "r+b") as file:
            file.write(b"QFI\xfbuser's")
        with pytest.raises(errors.Misconfigured, match="qcow2"):
            with cloud.attacher().writable(volume) as opened:
                opened.write_at(0, b"image")
        with open(path, "rb") as file:
            assert file.read(10) == b"QFI\xfbuser's"
        assert cloud.cinder.get(volume_id).status == "available"


class TestReadable:
    @pytest.mark.parametrize("wait_s", [0, 30])
    def test_a_busy_volume_is_waited_for(self, cloud, volume_id, wait_s):
        with cloud.attacher().readable(volume_id, True, 120):
            before = cloud.clock.monotonic()
            with pytest.raises(errors.ImageVolumeInUse):
                with cloud.attacher().readable(volume_id, True, wait_s):
                    pass
            assert cloud.clock.monotonic() - before == pytest.approx(wait_s)

    @pytest.mark.parametrize("known_raw", [True, False])
    @pytest.mark.parametrize("begin", [b"QFI\xfb", b"boot"])
    def test_cinder_is_asked_about_qcow2_only_if_it_is_possible(
        self, cloud, volume_id, known_raw, begin
    ):
        with open(cloud.cinder.path_of(volume_id), "r+b") as file:
            file.write(begin)
        with cloud.attacher().readable(volume_id, known_raw, 120) as opened:
            assert opened.read_at(0, 4) == begin
        is_asked = "connection_info" in cloud.volumes.calls
        assert is_asked == (not known_raw and begin != b"boot")

    def test_another_error_is_not_waited_for(self, cloud, volume_id):
        before = cloud.clock.monotonic()
        cloud.volumes.fail("reserve", errors.Refused("no"))
        with pytest.raises(errors.Refused):
            with cloud.attacher().readable(volume_id, True, 120):
                pass
        assert cloud.clock.monotonic() == before

    def test_a_failed_detach_is_raised_and_leaves_no_mount(self, cloud, volume_id):
        cloud.volumes.fail("detach", errors.CinderUnreachable("no answer"))
        with pytest.raises(errors.CinderUnreachable, match="no answer"):
            with cloud.attacher().readable(volume_id, True, 120):
                pass
        assert not cloud.mounter.mounted()

    def test_a_forked_process_does_not_detach_its_parents(self, cloud, volume_id):
        with contextlib.ExitStack() as stack:
            stack.enter_context(cloud.attacher().readable(volume_id, True, 120))

            def calls_of_child():
                stack.close()
                return cloud.volumes.calls[-2:]

            assert in_child(calls_of_child) == "['connect', 'complete']"
            assert cloud.mounter.mounted()
        assert cloud.cinder.get(volume_id).status == "available"


class TestFirstLook:
    @pytest.mark.parametrize("way", ["writable", "readable"])
    def test_an_io_error_of_the_first_read_is_an_error_of_ours(
        self, cloud, volume, monkeypatch, way
    ):
        def fail(*_args):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(FileDevice, "holds_qcow2", fail)
        attacher = cloud.attacher()
        opened = (
            attacher.writable(volume)
            if way == "writable"
            else attacher.readable(volume.id, known_raw=False, wait_s=0)
        )
        with pytest.raises(errors.Broken, match="Input/output error"):
            with opened:
                pass
        assert cloud.cinder.get(volume.id).status == "available"
