# SPDX-License-Identifier: Apache-2.0
"""Locks tell live processes from dead ones; the processes here are real."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.liveness.processes import Processes

# Takes its mark, tells it, and lives until its standard input ends.
_LIVE = """
import sys
from glance_ontap_store.liveness.processes import Processes
print(Processes(sys.argv[1]).own(), flush=True)
sys.stdin.read()
"""
# The same, and leaves a child without Python behind that inherited nothing but
# standard streams.
_WITH_CHILD = """
import subprocess, sys
from glance_ontap_store.liveness.processes import Processes
processes = Processes(sys.argv[1])
mark = processes.own()
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, close_fds=False)
print(mark, child.pid, flush=True)
sys.stdin.read()
"""
# The same, with a child that was forked and does not use the store.
_FORKED = """
import os, sys, time
from glance_ontap_store.liveness.processes import Processes
processes = Processes(sys.argv[1])
mark = processes.own()
read, write = os.pipe()
child = os.fork()
if not child:
    os.write(write, b"x")
    time.sleep(600)
os.read(read, 1)
print(mark, child, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "mnt")


@contextlib.contextmanager
def started(program, base, *before):
    """Run *program*; yield what it tells in one line, and the process."""
    with subprocess.Popen(
        [*before, sys.executable, "-c", program, base],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process.stdout.readline().split(), process
        finally:
            process.kill()


def directory(base, token=""):
    return os.path.join(base, ".locks", "processes", token)


def files_of(base, token):
    return sorted(os.listdir(directory(base, token)))


class TestFate:
    def test_a_process_that_runs_is_alive(self, base):
        with started(_LIVE, base) as ((mark,), _process):
            processes = Processes(base)
            assert processes.fate(Mark.parse(mark)) is Fate.LIVE
            assert processes.dead() == []

    @pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, None])
    def test_a_process_that_ended_is_dead_however_it_ended(self, base, way):
        with started(_LIVE, base) as ((text,), process):
            process.send_signal(way) if way else process.stdin.close()
            process.wait()
        mark = Mark.parse(text)
        processes = Processes(base)
        assert processes.fate(mark) is Fate.DEAD
        assert processes.dead() == [mark.token]

    def test_one_that_is_stopped_is_alive(self, base):
        with started(_LIVE, base) as ((mark,), process):
            process.send_signal(signal.SIGSTOP)
            assert Processes(base).fate(Mark.parse(mark)) is Fate.LIVE

    def test_two_processes_at_once_are_told_apart(self, base):
        with started(_LIVE, base) as ((first,), process):
            with started(_LIVE, base) as ((second,), _other):
                assert Mark.parse(first).base_id == Mark.parse(second).base_id
                process.kill()
                process.wait()
                processes = Processes(base)
                assert processes.fate(Mark.parse(first)) is Fate.DEAD
                assert processes.fate(Mark.parse(second)) is Fate.LIVE
                assert processes.dead() == [Mark.parse(first).token]

    def test_of_a_process_whose_directory_is_gone_nothing_is_known(self, base):
        with started(_LIVE, base) as ((text,), _process):
            mark = Mark.parse(text)
            shutil.rmtree(directory(base, mark.token))
            assert Processes(base).fate(mark) is Fate.UNKNOWN
            assert Processes(base).dead() == []

    def test_of_a_process_in_the_copy_of_another_hosts_base_nothing_is_known(
        self, base
    ):
        mark, lock = self.ended(base)
        lock.write_text("another-host\nanother-boot\n")
        assert Processes(base).fate(mark) is Fate.UNKNOWN
        assert Processes(base).dead() == []

    def test_a_process_from_before_a_reboot_is_dead(self, base):
        mark, lock = self.ended(base)
        lock.write_text(f"{socket.gethostname()}\nan-earlier-boot\n")
        assert Processes(base).fate(mark) is Fate.DEAD
        assert Processes(base).dead() == [mark.token]

    def test_a_process_of_another_container_of_this_boot_is_dead(self, base):
        mark, lock = self.ended(base)
        boot = lock.read_text().splitlines()[1]
        lock.write_text(f"another-container\n{boot}\n")
        assert Processes(base).fate(mark) is Fate.DEAD

    @staticmethod
    def ended(base):
        """The mark of a process that has ended, and the file of its lock."""
        with started(_LIVE, base) as ((text,), _process):
            mark = Mark.parse(text)
        return mark, pathlib.Path(directory(base, mark.token), "lock")

    def test_a_process_of_another_base_is_elsewhere(self, base, tmp_path):
        other = str(tmp_path / "other")
        with started(_LIVE, base) as ((mark,), _process):
            assert Processes(other).fate(Mark.parse(mark)) is Fate.ELSEWHERE
            Processes(other).own()
            assert Processes(other).fate(Mark.parse(mark)) is Fate.ELSEWHERE

    def test_a_question_makes_no_file(self, base):
        processes = Processes(base)
        nobody = Mark(str(uuid.uuid4()), str(uuid.uuid4()))
        assert processes.fate(nobody) is Fate.ELSEWHERE
        assert processes.dead() == []
        assert processes.tokens() == []
        processes.forget_unfinished()
        assert not os.path.exists(base)

    def test_many_that_look_at_once_do_not_see_each_other(self, base):
        """Whoever looks takes the lock for a moment."""
        with started(_LIVE, base) as ((text,), process):
            process.kill()
            process.wait()
        seen = []

        def look():
            seen.extend(Processes(base).fate(Mark.parse(text)) for _time in range(200))

        threads = [threading.Thread(target=look) for _thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {Fate.DEAD}

    def test_a_process_in_a_pid_namespace_of_its_own_is_told_by_its_lock(self, base):
        namespace = ["unshare", "--pid", "--fork", "--kill-child"]
        if subprocess.run([*namespace, "true"], capture_output=True).returncode:
            pytest.skip("a PID namespace needs root, and a kernel that permits it")
        with started(_LIVE, base, *namespace) as ((text,), process):
            mark = Mark.parse(text)
            assert Processes(base).fate(mark) is Fate.LIVE
            process.kill()
            process.wait()
            # The kernel kills the processes of the namespace a moment later.
            assert process.stdout.read() == ""
            assert Processes(base).fate(mark) is Fate.DEAD


class TestOwn:
    def test_a_process_keeps_its_mark(self, base):
        processes = Processes(base)
        assert processes.own() == processes.own()
        assert processes.fate(processes.own()) is Fate.LIVE
        assert files_of(base, processes.own().token) == ["lock"]

    def test_processes_that_start_at_once_have_one_base(self, base):
        marks = []

        def take():
            marks.append(Processes(base).own())

        threads = [threading.Thread(target=take) for _thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({mark.base_id for mark in marks}) == 1
        assert len({mark.token for mark in marks}) == 8

    def test_a_process_whose_directory_was_removed_gets_another_mark(self, base):
        processes = Processes(base)
        before = processes.own()
        shutil.rmtree(directory(base))
        after = processes.own()
        assert after.base_id == before.base_id
        assert after.token != before.token
        assert processes.fate(after) is Fate.LIVE

    def test_a_base_whose_files_were_removed_is_another_one(self, base):
        processes = Processes(base)
        before = processes.own()
        shutil.rmtree(base)
        assert processes.own().base_id != before.base_id
        assert processes.fate(before) is Fate.ELSEWHERE

    def test_a_base_that_cannot_be_used_is_misconfigured(self, base):
        with open(base, "w"):
            pass
        with pytest.raises(errors.Misconfigured, match="ontap_mount_point_base"):
            Processes(base).own()

    def test_an_id_that_is_none_is_misconfigured(self, base):
        Processes(base).own()
        with open(os.path.join(base, ".locks", "id"), "w") as file:
            file.write("torn")
        with pytest.raises(errors.Misconfigured, match="does not hold a UUID"):
            Processes(base).own()

    def test_a_symbolic_link_is_not_followed(self, base, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        os.makedirs(os.path.join(base, ".locks"))
        os.symlink(elsewhere, os.path.join(base, ".locks", "processes"))
        with pytest.raises(errors.Misconfigured, match="symbolic link"):
            Processes(base).own()
        assert list(elsewhere.iterdir()) == []


class TestFork:
    def test_a_child_has_a_mark_of_its_own_and_leaves_its_parents_alone(self, base):
        processes = Processes(base)
        mine = processes.own()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, str(processes.own()).encode())
            os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read) as file:
            theirs = Mark.parse(file.read())
        assert theirs.base_id == mine.base_id
        assert theirs.token != mine.token
        assert processes.own() == mine
        assert processes.fate(mine) is Fate.LIVE
        assert processes.fate(theirs) is Fate.DEAD

    @pytest.mark.parametrize("program", [_WITH_CHILD, _FORKED])
    def test_a_child_does_not_keep_its_dead_parent_alive(self, base, program):
        with started(program, base) as ((mark, child), process):
            try:
                process.kill()
                process.wait()
                assert Processes(base).fate(Mark.parse(mark)) is Fate.DEAD
                os.kill(int(child), 0)
            finally:
                os.kill(int(child), signal.SIGKILL)

    def test_a_child_can_use_the_store_while_a_thread_of_its_parent_does(self, base):
        processes = Processes(base)
        with processes._lock:
            child = os.fork()
            if child == 0:
                processes.own()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0


class TestForget:
    def test_what_a_dead_process_left_is_removed(self, base):
        with started(_LIVE, base) as ((text,), process):
            process.kill()
            process.wait()
        mark = Mark.parse(text)
        processes = Processes(base)
        with open(os.path.join(directory(base, mark.token), "x.json"), "w"):
            pass
        assert processes.forget(mark.token)
        assert os.listdir(directory(base)) == []
        assert processes.fate(mark) is Fate.UNKNOWN
        assert processes.forget(mark.token)

    def test_a_live_process_keeps_its_files(self, base):
        with started(_LIVE, base) as ((text,), _process):
            mark = Mark.parse(text)
            assert not Processes(base).forget(mark.token)
            assert files_of(base, mark.token) == ["lock"]
            assert Processes(base).fate(mark) is Fate.LIVE

    @pytest.mark.parametrize("has_lock", [True, False])
    def test_a_process_that_died_at_its_start_is_forgotten(self, base, has_lock):
        processes = Processes(base)
        mine = processes.own()
        begun = directory(base, f"new-{uuid.uuid4()}")
        os.mkdir(begun)
        if has_lock:
            with open(os.path.join(begun, "lock"), "w"):
                pass
        assert processes.tokens() == [mine.token]
        processes.forget_unfinished()
        assert os.listdir(directory(base)) == [mine.token]

    def test_a_closed_process_counts_as_dead(self, base):
        processes = Processes(base)
        mine = processes.own()
        processes.close()
        assert processes.fate(mine) is Fate.DEAD
        assert processes.own() != mine


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_process_of_another_user_is_left_alone():
    """The command may run as root, and glance-api as another user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        base = os.path.join(directory, "mnt")
        processes = Processes(base)
        mark = processes.own()
        processes.close()
        for name in ("", ".locks", ".locks/processes", ".locks/id"):
            os.chmod(os.path.join(base, name), 0o777)
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            is_right = processes.fate(mark) is Fate.UNKNOWN and not processes.dead()
            os._exit(0 if is_right and not processes.forget(mark.token) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert processes.fate(mark) is Fate.DEAD
