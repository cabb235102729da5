# SPDX-License-Identifier: Apache-2.0
"""What is recorded of an operation, and that nothing in it depends on the recorder."""

import logging
import threading

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

FV1_UPLOAD = ("fv1", "upload")


def subclasses(cls):
    for below in cls.__subclasses__():
        yield below
        yield from subclasses(below)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "success"),
        (errors.NoSpace("full"), "no_space"),
        (errors.ImageVolumeHasSnapshot("one"), "image_volume_has_snapshot"),
        (ValueError("not ours"), "other"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_result_is_the_class_of_the_error(error, result):
    assert recording.result_of(error) == result


def test_an_error_for_glance_counts_as_the_store_s_own():
    with pytest.raises(exceptions.StorageFull) as caught, errors.as_glance_store():
        raise errors.NoSpace("full")
    assert recording.result_of(caught.value) == "no_space"


def test_an_error_of_ours_counts_and_not_its_cause():
    with pytest.raises(errors.StoreError) as caught:
        raise errors.ImageVolumeHasSnapshot("one") from errors.ImageVolumeInUse("busy")
    assert recording.result_of(caught.value) == "image_volume_has_snapshot"


def test_an_operation_has_a_result_and_a_duration(cloud, recorder):
    with recording.operation("fv1", "upload"):
        cloud.clock.sleep(7)
    assert recorder.of(catalogue.OPERATIONS) == {(*FV1_UPLOAD, "success"): 1}
    assert recorder.of(catalogue.OPERATION_SECONDS) == {FV1_UPLOAD: 7}


def test_a_failure_has_a_reason_and_no_duration(cloud, recorder):
    with pytest.raises(errors.NoSpace), recording.operation("fv1", "upload"):
        cloud.clock.sleep(7)
        raise errors.NoSpace("full")
    assert recorder.of(catalogue.OPERATIONS) == {(*FV1_UPLOAD, "no_space"): 1}
    assert recorder.of(catalogue.OPERATION_SECONDS) == {}


def test_a_step_has_the_operation_and_store_of_its_thread(cloud, recorder):
    with recording.operation("fv1", "upload"):
        with pytest.raises(errors.Broken), recording.step("attach"):
            cloud.clock.sleep(3)
            raise errors.Broken("no")
    assert recorder.of(catalogue.STEP_SECONDS) == {(*FV1_UPLOAD, "attach"): 3}


def test_a_step_outside_of_an_operation_is_not_recorded(cloud, recorder):
    with recording.step("attach"):
        cloud.clock.sleep(3)
    assert recorder.of(catalogue.STEP_SECONDS) == {}


def test_another_thread_has_no_operation(recorder):
    seen = []
    with recording.operation("fv1", "upload"):
        thread = threading.Thread(
            target=lambda: seen.append(recording.current().goes_on)
        )
        thread.start()
        thread.join()
        recording.current().record(catalogue.RECEIVED_BYTES, value=3)
    assert seen == [False]
    assert recorder.of(catalogue.RECEIVED_BYTES) == {("fv1",): 3}


def test_a_stream_ends_its_operation_with_the_steps_of_its_release(cloud, recorder):
    def release():
        with recording.step("detach"):
            cloud.clock.sleep(2)

    with recording.operation("fv1", "download"):
        end = recording.current().ending(release)
    assert recorder.of(catalogue.OPERATIONS) == {}
    cloud.clock.sleep(5)
    end("success")
    assert recorder.of(catalogue.OPERATIONS) == {("fv1", "download", "success"): 1}
    assert recorder.of(catalogue.OPERATION_SECONDS) == {("fv1", "download"): 7}
    assert recorder.of(catalogue.STEP_SECONDS) == {
        ("fv1", "download", "transfer"): 5,
        ("fv1", "download", "detach"): 2,
    }
    assert not recording.current().goes_on


def test_a_release_that_fails_ends_the_operation_all_the_same(recorder):
    def release():
        raise errors.Broken("no detachment")

    with recording.operation("fv1", "download"):
        end = recording.current().ending(release)
    with pytest.raises(errors.Broken):
        end("abandoned")
    assert recorder.of(catalogue.OPERATIONS) == {("fv1", "download", "abandoned"): 1}


def test_a_request_is_counted_by_name_and_result(cloud, recorder):
    with recording.request("create volume"):
        cloud.clock.sleep(1)
    with pytest.raises(errors.NoSpace), recording.request("create volume"):
        cloud.clock.sleep(2)
        raise errors.NoSpace("full")
    assert recorder.of(catalogue.REQUESTS) == {
        ("create volume", "success"): 1,
        ("create volume", "no_space"): 1,
    }
    assert recorder.of(catalogue.REQUEST_SECONDS) == {("create volume",): 3}


def test_a_recorder_that_fails_is_not_used_any_more_and_nothing_else_fails(
    recorder, caplog
):
    recorder.error = OSError(28, "No space left on device")
    with caplog.at_level(logging.WARNING), recording.operation("fv1", "upload"):
        with recording.step("attach"), recording.request("create volume"):
            pass
    (warning,) = caplog.records
    assert "No space left on device" in warning.getMessage()
    assert not recording.is_on()


def test_without_a_recorder_a_block_runs_and_its_errors_pass():
    assert not recording.is_on()
    with recording.operation("fv1", "upload"), recording.step("attach"):
        recording.record(catalogue.RECOVERY_FAILURES)
        released = []
        recording.current().ending(lambda: released.append(True))("success")
    assert released == [True]
    with pytest.raises(errors.NoSpace), recording.operation("fv1", "upload"):
        raise errors.NoSpace("full")


def test_every_label_has_a_meaning_and_every_step_too():
    used = {label for metric in catalogue.METRICS for label in metric.labels}
    assert used == set(catalogue.VALUES) == set(catalogue.MEANINGS)
    assert set(catalogue.STEPS) == set(catalogue.VALUES["step"])


def test_names_follow_prometheus_rules():
    for metric in catalogue.METRICS:
        assert metric.name.startswith("glance_ontap_")
        is_counter = metric.kind is catalogue.Kind.COUNTER
        assert metric.name.endswith("_total") == is_counter
    assert len({metric.name for metric in catalogue.METRICS}) == len(catalogue.METRICS)
