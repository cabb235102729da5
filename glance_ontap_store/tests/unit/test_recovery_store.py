# SPDX-License-Identifier: Apache-2.0
"""What a dead process left is released; what a live one holds is not."""

import os
import time

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.images import writer
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.recovery import store as recovery
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.tests.builders import OTHER_ID
from glance_ontap_store.tests.builders import VOLUME_ID
from glance_ontap_store.tests.builders import upload

ELSEWHERE = Mark(VOLUME_ID, OTHER_ID)


@pytest.fixture
def image(cloud):
    """An image-volume of the store."""
    return cloud.lifecycle().store(upload()).volume_id


@pytest.fixture
def other(cloud):
    """Another process of this host; it lives until a test closes it."""
    return cloud.another_process()


def die(process):
    process.processes.close()


def reader(process, volume_id):
    """A reader of that process, in the middle of a download."""
    stream, _size = process.lifecycle().read(volume_id, 0, None)
    return stream


def begin_to_read(process, volume_id):
    """Do in Cinder and on disk what a reader does until its process is killed."""
    handle = process.journal().attaching(volume_id)
    handle.complete(attach(process, volume_id))


def attach(process, volume_id, completes=True):
    """An attachment of that process that no journal has."""
    mark = process.processes.own()
    attachment_id = process.cinder.reserve(volume_id, "ro")
    connector = {"host": "glance-1", "mountpoint": mark.mountpoint}
    process.cinder.connect(volume_id, attachment_id, connector)
    if completes:
        process.cinder.complete(attachment_id)
    return attachment_id


def unfinished(process, state=State.FILLING, store="fv1", **changes):
    """A volume that the process is making, and no journal has; its id."""
    mark = process.processes.own()
    record = writer.new_record(state, store, mark)
    metadata = {**record.to_metadata(), **changes}
    made = process.cinder.create(NewVolume("image-x", 1, "ontap-fv1", metadata))
    process.clock.sleep(60)
    return made.id


def exists(cloud, volume_id):
    cloud.clock.sleep(60)
    try:
        return not cloud.cinder.get(volume_id).is_leaving
    except errors.ImageVolumeGone:
        return False


class TestReaders:
    def test_a_dead_readers_attachment_is_released(self, cloud, image, other):
        begin_to_read(other, image)
        die(other)
        assert cloud.recovery().release_dead() == set()
        assert cloud.cinder.attachments(image) == []
        assert cloud.cinder.get(image).status == "available"

    def test_a_live_reader_keeps_its_attachment(self, cloud, image, other):
        dead = cloud.another_process()
        other_image = cloud.lifecycle().store(upload(image_id="image-2")).volume_id
        stream = reader(other, image)
        begin_to_read(dead, other_image)
        (kept,) = cloud.cinder.attachments(image)
        die(dead)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == [kept]
        assert cloud.cinder.attachments(other_image) == []
        assert b"".join(stream)

    def test_an_attachment_that_only_cinder_knows_is_found_by_its_mark(
        self, cloud, image, other
    ):
        attach(other, image)
        die(other)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == []

    def test_an_attachment_of_another_host_is_not_touched(self, cloud, image, other):
        attachment_id = cloud.cinder.reserve(image, "ro")
        connector = {"host": "far", "mountpoint": ELSEWHERE.mountpoint}
        cloud.cinder.connect(image, attachment_id, connector)
        cloud.cinder.complete(attachment_id)
        other.processes.own()
        die(other)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == [attachment_id]

    @pytest.mark.parametrize("completes", [False, True])
    def test_a_clones_attachment_without_a_connector_is_in_the_journal(
        self, cloud, image, other, completes
    ):
        handle = other.journal().attaching(image)
        attachment_id = cloud.cinder.reserve(image, "ro")
        handle.complete(attachment_id)
        if completes:
            cloud.cinder.complete(attachment_id)
        die(other)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == []

    def test_nothing_is_asked_while_all_processes_live(self, cloud, image, other):
        stream = reader(other, image)
        cloud.volumes.calls.clear()
        assert cloud.recovery().release_dead() == set()
        assert not cloud.recovery().free(image)
        assert cloud.volumes.calls == []
        stream.close()


class TestReservations:
    """The process died before Cinder told the attachment's id."""

    def test_one_that_nobody_connects_is_taken_back(self, cloud, image, other):
        other.journal().attaching(image)
        cloud.cinder.reserve(image, "ro")
        die(other)
        before = cloud.clock.monotonic()
        assert cloud.recovery().release_dead() == set()
        assert cloud.cinder.attachments(image) == []
        assert cloud.clock.monotonic() - before >= recovery.RESERVED_GRACE_S

    def test_one_that_is_connected_meanwhile_is_anothers(self, cloud, image, other):
        other.journal().attaching(image)
        attachment_id = cloud.cinder.reserve(image, "ro")
        cloud.clock.at(2, lambda: cloud.cinder.complete(attachment_id))
        die(other)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == [attachment_id]

    def test_one_in_a_live_processs_journal_is_not_touched(self, cloud, image, other):
        other.journal().attaching(image)
        die(other)
        handle = cloud.journal().attaching(image)
        attachment_id = cloud.cinder.reserve(image, "ro")
        handle.complete(attachment_id)
        cloud.recovery().release_dead()
        assert cloud.cinder.attachments(image) == [attachment_id]

    def test_one_that_may_still_come_is_looked_for_later(self, cloud, image, other):
        other.journal().attaching(image)
        token = other.processes.own().token
        die(other)
        found = cloud.recovery()
        assert found.release_dead() == {token}
        cloud.cinder.reserve(image, "ro")
        assert found.release_dead() == set()
        assert cloud.cinder.attachments(image) == []

    def test_one_that_cannot_come_any_more_is_forgotten(self, cloud, image, other):
        other.journal().attaching(image)
        die(other)
        late = time.time() + recovery.IN_FLIGHT_S + 1
        found = StoreRecovery(cloud.waiting_volumes(), lambda: late)
        assert found.release_dead() == set()
        assert cloud.journal().of(cloud.processes.dead()[0]) == []

    def test_a_volume_that_is_gone_needs_no_release(self, cloud, other):
        other.journal().attaching(VOLUME_ID)
        die(other)
        assert cloud.recovery().release_dead() == set()


class TestVolumes:
    @pytest.mark.parametrize("state", [State.FILLING, State.READING])
    def test_one_of_a_dead_process_is_deleted(self, cloud, other, state):
        volume_id = unfinished(other, state)
        attach(other, volume_id)
        die(other)
        assert cloud.recovery().release_dead() == set()
        assert not exists(cloud, volume_id)
        assert not cloud.cinder.orphans

    def test_one_that_cinder_never_began_to_make_is_deleted(self, cloud, other):
        """A clone whose source is deleted at that moment stays ``creating``."""
        volume_id = unfinished(other, State.READING)
        cloud.cinder.set_status(volume_id, "creating")
        die(other)
        assert cloud.recovery().release_dead() == set()
        assert not exists(cloud, volume_id)
        assert not cloud.cinder.orphans

    @pytest.mark.parametrize("state", [State.FILLING, State.READING])
    def test_one_of_a_live_process_is_not_touched(self, cloud, other, state):
        volume_id = unfinished(other, state)
        cloud.another_process().processes.own()
        dead = cloud.another_process()
        gone = unfinished(dead, state)
        die(dead)
        cloud.recovery().release_dead()
        assert exists(cloud, volume_id)
        assert not exists(cloud, gone)

    def test_a_sealed_one_is_never_deleted(self, cloud, other):
        volume_id = unfinished(other, State.SEALED)
        handle = other.journal().creating("image-x", "w1")
        handle.complete(volume_id)
        die(other)
        cloud.recovery().release_dead()
        assert exists(cloud, volume_id)

    def test_a_half_made_replica_waits_for_the_next_replication(self, cloud, other):
        volume_id = unfinished(other, State.REPLICATING)
        attachment_id = attach(other, volume_id)
        die(other)
        cloud.recovery().release_dead()
        assert exists(cloud, volume_id)
        assert attachment_id not in cloud.cinder.attachments(volume_id)

    @pytest.mark.parametrize(
        "changes",
        [
            {"ontap_store": "fv2"},
            {"ontap_lock": str(ELSEWHERE)},
            {"ontap_lock": "?"},
            {"ontap_state": "banana"},
            {"ontap_format": "2"},
        ],
        ids=str,
    )
    def test_one_that_is_not_surely_a_dead_processs_is_not_touched(
        self, cloud, other, changes
    ):
        volume_id = unfinished(other, **changes)
        die(other)
        cloud.recovery().release_dead()
        assert exists(cloud, volume_id)

    @pytest.mark.parametrize("is_known", [False, True])
    def test_one_that_the_journal_names_is_deleted(self, cloud, other, is_known):
        volume_id = unfinished(other)
        write_id = Record.parse(cloud.cinder.get(volume_id).metadata).write_id
        cloud.cinder.drop_metadata(volume_id, "ontap_lock")
        handle = other.journal().creating("image-x", write_id)
        if is_known:
            handle.complete(volume_id)
        die(other)
        assert cloud.recovery().release_dead() == set()
        assert not exists(cloud, volume_id)

    @pytest.mark.parametrize("is_known", [False, True])
    def test_one_of_another_attempt_is_not_touched(self, cloud, other, is_known):
        volume_id = unfinished(cloud)
        handle = other.journal().creating("image-x", "another attempt")
        if is_known:
            handle.complete(volume_id)
        die(other)
        cloud.recovery().release_dead()
        assert exists(cloud, volume_id)

    def test_one_that_has_no_image_store_is_found_by_any(self, cloud, other):
        """A reader's clone of an image that Cinder or upstream's store made."""
        volume_id = unfinished(other, State.READING, store=None)
        die(other)
        cloud.recovery().release_dead()
        assert not exists(cloud, volume_id)


class TestFaults:
    def test_cinder_that_does_not_answer_leaves_all_for_the_next_round(
        self, cloud, image, other
    ):
        begin_to_read(other, image)
        volume_id = unfinished(other)
        die(other)
        cloud.volumes.fail("detach", errors.CinderUnreachable("away"))
        found = cloud.recovery()
        token = found.release_dead()
        assert len(token) == 1
        assert found.release_dead() == set()
        assert cloud.cinder.attachments(image) == []
        assert not exists(cloud, volume_id)

    def test_a_volume_that_goes_meanwhile_does_not_end_the_round(self, cloud, other):
        """Its deletion had begun, and the list of volumes still had it."""
        both = [unfinished(other), unfinished(other)]
        die(other)
        cloud.volumes.fail("get", errors.ImageVolumeGone("It could not be found."))
        cloud.recovery().release_dead()
        assert [exists(cloud, volume_id) for volume_id in both].count(True) == 1

    def test_one_volume_that_cannot_be_released_does_not_keep_the_others(
        self, cloud, image, other
    ):
        second = cloud.lifecycle().store(upload(image_id="image-2")).volume_id
        for volume_id in (image, second):
            attach(other, volume_id)
        token = other.processes.own().token
        die(other)
        cloud.volumes.fail("detach", errors.Refused("no"))
        assert cloud.recovery().release_dead() == {token}
        left = [cloud.cinder.attachments(each) for each in (image, second)]
        assert [len(found) for found in left].count(1) == 1
        assert cloud.recovery().release_dead() == set()

    def test_two_that_recover_at_once_do_no_harm(self, cloud, image, other):
        begin_to_read(other, image)
        volume_id = unfinished(other)
        die(other)
        third = cloud.another_process()
        cloud.clock.at(0.1, third.recovery().release_dead)
        cloud.recovery().release_dead()
        third.recovery().release_dead()
        assert cloud.cinder.attachments(image) == []
        assert not exists(cloud, volume_id)


class TestOwnList:
    def test_a_failed_detach_is_done_later(self, cloud, image):
        stream = reader(cloud, image)
        cloud.volumes.fail("detach", errors.CinderUnreachable("away"))
        stream.close()
        (entry,) = cloud.journal().left()
        found = cloud.recovery()
        assert found.release(entry)
        assert cloud.journal().left() == []
        assert cloud.cinder.attachments(image) == []

    def test_a_volume_that_stayed_is_deleted_later(self, cloud):
        cloud.volumes.fail("set_metadata", errors.Refused("no"))
        cloud.volumes.fail("delete", errors.Refused("no"), for_good=True)
        with pytest.raises(errors.StoreError):
            cloud.lifecycle().store(upload())
        (entry,) = cloud.journal().left()
        cloud.volumes._plans.clear()
        assert cloud.recovery().release(entry)
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    def test_nothing_is_left_after_a_transfer(self, cloud, image):
        stream = reader(cloud, image)
        b"".join(stream)
        cloud.lifecycle().delete(image)
        assert cloud.journal().left() == []
        assert cloud.journal().of(cloud.processes.own().token) == []


class TestFree:
    """A deletion or a reader meets a volume in use."""

    def test_the_image_of_a_dead_reader_is_deleted_at_once(self, cloud, image, other):
        begin_to_read(other, image)
        die(other)
        before = cloud.clock.monotonic()
        cloud.lifecycle().delete(image)
        assert cloud.clock.monotonic() == before
        assert not exists(cloud, image)

    def test_the_image_of_a_live_reader_stays(self, cloud, image, other):
        dead = cloud.another_process()
        dead.processes.own()
        die(dead)
        stream = reader(other, image)
        with pytest.raises(errors.ImageVolumeInUse, match="ontap_delete_wait"):
            cloud.lifecycle().delete(image)
        assert exists(cloud, image)
        assert b"".join(stream)

    @pytest.mark.parametrize("step", ["reserve", "connect", "complete"])
    def test_an_image_whose_reader_died_at_any_step_is_read(
        self, cloud, image, other, step
    ):
        handle = other.journal().attaching(image)
        if step == "reserve":
            cloud.cinder.reserve(image, "ro")
        else:
            handle.complete(attach(other, image, completes=step == "complete"))
        die(other)
        before = cloud.clock.monotonic()
        stream, _size = cloud.lifecycle().read(image, 0, None)
        assert b"".join(stream)
        assert cloud.clock.monotonic() - before < 15
        assert cloud.cinder.attachments(image) == []
        assert cloud.cinder.find(f"reading-{image}") == []

    def test_a_failure_of_recovery_does_not_replace_the_answer(
        self, cloud, image, other
    ):
        begin_to_read(other, image)
        die(other)
        cloud.volumes.fail("detach", errors.CinderUnreachable("away"), for_good=True)
        with pytest.raises(errors.ImageVolumeInUse):
            cloud.lifecycle().delete(image)


def test_a_base_that_cannot_be_used_is_told(cloud):
    os.makedirs(os.path.join(cloud.base, ".locks"))
    os.symlink("/nowhere", os.path.join(cloud.base, ".locks", "processes"))
    with pytest.raises(errors.Misconfigured, match="symbolic link"):
        cloud.recovery().release_dead()
