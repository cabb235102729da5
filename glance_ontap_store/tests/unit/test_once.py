# SPDX-License-Identifier: Apache-2.0
"""Requests that make something, after failures that may pass."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import once
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.waiting import WaitPolicy
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Transient
from glance_ontap_store.tests.fakes.host import FakeHost

NEW = NewVolume("image-1", 1, "ontap-fv1", {"ontap_write_id": "w"})
CONNECTOR = FakeHost().connector
# A service that has answered does nothing more; one that did nothing is not done.
FAULTS = [
    pytest.param(doubt, is_done, id=f"{doubt.name}-{'done' if is_done else 'not'}")
    for doubt in Doubt
    for is_done in (False, True)
    if not (doubt is Doubt.UNSENT and is_done)
]


def passing(doubt, error=errors.CinderUnreachable):
    made = error("lost")
    made.transient = Transient(doubt)
    return made


@pytest.fixture
def volumes(cloud):
    return cloud.waiting_volumes(WaitPolicy(300, 120, 10))


@pytest.fixture
def volume(volumes):
    return volumes.create(NEW)


def told():
    found = []
    return found, found.append


class TestCreate:
    @pytest.mark.parametrize(("doubt", "is_done"), FAULTS)
    def test_one_failure_makes_one_volume(self, cloud, volumes, doubt, is_done):
        cloud.volumes.fail("create", passing(doubt), done=is_done)
        if doubt is Doubt.LATE and not is_done:
            with pytest.raises(errors.CinderUnreachable) as caught:
                volumes.create(NEW)
            # It may still come: the caller has to look for it later.
            assert caught.value.may_leave
            assert cloud.holdings() == set()
            return
        created = volumes.create(NEW)
        cloud.clock.sleep(60)
        assert cloud.holdings() == {f"volume {created.id} available"}

    def test_a_volume_that_comes_within_the_grace_is_used(self, cloud, volumes):
        cloud.volumes.fail("create", passing(Doubt.LATE))
        cloud.clock.at(once.GRACE_S / 2, lambda: cloud.cinder.create(NEW))
        created = volumes.create(NEW)
        assert cloud.volumes.calls.count("create") == 1
        assert cloud.holdings() == {f"volume {created.id} available"}

    def test_a_second_one_that_comes_later_is_deleted(self, cloud, volumes):
        cloud.volumes.fail("create", passing(Doubt.LOST))
        create = cloud.cinder.create

        def create_two(new):
            create(new)
            return create(new)

        cloud.cinder.create = create_two
        created = volumes.create(NEW)
        cloud.clock.sleep(60)
        assert cloud.holdings() == {f"volume {created.id} available"}
        assert cloud.cinder.orphans == []

    def test_another_upload_of_the_image_is_not_taken(self, cloud, volumes):
        other = volumes.create(NewVolume(NEW.name, 1, "ontap-fv1", {}))
        cloud.volumes.fail("create", passing(Doubt.LOST))
        assert volumes.create(NEW).id != other.id

    def test_it_is_not_sent_again_before_it_was_looked_for(self, cloud, volumes):
        cloud.volumes.fail("create", passing(Doubt.OVER), done=True)
        cloud.volumes.fail("find", errors.Broken("no list"), for_good=True)
        with pytest.raises(errors.CinderUnreachable, match="lost") as caught:
            volumes.create(NEW)
        assert cloud.volumes.calls.count("create") == 1
        assert caught.value.may_leave
        assert "no list" in errors.describe(caught.value)

    def test_an_outage_before_it_ends_soon(self, cloud, volumes):
        """Nothing is invested: the user hears of it and can ask again."""
        began = cloud.clock.monotonic()
        cloud.volumes.fail("create", passing(Doubt.UNSENT), for_good=True)
        with pytest.raises(errors.CinderUnreachable) as caught:
            volumes.create(NEW)
        assert cloud.clock.monotonic() - began < 30
        assert not caught.value.may_leave


class TestExtend:
    @pytest.mark.parametrize(("doubt", "is_done"), FAULTS)
    @pytest.mark.parametrize("action_s", [0.5, 20])
    def test_one_failure_extends_once(
        self, cloud, volumes, volume, doubt, is_done, action_s
    ):
        cloud.cinder.action_s = action_s
        cloud.volumes.fail("extend", passing(doubt), done=is_done)
        extended = volumes.extend(volume, 3)
        assert (extended.size_gib, extended.status) == (3, "available")

    def test_one_that_begins_late_is_waited_for(self, cloud, volumes, volume):
        cloud.cinder.action_s = 20
        cloud.volumes.fail("extend", passing(Doubt.LATE))
        cloud.clock.at(0.1, lambda: cloud.cinder.extend(volume.id, 3))
        assert volumes.extend(volume, 3).size_gib == 3

    def test_a_refusal_without_an_earlier_try_is_raised(self, cloud, volumes, volume):
        cloud.cinder.attach(volume.id, CONNECTOR, "ro")
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.extend(volume, 3)


@pytest.mark.parametrize("mode", ["ro", "rw"])
class TestAttach:
    @pytest.mark.parametrize(("doubt", "is_done"), FAULTS)
    def test_one_failure_of_the_reservation_leaves_one_attachment(
        self, cloud, volumes, volume, mode, doubt, is_done
    ):
        cloud.volumes.fail("reserve", passing(doubt), done=is_done)
        attachment = volumes.attach(volume.id, CONNECTOR, mode, 0)
        assert cloud.cinder.attachments(volume.id) == [attachment.id]
        assert attachment.connection_info["driver_volume_type"] == "nfs"

    @pytest.mark.parametrize(("doubt", "is_done"), FAULTS)
    def test_one_failure_of_the_connection_leaves_one_attachment(
        self, cloud, volumes, volume, mode, doubt, is_done
    ):
        ids, tell = told()
        cloud.volumes.fail("connect", passing(doubt), done=is_done)
        attachment = volumes.attach(volume.id, CONNECTOR, mode, 0, tell)
        assert cloud.cinder.attachments(volume.id) == [attachment.id]
        assert attachment.connection_info["driver_volume_type"] == "nfs"
        # What was done is used, and what was not is reserved anew.
        assert len(ids) == (1 if is_done else 2)
        assert ids[-1] == attachment.id

    def test_an_attachment_that_somebody_deletes_is_reserved_anew(
        self, cloud, volumes, volume, mode
    ):
        def tell(attachment_id):
            if not ids:
                cloud.cinder.detach(attachment_id)
            ids.append(attachment_id)

        ids = []
        attachment = volumes.attach(volume.id, CONNECTOR, mode, 30, tell)
        assert ids == [ids[0], attachment.id]

    def test_without_time_it_is_busy_and_not_gone(self, cloud, volumes, volume, mode):
        with pytest.raises(errors.ImageVolumeInUse, match="Try again"):
            volumes.attach(volume.id, CONNECTOR, mode, 0, cloud.cinder.detach)

    def test_a_driver_that_refuses_is_not_asked_for_long(
        self, cloud, volumes, volume, mode
    ):
        error = passing(Doubt.OVER, errors.NotConnected)
        cloud.volumes.fail("connect", error, for_good=True)
        with pytest.raises(errors.NotConnected):
            volumes.attach(volume.id, CONNECTOR, mode, 0)
        tries = cloud.volumes.calls.count("connect")
        assert tries == (2 if mode == "ro" else 4)
        assert cloud.cinder.attachments(volume.id) == []

    def test_an_attachment_that_cannot_be_taken_back_is_told(
        self, cloud, volumes, volume, mode
    ):
        cloud.volumes.fail("connect", errors.Broken("no"))
        cloud.volumes.fail("detach", errors.Refused("no role"), for_good=True)
        ids, tell = told()
        with pytest.raises(errors.Broken) as caught:
            volumes.attach(volume.id, CONNECTOR, mode, 0, tell)
        assert caught.value.may_leave
        assert f"Attachment {ids[0]} stays" in errors.describe(caught.value)

    def test_an_interruption_takes_it_back(self, cloud, volumes, volume, mode):
        cloud.volumes.fail("connect", KeyboardInterrupt(), done=True)
        with pytest.raises(KeyboardInterrupt):
            volumes.attach(volume.id, CONNECTOR, mode, 0)
        assert cloud.cinder.attachments(volume.id) == []


class TestReserve:
    @pytest.mark.parametrize("doubt", [Doubt.LOST, Doubt.LATE])
    def test_the_reservation_of_a_living_reader_is_spared(
        self, cloud, volumes, volume, doubt
    ):
        """It came first; ours was refused, and that answer was lost."""
        other = cloud.cinder.reserve(volume.id, "ro")
        cloud.clock.at(2, lambda: cloud.cinder.connect(volume.id, other, CONNECTOR))
        cloud.volumes.fail("reserve", passing(doubt))
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.attach(volume.id, CONNECTOR, "ro", 0)
        assert cloud.cinder.attachments(volume.id) == [other]

    @pytest.mark.parametrize("after_s", [2, 6])
    def test_a_reservation_that_comes_late_is_taken_back(
        self, cloud, volumes, volume, after_s
    ):
        cloud.volumes.fail("reserve", passing(Doubt.LATE))
        cloud.clock.at(after_s, lambda: cloud.cinder.reserve(volume.id, "ro"))
        attachment_id = volumes.reserve(volume.id)
        assert cloud.cinder.attachments(volume.id) == [attachment_id]

    def test_a_doubtful_failure_is_told(self, cloud, volumes, volume):
        cloud.volumes.fail("reserve", passing(Doubt.LATE), for_good=True)
        with pytest.raises(errors.CinderUnreachable) as caught:
            volumes.reserve(volume.id)
        assert caught.value.may_leave

    def test_a_refusal_is_certain(self, cloud, volumes, volume):
        cloud.cinder.attach(volume.id, CONNECTOR, "ro")
        with pytest.raises(errors.ImageVolumeInUse) as caught:
            volumes.reserve(volume.id)
        assert not caught.value.may_leave


class TestComplete:
    def test_an_attachment_that_is_gone_means_busy(self, cloud, volumes, volume):
        attachment = volumes.attach(volume.id, CONNECTOR, "ro", 0)
        cloud.cinder.detach(attachment.id)
        with pytest.raises(errors.ImageVolumeInUse, match="Try again"):
            volumes.complete(attachment.id)
