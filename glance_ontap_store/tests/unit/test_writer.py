# SPDX-License-Identifier: Apache-2.0
"""The marks of a writer tell one process from every other one."""

import datetime
import os
import socket
import subprocess
import sys

from glance_ontap_store.images import writer
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark

MARK = Mark(
    "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11", "5f8b3e1c-7c0b-4d26-8f6f-6d6f6f0b1a22"
)
PRINT = "from glance_ontap_store.images import writer; print(writer.this_process())"


def test_a_record_names_its_writer_and_when_it_began():
    record = writer.new_record(State.FILLING, "fv1", MARK)
    assert (record.state, record.store) == (State.FILLING, "fv1")
    assert record.writer == socket.gethostname()
    assert record.process == writer.this_process()
    assert Mark.parse(record.lock) == MARK
    started = datetime.datetime.strptime(record.started, "%Y-%m-%dT%H:%M:%SZ")
    assert started.year >= 2026
    assert Record.parse(record.to_metadata()) == record


def test_two_attempts_differ():
    first, second = (writer.new_record(State.READING, None, MARK) for _ in range(2))
    assert first.write_id != second.write_id
    assert first.process == second.process


def test_the_parts_are_those_of_this_process():
    boot, namespace, pid, start = writer.this_process().split(":")
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert boot == file.read().strip()
    assert namespace == os.readlink("/proc/self/ns/pid")[5:-1]
    assert int(pid) == os.getpid()
    assert int(start) > 0


def test_another_process_of_this_host_has_another_id_and_start():
    other = subprocess.check_output([sys.executable, "-c", PRINT], text=True).strip()
    mine = writer.this_process().split(":")
    theirs = other.split(":")
    assert theirs[:2] == mine[:2]
    assert theirs[2] != mine[2]


def test_a_forked_child_is_another_process():
    mine = writer.this_process()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # the child tells, and ends without pytest's clean-up
        os.write(write, writer.this_process().encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as file:
        told = file.read()
    assert told.split(":")[2] == str(child)
    assert told != mine
