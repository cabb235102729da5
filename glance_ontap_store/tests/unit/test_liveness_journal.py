# SPDX-License-Identifier: Apache-2.0
"""A journal tells what its process holds, also after its death."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from glance_ontap_store import errors
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.liveness.journal import Creating
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.processes import Processes

_KILLED = """
import os, signal, sys
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.processes import Processes
journal = Journal(Processes(sys.argv[1]), "fv1")
journal.attaching("v1")
journal.attaching("v2").complete("a2")
journal.creating("image-1", "w1")
journal.creating("image-2", "w2").complete("v3")
journal.attaching("v4").done()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "mnt")


@pytest.fixture
def journal(base):
    return Journal(Processes(base), "fv1")


def things(entries):
    return [entry.thing for entry in entries]


def mine(journal):
    return things(journal.of(journal.own().token))


class TestEntries:
    def test_an_attachment_from_before_the_request_to_the_release(self, journal):
        handle = journal.attaching("v1")
        assert mine(journal) == [Attaching("fv1", "v1", None)]
        handle.complete("a1")
        assert mine(journal) == [Attaching("fv1", "v1", "a1")]
        handle.done()
        handle.done()
        assert mine(journal) == []

    def test_a_volume_from_before_the_request_to_the_release(self, journal):
        handle = journal.creating("image-1", "w1")
        assert mine(journal) == [Creating("fv1", "image-1", "w1", None)]
        handle.complete("v1")
        assert mine(journal) == [Creating("fv1", "image-1", "w1", "v1")]
        handle.done()
        assert mine(journal) == []

    def test_a_second_reservation_does_not_hide_the_first(self, journal):
        handle = journal.attaching("v1")
        handle.complete("a1")
        handle.complete("a2")
        assert set(mine(journal)) == {
            Attaching("fv1", "v1", "a1"),
            Attaching("fv1", "v1", "a2"),
        }
        assert things(journal.left()) == [Attaching("fv1", "v1", "a1")]
        handle.done()
        assert mine(journal) == [Attaching("fv1", "v1", "a1")]

    def test_stores_of_one_process_have_entries_of_their_own(self, base):
        processes = Processes(base)
        first, second = Journal(processes, "fv1"), Journal(processes, None)
        first.attaching("v1")
        second.attaching("v2")
        assert mine(first) == [Attaching("fv1", "v1")]
        assert mine(second) == [Attaching(None, "v2")]
        assert len(first.all_of(first.own().token)) == 2

    def test_a_killed_process_leaves_what_it_held(self, base, journal):
        run = subprocess.run([sys.executable, "-c", _KILLED, base])
        assert run.returncode == -signal.SIGKILL
        (dead,) = journal.processes.dead()
        assert set(things(journal.of(dead))) == {
            Attaching("fv1", "v1", None),
            Attaching("fv1", "v2", "a2"),
            Creating("fv1", "image-1", "w1", None),
            Creating("fv1", "image-2", "w2", "v3"),
        }

    def test_a_process_without_a_directory_has_none(self, journal):
        assert journal.of("nobody") == []

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "Attaching", "x": 1}'])
    def test_a_file_that_is_torn_is_passed_over(self, base, journal, text):
        journal.attaching("v1")
        token = journal.own().token
        path = os.path.join(base, ".locks", "processes", token, "torn.json")
        with open(path, "w") as file:
            file.write(text)
        assert mine(journal) == [Attaching("fv1", "v1")]


class TestLeft:
    def test_what_could_not_be_released_is_listed(self, journal):
        handle = journal.attaching("v1")
        handle.complete("a1")
        assert journal.left() == []
        handle.leave()
        (entry,) = journal.left()
        assert entry.thing == Attaching("fv1", "v1", "a1")
        journal.remove(entry.token, entry.name)
        assert journal.left() == []
        assert mine(journal) == []

    def test_a_forked_child_does_not_release_what_its_parent_left(self, journal):
        journal.attaching("v1").leave()
        child = os.fork()
        if child == 0:
            os._exit(len(journal.left()))
        assert os.waitpid(child, 0)[1] == 0
        assert len(journal.left()) == 1


class TestFaults:
    def test_nothing_may_be_sent_if_it_cannot_be_written_down(self, base, journal):
        journal.own()
        shutil.rmtree(base)
        with open(base, "w"):
            pass
        with pytest.raises(errors.Misconfigured):
            journal.attaching("v1")
        with pytest.raises(errors.Misconfigured):
            journal.creating("image-1", "w1")

    def test_an_id_that_cannot_be_written_down_is_no_failure(self, base, journal):
        handle = journal.attaching("v1")
        shutil.rmtree(base)
        handle.complete("a1")
        handle.done()
