# SPDX-License-Identifier: Apache-2.0
"""A process that is told to stop ends its transfers first."""

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import types

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.stopping import hook
from glance_ontap_store.stopping.transfers import Transfers
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern

SIZE = 5_000_000


class TestTransfers:
    def test_each_is_interrupted_once(self):
        transfers, calls = Transfers(), []
        with transfers.begun() as one, transfers.begun() as other:
            one.on_stop(lambda: calls.append("one"))
            other.on_stop(lambda: calls.append("other"))
            transfers.stop(0)
            transfers.stop(0)
        assert sorted(calls) == ["one", "other"]

    def test_one_that_has_ended_is_not_interrupted(self):
        transfers, calls = Transfers(), []
        with transfers.begun() as one:
            one.on_stop(lambda: calls.append("one"))
        with transfers.begun():
            pass
        assert transfers.stop(0) == 0
        assert not calls

    def test_one_that_begins_is_interrupted_at_once(self):
        """The process was told to stop while the volume was being attached."""
        transfers, calls = Transfers(), []
        with transfers.begun() as one:
            transfers.stop(0)
            one.on_stop(lambda: calls.append("one"))
        assert calls == ["one"]

    def test_what_is_kept_is_released(self):
        transfers, release = Transfers(), threading.Event()

        def end():
            release.wait()
            transfers.let_go(release)

        with transfers.begun():
            transfers.keep(release)
        thread = threading.Thread(target=end)
        thread.start()
        assert transfers.stop(60) == 0
        thread.join()

    def test_what_is_kept_too_late_is_released_at_once(self):
        transfers, release = Transfers(), threading.Event()
        with transfers.begun():
            transfers.stop(0)
            transfers.keep(release)
        assert release.is_set()

    def test_what_is_kept_for_too_long_is_left(self, caplog):
        transfers = Transfers()
        with transfers.begun():
            transfers.keep(threading.Event())
        transfers.stop(0.1)
        assert "1 transfers or attachments have not ended" in caplog.text

    def test_no_new_one_begins(self):
        transfers = Transfers()
        with transfers.begun():
            transfers.stop(0)
        with pytest.raises(errors.Stopping), transfers.begun():
            raise AssertionError("it began")

    def test_the_end_is_waited_for(self):
        transfers, goes_on = Transfers(), threading.Event()
        stack = contextlib.ExitStack()
        stack.enter_context(transfers.begun()).on_stop(goes_on.set)
        ended = []

        def end():
            goes_on.wait()
            ended.append(True)
            stack.close()

        thread = threading.Thread(target=end)
        thread.start()
        assert transfers.stop(60) == 1
        assert ended
        thread.join()

    def test_one_that_does_not_end_is_left(self, caplog):
        transfers = Transfers()
        with transfers.begun():
            assert transfers.stop(0.1) == 1
        assert "have not ended in 0.1 s" in caplog.text

    def test_the_hook_is_set_once_in_each_process(self):
        processes = []
        transfers = Transfers(lambda _transfers: processes.append(os.getpid()))
        with transfers.begun(), transfers.begun():
            pass
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            with transfers.begun():
                os.write(writer, str(len(processes)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert processes == [os.getpid()]
        assert os.read(reader, 10) == b"2"
        os.close(reader)
        os.close(writer)

    def test_nothing_is_ended_in_a_process_without_transfers(self):
        transfers = Transfers()
        assert transfers.stop(0) == 0
        assert not transfers.are_stopped


class Stream:
    """A client's stream of `SIZE` bytes; *then* is called in the middle of it."""

    def __init__(self, then, ends=False):
        self._stream = OnePass(Pattern(SIZE))
        self._count = 0
        self._then = then
        self._ends = ends

    def read(self, size):
        data = self._stream.read(size)
        self._count += len(data)
        if self._then and self._count > SIZE // 2:
            then, self._then = self._then, None
            then()
            if self._ends:
                raise OSError("error during read(262144) on wsgi.input")
        return data


class TestUploads:
    @pytest.mark.parametrize("size", [SIZE, 0])
    @pytest.mark.parametrize("ends", [False, True])
    def test_an_upload_fails_and_leaves_nothing(self, cloud, size, ends):
        transfers = Transfers()
        stream = Stream(lambda: transfers.stop(0), ends)
        lifecycle = cloud.lifecycle(running=transfers)
        with pytest.raises(errors.Stopping, match="repeat it"):
            lifecycle.store(upload(announced=size, reader=stream))
        cloud.clock.sleep(60)
        assert not cloud.holdings()

    def test_a_cut_connection_is_not_the_end_of_an_image(self, cloud):
        """An upload of unknown size: its stream just ends."""
        transfers = Transfers()

        class Cut(Stream):
            def read(self, size):
                data = super().read(size)
                return b"" if transfers.are_stopped else data

        stream = Cut(lambda: transfers.stop(0))
        with pytest.raises(errors.Stopping):
            cloud.lifecycle(running=transfers).store(upload(reader=stream))
        cloud.clock.sleep(60)
        assert not cloud.holdings()


class TestDownloads:
    @pytest.fixture
    def stored(self, cloud):
        return cloud.lifecycle().store(upload(3_000_000))

    def test_a_download_ends_and_releases_all(self, cloud, stored):
        before = cloud.holdings()
        transfers = Transfers()
        lifecycle = cloud.lifecycle(running=transfers)
        streams = [lifecycle.read(stored.volume_id, 0, None)[0] for _ in range(3)]
        for stream in streams:
            next(stream)
        assert transfers.stop(60) == 3
        assert cloud.holdings() == before
        for stream in streams:
            with pytest.raises(exceptions.BackendException, match="is stopping"):
                next(stream)

    def test_a_stream_that_its_reader_dropped_is_released(self, cloud, stored):
        """The table of transfers does not keep it."""
        before = cloud.holdings()
        transfers = Transfers()
        stream, _size = cloud.lifecycle(running=transfers).read(
            stored.volume_id, 0, None
        )
        next(stream)
        del stream
        gc.collect()
        transfers.stop(60)
        assert cloud.holdings() == before


class TestThreads:
    @pytest.mark.parametrize(
        ("options", "is_so"), [({"enable-threads": True}, True), ({}, False)]
    )
    def test_a_server_may_let_them_stand_still(self, monkeypatch, options, is_so):
        uwsgi = types.SimpleNamespace(opt=options)
        monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
        assert hook.threads_run() == is_so

    def test_other_programs_let_them_run(self):
        assert hook.threads_run()


class TestCut:
    def test_a_read_that_waits_for_the_client_ends(self):
        ours, client = socket.socketpair()
        with ours, client:
            got = []
            thread = threading.Thread(target=lambda: got.append(ours.recv(10)))
            thread.start()
            hook.cut(ours.fileno())
            thread.join()
            assert got == [b""]

    def test_a_connection_that_is_closed_is_no_error(self):
        ours, client = socket.socketpair()
        with client:
            number = ours.fileno()
            ours.close()
            hook.cut(number)

    def test_outside_of_uwsgi_there_is_none(self):
        assert hook.connection_of_request() is None


# A worker of uWSGI: signals end it by a handler that Python does not know.
_WORKER = """
import os, sys, threading, types

def connection_fd():
    raise SystemError("you can call uwsgi api function only from the main callable")

sys.modules["uwsgi"] = types.SimpleNamespace(
    opt={options}, connection_fd=connection_fd
)
from glance_ontap_store.stopping import hook
from glance_ontap_store.stopping.transfers import Transfers

assert hook.connection_of_request() is None
transfers = Transfers(hook.install)
over = threading.Event()
def run():
    with transfers.begun() as transfer:
        transfer.on_stop(over.set)
        print("begun", flush=True)
        over.wait()
    print("ended", flush=True)
threading.Thread(target=run, daemon=True).start()
sys.stdin.read()
"""


class TestSignals:
    @staticmethod
    def told_to_stop(number, options):
        """What a worker prints after the signal, and how it ends."""
        with subprocess.Popen(
            [sys.executable, "-c", _WORKER.replace("{options}", repr(options))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout.readline() == "begun\n"
            os.kill(worker.pid, number)
            worker.wait()
            return worker.stdout.read(), worker.returncode

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("option", ["threads", "enable-threads"])
    def test_transfers_end_before_the_signal_has_its_effect(self, number, option):
        said, code = self.told_to_stop(number, {option: True})
        assert (said, code) == ("ended\n", -signal.SIGTERM)

    def test_without_threads_the_signal_has_its_effect_at_once(self):
        """Nothing would run beside requests and let the worker end."""
        said, code = self.told_to_stop(signal.SIGTERM, {"threads": None})
        assert (said, code) == ("", -signal.SIGTERM)

    def test_at_the_exit_of_the_interpreter_transfers_end(self):
        source = _WORKER.replace("{options}", "{}") + "\nover.wait(0)\n"
        done = subprocess.run(
            [sys.executable, "-c", source], input="", capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("begun\nended\n", "")
