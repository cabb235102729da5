# SPDX-License-Identifier: Apache-2.0
"""A replica is made in the array, whatever happens meanwhile; over the fakes."""

import dataclasses
import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Reason
from glance_ontap_store.errors import Transient
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import making
from glance_ontap_store.replication import rights
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.tests.fakes.cinder import Migration
from glance_ontap_store.tests.fakes.glance import Sparse
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.replication import IMAGE_ID
from glance_ontap_store.tests.fakes.replication import Replication
from glance_ontap_store.tests.fakes.replication import parts_of
from glance_ontap_store.units import GIB


@pytest.fixture
def replication(cloud):
    return Replication(cloud)


def lost(doubt=Doubt.LOST):
    error = errors.CinderUnreachable("The answer was lost.")
    error.transient = Transient(doubt)
    return error


def assert_complete(replication, store_id="fv2"):
    """One replica, right, read-only, in its pool, and known to Glance."""
    ((volume_id, record),) = replication.replicas(store_id).items()
    cinder = replication.cloud.cinder
    image = replication.glance.shown[IMAGE_ID]
    assert record.state is State.SEALED
    assert record.replica_of == replication.source
    assert (record.size, record.hash_value) == (image.size, image.hash_value)
    assert record.owner == image.owner
    assert cinder.is_readonly(volume_id)
    assert cinder.attachments(volume_id) == []
    assert replication.named().count(f"cinder://{store_id}/{volume_id}") == 1
    assert store_id in image.stores
    with open(cinder.path_of(replication.source), "rb") as file:
        expected = file.read(image.size)
    path = cinder.path_of(volume_id)
    assert path.startswith(os.path.dirname(path)) and store_id in path
    with open(path, "rb") as file:
        assert file.read(image.size) == expected
    assert os.path.getsize(path) == GIB
    stream, _size = replication.cloud.lifecycle(store_id, f"ontap-{store_id}").read(
        volume_id, 0, None
    )
    assert b"".join(stream) == expected
    return volume_id


def assert_nothing_is_left(replication, store_id="fv2"):
    replication.cloud.clock.sleep(60)
    assert replication.replicas(store_id) == {}
    assert not replication.cloud.cinder.orphans


class TestMaking:
    @pytest.mark.parametrize("verify", Verify)
    def test_a_replica_is_made_and_known_to_glance(self, replication, verify):
        outcome = replication.one(replication.step(verify=verify))
        assert (outcome.result, outcome.reason) == (Result.DONE, None)
        volume_id = assert_complete(replication)
        record = replication.replicas()[volume_id]
        assert (record.verified or "none").split()[0] == verify.value
        assert outcome.seconds > 0

    def test_the_second_time_there_is_nothing_to_do(self, replication):
        replication.run()
        replication.operator.calls.clear()
        before = replication.cloud.holdings()
        assert replication.one().result is Result.DONE
        assert "migrate" not in replication.operator.calls
        assert replication.cloud.holdings() == before

    def test_the_source_may_be_read_meanwhile(self, replication):
        cinder = replication.cloud.cinder
        held = cinder.attach(replication.source, FakeHost().connector, "ro")
        cinder.complete(held.id)
        assert replication.one().result is Result.DONE
        assert_complete(replication)
        assert cinder.attachments(replication.source) == [held.id]

    def test_no_release_serves_it_before_it_is_sealed(self, replication):
        seen = []

        def look():
            ((volume_id, record),) = replication.replicas().items()
            with pytest.raises(errors.Broken):
                replication.cloud.lifecycle("fv2").describe(volume_id)
            seen.append(record.state)

        replication.later(5, look)
        replication.run()
        assert seen == [State.REPLICATING]

    def test_an_image_of_any_format_gets_one(self, cloud):
        content = Sparse(5000, {0: b"KDMV", 4000: b"end"})
        replication = Replication(cloud, content)
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_the_source_may_go_once_it_is_cloned(self, replication):
        """The whole image is compared then, since nothing is there for a sample."""
        cinder = replication.cloud.cinder
        replication.later(5, lambda: cinder.delete(replication.source))
        outcome = replication.one()
        assert outcome.result is Result.DONE
        (record,) = replication.replicas().values()
        assert record.verified.startswith("full")


class TestRefusals:
    def test_a_store_without_the_type_is_told(self, replication):
        parts = replication.parts["fv2"]
        settings = dataclasses.replace(parts.settings, replica_volume_type=None)
        replication.parts["fv2"] = dataclasses.replace(parts, settings=settings)
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert "ontap_replica_volume_type" in outcome.reason
        assert_nothing_is_left(replication)

    @pytest.mark.parametrize(
        ("kind", "says"),
        [
            ("nothing", "does not exist"),
            ("elsewhere", "not compatible"),
            ("ontap-fv2", "No weighed backends"),
            ("ontap-fv1", "did not move the clone"),
        ],
    )
    def test_a_type_that_cannot_be_meant_is_told(self, replication, kind, says):
        parts = replication.parts["fv2"]
        settings = dataclasses.replace(parts.settings, replica_volume_type=kind)
        replication.parts["fv2"] = dataclasses.replace(parts, settings=settings)
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert says in outcome.reason
        assert_nothing_is_left(replication)

    def test_a_full_quota_is_told(self, replication):
        replication.cloud.cinder.quota_gib = 1
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert "Quota" in outcome.reason
        assert_nothing_is_left(replication)

    def test_a_full_pool_is_told(self, cloud):
        replication = Replication(cloud)
        for number in range(3):
            cloud.cinder.create(NewVolume(f"other-{number}", 1, "ontap-fv3", {}))
        outcome = replication.one(replication.step(store_id="fv3"))
        assert outcome.result is Result.FAILED
        assert "did not move the clone" in outcome.reason
        assert_nothing_is_left(replication, "fv3")

    def test_a_user_without_rights_to_migrate_is_told(self, replication):
        replication.operator.fail("migrate", errors.Refused("HTTP 403."))
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert rights.MIGRATE in outcome.reason
        assert_nothing_is_left(replication)

    def test_a_user_who_sees_no_pools_is_told(self, replication, monkeypatch):
        cinder = replication.cloud.cinder
        monkeypatch.setattr(cinder, "seen_by_operator", cinder.find)
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert rights.HOST in outcome.reason

    def test_glance_may_not_tell_locations(self, replication):
        """What is registered is not known then, so nothing is made or deleted."""
        glance = replication.glance
        glance.tells_locations = False
        assert replication.one().result is Result.FAILED
        assert replication.replicas() == {}
        glance.tells_locations = True
        replication.later(5, lambda: vars(glance).update(tells_locations=False))
        assert replication.one().result is Result.FAILED
        assert len(replication.replicas()) == 1
        glance.tells_locations = True
        replication.cloud.clock.sleep(60)
        assert replication.one().result is Result.DONE
        assert_complete(replication)


class TestMigration:
    def test_one_that_fails_leaves_nothing(self, replication):
        replication.cloud.cinder.migrations.append(Migration.FAILED)
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert "The array did not copy it" in outcome.reason
        assert_nothing_is_left(replication)

    def test_after_one_that_failed_another_clone_is_made(self, replication):
        """Older drivers leave a part of the file, over which nothing is copied."""
        cinder = replication.cloud.cinder
        before = set(cinder.holdings())
        cinder.migrations.append(Migration.FAILED)
        tried = []
        replication.later(5, lambda: tried.extend(replication.replicas()))
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert f"volume {tried[0]}," in outcome.reason
        replication.cloud.clock.sleep(60)
        assert set(cinder.holdings()) == before
        assert replication.one().result is Result.DONE
        assert [assert_complete(replication)] != tried != []

    @pytest.mark.parametrize("verify", Verify)
    def test_a_file_that_went_astray_is_named_and_no_other_is_made(
        self, replication, verify
    ):
        """Cinder says that the migration was a success."""
        replication.cloud.cinder.migrations.append(Migration.ASTRAY)
        step = replication.step(verify=verify)
        for again in (step, dataclasses.replace(step, action=Action.RESUME)):
            outcome = replication.one(again)
            assert outcome.result is Result.FAILED
            ((volume_id, record),) = replication.replicas().items()
            assert f"volume-{volume_id}" in outcome.reason
            assert "another FlexVol" in outcome.reason
            assert record.state is State.REPLICATING
        assert replication.named() == [f"cinder://fv1/{replication.source}"]

    def test_a_host_copy_is_right_and_ends_the_run(self, replication):
        replication.cloud.cinder.migrations.append(Migration.HOST_COPY)
        steps = [replication.step(), replication.step(store_id="fv3")]
        first, second = replication.run(*steps)
        assert first.result is Result.HOST_COPY
        assert "cinder-volume" in first.reason
        assert second.result is Result.LATER
        assert "a host copied" in second.reason
        assert_complete(replication)
        assert replication.replicas("fv3") == {}

    def test_one_that_does_not_end_is_told_and_not_touched(self, replication):
        cinder = replication.cloud.cinder
        cinder.migrations.append(Migration.HANGS)
        outcome = replication.one()
        assert outcome.result is Result.LATER
        assert "reset-migration-status" in outcome.reason
        ((volume_id, record),) = replication.replicas().items()
        assert record.state is State.REPLICATING
        assert outcome.seconds > making.MIGRATION_S
        # What the operator does then.
        cinder.reset_migration(volume_id)
        cinder.delete(volume_id)
        replication.cloud.clock.sleep(60)
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_is_in_maintenance_is_not_touched(self, replication):
        cinder = replication.cloud.cinder
        replication.later(
            5,
            lambda: cinder.set_status(
                next(iter(replication.replicas())), "maintenance"
            ),
        )
        outcome = replication.one()
        assert outcome.result is Result.LATER
        assert "maintenance" in outcome.reason
        assert len(replication.replicas()) == 1

    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_lost_answer_is_looked_after(self, replication, is_done):
        replication.operator.fail("migrate", lost(), done=is_done)
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_never_gets_an_answer_is_left_for_the_next_run(self, replication):
        replication.operator.fail("migrate", lost(), for_good=True)
        assert replication.one().result is Result.FAILED
        replication.operator.recover()
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_is_refused_for_now_is_left_for_the_next_run(self, replication):
        busy = errors.ImageVolumeInUse("No available service (HTTP 400).")
        replication.operator.fail("migrate", busy, for_good=True)
        outcome = replication.one()
        assert outcome.result is Result.LATER
        assert "No available service" in outcome.reason
        assert len(replication.replicas()) == 1

    def test_a_cinder_that_is_away_meanwhile_is_asked_again(self, replication):
        for number in range(3, 9):
            replication.operator.fail("list_volumes", lost(), nth=number)
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_a_glance_that_is_away_meanwhile_is_asked_again(self, replication):
        replication.later(5, lambda: replication.glance.silent.update({IMAGE_ID: 5}))
        assert replication.one().result is Result.DONE
        assert_complete(replication)


class TestComparison:
    @pytest.mark.parametrize("verify", [Verify.SAMPLE, Verify.FULL])
    def test_a_replica_with_other_bytes_is_deleted(self, replication, verify):
        def spoil():
            path = replication.cloud.cinder.path_of(next(iter(replication.replicas())))
            with open(path, "r+b") as file:
                file.seek(4321)
                file.write(b"X")

        replication.later(5, spoil)
        outcome = replication.one(replication.step(verify=verify))
        assert outcome.result is Result.FAILED
        assert_nothing_is_left(replication)
        assert replication.named() == [f"cinder://fv1/{replication.source}"]

    @pytest.mark.parametrize("verify", Verify)
    @pytest.mark.parametrize("size", [GIB - 1, 2 * GIB])
    def test_a_replica_of_another_length_is_deleted(self, replication, size, verify):
        replication.later(
            5,
            lambda: os.truncate(
                replication.cloud.cinder.path_of(next(iter(replication.replicas()))),
                size,
            ),
        )
        outcome = replication.one(replication.step(verify=verify))
        assert outcome.result is Result.FAILED
        assert f"has {size} bytes" in outcome.reason
        assert_nothing_is_left(replication)

    def test_bytes_that_cannot_be_read_are_compared_by_the_next_run(self, replication):
        replication.cloud.volumes.fail("connect", errors.Broken("The driver failed."))
        assert replication.one().result is Result.FAILED
        (record,) = replication.replicas().values()
        assert record.state is State.REPLICATING
        assert replication.one().result is Result.DONE
        assert_complete(replication)


class TestImage:
    @pytest.mark.parametrize("seconds", [0.2, 5, 9])
    def test_one_that_is_deleted_meanwhile_takes_its_replica_along(
        self, replication, seconds
    ):
        replication.later(seconds, lambda: replication.glance.delete(IMAGE_ID))
        assert replication.one().result is Result.GONE
        assert_nothing_is_left(replication)

    def test_one_that_is_deleted_before_its_location_is_added(self, replication):
        glance = replication.glance
        add = glance.add_location

        def deleted_before(*arguments):
            glance.delete(IMAGE_ID)
            return add(*arguments)

        glance.add_location = deleted_before
        assert replication.one().result is Result.GONE
        assert_nothing_is_left(replication)

    @pytest.mark.parametrize("seconds", [0.2, 5, 9])
    def test_one_that_gets_another_owner_gives_it_to_the_replica(
        self, replication, seconds
    ):
        replication.later(seconds, lambda: replication.glance.give(IMAGE_ID, "globex"))
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_changes_hands_while_its_location_is_added(self, replication):
        glance = replication.glance
        add = glance.add_location

        def given_before(*arguments):
            glance.give(IMAGE_ID, "globex")
            return add(*arguments)

        glance.add_location = given_before
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_is_deactivated_gets_its_location_later(self, replication):
        glance = replication.glance
        replication.later(5, lambda: glance.set_status(IMAGE_ID, "deactivated"))
        outcome = replication.one()
        assert (outcome.result, outcome.reason) == (
            Result.LATER,
            "the image is deactivated",
        )
        glance.set_status(IMAGE_ID, "active")
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    def test_one_that_was_copied_there_meanwhile_needs_no_replica(self, replication):
        glance = replication.glance
        url = "cinder://fv2/99999999-6f0c-4a55-9f5e-000000000001"
        replication.later(5, lambda: glance._add_location(IMAGE_ID, url, "fv2"))
        outcome = replication.one()
        assert outcome.result is Result.DONE
        assert_nothing_is_left(replication)
        assert url in replication.named()


class TestRegistration:
    @pytest.mark.parametrize("is_done", [False, True])
    def test_a_lost_answer_is_looked_after(self, replication, is_done):
        unknown = Unknown(Reason.UNREACHABLE, "no answer")
        replication.glance.instead["add_location"] = [(unknown, is_done)]
        assert replication.one().result is Result.DONE
        assert_complete(replication)

    @pytest.mark.parametrize(
        ("reason", "result"),
        [
            (Reason.UNREACHABLE, Result.FAILED),
            (Reason.BROKEN, Result.FAILED),
            (Reason.CONFLICT, Result.LATER),
            (Reason.FORBIDDEN, Result.FAILED),
        ],
    )
    def test_a_refusal_leaves_it_for_the_next_run(self, replication, reason, result):
        refusal = (Unknown(reason, "HTTP 4xx"), False)
        replication.glance.instead["add_location"] = [refusal] * 3
        outcome = replication.one()
        assert outcome.result is result
        if reason is Reason.FORBIDDEN:
            assert "show_multiple_locations" in outcome.reason
        (record,) = replication.replicas().values()
        assert record.state is State.SEALED
        replication.glance.instead.clear()
        assert replication.one(replication.step(Action.RESUME)).result is Result.DONE
        assert_complete(replication)

    def test_a_location_that_is_never_shown_is_told(self, replication, monkeypatch):
        monkeypatch.setattr(replication.glance, "add_location", lambda *_args: None)
        outcome = replication.one()
        assert outcome.result is Result.FAILED
        assert "does not show location" in outcome.reason


def test_a_volume_that_a_user_describes_as_a_replica_is_none(replication):
    """Its name and metadata are a user's, in another project."""
    cinder = replication.cloud.cinder
    replication.run()
    (volume_id,) = replication.replicas()
    fresh = Replication(replication.cloud)
    cinder.set_metadata(volume_id, {"ontap_replica_of": fresh.source})
    cinder.foreign.add(volume_id)
    assert fresh.one().result is Result.DONE
    (own,) = fresh.replicas()
    assert fresh.named() == [f"cinder://fv1/{fresh.source}", f"cinder://fv2/{own}"]
    # An administrator sees both.
    found = {each.id for each in cinder.seen_by_operator(f"image-{IMAGE_ID}")}
    assert {own, volume_id} <= found


class TestTwo:
    """Two processes that make the same replica."""

    def test_of_one_host_the_second_leaves_it_to_the_first(self, replication):
        other = replication.another()
        seen = []
        replication.later(5, lambda: seen.append(other.one()))
        assert replication.one().result is Result.DONE
        (outcome,) = seen
        assert outcome.result is Result.LATER
        assert "another process of this host" in outcome.reason
        assert_complete(replication)

    def test_of_two_hosts_the_older_replica_stays(self, replication, tmp_path):
        """The other one began in the same moment, and found nothing."""
        other = replication.another()
        other.cloud.base = str(tmp_path / "another host")
        other.cloud.processes = type(other.cloud.processes)(other.cloud.base)
        other.cloud._journals = {}
        other.parts = {each: parts_of(other.cloud, each) for each in replication.parts}
        clone = other.cloud.cinder.create
        seen = []

        def both(new):
            replication.cloud.cinder.create = clone
            seen.append(clone(new))
            replication.cloud.clock.sleep(1)
            return clone(
                dataclasses.replace(
                    new, metadata={**new.metadata, "ontap_write_id": "second"}
                )
            )

        replication.cloud.cinder.create = both
        outcome = replication.one()
        (first,) = seen
        assert outcome.result is Result.LATER
        assert first.id in outcome.reason
        assert list(replication.replicas()) == [first.id]
        # The other host goes on.
        assert other.one(other.step(Action.RESUME)).result is Result.DONE
        assert assert_complete(replication) == first.id

    def test_a_replica_of_a_dead_process_is_gone_on_with(self, replication):
        other = replication.another()
        other.stop.set()
        replication.later(5, replication.stop.set)
        assert replication.one().result is Result.LATER
        (before,) = replication.replicas()
        replication.cloud.processes.close()
        other = replication.another()
        assert other.one(other.step(Action.RESUME)).result is Result.DONE
        assert assert_complete(replication) == before
        ((_id, record),) = replication.replicas().items()
        assert record.lock == str(other.parts["fv2"].volumes.journal.own())


def test_an_interruption_leaves_it_for_the_next_run(replication):
    replication.later(5, replication.stop.set)
    steps = [replication.step(), replication.step(store_id="fv3")]
    outcomes = replication.run(*steps)
    assert [each.result for each in outcomes] == [Result.LATER, Result.LATER]
    assert "run the command again" in outcomes[0].reason
    assert replication.replicas("fv3") == {}
    replication.cloud.clock.sleep(60)
    again = replication.another()
    replication.cloud.processes.close()
    assert [each.result for each in again.run(*steps)] == [Result.DONE, Result.DONE]
    assert_complete(replication)
    assert_complete(replication, "fv3")


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_replica_that_somebody_deletes_is_told(replication, is_resumed):
    cinder = replication.cloud.cinder
    if is_resumed:
        replication.later(5, replication.stop.set)
        replication.run()
        replication.cloud.processes.close()
        replication = replication.another()

    def remove():
        (volume_id,) = replication.replicas()
        cinder.reset_migration(volume_id)
        cinder.delete(volume_id)

    replication.later(3, remove)
    outcome = replication.one()
    assert outcome.result is Result.FAILED
    assert "deleted by somebody" in outcome.reason
    assert_nothing_is_left(replication)


def test_the_owner_is_right_before_glance_knows_the_replica(replication):
    glance, seen = replication.glance, []
    add = glance.add_location

    def look(*arguments):
        (record,) = replication.replicas().values()
        seen.append(record.owner)
        return add(*arguments)

    glance.add_location = look
    seal = replication.cloud.cinder.set_readonly

    def sold(*arguments):
        glance.give(IMAGE_ID, "globex")
        seal(*arguments)

    replication.cloud.cinder.set_readonly = sold
    assert replication.one().result is Result.DONE
    assert seen == ["globex"]


def test_the_pool_must_be_known(replication):
    outcome = replication.one(replication.step(pool=None))
    assert outcome.result is Result.FAILED
    assert "The pool of store fv2" in outcome.reason
    assert_nothing_is_left(replication)
