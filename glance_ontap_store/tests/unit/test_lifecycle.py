# SPDX-License-Identifier: Apache-2.0
"""The behaviour of `Lifecycle` that the contract of a store does not cover.

`conformance.store` has the contract.
"""

import os
import socket
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import Sparse
from glance_ontap_store.tests.fakes.transport import MemoryTransport

GIB = units.GIB


def upload(content=1000, announced=None, **changes):
    if isinstance(content, int):
        content = Pattern(content)
    size = content.size if announced is None else announced
    return builders.upload(content, size, **changes)


class TestAvailabilityZone:
    def images(self, cloud, zone):
        return cloud.lifecycle(volume_type="az2", availability_zone=zone)

    def test_the_image_volume_is_in_the_stores_zone(self, cloud):
        found = self.images(cloud, "az2").store(upload())
        assert cloud.cinder.get(found.volume_id).availability_zone == "az2"

    def test_without_the_zone_of_the_flexvol_no_pool_fits(self, cloud):
        with pytest.raises(errors.NoSpace, match="availability zone") as caught:
            self.images(cloud, None).store(upload())
        assert "ontap_availability_zone" in str(caught.value)
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    def test_a_second_process_reads_a_clone_whatever_the_option_says_now(self, cloud):
        found = self.images(cloud, "az2").store(upload())
        first, _size = self.images(cloud, "az2").read(found.volume_id, 0, None)
        second, _size = self.images(cloud, "nova").read(found.volume_id, 0, None)
        assert cloud.cinder.find(f"reading-{found.volume_id}")
        assert b"".join(second) == b"".join(first) == Pattern(1000).at(0, 1000)


class TestContent:
    @pytest.mark.parametrize(
        ("head", "content"),
        [(b"QFI\xfb\0\0\0\3", "qcow2"), (b"KDMV", "vmdk"), (b"boot", "raw")],
    )
    def test_the_format_that_an_image_begins_with_is_recorded(
        self, cloud, head, content
    ):
        found = cloud.lifecycle().store(upload(Sparse(5000, {0: head})))
        metadata = cloud.cinder.get(found.volume_id).metadata
        assert metadata["ontap_content"] == content
        assert metadata["ontap_format"] == "1"

    def test_a_volume_without_that_record_is_served(self, cloud):
        """A store before this release sealed it."""
        found = cloud.lifecycle().store(upload())
        cloud.cinder.drop_metadata(found.volume_id, "ontap_content")
        assert cloud.lifecycle().describe(found.volume_id).size == 1000


class TestUnknownSize:
    def test_upstream_growth_over_a_gib_attaches_and_extends_once(self, cloud):
        """Upstream detached, extended and attached again at each GiB.

        It also turned all earlier data into zeros. The image has 1 GiB and a byte,
        zeros except for some marks.
        """
        content = Sparse(
            GIB + 1, {0: b"first", GIB - 3: b"across", GIB // 2: b"middle"}
        )
        device = MemoryDevice(GIB)
        transport = MemoryTransport(device)
        images = cloud.lifecycle(attacher=cloud.attacher(transport))
        stored = images.store(upload(content, announced=0, hash_algo="md5"))
        assert stored.size == GIB + 1
        assert transport.opened_count == 1
        assert cloud.volumes.calls.count("extend") == 1
        assert cloud.cinder.get(stored.volume_id).size_gib == 2
        assert device.length() == 2 * GIB
        for offset in (0, GIB // 2, GIB - 10):
            assert device.read_at(offset, 20) == content.at(offset, 20).ljust(20, b"\0")

    @pytest.mark.parametrize("is_thin", [True, False])
    def test_zeros_are_written_only_without_thin_upload(self, cloud, is_thin):
        device = Faulty(MemoryDevice(GIB))
        attacher = cloud.attacher(MemoryTransport(device))
        images = cloud.lifecycle(attacher=attacher, thin_upload=is_thin)
        images.store(upload(Sparse(10_000, {})))
        assert ("write_at" not in device.calls) is is_thin
        assert device.length() == GIB

    def test_no_room_to_grow_leaves_nothing(self, cloud, monkeypatch):
        attacher = cloud.attacher(MemoryTransport(MemoryDevice(GIB)))
        images = cloud.lifecycle(attacher=attacher)
        cloud.cinder.quota_gib = 1
        monkeypatch.setattr(units, "gib_for", lambda size: 2 if size else 1)
        with pytest.raises(errors.NoSpace):
            images.store(upload(10, announced=0))
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    @pytest.mark.parametrize("size", [0, 1, 5000])
    def test_an_image_that_fits_is_not_extended(self, cloud, size):
        cloud.lifecycle().store(upload(size, announced=0))
        assert "extend" not in cloud.volumes.calls


class TestRecord:
    def test_a_volume_being_written_names_its_image_and_writer(self, cloud):
        """After a crash the volume says which image it was for."""
        seen = []

        class Looking(OnePass):
            def read(self, size):
                (volume,) = cloud.cinder.find("image-image-1")
                seen.append(Record.parse(volume.metadata))
                return super().read(size)

        cloud.lifecycle().store(upload(reader=Looking(Pattern(1000))))
        assert seen
        for record in seen:
            assert record.state is State.FILLING
            assert record.image_id == "image-1"
            assert record.owner == "acme"
            assert record.store == "fv1"
            assert record.writer == socket.gethostname()
            assert uuid.UUID(record.write_id)

    def test_two_uploads_have_two_write_ids(self, cloud):
        images = cloud.lifecycle()
        ids = [
            cloud.cinder.get(images.store(upload()).volume_id).metadata[
                "ontap_write_id"
            ]
            for _time in range(2)
        ]
        assert ids[0] != ids[1]

    def test_a_sealed_volume_is_read_only(self, cloud):
        stored = cloud.lifecycle().store(upload())
        assert cloud.cinder.is_readonly(stored.volume_id)

    def test_an_image_without_an_owner_names_none(self, cloud):
        stored = cloud.lifecycle().store(upload(owner=None))
        assert "image_owner" not in cloud.cinder.get(stored.volume_id).metadata


class TestVolumeTypes:
    @pytest.mark.parametrize(
        ("volume_type", "error", "says"),
        [
            ("no-such", errors.Misconfigured, "does not exist"),
            ("private", errors.Misconfigured, "does not exist"),
            ("encrypted", errors.Misconfigured, "encrypts"),
            ("qcow2", errors.Misconfigured, "nfs_qcow2_volumes"),
            ("broken", errors.Broken, "The array said no"),
            ("rbd", errors.Misconfigured, "supports fibre_channel, iscsi, nfs, nvmeof"),
        ],
    )
    def test_an_unsuitable_volume_type_is_refused_and_leaves_nothing(
        self, cloud, volume_type, error, says
    ):
        with pytest.raises(error, match=says) as caught:
            cloud.lifecycle(volume_type=volume_type).store(upload())
        assert not getattr(caught.value, "__notes__", None)
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    def test_upstream_a_volume_that_goes_to_error_is_deleted(self, cloud):
        with pytest.raises(errors.Broken, match="'creating' to 'error'"):
            cloud.lifecycle(volume_type="broken").store(upload())
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    @pytest.mark.parametrize("gib", [1, 3, 4])
    def test_a_full_flexvol_is_lack_of_space(self, cloud, gib):
        images = cloud.lifecycle(volume_type="ontap-fv3")
        cloud.cinder.create(api.NewVolume("other", 3, "ontap-fv3", {}))
        with pytest.raises(errors.NoSpace, match="No weighed backends"):
            images.store(upload(announced=gib * GIB))
        cloud.clock.sleep(60)
        assert len(cloud.holdings()) == 1

    def test_a_full_quota_is_lack_of_space(self, cloud):
        cloud.cinder.quota_gib = 0
        with pytest.raises(errors.NoSpace, match="Quota"):
            cloud.lifecycle().store(upload())
        assert cloud.holdings() == set()

    def test_without_a_volume_type_cinders_default_is_used(self, cloud):
        stored = cloud.lifecycle(volume_type=None).store(upload())
        assert cloud.cinder.get(stored.volume_id).volume_type == "ontap-fv1"

    def test_a_creation_that_takes_too_long_leaves_nothing(self, cloud):
        images = cloud.lifecycle(waits=WaitPolicy(0.3, 120, 10))
        with pytest.raises(errors.Broken, match="still 'creating'"):
            images.store(upload())
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()


class TestReading:
    def test_readers_of_one_process_share_the_attachment(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload(1000))
        before = cloud.holdings()
        cloud.volumes.calls.clear()
        streams = [images.read(stored.volume_id, 0, None)[0] for _reader in range(3)]
        assert cloud.volumes.calls.count("reserve") == 1
        streams[0].close()
        for stream in streams[1:]:
            assert b"".join(stream) == Pattern(1000).at(0, 1000)
        assert cloud.volumes.calls.count("detach") == 1
        assert cloud.holdings() == before

    def test_readers_in_turn_attach_again(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload(1000))
        for _time in range(2):
            stream, _size = images.read(stored.volume_id, 0, None)
            assert b"".join(stream) == Pattern(1000).at(0, 1000)

    def test_upstream_two_readers_need_no_multiattach_type(self, cloud):
        """Another process reads from a clone, and deletes it afterwards."""
        stored = cloud.lifecycle().store(upload(1000))
        before = cloud.holdings()
        first, _size = cloud.lifecycle().read(stored.volume_id, 0, None)
        second, size = cloud.lifecycle().read(stored.volume_id, 0, None)
        assert size == 1000
        assert len(cloud.volumes.find(f"reading-{stored.volume_id}")) == 1
        assert b"".join(second) == Pattern(1000).at(0, 1000)
        assert b"".join(first) == Pattern(1000).at(0, 1000)
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_a_clone_is_not_an_image_volume(self, cloud):
        stored = cloud.lifecycle().store(upload(1000))
        first, _size = cloud.lifecycle().read(stored.volume_id, 0, None)
        images = cloud.lifecycle()
        second, _size = images.read(stored.volume_id, 0, None)
        (clone,) = cloud.volumes.find(f"reading-{stored.volume_id}")
        for action in (images.describe, images.record_to_delete):
            with pytest.raises(errors.Refused):
                action(clone.id)
        second.close()
        first.close()

    @pytest.mark.parametrize("is_done", [False, True])
    def test_without_a_clone_the_other_reader_is_waited_for(self, cloud, is_done):
        stored = cloud.lifecycle().store(upload(1000))
        before = cloud.holdings()
        first, _size = cloud.lifecycle().read(stored.volume_id, 0, None)
        cloud.volumes.fail("create", errors.CinderUnreachable("none"), done=is_done)
        cloud.clock.at(30, first.close)
        second, _size = cloud.lifecycle().read(stored.volume_id, 0, None)
        assert b"".join(second) == Pattern(1000).at(0, 1000)
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_the_wait_for_the_other_reader_has_an_end(self, cloud):
        stored = cloud.lifecycle().store(upload())
        first, _size = cloud.lifecycle().read(stored.volume_id, 0, None)
        before = cloud.holdings()
        cloud.volumes.fail("create", errors.NoSpace("the quota is full"))
        with pytest.raises(errors.ImageVolumeInUse):
            cloud.lifecycle().read(stored.volume_id, 0, None)
        assert cloud.holdings() == before
        assert b"".join(first) == Pattern(1000).at(0, 1000)

    def test_readers_share_a_multiattach_volume(self, cloud):
        images = cloud.lifecycle(volume_type="multiattach")
        stored = images.store(upload())
        first, _size = images.read(stored.volume_id, 0, None)
        second, _size = images.read(stored.volume_id, 500, None)
        assert b"".join(first) == Pattern(1000).at(0, 1000)
        assert b"".join(second) == Pattern(1000).at(500, 500)

    def test_a_raw_image_may_hold_a_qcow2_file(self, cloud):
        """Its format in Glance is qcow2, and its bytes are served unchanged."""
        content = Sparse(1000, {0: b"QFI\xfb"})
        images = cloud.lifecycle()
        stored = images.store(upload(content))
        opened, _size = images.read(stored.volume_id, 0, None)
        assert b"".join(opened) == content.at(0, 1000)

    @pytest.mark.parametrize(
        ("volume_type", "is_served"), [("ontap-fv1", True), ("qcow2", False)]
    )
    def test_an_image_made_by_cinder_is_served_unless_it_is_qcow2(
        self, cloud, volume_type, is_served
    ):
        """Only Cinder knows whether the volume is qcow2, or only its content."""
        made = cloud.cinder.create(
            api.NewVolume("x", 1, volume_type, {"image_owner": "acme"})
        )
        cloud.clock.sleep(60)
        with open(cloud.cinder.path_of(made.id), "r+b") as file:
            file.write(b"QFI\xfb")
        before = cloud.holdings()
        if is_served:
            opened, _size = cloud.lifecycle().read(made.id, 0, 4)
            assert b"".join(opened) == b"QFI\xfb"
        else:
            with pytest.raises(errors.Broken, match="nfs_qcow2_volumes"):
                cloud.lifecycle().read(made.id, 0, 4)
        assert cloud.holdings() == before

    @pytest.mark.parametrize("status", ["error", "error_deleting"])
    def test_a_volume_in_error_is_not_served(self, cloud, status):
        images = cloud.lifecycle()
        stored = images.store(upload())
        cloud.cinder.set_status(stored.volume_id, status)
        with pytest.raises(errors.Broken, match=status):
            images.read(stored.volume_id, 0, None)


class TestDeleting:
    def test_a_reader_is_waited_for(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload())
        reader, _size = images.read(stored.volume_id, 0, None)
        cloud.clock.at(5, reader.close)
        images.delete(stored.volume_id)
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    def test_the_wait_for_a_reader_has_an_end(self, cloud):
        images = cloud.lifecycle(waits=WaitPolicy(300, 120, 7))
        stored = images.store(upload())
        reader, _size = images.read(stored.volume_id, 0, None)
        before = cloud.clock.monotonic()
        with pytest.raises(errors.ImageVolumeInUse, match="7 s"):
            images.delete(stored.volume_id)
        assert cloud.clock.monotonic() - before == pytest.approx(7)
        reader.close()

    def test_a_snapshot_is_not_waited_for(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload())
        cloud.cinder.take_snapshot(stored.volume_id)
        before = cloud.clock.monotonic()
        with pytest.raises(errors.ImageVolumeHasSnapshot):
            images.delete(stored.volume_id)
        assert cloud.clock.monotonic() == before

    def test_a_volume_deleted_during_the_wait_is_gone(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload())
        reader, _size = images.read(stored.volume_id, 0, None)

        def another_worker_deletes():
            reader.close()
            cloud.cinder.delete(stored.volume_id)
            cloud.clock.sleep(60)

        cloud.clock.at(3, another_worker_deletes)
        with pytest.raises(errors.ImageVolumeGone):
            images.delete(stored.volume_id)

    @pytest.mark.parametrize("action_s", [0.5, 500])
    def test_a_deletion_whose_answer_was_lost_has_succeeded(self, cloud, action_s):
        """Cinder refuses the repeated request, since the volume is being deleted."""
        images = cloud.lifecycle()
        stored = images.store(upload())
        cloud.cinder.action_s = action_s
        busy = errors.ImageVolumeInUse("Its status is deleting. (HTTP 400)")
        cloud.volumes.fail("delete", busy, done=True)
        images.delete(stored.volume_id)
        cloud.clock.sleep(action_s)
        assert cloud.holdings() == set()

    def test_a_volume_in_error_is_deleted(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload())
        cloud.cinder.set_status(stored.volume_id, "error_deleting")
        images.delete(stored.volume_id)
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()


class TestBelongsHere:
    @pytest.mark.parametrize(
        "error",
        [
            errors.CinderUnreachable("no answer"),
            errors.Refused("no"),
            errors.Broken("no"),
        ],
    )
    def test_an_error_means_no(self, cloud, error):
        """After a yes Glance rewrites the location for ever."""
        images = cloud.lifecycle()
        stored = images.store(upload())
        assert images.belongs_here(stored.volume_id)
        cloud.volumes.fail("get", error)
        assert not images.belongs_here(stored.volume_id)

    def test_of_two_stores_only_the_writer_says_yes(self, cloud):
        """Unlike upstream, even if both have the same volume type."""
        first = cloud.lifecycle(store_id="fv1")
        second = cloud.lifecycle(store_id="other")
        stored = first.store(upload())
        assert first.belongs_here(stored.volume_id)
        assert not second.belongs_here(stored.volume_id)

    def test_cinder_is_asked_once(self, cloud):
        images = cloud.lifecycle()
        stored = images.store(upload())
        cloud.volumes.calls.clear()
        images.belongs_here(stored.volume_id)
        assert cloud.volumes.calls == ["get"]


class TestFullFlexVol:
    def test_a_write_without_room_is_lack_of_space(self, cloud, monkeypatch):
        """The functional tests fill a real file system (ENOSPC, EFBIG)."""

        def full(fd, data, offset):
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(errors.NoSpace, match="FlexVol is full"):
            cloud.lifecycle().store(upload())
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()


def test_faulty_fails_as_planned():
    """The tests of failures depend on it."""
    device = Faulty(MemoryDevice())
    device.fail("write_at", KeyError(), nth=2, done=True)
    device.write_at(0, b"a")
    with pytest.raises(KeyError):
        device.write_at(1, b"b")
    device.write_at(2, b"c")
    assert device.read_at(0, 9) == b"abc"
