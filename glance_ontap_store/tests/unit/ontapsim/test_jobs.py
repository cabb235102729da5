# SPDX-License-Identifier: Apache-2.0
"""Jobs: each state is reached by a step of the test, never by waiting a while."""

import errno
import threading

import pytest

from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import Cancelled
from lab.ontapsim.jobs import JobTable
from lab.ontapsim.jobs import Strike

LONG_S = 60
HOLD = Strike(0, lambda control: control.hold(threading.Event()))


@pytest.fixture
def jobs():
    table = JobTable()
    yield table
    table.close()


def test_a_job_is_running_until_its_work_is_done(jobs):
    started, finish = threading.Event(), threading.Event()

    def work(control):
        control.report("half way")
        started.set()
        finish.wait(LONG_S)

    job = jobs.start("POST /api/x", "svm1", work)
    assert started.wait(LONG_S)
    seen = jobs.get(job.uuid)
    assert (seen.state, seen.message, seen.end_time) == ("running", "half way", None)
    finish.set()
    done = jobs.wait(job.uuid, LONG_S)
    assert (done.state, done.code) == ("success", 0)
    assert done.end_time is not None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OntapError(404, 4, "entry doesn't exist"), 4),
        (OSError(errno.ENOSPC, "full"), 6684700),
        (OSError(errno.ENOENT, "gone"), 6684674),
        (ZeroDivisionError("bug"), 262250),
    ],
)
def test_an_error_of_the_work_is_the_failure(jobs, error, code):
    def work(control):
        raise error

    done = jobs.wait(jobs.start("x", None, work).uuid, LONG_S)
    assert (done.state, done.code) == ("failure", code)
    assert done.message


def test_a_held_job_does_nothing_until_it_is_cancelled(jobs):
    touched = []
    job = jobs.start("x", None, touched.append, HOLD)
    assert jobs.get(job.uuid).state == "running"
    jobs.cancel(job.uuid)
    done = jobs.wait(job.uuid, LONG_S)
    assert done.state == "failure"
    assert not touched


def test_work_sees_that_it_is_cancelled(jobs):
    def work(control):
        control.stop.wait(LONG_S)
        raise Cancelled

    job = jobs.start("x", None, work)
    jobs.cancel(job.uuid)
    assert jobs.wait(job.uuid, LONG_S).message == "The job was cancelled."


def test_cancelling_an_ended_job_changes_nothing(jobs):
    job = jobs.start("x", None, lambda control: None)
    done = jobs.wait(job.uuid, LONG_S)
    jobs.cancel(job.uuid)
    assert jobs.get(job.uuid) == done


def test_an_unknown_job_is_no_entry(jobs):
    with pytest.raises(OntapError, match="entry doesn't exist") as caught:
        jobs.get("11111111-0000-4000-8000-000000000001")
    assert (caught.value.status, caught.value.code) == (404, "4")


def test_closing_ends_running_jobs_and_accepts_no_more(jobs):
    job = jobs.start("x", None, lambda control: None, HOLD)
    jobs.close()
    assert jobs.get(job.uuid).state == "failure"
    with pytest.raises(OntapError):
        jobs.start("x", None, lambda control: None)


def test_a_fault_strikes_when_a_job_has_copied_so_many_bytes(jobs):
    copied = []

    def fail(control):
        raise OntapError(500, 6684700, "No space left on device: b")

    def work(control):
        for each in (0, 4, 8, 12):
            control.passed(each)
            copied.append(each)

    done = jobs.wait(jobs.start("x", None, work, Strike(8, fail)).uuid, LONG_S)
    assert (done.state, done.code) == ("failure", 6684700)
    assert copied == [0, 4]


def test_an_ended_job_is_known_after_a_restart(tmp_path):
    table = JobTable(tmp_path / "jobs.json")
    job = table.start("POST /api/x", "svm1", lambda control: None)
    done = table.wait(job.uuid, LONG_S)
    table.close()
    again = JobTable(tmp_path / "jobs.json")
    assert again.get(job.uuid) == done
    assert again.cancel(job.uuid) == again.wait(job.uuid, 0) == done


def test_a_job_that_ran_when_the_simulator_died_has_failed(tmp_path):
    table = JobTable(tmp_path / "jobs.json")
    job = table.start("x", None, lambda control: None, HOLD)
    again = JobTable(tmp_path / "jobs.json")
    table.close()
    found = again.get(job.uuid)
    assert (found.state, found.message) == (
        "failure",
        "The job was interrupted by a restart.",
    )
    assert found.end_time is not None
