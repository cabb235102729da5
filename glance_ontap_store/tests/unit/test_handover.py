# SPDX-License-Identifier: Apache-2.0
"""A descriptor goes from one process to another, and to no third one."""

import os
import socket
import subprocess
import sys

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import handover

ME = os.geteuid()
OTHER = ME + 1


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def file(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"content")
    yield fd
    os.close(fd)


def connected(inbox):
    client = socket.socket(socket.AF_UNIX)
    client.connect(f"\0{inbox.address}")
    return client


def test_the_very_file_arrives(file):
    with handover.inbox() as inbox:
        handover.send(file, inbox.address, ME)
        arrived = inbox.take(ME)
    try:
        assert os.path.sameopenfile(arrived, file)
        assert os.pread(arrived, 100, 0) == b"content"
        assert not os.get_inheritable(arrived)
    finally:
        os.close(arrived)


def test_it_arrives_when_its_sender_has_died(file):
    with handover.inbox() as inbox:
        source = (
            "from glance_ontap_store.attach import handover; import os\n"
            f"handover.send({file}, {inbox.address!r}, {ME})\n"
            "os._exit(1)"
        )
        subprocess.run([sys.executable, "-c", source], pass_fds=[file])
        arrived = inbox.take(ME)
    assert os.path.sameopenfile(arrived, file)
    os.close(arrived)


def test_nothing_is_left_when_nobody_takes_it(file):
    before = descriptors()
    with handover.inbox() as inbox:
        handover.send(file, inbox.address, ME)
    assert descriptors() == before
    with open("/proc/net/unix") as table:
        assert inbox.address not in table.read()


def test_every_inbox_has_another_address():
    with handover.inbox() as one, handover.inbox() as other:
        assert one.address != other.address


def test_an_empty_inbox_is_an_error_at_once():
    with handover.inbox() as inbox:
        with pytest.raises(errors.Broken, match="did not arrive"):
            inbox.take(ME)


def test_what_another_user_sent_is_not_taken(file):
    before = descriptors()
    with handover.inbox() as inbox:
        handover.send(file, inbox.address, ME)
        with pytest.raises(errors.Broken, match="did not arrive"):
            inbox.take(OTHER)
    assert descriptors() == before


def test_nothing_is_sent_to_another_user(file):
    with handover.inbox() as inbox:
        with pytest.raises(errors.Broken, match=f"in place of user {OTHER}"):
            handover.send(file, inbox.address, OTHER)
        with pytest.raises(errors.Broken, match="sent 0 descriptors"):
            inbox.take(ME)


def test_a_receiver_that_has_gone_is_named(file):
    with handover.inbox() as inbox:
        pass
    with pytest.raises(errors.Broken, match="cannot be handed over"):
        handover.send(file, inbox.address, ME)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_any_number_but_one_is_refused(file, count):
    before = descriptors()
    with handover.inbox() as inbox:
        with connected(inbox) as client:
            socket.send_fds(client, [b"\0"], [file] * count)
            with pytest.raises(errors.Broken, match="and not one"):
                inbox.take(ME)
    assert descriptors() == before


def test_a_silent_connection_does_not_hang():
    with handover.inbox() as inbox, connected(inbox):
        with pytest.raises(errors.Broken, match="sent 0 descriptors"):
            inbox.take(ME)
