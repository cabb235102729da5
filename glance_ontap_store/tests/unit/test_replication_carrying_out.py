# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan are carried out, several at a time."""

import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import carrying_out
from glance_ontap_store.replication import progress
from glance_ontap_store.replication.queueing import Queue
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.image import Image
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.replication import IMAGE_ID
from glance_ontap_store.tests.fakes.replication import Replication
from glance_ontap_store.units import GIB


@pytest.fixture
def replication(cloud):
    return Replication(cloud)


def step(number=1, action=Action.MAKE, pool="p", **changes):
    return Step(action, Image(f"image-{number}"), "fv2", "why", pool=pool, **changes)


class TestSteps:
    def test_one_that_fails_does_not_stop_the_others(self, replication):
        replication.operator.fail("migrate", errors.Refused("HTTP 403"))
        outcomes = replication.run(replication.step(), replication.step(store_id="fv3"))
        assert [each.result for each in outcomes] == [Result.FAILED, Result.DONE]

    def test_a_mistake_in_one_does_not_hide_the_others(self, replication):
        replication.operator.fail("list_volumes", ZeroDivisionError("ours"))
        outcomes = replication.run(replication.step(), replication.step(store_id="fv3"))
        assert [each.result for each in outcomes] == [Result.FAILED, Result.DONE]
        assert "ZeroDivisionError" in outcomes[0].reason

    def test_what_is_right_or_refused_is_told_as_it_is(self, replication):
        kept, refused = replication.run(
            replication.step(Action.KEEP),
            replication.step(Action.REFUSE, why="it is a FlexGroup"),
        )
        assert (kept.result, kept.reason) == (Result.DONE, None)
        assert (refused.result, refused.reason) == (Result.REFUSED, "it is a FlexGroup")

    def test_outcomes_have_the_order_of_the_steps(self, replication):
        steps = [
            replication.step(store_id="fv3"),
            replication.step(Action.KEEP, store_id="fv1"),
            replication.step(),
        ]
        outcomes = replication.run(*steps, parallel=3)
        assert [each.step for each in outcomes] == steps
        assert {each.result for each in outcomes} == {Result.DONE}

    def test_no_steps_have_no_outcomes(self, replication):
        assert replication.carrying_out().run([]) == []

    def test_lines_tell_how_far_it_is(self, replication):
        replication.run(replication.step(), replication.step(store_id="fv3"))
        text = "\n".join(replication.said)
        assert f"1 of 2: make {IMAGE_ID} -> fv2: done in 10 s" in text
        assert "cloned as volume" in text
        assert "being moved" in text


class TestByCopy:
    def test_glance_copies_it_and_the_copy_is_marked(self, replication):
        def store(image_id, store_id):
            upload = builders.upload(image_id=image_id)
            lifecycle = replication.cloud.lifecycle(store_id, f"ontap-{store_id}")
            return lifecycle.store(upload).volume_id

        replication.glance.on_copied = store
        outcome = replication.one(by=By.COPY_IMAGE)
        assert outcome.result is Result.DONE
        (record,) = replication.replicas().values()
        assert (record.state, record.replica_of) == (State.SEALED, replication.source)
        # So that it can be retired.
        retire = replication.step(Action.RETIRE)
        assert replication.one(retire).result is Result.DONE
        assert replication.glance.copies == [IMAGE_ID]

    def test_a_copy_that_is_not_the_image_is_told_and_not_marked(self, replication):
        def store(image_id, store_id):
            upload = builders.upload(4999, image_id=image_id)
            lifecycle = replication.cloud.lifecycle(store_id, f"ontap-{store_id}")
            return lifecycle.store(upload).volume_id

        replication.glance.on_copied = store
        outcome = replication.one(by=By.COPY_IMAGE)
        assert outcome.result is Result.FAILED
        (record,) = replication.replicas().values()
        assert record.replica_of is None

    def test_a_failed_copy_is_told(self, replication):
        replication.glance.failing.add(IMAGE_ID)
        outcome = replication.one(by=By.COPY_IMAGE)
        assert outcome.result is Result.FAILED
        assert "log of glance-api" in outcome.reason

    def test_the_original_gets_no_mark(self, replication):
        step = replication.step(store_id="fv1")
        assert replication.one(step, by=By.COPY_IMAGE).result is Result.DONE
        assert replication.replicas("fv1")[replication.source].replica_of is None

    def test_what_the_array_has_begun_is_ended_there(self, replication):
        replication.later(5, replication.stop.set)
        replication.run()
        replication.cloud.clock.sleep(60)
        other = replication.another()
        replication.cloud.processes.close()
        resume = replication.step(Action.RESUME)
        assert other.one(resume, by=By.COPY_IMAGE).result is Result.DONE
        assert other.glance.copies == []

    def test_a_deleted_image_needs_nothing(self, replication):
        replication.glance.delete(IMAGE_ID)
        assert replication.one(by=By.COPY_IMAGE).result is Result.GONE


class TestQueue:
    def test_steps_are_given_out_in_order_and_once(self):
        queue = Queue([step(1, pool="a"), step(2, pool="b")], 1)
        assert [queue.take(), queue.take(), queue.take()] == [0, 1, None]

    def test_a_pool_has_only_so_many_at_a_time(self):
        steps = [step(1, pool="a"), step(2, pool="a"), step(3, pool="b")]
        queue = Queue(steps, 1)
        assert [queue.take(), queue.take()] == [0, 2]
        taken = []
        thread = threading.Thread(target=lambda: taken.append(queue.take()))
        thread.start()
        queue.give_back(0)
        thread.join()
        assert taken == [1]

    def test_steps_that_move_nothing_wait_for_no_pool(self):
        steps = [step(1), step(2, Action.RETIRE), step(3, Action.REFRESH)]
        queue = Queue(steps, 1)
        assert [queue.take(), queue.take(), queue.take()] == [0, 1, 2]

    def test_after_its_end_nothing_is_given_out(self):
        queue = Queue([step(1), step(2)], 1)
        queue.take()
        taken = []
        thread = threading.Thread(target=lambda: taken.append(queue.take()))
        thread.start()
        queue.end()
        thread.join()
        assert taken == [None]


class TestProgress:
    def test_the_rest_is_estimated_by_what_was_moved_so_far(self):
        assert progress.estimate(9 * GIB, 3 * GIB, 60) == (
            "; 9.0 GiB are left, about 3 min at 51 MiB/s"
        )

    @pytest.mark.parametrize(
        ("left", "moved", "elapsed"), [(0, GIB, 1), (GIB, 0, 1), (GIB, GIB, 0)]
    )
    def test_nothing_is_said_where_nothing_is_known(self, left, moved, elapsed):
        assert progress.estimate(left, moved, elapsed) == ""

    def test_what_failed_was_not_moved(self, cloud):
        said = []
        steps = [step(number, moved_bytes=GIB) for number in range(3)]
        told = progress.Progress(steps, cloud.clock, said.append)
        cloud.clock.sleep(60)
        told.ended(Outcome(steps[0], Result.FAILED, "x"))
        told.ended(Outcome(steps[1], Result.DONE, seconds=60))
        told.ended(Outcome(steps[2], Result.DONE, seconds=0.1))
        assert said == [
            "1 of 3: make image-0 -> fv2: failed",
            "2 of 3: make image-1 -> fv2: done in 60 s; 1.0 GiB are left, about 1 min"
            " at 17 MiB/s",
            "3 of 3: make image-2 -> fv2: done",
        ]


@pytest.mark.parametrize(
    ("steps", "by", "expected"),
    [
        ([step()], By.ARRAY, True),
        ([step(action=Action.RESUME)], By.ARRAY, True),
        # Its file must be there.
        ([step(verify=Verify.NONE)], By.ARRAY, True),
        ([step(action=Action.RETIRE)], By.ARRAY, False),
        ([step()], By.COPY_IMAGE, False),
    ],
)
def test_some_steps_attach_volumes_to_this_host(steps, by, expected):
    assert carrying_out.attaches(steps, by) is expected
