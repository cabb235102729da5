# SPDX-License-Identifier: Apache-2.0
"""Readers of image-volumes that another process reads, or that Cinder made."""

import dataclasses
import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.glance import Sparse

# Content that Cinder's NFS driver refuses in a volume whose format it guesses.
FOREIGN = {"vmdk": b"KDMV", "vpc": b"conectix", "vhdx": b"vhdxfile"}
CONTENTS = {**FOREIGN, "qcow2": b"QFI\xfb", "raw": b"boot"}


@pytest.fixture
def stored(cloud):
    def store(head=b"boot"):
        content = Sparse(5000, {0: head, 4000: b"end"})
        return cloud.lifecycle().store(upload(content)), content.at(0, 5000)

    return store


def not_called(*_args):
    raise AssertionError("it was called")


def read(cloud, volume_id):
    stream, _size = cloud.lifecycle().read(volume_id, 0, None)
    return b"".join(stream)


class TestTwoProcesses:
    @pytest.mark.parametrize("head", CONTENTS.values(), ids=CONTENTS)
    def test_both_read_an_image_of_any_format(self, cloud, stored, head):
        found, content = stored(head)
        before = cloud.holdings()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        started = cloud.clock.monotonic()
        assert read(cloud, found.volume_id) == content
        # The clone was there long before the end of ontap_attach_wait.
        assert cloud.clock.monotonic() - started < 10
        assert b"".join(first) == content
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_no_attachment_is_tried_that_cinder_would_refuse(self, cloud, stored):
        found, _content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        assert cloud.volumes.get(found.volume_id).status == "in-use"
        cloud.volumes.calls.clear()
        second, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        assert cloud.volumes.calls[:2] == ["get", "create"]
        second.close()
        first.close()

    def test_the_clone_is_not_connected_by_cinder(self, cloud, stored):
        found, _content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        cloud.volumes.calls.clear()
        read(cloud, found.volume_id)
        assert "reserve" in cloud.volumes.calls
        clones = cloud.volumes.calls[cloud.volumes.calls.index("create") :]
        assert "connect" not in clones
        first.close()

    def test_the_clone_cannot_be_deleted_while_it_is_read(self, cloud, stored):
        found, _content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        second, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        (clone,) = cloud.cinder.find(f"reading-{found.volume_id}")
        with pytest.raises(errors.ImageVolumeInUse):
            cloud.cinder.delete(clone.id)
        second.close()
        first.close()

    def test_a_reader_whose_attachment_goes_before_the_clone_is_there(
        self, cloud, stored
    ):
        """The clone is then attached like any other volume."""
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        # The second reader asks for a clone, which takes 0.5 s.
        cloud.clock.at(0.3, first.close)
        assert read(cloud, found.volume_id) == content

    @pytest.mark.parametrize("is_done", [False, True])
    @pytest.mark.parametrize("fault", ["attachments", "connection_info"])
    def test_one_failed_question_does_not_make_a_reader_wait_for_the_first(
        self, cloud, stored, fault, is_done
    ):
        """The clone is there: it is attached as any other volume."""
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        before = cloud.holdings()
        cloud.volumes.fail(fault, errors.CinderUnreachable("lost"), done=is_done)
        started = cloud.clock.monotonic()
        assert read(cloud, found.volume_id) == content
        assert cloud.clock.monotonic() - started < 15
        cloud.clock.sleep(60)
        assert cloud.holdings() == before
        assert b"".join(first) == content

    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_failed_reservation_does_not_make_a_reader_wait_for_the_first(
        self, cloud, stored, is_done
    ):
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        before = cloud.holdings()
        reserve = cloud.cinder.reserve

        def reserve_once(volume_id, mode):
            attachment_id = reserve(volume_id, mode) if is_done else None
            if cloud.cinder.get(volume_id).name.startswith("reading-"):
                cloud.cinder.reserve = reserve
                raise errors.CinderUnreachable("lost")
            return attachment_id or reserve(volume_id, mode)

        cloud.cinder.reserve = reserve_once
        started = cloud.clock.monotonic()
        assert read(cloud, found.volume_id) == content
        assert cloud.cinder.reserve == reserve
        assert cloud.clock.monotonic() - started < 15
        cloud.clock.sleep(60)
        assert cloud.holdings() == before
        assert b"".join(first) == content

    def test_an_image_whose_reader_ends_just_now_is_not_gone(self, cloud, stored):
        """Between the list of its attachments and the look at one of them."""
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        shown = cloud.cinder.connection_info

        def ended(attachment_id):
            first.close()
            return shown(attachment_id)

        cloud.cinder.connection_info = ended
        assert read(cloud, found.volume_id) == content

    def test_an_image_whose_clone_is_deleted_by_others_is_not_gone(self, cloud, stored):
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        reserve = cloud.cinder.reserve
        deleted = []

        def reserved(volume_id, mode):
            if volume_id != found.volume_id and not deleted:
                deleted.append(volume_id)
                cloud.cinder.delete(volume_id)
                cloud.clock.sleep(60)
            return reserve(volume_id, mode)

        cloud.cinder.reserve = reserved
        assert read(cloud, found.volume_id) == content
        assert deleted
        assert b"".join(first) == content

    def test_a_clone_that_does_not_lie_beside_its_source_is_attached(
        self, cloud, stored
    ):
        found, content = stored()
        first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
        shown = cloud.cinder.connection_info

        def elsewhere(attachment_id):
            return {**shown(attachment_id), "export": "192.0.2.1:/fv2"}

        cloud.cinder.connection_info = elsewhere
        started = cloud.clock.monotonic()
        assert read(cloud, found.volume_id) == content
        assert cloud.clock.monotonic() - started < 15
        assert b"".join(first) == content


class TestAnotherReaderIsJustAttaching:
    """Cinder refuses a clone of a volume that is being attached."""

    @pytest.fixture
    def attaching(self, cloud, stored):
        found, content = stored()
        attachment = cloud.cinder.attach(found.volume_id, {"host": "h"}, "ro")
        return found.volume_id, content, attachment

    def test_the_clone_is_tried_again(self, cloud, attaching):
        volume_id, content, attachment = attaching
        started = cloud.clock.monotonic()
        cloud.clock.at(8, lambda: cloud.cinder.complete(attachment.id))
        assert read(cloud, volume_id) == content
        # The other reader keeps the volume for 120 s.
        assert cloud.clock.monotonic() - started < 15
        cloud.cinder.detach(attachment.id)

    def test_an_attachment_that_ends_is_noticed(self, cloud, attaching):
        volume_id, content, attachment = attaching
        started = cloud.clock.monotonic()
        cloud.clock.at(8, lambda: cloud.cinder.detach(attachment.id))
        assert read(cloud, volume_id) == content
        assert cloud.clock.monotonic() - started < 15


class TestBlocked:
    """An attachment whose process died, perhaps on another host, stays for ever."""

    @pytest.fixture(params=["reserved", "attaching"])
    def blocked(self, request, cloud, stored):
        found, content = stored()
        if request.param == "reserved":
            cloud.cinder.reserve(found.volume_id, "ro")
        else:
            cloud.cinder.attach(found.volume_id, {"host": "h"}, "ro")
        assert cloud.cinder.get(found.volume_id).status == request.param
        return found.volume_id, content

    def test_the_image_is_read_all_the_same(self, cloud, blocked):
        volume_id, content = blocked
        before = cloud.holdings()
        started = cloud.clock.monotonic()
        assert read(cloud, volume_id) == content
        assert cloud.clock.monotonic() - started < 20
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_readers_of_a_process_share_it(self, cloud, blocked):
        volume_id, content = blocked
        lifecycle = cloud.lifecycle()
        first, _size = lifecycle.read(volume_id, 0, None)
        waited = cloud.clock.monotonic()
        second, _size = lifecycle.read(volume_id, 0, None)
        assert cloud.clock.monotonic() == waited
        assert b"".join(first) == b"".join(second) == content

    def test_a_volume_that_is_not_sealed_is_not_read_so(self, cloud, blocked):
        """Something may be writing to it."""
        volume_id, _content = blocked
        for key in list(cloud.cinder.get(volume_id).metadata):
            if key.startswith("ontap_"):
                cloud.cinder.drop_metadata(volume_id, key)
        with pytest.raises(errors.ImageVolumeInUse):
            read(cloud, volume_id)

    def test_it_is_not_deleted_under_a_reader_of_this_process(self, cloud, blocked):
        """Cinder would delete it once the dead attachment is gone."""
        volume_id, content = blocked
        lifecycle = cloud.lifecycle()
        stream, _size = lifecycle.read(volume_id, 0, None)
        (attachment_id,) = cloud.cinder.attachments(volume_id)
        cloud.cinder.detach(attachment_id)
        cloud.cinder.delete = not_called
        with pytest.raises(errors.ImageVolumeInUse, match="is still being downloaded"):
            lifecycle.delete(volume_id)
        del cloud.cinder.delete
        assert b"".join(stream) == content
        lifecycle.delete(volume_id)

    @pytest.mark.parametrize("looks", [1, 2])
    def test_it_is_deleted_while_it_is_opened(self, cloud, blocked, looks):
        volume_id, _content = blocked
        shown, opened_from = cloud.cinder.get, cloud.clock.monotonic() + 10
        seen = []

        def get(wanted):
            volume = shown(wanted)
            if wanted == volume_id and cloud.clock.monotonic() >= opened_from:
                seen.append(wanted)
                if len(seen) >= looks:
                    return dataclasses.replace(volume, status="deleting")
            return volume

        cloud.cinder.get = get
        with pytest.raises(errors.ImageVolumeGone, match="is being deleted"):
            read(cloud, volume_id)
        # What is missing may be a clone: the image-volume itself is looked at last.
        assert len(seen) == looks + 1
        assert not cloud.mounter.mounted()

    def test_its_file_is_gone(self, cloud, blocked):
        """Nothing else is read in its place, and the wait goes on."""
        volume_id, content = blocked
        path = cloud.cinder.path_of(volume_id)
        os.rename(path, f"{path}.away")
        (attachment_id,) = cloud.cinder.attachments(volume_id)

        def release():
            os.rename(f"{path}.away", path)
            cloud.cinder.detach(attachment_id)

        cloud.clock.at(40, release)
        assert read(cloud, volume_id) == content

    def test_an_attachment_that_ends_is_noticed(self, cloud, blocked):
        volume_id, content = blocked
        (attachment_id,) = cloud.cinder.attachments(volume_id)
        cloud.clock.at(5, lambda: cloud.cinder.detach(attachment_id))
        started = cloud.clock.monotonic()
        assert read(cloud, volume_id) == content
        assert cloud.clock.monotonic() - started < 10

    def test_without_a_place_to_look_the_wait_has_an_end(self, cloud, stored):
        found, _content = stored()
        attachment_id = cloud.cinder.reserve(found.volume_id, "ro")
        before = cloud.holdings()
        cloud.cinder.quota_gib = 1
        started = cloud.clock.monotonic()
        with pytest.raises(errors.ImageVolumeInUse):
            read(cloud, found.volume_id)
        assert 120 <= cloud.clock.monotonic() - started < 130
        assert cloud.holdings() == before
        cloud.cinder.detach(attachment_id)


class TestStuck:
    """A volume in a status that does not end by itself."""

    @pytest.mark.parametrize("status", ["maintenance", "awaiting-transfer", "managing"])
    def test_a_read_fails_at_once(self, cloud, stored, status):
        found, _content = stored()
        cloud.cinder.set_status(found.volume_id, status)
        started = cloud.clock.monotonic()
        with pytest.raises(errors.ImageVolumeStuck, match=status):
            read(cloud, found.volume_id)
        assert cloud.clock.monotonic() == started

    @pytest.mark.parametrize("status", ["maintenance", "awaiting-transfer"])
    def test_a_deletion_fails_at_once(self, cloud, stored, status):
        found, _content = stored()
        cloud.cinder.set_status(found.volume_id, status)
        started = cloud.clock.monotonic()
        with pytest.raises(errors.ImageVolumeStuck, match=status):
            cloud.lifecycle().delete(found.volume_id)
        assert cloud.clock.monotonic() == started


class TestMadeByCinder:
    """Clones (``image_upload_use_cinder_backend``), whose format Cinder guesses."""

    @pytest.fixture
    def made(self, cloud):
        def make(head):
            first = cloud.cinder.create(NewVolume("user's", 1, "ontap-fv1", {}))
            cloud.clock.sleep(60)
            with open(cloud.cinder.path_of(first.id), "r+b") as file:
                file.write(head)
            metadata = {"image_owner": "acme"}
            clone = cloud.cinder.create(
                NewVolume("image", 1, None, metadata, source_id=first.id)
            )
            cloud.clock.sleep(60)
            return clone.id

        return make

    @pytest.mark.parametrize("head", FOREIGN.values(), ids=FOREIGN)
    def test_content_that_cinder_refuses_is_read(self, cloud, made, head):
        volume_id = made(head)
        before = cloud.holdings()
        stream, _size = cloud.lifecycle().read(volume_id, 0, 100)
        assert b"".join(stream) == head.ljust(100, b"\0")
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_without_another_way_cinders_refusal_is_raised(self, cloud, made):
        volume_id = made(FOREIGN["vmdk"])
        before = cloud.holdings()
        cloud.volumes.fail("create", errors.NoSpace("the quota is full"))
        with pytest.raises(errors.NotConnected, match="must be a valid raw") as caught:
            cloud.lifecycle().read(volume_id, 0, 100)
        assert "the quota is full" in errors.describe(caught.value)
        assert cloud.holdings() == before

    def test_qcow2_content_is_refused_if_cinder_does_not_connect_it(self, cloud, made):
        volume_id = made(b"QFI\xfb")
        cloud.volumes.fail("connect", errors.NotConnected("virtual size"))
        with pytest.raises(errors.NotConnected) as caught:
            cloud.lifecycle().read(volume_id, 0, 100)
        assert "qcow2" in errors.describe(caught.value)


class TestReplica:
    """A sealed image-volume that was made by cloning; Cinder guesses its format."""

    @pytest.fixture
    def replica(self, cloud, stored):
        found, content = stored(FOREIGN["vmdk"])
        metadata = dict(cloud.cinder.get(found.volume_id).metadata)
        made = cloud.cinder.create(
            NewVolume("replica", 1, "ontap-fv1", metadata, source_id=found.volume_id)
        )
        cloud.clock.sleep(2)
        return made.id, content

    def test_two_processes_read_it_at_once(self, cloud, replica):
        volume_id, content = replica
        before = cloud.holdings()
        first, _size = cloud.lifecycle().read(volume_id, 0, None)
        started = cloud.clock.monotonic()
        assert read(cloud, volume_id) == content
        assert cloud.clock.monotonic() - started < 15
        assert b"".join(first) == content
        cloud.clock.sleep(60)
        assert cloud.holdings() == before

    def test_it_is_read_after_a_wait_where_no_clone_can_be_had(self, cloud, replica):
        volume_id, content = replica
        first, _size = cloud.lifecycle().read(volume_id, 0, None)
        cloud.volumes.fail("create", errors.NoSpace("The quota is full."))
        cloud.clock.at(10, first.close)
        assert read(cloud, volume_id) == content


def test_two_processes_read_an_image_that_was_migrated(cloud, stored):
    """The file is then named for another id, which administrators see."""
    found, content = stored(FOREIGN["vmdk"])
    cloud.cinder.migrate(found.volume_id)
    first, _size = cloud.lifecycle().read(found.volume_id, 0, None)
    assert read(cloud, found.volume_id) == content
    first.close()


@pytest.mark.parametrize("head", CONTENTS.values(), ids=CONTENTS)
def test_a_replica_of_any_format_is_read(cloud, stored, head):
    """Its type is not pinned, so the store's leads to its place."""
    source, content = stored(head)
    metadata = {
        **cloud.cinder.get(source.volume_id).metadata,
        "ontap_store": "fv2",
        "ontap_replica_of": source.volume_id,
    }
    made = cloud.cinder.create(
        NewVolume("image-1", 1, "ontap", metadata, source.volume_id)
    )
    cloud.clock.sleep(60)
    cloud.cinder.begin_migration(made.id, "cinder@ontap#192.0.2.1:/fv2")
    cloud.clock.sleep(60)
    before = cloud.holdings()
    stream, _size = cloud.lifecycle("fv2", "ontap-fv2").read(made.id, 0, None)
    assert b"".join(stream) == content
    cloud.clock.sleep(60)
    assert cloud.holdings() == before
