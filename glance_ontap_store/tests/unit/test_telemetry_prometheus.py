# SPDX-License-Identifier: Apache-2.0
"""Files of several processes that die, and the sums that the command shows of them."""

import contextlib
import gc
import os
import resource
import signal
import subprocess
import sys
import threading

import prometheus_client
from prometheus_client import parser
from prometheus_client import values
import pytest

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import exposition
from glance_ontap_store.telemetry import recording
from glance_ontap_store.telemetry.prometheus import MultiProcess
from glance_ontap_store.telemetry.slots import Slot
from glance_ontap_store.telemetry.starting import Switch

UPLOADED = ("fv1", "upload", "success")


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "metrics")


@pytest.fixture
def recorder(directory):
    made = MultiProcess(directory)
    yield made
    made.close()


def shown(directory):
    """All samples, as Prometheus parses them: (name, labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(exposition.text(directory))
        for sample in family.samples
    }


def uploads(directory):
    labels = (("operation", "upload"), ("result", "success"), ("store", "fv1"))
    return shown(directory).get((catalogue.OPERATIONS.name, labels), 0)


def running(directory):
    labels = (("operation", "upload"), ("store", "fv1"))
    return shown(directory).get((catalogue.RUNNING.name, labels), 0)


def processes(directory):
    return shown(directory)[(catalogue.PROCESSES.name, ())]


# Forks while another thread records. A child that hangs is killed.
_FORKS = f"""
import os, signal, sys, threading
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.prometheus import MultiProcess
recorder = MultiProcess(sys.argv[1])
stop = threading.Event()
def work():
    while not stop.is_set():
        recorder.record(catalogue.OPERATIONS, {UPLOADED!r}, 0)
thread = threading.Thread(target=work)
thread.start()
try:
    for _ in range(5):
        child = os.fork()
        if not child:
            signal.alarm(60)
            recorder.record(catalogue.OPERATIONS, {UPLOADED!r}, 1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("a child could not record")
finally:
    stop.set()
    thread.join()
"""


class Child:
    """A forked process that runs *work*, and then waits to be killed."""

    def __init__(self, work):
        ready, ready_in_child = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            # It never returns to the tests.
            try:
                work()
                os.write(ready_in_child, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(ready_in_child)
        self.is_ready = os.read(ready, 1) == b"1"
        os.close(ready)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def fork():
    children = []

    def fork(work):
        # A collection in the child would close what the parent's objects hold.
        gc.collect()
        child = Child(work)
        children.append(child)
        assert child.is_ready
        return child

    yield fork
    for child in children:
        with contextlib.suppress(ChildProcessError):
            child.kill()


class TestOneProcess:
    def test_a_counter_adds_up(self, recorder, directory):
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        recorder.record(catalogue.OPERATIONS, UPLOADED, 2)
        assert uploads(directory) == 3

    def test_a_histogram_has_its_buckets_sum_and_count(self, recorder, directory):
        for took in (0.07, 0.3, 4000):
            recorder.record(catalogue.REQUEST_SECONDS, ("show volume",), took)
        found = shown(directory)
        name, label = catalogue.REQUEST_SECONDS.name, ("request", "show volume")
        assert found[(f"{name}_count", (label,))] == 3
        assert found[(f"{name}_sum", (label,))] == pytest.approx(4000.37)
        counts = [
            found[(f"{name}_bucket", (("le", str(bound)), label))]
            for bound in catalogue.BUCKETS
        ]
        assert counts == [0, 1, 1, *[2] * 9]
        assert found[(f"{name}_bucket", (("le", "+Inf"), label))] == 3

    def test_a_metric_without_labels_is_recorded_too(self, recorder, directory):
        recorder.record(catalogue.OUTAGE_SECONDS, (), 2.5)
        assert shown(directory)[(catalogue.OUTAGE_SECONDS.name, ())] == 2.5

    def test_a_last_value_replaces_the_one_before(self, recorder, directory):
        recorder.record(catalogue.COMMAND_EXIT_CODE, ("audit",), 1)
        recorder.record(catalogue.COMMAND_EXIT_CODE, ("audit",), 0)
        key = (catalogue.COMMAND_EXIT_CODE.name, (("command", "audit"),))
        assert shown(directory)[key] == 0

    def test_threads_lose_no_count(self, recorder, directory):
        def work():
            for _ in range(500):
                recorder.record(catalogue.OPERATIONS, UPLOADED, 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert uploads(directory) == 2000

    def test_every_metric_can_be_recorded_and_is_shown(self, recorder, directory):
        for metric in catalogue.METRICS:
            if metric is not catalogue.PROCESSES:
                recorder.record(metric, tuple("x" for _ in metric.labels), 1)
        text = exposition.text(directory)
        for metric in catalogue.METRICS:
            kind = metric.kind.value.split()[0]
            assert f"# TYPE {metric.name} {kind}\n" in text

    def test_another_user_of_the_library_keeps_its_ways(self, recorder, directory):
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        assert values.ValueClass is values.MutexValue
        assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
        theirs = prometheus_client.Counter("theirs", "Not ours", registry=None)
        theirs.inc()
        assert "theirs" not in exposition.text(directory)

    def test_a_directory_without_files_has_no_processes(self, directory):
        assert processes(directory) == 0


class TestProcesses:
    def test_their_counts_add_up(self, recorder, directory, fork):
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        for count in (2, 4):
            fork(lambda n=count: recorder.record(catalogue.OPERATIONS, UPLOADED, n))
        assert uploads(directory) == 7
        assert processes(directory) == 3

    def test_what_a_killed_process_counted_stays(self, recorder, directory, fork):
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        child = fork(lambda: recorder.record(catalogue.OPERATIONS, UPLOADED, 2))
        child.kill()
        assert uploads(directory) == 3
        assert processes(directory) == 1

    def test_what_a_killed_process_had_running_does_not(
        self, recorder, directory, fork
    ):
        recorder.record(catalogue.RUNNING, ("fv1", "upload"), 1)
        child = fork(lambda: recorder.record(catalogue.RUNNING, ("fv1", "upload"), 3))
        assert running(directory) == 4
        child.kill()
        assert running(directory) == 1

    def test_the_next_process_counts_on_in_the_files_of_a_dead_one(
        self, directory, fork
    ):
        def work():
            recorder = MultiProcess(directory)
            recorder.record(catalogue.OPERATIONS, UPLOADED, 2)
            recorder.record(catalogue.RUNNING, ("fv1", "upload"), 1)

        for _ in range(3):
            fork(work).kill()
        assert len([name for name in os.listdir(directory) if "counter" in name]) == 1
        assert uploads(directory) == 6
        assert running(directory) == 0
        fork(work)
        assert (uploads(directory), running(directory)) == (8, 1)

    def test_a_fork_does_not_touch_the_files_of_its_parent(
        self, recorder, directory, fork
    ):
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        child = fork(lambda: None)
        assert processes(directory) == 1
        child.kill()
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        assert (uploads(directory), processes(directory)) == (2, 1)

    def test_a_fork_while_another_thread_records_can_record(self, directory):
        # Without coverage, whose lock another thread may hold when a child is forked.
        subprocess.run([sys.executable, "-c", _FORKS, directory], check=True)
        assert uploads(directory) == 5

    def test_files_of_a_release_with_other_metrics_are_begun_anew(
        self, directory, fork
    ):
        fork(
            lambda: MultiProcess(directory).record(catalogue.OPERATIONS, UPLOADED, 5)
        ).kill()
        (lock,) = (name for name in os.listdir(directory) if name.startswith("slot-"))
        with open(os.path.join(directory, lock), "w") as file:
            file.write("another release")
        assert uploads(directory) == 0
        fork(lambda: MultiProcess(directory).record(catalogue.OPERATIONS, UPLOADED, 1))
        assert uploads(directory) == 1


class TestTrouble:
    def damaged(self, directory, fork):
        fork(
            lambda: MultiProcess(directory).record(catalogue.OPERATIONS, UPLOADED, 5)
        ).kill()
        path = os.path.join(directory, "counter_0.db")
        with open(path, "r+b") as file:
            file.seek(8)
            file.write(b"\xff\xff\xff\x7f")
        return path

    def test_a_damaged_file_is_left_out_and_named(self, directory, fork, caplog):
        path = self.damaged(directory, fork)
        assert uploads(directory) == 0
        assert path in caplog.text

    def test_the_next_process_begins_a_damaged_file_anew(
        self, recorder, directory, fork
    ):
        self.damaged(directory, fork)
        recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        assert uploads(directory) == 1

    def test_a_full_file_system_ends_the_metrics_and_nothing_else(
        self, directory, fork
    ):
        """Through memory that has no room on the disk, a write would be SIGBUS."""

        def work():
            # What posix_fallocate and ftruncate may make a file.
            limit = 2 * 64 * 1024
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            recording.use(MultiProcess(directory))
            for number in range(1000):
                request = f"request {number}"
                recording.record(catalogue.REQUEST_SECONDS, request, value=1.0)
            assert not recording.is_on()

        fork(work)
        name = catalogue.REQUEST_SECONDS.name
        assert any(key[0] == f"{name}_count" for key in shown(directory))

    def test_room_is_there_before_it_is_used(self, recorder, directory):
        for number in range(200):
            labels = (f"request {number}",)
            recorder.record(catalogue.REQUEST_SECONDS, labels, 1.0)
        for name in os.listdir(directory):
            found = os.stat(os.path.join(directory, name))
            if name.endswith(".db"):
                assert found.st_blocks * 512 >= found.st_size > 0

    def test_a_directory_in_which_everybody_may_write_is_refused(
        self, recorder, directory
    ):
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        with pytest.raises(PermissionError, match="every user"):
            recorder.record(catalogue.OPERATIONS, UPLOADED, 1)

    def test_a_link_in_place_of_a_lock_is_refused(self, recorder, directory, tmp_path):
        os.mkdir(directory)
        os.symlink(tmp_path / "elsewhere", os.path.join(directory, "slot-0"))
        with pytest.raises(OSError, match="symbolic links"):
            recorder.record(catalogue.OPERATIONS, UPLOADED, 1)
        assert not (tmp_path / "elsewhere").exists()

    def test_more_processes_than_slots_are_an_error(self, directory):
        first = Slot(directory, most=1)
        with pytest.raises(PermissionError, match="can be locked"):
            Slot(directory, most=1)
        first.close()
        Slot(directory, most=1).close()


class TestStart:
    @pytest.fixture(autouse=True)
    def _off(self):
        yield
        recording.use(None)

    def test_without_the_option_nothing_is_recorded(self):
        Switch().start(None)
        assert not recording.is_on()

    def test_with_it_the_first_value_makes_the_files(self, directory):
        Switch().start(directory)
        assert recording.is_on()
        assert not os.path.exists(directory)
        recording.record(catalogue.OUTAGE_SECONDS, value=2)
        assert shown(directory)[(catalogue.OUTAGE_SECONDS.name, ())] == 2

    def test_a_second_directory_is_ignored_with_a_warning(self, directory, caplog):
        switch = Switch()
        switch.start(directory)
        switch.start(directory)
        assert not caplog.records
        switch.start("/elsewhere")
        (warning,) = caplog.messages
        assert "/elsewhere" in warning
        assert directory in warning

    def test_a_missing_library_is_one_warning(self, directory, caplog):
        def load():
            raise ImportError("No module named 'prometheus_client'")

        switch = Switch(load)
        switch.start(directory)
        switch.start(directory)
        (warning,) = caplog.messages
        assert "No module named 'prometheus_client'" in warning
        assert "glance_ontap_store[metrics]" in warning
        assert not recording.is_on()
