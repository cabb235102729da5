# SPDX-License-Identifier: Apache-2.0
"""Replicas are retired and discarded, and owners refreshed; over the fakes."""

import pytest

from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images.record import State
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Result
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.tests.fakes.cinder import Migration
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.replication import IMAGE_ID
from glance_ontap_store.tests.fakes.replication import Replication
from glance_ontap_store.tests.fakes.replication import pool


@pytest.fixture
def replication(cloud):
    return Replication(cloud)


@pytest.fixture
def replica(replication):
    """The id of a replica in fv2."""
    assert replication.one().result is Result.DONE
    (volume_id,) = replication.replicas()
    return volume_id


def half_made(replication):
    """The id of a replica in fv2 that a dead process left."""
    replication.later(5, replication.stop.set)
    replication.run()
    replication.stop.__init__()
    replication.cloud.clock.sleep(60)
    (volume_id,) = replication.replicas()
    return volume_id


def exists(replication, volume_id):
    replication.cloud.clock.sleep(60)
    return volume_id in replication.replicas() or volume_id == replication.source


class TestRetire:
    def retire(self, replication, store_id="fv2"):
        return replication.one(replication.step(Action.RETIRE, store_id=store_id))

    def test_the_replica_goes_and_the_original_stays(self, replication, replica):
        assert self.retire(replication).result is Result.DONE
        assert not exists(replication, replica)
        assert replication.named() == [f"cinder://fv1/{replication.source}"]

    def test_the_second_time_there_is_nothing_to_do(self, replication, replica):
        self.retire(replication)
        assert self.retire(replication).result is Result.DONE
        assert replication.glance.removed == [(IMAGE_ID, "fv2")]

    def test_the_uploaded_original_is_never_retired(self, replication, replica):
        outcome = self.retire(replication, "fv1")
        assert outcome.result is Result.REFUSED
        assert "no replica" in outcome.reason
        assert exists(replication, replication.source)
        assert replication.glance.removed == []

    @pytest.mark.parametrize("what", ["error", "gone"])
    def test_the_last_good_location_stays(self, replication, replica, what):
        """The original is lost: only the replica has the bytes."""
        cinder = replication.cloud.cinder
        if what == "gone":
            cinder.delete(replication.source)
            replication.cloud.clock.sleep(60)
        else:
            cinder.set_status(replication.source, what)
        outcome = self.retire(replication)
        assert outcome.result is Result.REFUSED
        assert "only good location" in outcome.reason
        assert exists(replication, replica)

    def test_a_location_in_a_store_of_another_type_is_good(self, replication, replica):
        places = replication.glance.locations[IMAGE_ID]
        places[0] = Place("file:///images/x", "file")
        assert self.retire(replication).result is Result.DONE
        assert not exists(replication, replica)

    def test_a_replica_that_is_read_is_retired_later(self, replication, replica):
        cinder = replication.cloud.cinder
        held = cinder.attach(replica, FakeHost().connector, "ro")
        outcome = self.retire(replication)
        assert outcome.result is Result.LATER
        assert "in use" in outcome.reason
        assert exists(replication, replica)
        cinder.detach(held.id)
        assert self.retire(replication).result is Result.DONE

    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_lost_answer_is_looked_after(self, replication, replica, is_done):
        unknown = Unknown(Reason.UNREACHABLE, "no answer")
        replication.glance.instead["remove"] = [(unknown, is_done)]
        outcome = self.retire(replication)
        assert outcome.result is (Result.DONE if is_done else Result.FAILED)
        assert self.retire(replication).result is Result.DONE
        assert not exists(replication, replica)

    def test_of_two_locations_the_first_decides(self, replication, replica):
        """Glance removes the first one of the store."""
        places = replication.glance.locations[IMAGE_ID]
        places.insert(1, Place(f"cinder://fv2/{replication.source}", "fv2"))
        assert self.retire(replication).result is Result.REFUSED

    def test_a_deleted_image_needs_nothing(self, replication, replica):
        replication.glance.delete(IMAGE_ID)
        assert self.retire(replication).result is Result.GONE


class TestDiscard:
    def discard(self, replication, volume_id):
        return replication.one(replication.step(Action.DISCARD, replica=volume_id))

    def test_a_half_made_replica_goes(self, replication):
        volume_id = half_made(replication)
        assert self.discard(replication, volume_id).result is Result.DONE
        assert not exists(replication, volume_id)
        assert self.discard(replication, volume_id).result is Result.DONE

    def test_one_that_a_process_of_this_host_makes_stays(self, replication):
        other = replication.another()
        seen = []

        def discard():
            (volume_id,) = other.replicas()
            replication.cloud.cinder.reset_migration(volume_id)
            seen.append(self.discard(other, volume_id))

        replication.later(5, discard)
        replication.run()
        assert seen[0].result is Result.LATER

    def test_one_that_is_being_moved_is_never_touched(self, replication):
        replication.cloud.cinder.migrations.append(Migration.HANGS)
        volume_id = half_made(replication)
        assert self.discard(replication, volume_id).result is Result.LATER
        assert exists(replication, volume_id)

    def test_one_that_cinder_begins_to_move_at_the_last_moment_stays(self, replication):
        volume_id = half_made(replication)
        cinder, claim = replication.cloud.cinder, replication.cloud.cinder.set_metadata
        cinder.reset_migration(volume_id)

        def begin(*arguments):
            claim(*arguments)
            cinder.begin_migration(volume_id, pool("fv3"))

        cinder.set_metadata = begin
        replication.cloud.processes.close()
        assert self.discard(replication.another(), volume_id).result is Result.LATER
        assert exists(replication, volume_id)

    def test_a_registered_one_stays(self, replication, replica):
        outcome = self.discard(replication, replica)
        assert outcome.result is Result.LATER
        assert exists(replication, replica)

    def test_an_original_stays(self, replication):
        step = replication.step(
            Action.DISCARD, store_id="fv1", replica=replication.source
        )
        assert replication.one(step).result is Result.REFUSED
        assert exists(replication, replication.source)

    def test_a_sealed_one_of_a_deleted_image_is_left_to_sweep(
        self, replication, replica
    ):
        """Another image may have it as a location, which sweep looks for."""
        replication.glance.delete(IMAGE_ID)
        outcome = self.discard(replication, replica)
        assert outcome.result is Result.REFUSED
        assert "sweep" in outcome.reason
        assert exists(replication, replica)


class TestRefresh:
    def refresh(self, replication):
        return replication.one(replication.step(Action.REFRESH))

    def test_all_image_volumes_get_the_images_owner(self, replication, replica):
        replication.glance.give(IMAGE_ID, "globex")
        assert self.refresh(replication).result is Result.DONE
        owners = {
            record.owner
            for store_id in ("fv1", "fv2")
            for record in replication.replicas(store_id).values()
        }
        assert owners == {"globex"}

    def test_volumes_of_other_images_and_programs_stay(self, replication):
        cinder = replication.cloud.cinder
        cinder.set_metadata(replication.source, {"glance_image_id": "another"})
        replication.glance.give(IMAGE_ID, "globex")
        self.refresh(replication)
        (record,) = replication.replicas("fv1").values()
        assert record.owner == "acme"
        assert record.state is State.SEALED

    def test_what_is_right_is_not_written(self, replication, replica):
        replication.cloud.volumes.calls.clear()
        assert self.refresh(replication).result is Result.DONE
        assert "set_metadata" not in replication.cloud.volumes.calls

    def test_an_image_without_an_owner_is_told(self, replication):
        replication.glance.give(IMAGE_ID, None)
        assert self.refresh(replication).result is Result.REFUSED
