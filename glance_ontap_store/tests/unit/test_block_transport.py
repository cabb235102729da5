# SPDX-License-Identifier: Apache-2.0
"""A block device is the volume's before its first byte, and gone before it is detached.

`fakes.san` has the host and `fakes.cinder` the array, which gives the number of a
volume that was detached to the next one.
"""

import errno
import logging
import os

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.attach import positional
from glance_ontap_store.attach.block import connection
from glance_ontap_store.attach.block import transport
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.tests.builders import assert_nothing_is_left
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.cinder import CHAP_PASSWORD
from glance_ontap_store.tests.fakes.glance import Sparse
from glance_ontap_store.units import GIB

TYPES = ["ontap-lun1", "ontap-fc1", "ontap-nvme1"]
# Bytes of a GiB in the tests that fill one.
SMALL = 4 << 20
BROKEN = errors.StillConnected("cannot be disconnected")


@pytest.fixture
def volume(cloud):
    return made(cloud)


def made(cloud, volume_type="ontap-lun1"):
    found = cloud.cinder.create(NewVolume("x", 1, volume_type, {}))
    cloud.clock.sleep(60)
    return cloud.cinder.get(found.id)


def own_entries(cloud):
    journal = cloud.journal()
    return [entry.thing for entry in journal.of(journal.own().token)]


def content_of(cloud, volume_id):
    with open(cloud.cinder.path_of(volume_id), "rb") as file:
        return file.read(10)


class TestOrder:
    @pytest.mark.parametrize("volume_type", TYPES)
    def test_the_host_is_disconnected_before_the_volume_is_detached(
        self, cloud, volume_type
    ):
        volume = made(cloud, volume_type)
        events = cloud.kernel.events
        detach = cloud.cinder.detach

        def detached(attachment_id):
            events.append("detach")
            detach(attachment_id)

        cloud.cinder.detach = detached
        with cloud.attacher().writable(volume) as opened:
            opened.write_at(0, b"abc")
            assert events == ["connect", "ask_again", "open"]
            assert cloud.cinder.get(volume.id).status == "in-use"
        assert events[3:] == ["disconnect", "detach"]
        assert content_of(cloud, volume.id)[:3] == b"abc"
        assert cloud.cinder.get(volume.id).status == "available"
        assert own_entries(cloud) == []

    def test_the_journal_knows_the_device_while_the_host_has_it(self, cloud, volume):
        with cloud.attacher().writable(volume):
            (entry,) = own_entries(cloud)
        assert isinstance(entry, Attaching)
        assert entry.protocol == "iscsi"
        assert entry.device is not None
        assert entry.device.startswith("3600a0980")

    def test_files_of_nfs_are_not_written_down_so(self, cloud):
        with cloud.attacher().writable(made(cloud, "ontap-fv1")):
            (entry,) = own_entries(cloud)
        assert (entry.protocol, entry.device) == (None, None)

    def test_a_device_that_is_not_gone_keeps_the_attachment(self, cloud, volume):
        cloud.kernel.fail("disconnect", BROKEN)
        with pytest.raises(errors.StillConnected, match="disconnect") as caught:
            with cloud.attacher().writable(volume):
                pass
        assert "stays in Cinder" in errors.describe(caught.value)
        assert cloud.cinder.get(volume.id).status == "in-use"
        (entry,) = cloud.journal().left()
        assert cloud.recovery().release(entry)
        assert cloud.cinder.get(volume.id).status == "available"
        assert not cloud.kernel.devices
        assert own_entries(cloud) == []

    def test_an_earlier_error_is_kept_and_so_is_the_attachment(self, cloud, volume):
        cloud.kernel.fail("disconnect", BROKEN)
        with pytest.raises(KeyError) as caught:
            with cloud.attacher().writable(volume):
                raise KeyError("first")
        assert "stays in Cinder" in errors.describe(caught.value)
        assert cloud.cinder.get(volume.id).status == "in-use"

    @pytest.mark.parametrize("call", ["connect", "ask_again", "open"])
    def test_a_failure_before_the_first_byte_leaves_nothing(self, cloud, volume, call):
        cloud.kernel.fail(call, errors.Broken(f"no {call}"))
        with pytest.raises(errors.Broken, match=f"no {call}"):
            with cloud.attacher().writable(volume):
                pass
        assert not cloud.kernel.devices
        assert cloud.cinder.get(volume.id).status == "available"

    def test_a_connection_that_failed_and_is_not_taken_back_keeps_the_attachment(
        self, cloud, volume
    ):
        cloud.kernel.fail("connect", errors.Broken("half connected"))
        cloud.kernel.fail("disconnect", BROKEN)
        with pytest.raises(errors.Broken, match="half connected"):
            with cloud.attacher().writable(volume):
                pass
        assert cloud.cinder.attachments(volume.id)
        assert len(cloud.journal().left()) == 1

    def test_nothing_is_connected_that_cannot_be_written_down(
        self, cloud, volume, monkeypatch
    ):
        def refuse(*_args):
            raise errors.Misconfigured("full")

        attacher = cloud.attacher()
        monkeypatch.setattr(
            "glance_ontap_store.liveness.journal.Handle.connect", refuse
        )
        with pytest.raises(errors.Misconfigured, match="full"):
            with attacher.writable(volume):
                pass
        assert cloud.kernel.events == []
        assert cloud.cinder.get(volume.id).status == "available"


class TestIdentity:
    """SAN.md of the investigation, section 7: what was seen of Linux and os-brick."""

    @pytest.fixture
    def stale(self, cloud):
        """A device whose attachment was deleted too early; its number is the next's."""
        old = made(cloud)
        with open(cloud.cinder.path_of(old.id), "r+b") as file:
            file.write(b"old")
        attachment = cloud.cinder.attach(
            old.id, {"host": "x", "initiator": "iqn.x"}, "rw"
        )
        place = connection.parse(attachment.connection_info)
        cloud.kernel.connect(place)
        cloud.cinder.detach(attachment.id)
        cloud.kernel.events.clear()
        return old

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_an_old_device_at_the_new_volumes_number_is_neither_read_nor_written(
        self, cloud, stale, volume, mode
    ):
        attacher = cloud.attacher()
        opened = (
            attacher.writable(volume)
            if mode == "rw"
            else attacher.readable(volume.id, known_raw=True, wait_s=0)
        )
        with pytest.raises(errors.Broken, match="more than one identity"):
            with opened:
                pass
        assert "open" not in cloud.kernel.events
        assert content_of(cloud, stale.id)[:3] == b"old"
        assert content_of(cloud, volume.id) == bytes(10)

    def test_the_old_device_is_removed_and_the_next_try_succeeds(
        self, cloud, stale, volume
    ):
        for expected in (True, False):
            try:
                with cloud.attacher().writable(volume) as opened:
                    opened.write_at(0, b"new")
                failed = False
            except errors.Broken:
                failed = True
            assert failed is expected
        assert content_of(cloud, volume.id)[:3] == b"new"
        assert content_of(cloud, stale.id)[:3] == b"old"

    def test_a_device_that_a_live_process_has_for_another_volume_is_left_alone(
        self, cloud, volume
    ):
        """Its attachment was deleted by hand; the kernel has asked again since."""
        old = made(cloud)
        with cloud.attacher().writable(old):
            (attachment_id,) = cloud.cinder.attachments(old.id)
            cloud.cinder.detach(attachment_id)
            # The number is the next volume's, and the device is the old one.
            asked = cloud.kernel.ask_again
            cloud.kernel.ask_again = lambda _disks: None
            with pytest.raises(errors.Broken, match=f"device of volume {old.id}"):
                with cloud.attacher().writable(volume):
                    pass
            cloud.kernel.ask_again = asked
            assert "disconnect" not in cloud.kernel.events
            # The number was given up at once: what the old writer sends goes nowhere.
            assert not cloud.cinder.luns
        assert cloud.cinder.get(volume.id).status == "available"

    def test_a_device_with_two_identities_is_left_to_the_live_process_that_has_it(
        self, cloud, volume
    ):
        """As before, but the kernel notices the next volume only now."""
        old = made(cloud)
        with cloud.attacher().writable(old):
            (attachment_id,) = cloud.cinder.attachments(old.id)
            cloud.cinder.detach(attachment_id)
            with pytest.raises(errors.Broken, match=f"device of volume {old.id}"):
                with cloud.attacher().writable(volume):
                    pass
            assert "disconnect" not in cloud.kernel.events
            assert len(cloud.kernel.devices) == 1
            assert not cloud.cinder.luns
        # Its user has removed it.
        assert not cloud.kernel.devices
        with cloud.attacher().writable(volume) as opened:
            opened.write_at(0, b"new")
        assert content_of(cloud, volume.id)[:3] == b"new"

    def test_a_device_with_two_identities_of_a_dead_process_is_removed(
        self, cloud, volume
    ):
        old = made(cloud)
        other = cloud.another_process()
        opened = other.attacher().writable(old)
        opened.__enter__()
        (attachment_id,) = cloud.cinder.attachments(old.id)
        cloud.cinder.detach(attachment_id)
        # The kernel closes what a killed process has open.
        cloud.kernel.is_open = lambda _path: False
        other.processes.close()
        with pytest.raises(errors.Broken, match="more than one identity"):
            with cloud.attacher().writable(volume):
                pass
        assert not cloud.kernel.devices
        with cloud.attacher().writable(volume) as written:
            written.write_at(0, b"new")
        assert content_of(cloud, volume.id)[:3] == b"new"

    def test_two_processes_do_not_share_the_device_of_one_volume(self, cloud):
        volume = made(cloud, "ontap-shared1")
        other = cloud.another_process()
        with other.attacher().readable(volume.id, True, 0) as first:
            with pytest.raises(errors.ImageVolumeInUse, match="Another process"):
                with cloud.attacher().readable(volume.id, True, 0):
                    pass
            assert first.read_at(0, 3) == bytes(3)
            assert len(cloud.kernel.devices) == 1
        assert not cloud.kernel.devices

    def test_a_device_without_bytes_is_one_that_is_offline(self, cloud, volume):
        os.truncate(cloud.cinder.path_of(volume.id), 0)
        with pytest.raises(errors.Broken, match=r"has 0 bytes: its LUN .* is offline"):
            with cloud.attacher().writable(volume):
                pass
        assert cloud.cinder.get(volume.id).status == "available"
        assert not cloud.kernel.devices

    @pytest.mark.parametrize("length", [GIB - 512, 2 * GIB])
    def test_a_device_of_another_length_is_refused(self, cloud, volume, length):
        os.truncate(cloud.cinder.path_of(volume.id), length)
        with pytest.raises(errors.Broken, match=f"has {length} bytes"):
            with cloud.attacher().writable(volume):
                pass
        assert cloud.cinder.get(volume.id).status == "available"
        assert not cloud.kernel.devices

    @pytest.fixture
    def asked(self, cloud):
        """The volumes that Cinder was asked for."""
        found, get = [], cloud.cinder.get

        def noted(volume_id):
            found.append(volume_id)
            return get(volume_id)

        cloud.cinder.get = noted
        return found

    @pytest.mark.parametrize("volume_type", TYPES)
    def test_the_length_of_a_new_volume_takes_no_question(
        self, cloud, asked, volume_type
    ):
        volume = made(cloud, volume_type)
        asked.clear()
        with cloud.attacher().writable(volume) as opened:
            assert opened.length() == GIB
        assert asked == []

    def test_cinder_is_asked_if_a_volume_has_grown_since_it_was_shown(
        self, cloud, volume, asked
    ):
        cloud.cinder.extend(volume.id, 2)
        cloud.clock.sleep(60)
        with cloud.attacher().writable(volume) as opened:
            assert opened.length() == 2 * GIB
        assert asked == [volume.id]

    def test_a_download_asks_for_the_volume_once(self, cloud, asked):
        images = cloud.lifecycle(volume_type="ontap-lun1")
        stored = images.store(upload(5000))
        asked.clear()
        stream, _size = images.read(stored.volume_id, 0, None)
        assert len(b"".join(stream)) == 5000
        assert asked == [stored.volume_id]

    def test_cinder_is_asked_for_the_length_that_nobody_knows(
        self, cloud, volume, asked
    ):
        with cloud.attacher().readable(volume.id, known_raw=True, wait_s=0):
            pass
        assert asked == [volume.id]

    def test_a_device_that_somebody_else_has_open_is_refused(self, cloud, volume):
        held = cloud.kernel.open(cloud.cinder.path_of(volume.id), True)
        cloud.kernel.is_open = lambda _path: False
        with pytest.raises(errors.Broken, match="used by something else"):
            with cloud.attacher().writable(volume):
                pass
        os.close(held)


class TestSecrets:
    def test_the_password_of_chap_is_in_no_log_and_no_error(
        self, cloud, volume, caplog
    ):
        caplog.set_level(logging.DEBUG)
        for call in ("connect", "ask_again", "open", "disconnect"):
            cloud.kernel.fail(call, errors.Broken(f"no {call}"))
            with pytest.raises(errors.Broken) as caught:
                with cloud.attacher().writable(volume):
                    pass
            told = f"{errors.describe(caught.value)} {caught.value!r}"
            assert CHAP_PASSWORD not in told
            for entry in cloud.journal().left():
                assert cloud.recovery().release(entry)
        assert CHAP_PASSWORD not in caplog.text

    def test_it_is_not_written_down(self, cloud, volume):
        with cloud.attacher().writable(volume):
            found = [
                path.read_bytes()
                for path in cloud.directory.rglob("*")
                if path.is_file()
            ]
        assert found
        assert CHAP_PASSWORD.encode() not in b"".join(found)


class TestRemedies:
    def test_an_error_of_a_device_names_its_paths(self, cloud, monkeypatch):
        """From a read of the device to what Glance is told."""
        images = cloud.lifecycle(volume_type="ontap-lun1")
        stored = images.store(upload(5000))

        def failed(*_arguments):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(positional.Positional, "read_at", failed)
        stream, _size = images.read(stored.volume_id, 0, None)
        with pytest.raises(exceptions.BackendException, match="multipath") as caught:
            b"".join(stream)
        assert "NFS" not in str(caught.value)

    def test_so_does_one_that_its_close_reports(self, cloud, volume, monkeypatch):
        close, fds = os.close, []

        def failed(fd):
            close(fd)
            if fd in fds:
                fds.remove(fd)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(transport.os, "close", failed)
        with pytest.raises(errors.Broken, match="multipath -ll") as caught:
            with cloud.attacher().writable(volume) as opened:
                fds.append(opened._fd)
        assert "NFS" not in str(caught.value)


class TestUploads:
    @pytest.fixture(autouse=True)
    def _small_gib(self, monkeypatch):
        monkeypatch.setattr(units, "GIB", SMALL)

    @pytest.mark.parametrize("volume_type", TYPES)
    @pytest.mark.parametrize("size", [5000, SMALL, SMALL + 1])
    def test_an_image_of_unknown_size_ends_in_a_volume_of_its_size(
        self, cloud, volume_type, size
    ):
        images = cloud.lifecycle(volume_type=volume_type)
        stored = images.store(upload(Sparse(size, {size - 4: b"tail"})))
        assert cloud.cinder.get(stored.volume_id).size_gib == -(-size // SMALL)
        with open(cloud.cinder.path_of(stored.volume_id), "rb") as file:
            file.seek(size - 4)
            assert file.read(4) == b"tail"
        assert not cloud.kernel.devices

    def test_a_volume_that_cannot_grow_ends_the_upload_and_leaves_nothing(self, cloud):
        cloud.cinder.quota_gib = 1
        with pytest.raises(errors.NoSpace):
            cloud.lifecycle(volume_type="ontap-lun1").store(
                upload(Sparse(SMALL + 1, {0: b"head"}))
            )
        assert_nothing_is_left(cloud)

    def test_a_device_that_stays_keeps_the_unfinished_volume_for_recovery(self, cloud):
        cloud.kernel.fail("disconnect", BROKEN, times=2)
        with pytest.raises(errors.StillConnected) as caught:
            cloud.lifecycle(volume_type="ontap-lun1").store(upload())
        assert "could not be deleted" in errors.describe(caught.value)
        cloud.clock.sleep(600)
        (volume_id,) = (v.id for v in cloud.cinder.find("image-image-1"))
        assert cloud.cinder.get(volume_id).status == "in-use"
        for entry in cloud.journal().left():
            cloud.recovery().release(entry)
        assert_nothing_is_left(cloud)
        assert not cloud.journal().left()

    def test_a_busy_image_is_read_from_a_clone(self, cloud):
        images = cloud.lifecycle(volume_type="ontap-lun1")
        stored = images.store(upload(5000))
        other = cloud.another_process()
        first, _ = other.lifecycle(volume_type="ontap-lun1").read(
            stored.volume_id, 0, None
        )
        second, size = images.read(stored.volume_id, 0, None)
        assert size == 5000
        assert b"".join(first) == b"".join(second)
        assert not cloud.kernel.devices
