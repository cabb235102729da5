# SPDX-License-Identifier: Apache-2.0
"""Questions to a server, or to an array, that does not answer."""

import errno
import subprocess
import sys
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.answering import Answering

POINT = "/mnt/0123"
REMEDY = "Look at the server."


def patient():
    return Answering(REMEDY, 60)


def impatient(most=None):
    return Answering(REMEDY, 0.05, most)


class Silent:
    """A server that answers when it is told to."""

    def __init__(self):
        self.answers = threading.Event()
        self.asked = 0

    def question(self):
        self.asked += 1
        self.answers.wait()
        return "answer"


@pytest.fixture
def silent():
    server = Silent()
    yield server
    server.answers.set()


def test_an_answer_is_returned():
    assert patient().ask(POINT, lambda: 7) == 7


def test_an_error_is_raised():
    def fail():
        raise FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(FileNotFoundError, match="No such file"):
        patient().ask(POINT, fail)


class TestSilence:
    def test_it_is_an_error_that_names_mount_and_remedy(self, silent, caplog):
        with pytest.raises(errors.Broken, match=f"{POINT} has not answered"):
            impatient().ask(POINT, silent.question)
        assert REMEDY in caplog.text

    def test_other_mounts_are_asked(self, silent):
        answering = impatient()
        with pytest.raises(errors.Broken):
            answering.ask(POINT, silent.question)
        assert answering.ask("/mnt/4567", lambda: 7) == 7

    def test_it_is_not_asked_again_meanwhile(self, silent):
        """Each question would leave a thread that waits."""
        answering = impatient()
        for _time in range(3):
            with pytest.raises(errors.Broken, match="has not answered"):
                answering.ask(POINT, silent.question)
        assert silent.asked == 1

    def test_after_an_answer_it_is_asked_again(self, silent, caplog):
        answering, thrown = impatient(), threading.Event()
        with pytest.raises(errors.Broken):
            answering.ask(POINT, silent.question, lambda _answer: thrown.set())
        silent.answers.set()
        thrown.wait()
        assert answering.ask(POINT, lambda: 7) == 7
        assert f"{POINT} answers again" in caplog.text

    def test_it_is_an_error_of_the_class_that_was_asked_for(self, silent):
        answering = impatient()
        for _time in range(2):
            with pytest.raises(errors.StillConnected, match="has not answered"):
                answering.ask(POINT, silent.question, silence=errors.StillConnected)

    def test_of_too_many_no_other_one_is_asked(self, silent):
        answering = impatient(most=2)
        for point in ("/mnt/1", "/mnt/2"):
            with pytest.raises(errors.Broken, match=f"{point} has not answered"):
                answering.ask(point, silent.question)
        with pytest.raises(errors.Broken, match="/mnt/3 is not asked, because 2 oth"):
            answering.ask("/mnt/3", silent.question)
        assert silent.asked == 2

    def test_a_late_answer_is_thrown_away(self, silent):
        """A descriptor, say, that would stay open."""
        late, thrown = [], threading.Event()

        def throw(answer):
            late.append(answer)
            thrown.set()

        with pytest.raises(errors.Broken):
            impatient().ask(POINT, silent.question, throw)
        silent.answers.set()
        thrown.wait()
        assert late == ["answer"]


_EVENTLET = """
import eventlet
eventlet.monkey_patch()
import sys, threading, time
from glance_ontap_store import errors
from glance_ontap_store.attach.answering import Answering
answers, worked = threading.Event(), []
def work():
    for _time in range(3):
        worked.append(1)
        time.sleep(0.01)
eventlet.spawn(work)
try:
    # As the client of oslo.privsep waits for its helper.
    Answering("", 0.2).ask("A LUN", answers.wait)
except errors.Broken:
    assert len(worked) == 3, "others did not run meanwhile"
    answers.set()
    sys.exit(0)
sys.exit("it did not end")
"""


def test_what_lets_other_green_threads_run_has_an_end_under_eventlet():
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _EVENTLET], check=True, timeout=60
    )
