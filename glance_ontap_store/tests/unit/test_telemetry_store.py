# SPDX-License-Identifier: Apache-2.0
"""What the store records of its operations, by values."""

import ast
import inspect

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import client
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Transient
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import Sparse
from glance_ontap_store.tests.fakes.openstack_http import Http

MIB = 1024 * 1024
SIZE = 3 * MIB + 5


@pytest.fixture
def rig(cloud, recorder):
    return cloud.rig()


def add(rig, content=None, size=None):
    """Upload *content*; the location."""
    content = content or Pattern(SIZE)
    given = content.size if size is None else size
    uri, *_rest = rig.store.add("image-1", OnePass(content), given, "sha256")
    return rig.location(uri)


def seconds(recorder, operation):
    """The seconds of each step of an operation on fv1."""
    found = recorder.of(catalogue.STEP_SECONDS)
    return {labels[2]: took for labels, took in found.items() if labels[1] == operation}


def steps(recorder, operation):
    found = recorder.times(catalogue.STEP_SECONDS)
    return {labels[2]: n for labels, n in found.items() if labels[:2] == operation}


def results(recorder):
    return {labels[1:]: n for labels, n in recorder.of(catalogue.OPERATIONS).items()}


class TestUpload:
    def test_its_bytes_and_steps_are_recorded(self, rig, recorder):
        add(rig)
        assert recorder.of(catalogue.RECEIVED_BYTES) == {("fv1",): SIZE}
        assert recorder.of(catalogue.ZERO_BYTES) == {}
        assert results(recorder) == {("upload", "success"): 1}
        assert steps(recorder, ("fv1", "upload")) == {
            "create": 1,
            "wait": 1,
            "attach": 1,
            "mount": 1,
            "transfer": 1,
            "sync": 1,
            "unmount": 1,
            "detach": 1,
            "seal": 1,
        }

    def test_the_wait_for_cinder_is_a_step_of_its_own(self, rig, recorder):
        add(rig)
        took = seconds(recorder, "upload")
        whole = recorder.of(catalogue.OPERATION_SECONDS)[("fv1", "upload")]
        # Only the wait for the volume takes time of the cloud's clock.
        assert took == {"wait": pytest.approx(whole)}
        assert whole > 0

    def test_zeros_that_are_not_written_are_counted(self, rig, recorder):
        add(rig, Sparse(SIZE, {0: b"head", 2 * MIB: b"tail"}))
        assert recorder.of(catalogue.RECEIVED_BYTES) == {("fv1",): SIZE}
        assert recorder.of(catalogue.ZERO_BYTES) == {("fv1",): SIZE - 2 * 4096}

    def test_an_unknown_size_extends_the_volume(self, cloud, recorder):
        gib = 1024**3
        rig = cloud.rig(ontap_store_thin_upload=True)
        add(rig, Sparse(gib + 1, {gib: b"!"}), size=0)
        assert steps(recorder, ("fv1", "upload"))["extend"] == 1

    def test_a_full_quota_is_the_reason_of_the_failure(self, cloud, recorder):
        rig = cloud.rig("fv3")
        with pytest.raises(exceptions.StorageFull):
            add(rig, Pattern(10), size=5 * 1024**3)
        assert results(recorder) == {("upload", "no_space"): 1}
        assert recorder.of(catalogue.OPERATION_SECONDS) == {}

    def test_a_client_that_goes_away_is_not_an_error_of_the_store(self, rig, recorder):
        reader = OnePass(Pattern(SIZE), breaks_at=MIB)
        with pytest.raises(OSError, match="client went away"):
            rig.store.add("image-1", reader, SIZE, "sha256")
        assert results(recorder) == {("upload", "other"): 1}
        assert recorder.of(catalogue.RUNNING) == {}

    def test_it_runs_while_it_reads(self, rig, recorder):
        seen = []

        class Reader(OnePass):
            def read(self, size):
                seen.append(dict(recorder.of(catalogue.RUNNING)))
                return super().read(size)

        rig.store.add("image-1", Reader(Pattern(SIZE)), SIZE, "sha256")
        assert seen[0] == {("fv1", "upload"): 1}
        assert recorder.of(catalogue.RUNNING) == {}


class TestDownload:
    def test_its_bytes_and_steps_are_recorded_when_it_ends(self, rig, recorder):
        location = add(rig)
        stream, _size = rig.store.get(location)
        assert recorder.of(catalogue.RUNNING) == {("fv1", "download"): 1}
        assert ("download", "success") not in results(recorder)
        assert len(b"".join(stream)) == SIZE
        assert results(recorder)[("download", "success")] == 1
        assert recorder.of(catalogue.SENT_BYTES) == {("fv1", "image"): SIZE}
        assert recorder.of(catalogue.READS) == {("fv1", "attached"): 1}
        assert recorder.of(catalogue.RUNNING) == {}
        assert recorder.of(catalogue.MOUNT_USERS) == {}
        assert steps(recorder, ("fv1", "download")) == {
            "attach": 1,
            "mount": 1,
            "transfer": 1,
            "unmount": 1,
            "detach": 1,
        }

    def test_a_range_is_counted_apart(self, rig, recorder):
        stream, _size = rig.store.get(add(rig), 5, 100)
        assert len(b"".join(stream)) == 100
        assert recorder.of(catalogue.SENT_BYTES) == {("fv1", "range"): 100}

    def test_holes_that_are_not_read_are_counted(self, rig, recorder):
        location = add(rig, Sparse(SIZE, {0: b"head"}))
        assert len(b"".join(rig.store.get(location)[0])) == SIZE
        assert recorder.of(catalogue.HOLE_BYTES) == {("fv1",): SIZE - MIB}

    def test_a_reader_that_gives_up_abandons_it(self, rig, recorder):
        stream, _size = rig.store.get(add(rig))
        next(stream)
        stream.close()
        assert results(recorder)[("download", "abandoned")] == 1
        assert recorder.of(catalogue.SENT_BYTES) == {("fv1", "image"): MIB}

    def test_a_reader_that_closes_after_the_last_byte_has_all(self, rig, recorder):
        stream, _size = rig.store.get(add(rig, Pattern(100)))
        next(stream)
        stream.close()
        assert results(recorder)[("download", "success")] == 1

    def test_a_file_that_was_cut_is_the_reason(self, rig, recorder):
        location = add(rig)
        stream, _size = rig.store.get(location)
        volume_id = location.store_location.location.volume_id
        with open(rig.file_of(volume_id), "r+b") as file:
            file.truncate(MIB)
        with pytest.raises(exceptions.BackendException):
            b"".join(stream)
        assert results(recorder)[("download", "short_read")] == 1

    def test_an_image_without_bytes_is_a_download_too(self, rig, recorder):
        location = add(rig, Pattern(0))
        assert b"".join(rig.store.get(location)[0]) == b""
        assert results(recorder) == {
            ("upload", "success"): 1,
            ("download", "success"): 1,
        }

    def test_a_second_reader_of_the_process_shares_the_attachment(self, rig, recorder):
        location = add(rig)
        first, _size = rig.store.get(location)
        second, _size = rig.store.get(location)
        assert b"".join(first) == b"".join(second)
        assert recorder.of(catalogue.READS) == {
            ("fv1", "attached"): 1,
            ("fv1", "shared"): 1,
        }
        assert results(recorder)[("download", "success")] == 2

    def test_a_reader_of_a_busy_volume_reads_a_clone(self, cloud, rig, recorder):
        location = add(rig)
        volume_id = location.store_location.location.volume_id
        reading, _size = cloud.another_process().lifecycle().read(volume_id, 0, None)
        assert len(b"".join(rig.store.get(location)[0])) == SIZE
        reading.close()
        assert recorder.of(catalogue.READS) == {("fv1", "clone"): 1}
        taken = steps(recorder, ("fv1", "download"))
        assert (taken["create"], taken["delete"]) == (1, 1)


class TestOthers:
    def test_a_deletion_has_one_step(self, rig, recorder):
        rig.store.delete(add(rig))
        assert results(recorder)[("delete", "success")] == 1
        assert steps(recorder, ("fv1", "delete")) == {"delete": 1}

    def test_a_deletion_that_is_refused_has_a_reason(self, rig, recorder):
        location = add(rig)
        volume_id = location.store_location.location.volume_id
        with rig.with_snapshot(volume_id), pytest.raises(exceptions.HasSnapshot):
            rig.store.delete(location)
        assert results(recorder)[("delete", "image_volume_has_snapshot")] == 1

    def test_the_size_of_a_missing_image_is_a_failed_description(self, rig, recorder):
        location = add(rig)
        rig.store.get_size(location, context=Context(is_admin=True))
        rig.remove_volume(location.store_location.location.volume_id)
        with pytest.raises(exceptions.NotFound):
            rig.store.get_size(location, context=Context(is_admin=True))
        assert results(recorder)[("describe", "success")] == 1
        assert results(recorder)[("describe", "image_volume_gone")] == 1

    def test_mounts_are_counted_by_result(self, cloud, rig, recorder):
        location = add(rig)
        cloud.mounter.refuses = True
        with pytest.raises(exceptions.BackendException):
            rig.store.get(location)
        assert recorder.of(catalogue.MOUNTS) == {("success",): 1, ("broken",): 1}
        assert recorder.of(catalogue.UNMOUNTS) == {("success",): 1}


def failure(request):
    found = errors.CinderUnreachable("no answer")
    found.transient, found.request = Transient(Doubt.UNSENT), request
    return found


class TestOutages:
    def test_a_failure_that_passes_is_survived(self, cloud, rig, recorder):
        cloud.volumes.fail("set_readonly", failure("set the read-only flag of volume"))
        add(rig)
        assert recorder.of(catalogue.OUTAGES) == {("survived",): 1}
        assert recorder.of(catalogue.OUTAGE_SECONDS)[()] > 0
        assert recorder.of(catalogue.RETRIES) == {
            ("set the read-only flag of volume",): 1
        }
        assert results(recorder) == {("upload", "success"): 1}

    def test_a_failure_that_stays_is_not(self, cloud, rig, recorder):
        cloud.volumes.fail(
            "set_metadata", failure("set the metadata of volume"), for_good=True
        )
        with pytest.raises(exceptions.BackendException):
            add(rig)
        assert recorder.of(catalogue.OUTAGES)[("failed",)] == 1
        assert results(recorder) == {("upload", "cinder_unreachable"): 1}

    def test_a_poll_without_an_answer_is_asked_again(self, cloud, rig, recorder):
        cloud.volumes.fail("get", failure("show volume"))
        add(rig)
        assert recorder.of(catalogue.RETRIES) == {("show volume",): 1}


class TestRecovery:
    def test_what_a_dead_process_left_is_counted_by_kind(self, cloud, rig, recorder):
        volume_id = add(rig).store_location.location.volume_id
        dead = cloud.another_process()
        handle = dead.journal().attaching(volume_id)
        handle.complete(dead.cinder.reserve(volume_id, "ro"))
        dead.journal().creating("image-x", "write-7")
        dead.processes.close()
        cloud.recovery().release_dead()
        assert recorder.of(catalogue.RECOVERED) == {("attachment",): 1}
        assert recorder.of(catalogue.RECOVERY_FAILURES) == {}

    def test_a_failure_of_recovery_is_counted(self, cloud, rig, recorder):
        volume_id = add(rig).store_location.location.volume_id
        dead = cloud.another_process()
        handle = dead.journal().attaching(volume_id)
        handle.complete(dead.cinder.reserve(volume_id, "ro"))
        dead.processes.close()
        cloud.volumes.fail("detach", errors.Refused("no"))
        cloud.recovery().release_dead()
        assert recorder.of(catalogue.RECOVERY_FAILURES) == {(): 1}
        assert recorder.of(catalogue.RECOVERED) == {}


class TestRequests:
    def test_a_request_is_recorded_by_its_name(self, recorder, requests_mock):
        http = Http(requests_mock)
        http.answer("GET", "/volumes/v-1", json={"volume": builders.VOLUME})
        http.answer("GET", "/volumes/v-2", status_code=404, json=NOT_FOUND)
        service = builders.make_client()
        service.get("v-1")
        with pytest.raises(errors.ImageVolumeGone) as caught:
            service.get("v-2")
        assert caught.value.request == "show volume"
        assert recorder.of(catalogue.REQUESTS) == {
            ("show volume", "success"): 1,
            ("show volume", "image_volume_gone"): 1,
        }
        assert recorder.times(catalogue.REQUEST_SECONDS) == {("show volume",): 2}

    def test_names_of_requests_are_written_down_in_the_client(self):
        """So no id can get into a label."""
        tree = ast.parse(inspect.getsource(client))
        functions = [
            node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        ]
        names = [name for function in functions for name in named_in(function)]
        assert len(names) > 20
        assert all(isinstance(name, ast.Constant) for name in names)


def named_in(function):
    """The expressions that name the requests of a function of the client."""
    variables = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=True)
            for variable, value in pairs:
                if isinstance(variable, ast.Name):
                    variables[variable.id] = value
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._request":
            name = node.args[0]
            yield variables[name.id] if isinstance(name, ast.Name) else name


NOT_FOUND = {"itemNotFound": {"code": 404, "message": "Volume v-2 could not be found."}}


def test_labels_have_known_values_and_no_ids(cloud, rig, recorder):
    """After all kinds of operations, labels are those of the catalogue."""
    location = add(rig, Sparse(SIZE, {0: b"head"}))
    volume_id = location.store_location.location.volume_id
    reading, _size = cloud.another_process().lifecycle().read(volume_id, 0, None)
    b"".join(rig.store.get(location, 0, 10)[0])
    reading.close()
    cloud.volumes.fail("delete", failure("delete volume"))
    rig.store.delete(location)
    with pytest.raises(exceptions.NotFound):
        rig.store.get(location)
    found = recorder.labels()
    assert found["store"] == {"fv1"}
    assert found["request"] == {"delete volume"}
    assert found["result"] <= results_of_errors()
    for name, values in catalogue.VALUES.items():
        if values is not None:
            assert found.get(name, set()) <= set(values)


def results_of_errors():
    """The results of every class of errors."""

    def below(cls):
        for subclass in cls.__subclasses__():
            yield subclass
            yield from below(subclass)

    classes = [errors.StoreError, *below(errors.StoreError)]
    return {"success", *(recording.result_of(cls.__new__(cls)) for cls in classes)}
