# SPDX-License-Identifier: Apache-2.0
"""Questions to a server that does not answer."""

import errno
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.answering import Answering

POINT = "/mnt/0123"


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
    assert Answering().ask(POINT, lambda: 7) == 7


def test_an_error_is_raised():
    def fail():
        raise FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(FileNotFoundError, match="No such file"):
        Answering().ask(POINT, fail)


class TestSilence:
    def test_it_is_an_error_that_names_mount_and_remedy(self, silent, caplog):
        with pytest.raises(errors.Broken, match=f"{POINT} has not answered"):
            Answering(0.05).ask(POINT, silent.question)
        assert "umount -f -l" in caplog.text

    def test_other_mounts_are_asked(self, silent):
        answering = Answering(0.05)
        with pytest.raises(errors.Broken):
            answering.ask(POINT, silent.question)
        assert answering.ask("/mnt/4567", lambda: 7) == 7

    def test_it_is_not_asked_again_meanwhile(self, silent):
        """Each question would leave a thread that waits."""
        answering = Answering(0.05)
        for _time in range(3):
            with pytest.raises(errors.Broken, match="has not answered"):
                answering.ask(POINT, silent.question)
        assert silent.asked == 1

    def test_after_an_answer_it_is_asked_again(self, silent, caplog):
        answering, thrown = Answering(0.05), threading.Event()
        with pytest.raises(errors.Broken):
            answering.ask(POINT, silent.question, lambda _answer: thrown.set())
        silent.answers.set()
        thrown.wait()
        assert answering.ask(POINT, lambda: 7) == 7
        assert f"{POINT} answers again" in caplog.text

    def test_a_late_answer_is_thrown_away(self, silent):
        """A descriptor, say, that would stay open."""
        late, thrown = [], threading.Event()

        def throw(answer):
            late.append(answer)
            thrown.set()

        with pytest.raises(errors.Broken):
            Answering(0.05).ask(POINT, silent.question, throw)
        silent.answers.set()
        thrown.wait()
        assert late == ["answer"]
