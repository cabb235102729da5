# SPDX-License-Identifier: Apache-2.0
"""Waits and clean-up of `cinder.volumes`, over a fake Cinder.

`test_requester_creator` tests the creation for a requester, `test_lifecycle_failures`
every step of an upload that fails.
"""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.tests.builders import First
from glance_ontap_store.tests.fakes.host import FakeHost

NEW = NewVolume("image-1", 1, "ontap-fv1", {"ontap_write_id": "w"})
CONNECTOR = FakeHost().connector
# Statuses that an operator must end.
STUCK = ["maintenance", "awaiting-transfer", "managing"]


@pytest.fixture
def volumes(cloud):
    return cloud.waiting_volumes(WaitPolicy(300, 120, 10))


@pytest.fixture
def volume(volumes):
    return volumes.create(NEW)


class Elapsed:
    """The seconds that pass on the clock in a block."""

    def __init__(self, clock):
        self._clock = clock

    def __enter__(self):
        self._begun = self._clock.monotonic()
        return self

    def __exit__(self, *_error):
        self.seconds = self._clock.monotonic() - self._begun


@pytest.fixture
def elapsed(cloud):
    return Elapsed(cloud.clock)


def is_gone(cloud, volume_id):
    cloud.clock.sleep(60)
    return not any(volume_id in held for held in cloud.holdings())


class TestCreate:
    def test_the_volume_is_available(self, cloud, volumes):
        created = volumes.create(NEW)
        assert created.status == "available"
        assert created == cloud.cinder.get(created.id)
        assert created.metadata == NEW.metadata

    @pytest.mark.parametrize("is_done", [False, True], ids=["not made", "made"])
    def test_a_lost_answer_leaves_nothing(self, cloud, volumes, is_done):
        error = errors.CinderUnreachable("lost")
        cloud.volumes.fail("create", error, done=is_done)
        with pytest.raises(errors.CinderUnreachable) as caught:
            volumes.create(NEW)
        assert caught.value is error
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()
        assert cloud.cinder.orphans == []

    def test_a_lost_answer_keeps_volumes_with_other_metadata(self, cloud, volumes):
        other = volumes.create(NewVolume(NEW.name, 1, "ontap-fv1", {}))
        cloud.volumes.fail("create", errors.CinderUnreachable("lost"), done=True)
        with pytest.raises(errors.CinderUnreachable):
            volumes.create(NEW)
        cloud.clock.sleep(60)
        assert cloud.holdings() == {f"volume {other.id} available"}

    def test_a_refusal_is_not_followed_by_a_search(self, cloud, volumes):
        cloud.volumes.fail("create", errors.NoSpace("the quota is full"))
        with pytest.raises(errors.NoSpace):
            volumes.create(NEW)
        assert cloud.volumes.calls == ["create"]

    @pytest.mark.parametrize(
        ("volume_type", "error"),
        [("broken", errors.Broken), ("ontap-fv3", errors.NoSpace)],
    )
    def test_a_volume_in_error_is_deleted(self, cloud, volumes, volume_type, error):
        with pytest.raises(error):
            volumes.create(NewVolume("image-1", 4, volume_type, {}))
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()

    def test_a_failed_wait_leaves_nothing(self, cloud, volumes):
        error = First("first")
        cloud.volumes.fail("get", error)
        with pytest.raises(First) as caught:
            volumes.create(NEW)
        assert caught.value is error
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()
        assert cloud.cinder.orphans == []

    def test_the_creator_is_asked_and_the_store_waits(self, cloud, volumes):
        class Creator:
            def __init__(self):
                self.created = []

            def create(self, new):
                self.created.append(cloud.cinder.create(new))
                return self.created[-1]

        creator = Creator()
        created = volumes.create(NEW, creator)
        assert [made.id for made in creator.created] == [created.id]
        assert created.status == "available"
        assert set(cloud.volumes.calls) == {"get"}


class TestExtend:
    def test_the_volume_is_returned_with_its_new_size(self, cloud, volumes, volume):
        extended = volumes.extend(volume, 3)
        assert (extended.size_gib, extended.status) == (3, "available")
        assert extended == cloud.cinder.get(volume.id)

    def test_a_full_quota_is_lack_of_space(self, cloud, volumes, volume):
        cloud.cinder.quota_gib = 2
        with pytest.raises(errors.NoSpace):
            volumes.extend(volume, 3)

    def test_a_failed_extension_is_an_error(self, volumes):
        created = volumes.create(NewVolume("x", 1, "ontap-fv3", {}))
        with pytest.raises(errors.Broken, match="No room to extend"):
            volumes.extend(created, 4)


class TestAttach:
    def test_a_free_volume_is_attached_at_once(self, cloud, volumes, volume, elapsed):
        with elapsed:
            attachment = volumes.attach(volume.id, CONNECTOR, "ro", 0)
        assert elapsed.seconds == 0
        assert cloud.cinder.attachments(volume.id) == [attachment.id]

    def test_another_attachment_is_waited_for(self, cloud, volumes, volume):
        other = volumes.attach(volume.id, CONNECTOR, "ro", 0)
        cloud.clock.at(20, lambda: cloud.cinder.detach(other.id))
        attachment = volumes.attach(volume.id, CONNECTOR, "ro", 30)
        assert cloud.cinder.attachments(volume.id) == [attachment.id]

    def test_the_wait_for_another_attachment_has_an_end(self, volumes, volume, elapsed):
        volumes.attach(volume.id, CONNECTOR, "ro", 0)
        with elapsed, pytest.raises(errors.ImageVolumeInUse):
            volumes.attach(volume.id, CONNECTOR, "ro", 30)
        assert elapsed.seconds == pytest.approx(30)

    @pytest.mark.parametrize("status", STUCK)
    def test_a_status_that_stays_fails_at_once(
        self, cloud, volumes, volume, elapsed, status
    ):
        cloud.cinder.set_status(volume.id, status)
        with elapsed, pytest.raises(errors.ImageVolumeStuck, match=status):
            volumes.attach(volume.id, CONNECTOR, "ro", 30)
        assert elapsed.seconds == 0

    def test_a_volume_that_becomes_stuck_ends_the_wait(
        self, cloud, volumes, volume, elapsed
    ):
        volumes.attach(volume.id, CONNECTOR, "ro", 0)
        cloud.clock.at(5, lambda: cloud.cinder.set_status(volume.id, "maintenance"))
        with elapsed, pytest.raises(errors.ImageVolumeStuck, match="maintenance"):
            volumes.attach(volume.id, CONNECTOR, "ro", 30)
        assert elapsed.seconds < 10


class TestDelete:
    def test_a_free_volume_is_deleted_at_once(self, cloud, volumes, volume, elapsed):
        with elapsed:
            volumes.delete(volume.id)
        assert elapsed.seconds == 0
        assert is_gone(cloud, volume.id)

    def test_a_reader_is_waited_for(self, cloud, volumes, volume):
        reader = volumes.attach(volume.id, CONNECTOR, "ro", 0)
        cloud.clock.at(5, lambda: cloud.cinder.detach(reader.id))
        volumes.delete(volume.id)
        assert is_gone(cloud, volume.id)

    def test_a_reader_that_stays_keeps_the_volume(
        self, cloud, volumes, volume, elapsed
    ):
        reader = volumes.attach(volume.id, CONNECTOR, "ro", 0)
        with elapsed, pytest.raises(errors.ImageVolumeInUse, match="ontap_delete_wait"):
            volumes.delete(volume.id)
        assert elapsed.seconds == pytest.approx(10)
        assert cloud.cinder.attachments(volume.id) == [reader.id]

    def test_a_snapshot_is_not_waited_for(self, cloud, volumes, volume, elapsed):
        cloud.cinder.take_snapshot(volume.id)
        with elapsed, pytest.raises(errors.ImageVolumeHasSnapshot):
            volumes.delete(volume.id)
        assert elapsed.seconds == 0

    @pytest.mark.parametrize("status", STUCK)
    def test_a_status_that_stays_fails_at_once(
        self, cloud, volumes, volume, elapsed, status
    ):
        cloud.cinder.set_status(volume.id, status)
        with elapsed, pytest.raises(errors.ImageVolumeStuck, match=status):
            volumes.delete(volume.id)
        assert elapsed.seconds == 0

    def test_a_deletion_whose_answer_was_lost_has_succeeded(
        self, cloud, volumes, volume
    ):
        """Cinder refuses the repeated request, since the volume is being deleted."""
        cloud.cinder.action_s = 500
        busy = errors.ImageVolumeInUse("its status is deleting")
        cloud.volumes.fail("delete", busy, done=True)
        volumes.delete(volume.id)
        cloud.clock.sleep(500)
        assert cloud.holdings() == set()

    def test_a_volume_that_is_gone_is_told(self, cloud, volumes, volume):
        cloud.cinder.delete(volume.id)
        cloud.clock.sleep(60)
        with pytest.raises(errors.ImageVolumeGone):
            volumes.delete(volume.id)


class TestDiscard:
    def test_a_volume_that_is_being_created_is_waited_for(self, cloud, volumes):
        """Cinder would forget it, and its file would come all the same."""
        begun = cloud.cinder.create(NEW)
        volumes.discard(begun.id)
        assert is_gone(cloud, begun.id)
        assert cloud.cinder.orphans == []

    def test_attachments_of_others_are_removed(self, cloud, volumes, volume):
        attachment = cloud.cinder.attach(volume.id, CONNECTOR, "rw")
        cloud.cinder.complete(attachment.id)
        volumes.discard(volume.id)
        assert is_gone(cloud, volume.id)

    @pytest.mark.parametrize("status", ["error", "error_deleting"])
    def test_a_broken_volume_is_deleted(self, cloud, volumes, volume, status):
        cloud.cinder.set_status(volume.id, status)
        volumes.discard(volume.id)
        assert is_gone(cloud, volume.id)

    def test_a_volume_that_is_gone_needs_no_note(self, cloud, volumes, volume):
        cloud.cinder.delete(volume.id)
        cloud.clock.sleep(60)
        cause = First("first")
        volumes.discard(volume.id, cause)
        assert errors.describe(cause) == "first"

    def test_a_deletion_whose_answer_was_lost_needs_no_note(
        self, cloud, volumes, volume
    ):
        cloud.cinder.action_s = 500
        busy = errors.ImageVolumeInUse("its status is deleting")
        cloud.volumes.fail("delete", busy, done=True)
        cause = First("first")
        volumes.discard(volume.id, cause)
        assert errors.describe(cause) == "first"
        cloud.clock.sleep(500)
        assert cloud.holdings() == set()

    @pytest.mark.parametrize("name", ["get", "delete", "attachments", "detach"])
    def test_a_failure_is_a_note_on_the_cause(self, cloud, volumes, volume, name):
        cloud.cinder.attach(volume.id, CONNECTOR, "rw")
        error = errors.CinderUnreachable("second")
        cloud.volumes.fail(name, error, for_good=True)
        cause = First("first")
        volumes.discard(volume.id, cause)
        assert volume.id in errors.describe(cause)
        assert "second" in errors.describe(cause)

    def test_a_failure_without_a_cause_is_logged(self, cloud, volumes, volume, caplog):
        error = errors.CinderUnreachable("second")
        cloud.volumes.fail("delete", error, for_good=True)
        assert volumes.discard(volume.id) is False
        assert volume.id in caplog.text
        assert "second" in caplog.text

    @pytest.mark.parametrize("name", ["get", "delete", "attachments", "detach"])
    def test_one_failure_does_not_end_it(self, cloud, volumes, volume, name):
        cloud.cinder.attach(volume.id, CONNECTOR, "rw")
        cloud.volumes.fail(name, errors.Broken("no"))
        cause = First("first")
        assert volumes.discard(volume.id, cause) is True
        assert errors.describe(cause) == "first"
        assert not cause.may_leave
        assert is_gone(cloud, volume.id)

    @pytest.mark.parametrize("name", ["get", "delete", "attachments", "detach"])
    def test_an_outage_does_not_end_it(self, cloud, volumes, volume, name):
        cloud.cinder.attach(volume.id, CONNECTOR, "rw")
        cloud.volumes.fail(name, errors.CinderUnreachable("away"), for_good=True)
        cloud.clock.at(250, cloud.volumes.recover)
        assert volumes.discard(volume.id) is True
        assert is_gone(cloud, volume.id)

    def test_an_attachment_that_stays_does_not_keep_others(
        self, cloud, volumes, volume
    ):
        cloud.cinder.set_status(volume.id, "available")
        for _reader in range(2):
            attachment = cloud.cinder.attach(volume.id, CONNECTOR, "ro")
            cloud.cinder.set_status(volume.id, "available")
        cloud.volumes.fail("detach", errors.Refused("not this one"))
        cloud.cinder.set_status(volume.id, "in-use")
        cause = First("first")
        volumes.discard(volume.id, cause)
        assert attachment.id not in cloud.cinder.attachments(volume.id)

    def test_a_refusal_ends_it(self, cloud, volumes, volume, elapsed):
        cloud.volumes.fail("delete", errors.Refused("no role"), for_good=True)
        cause = First("first")
        with elapsed:
            assert volumes.discard(volume.id, cause) is False
        assert elapsed.seconds == 0
        assert "no role" in errors.describe(cause)
        assert cause.may_leave

    def test_a_volume_that_stays_busy_is_a_note(self, cloud, volumes, volume, elapsed):
        cloud.volumes.fail("delete", errors.ImageVolumeInUse("busy"), for_good=True)
        cause = First("first")
        with elapsed:
            volumes.discard(volume.id, cause)
        assert f"Volume {volume.id} stays" in errors.describe(cause)
        assert elapsed.seconds == pytest.approx(300)


@pytest.mark.parametrize("status", ["maintenance", "awaiting-transfer"])
def test_discarding_a_stuck_volume_ends_at_once(cloud, status):
    made = cloud.cinder.create(NewVolume("n", 1, "ontap-fv1", {}))
    cloud.clock.sleep(1)
    cloud.cinder.set_status(made.id, status)
    started, cause = cloud.clock.monotonic(), errors.Broken("the cause")
    cloud.waiting_volumes().discard(made.id, cause)
    assert cloud.clock.monotonic() == started
    assert status in errors.describe(cause)
