# SPDX-License-Identifier: Apache-2.0
"""``ontap_linger`` on the real Cinder, with one process that keeps an attachment."""

from collections.abc import Iterator
import contextlib
import subprocess
import sys
from typing import Any

import pytest

from glance_ontap_store.tests.functional import cinder_requests
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.cinder_requests import Requests
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab.polling import wait_until

SIZE = 5 * MIB

# Reads the image, and goes on as each line of its input says, until the input ends.
_PROGRAM = """
import sys
from glance_ontap_store.tests.functional import direct, pattern
from lab.client import Lab
from lab.stores import make_store

base, volume_id, linger = sys.argv[1:]
store = make_store(Lab.from_facts(), mount_point_base=base, linger=int(linger))
location = direct.at("fv1", volume_id)
while True:
    stream, size = store.get(location)
    assert b"".join(stream) == pattern.at(0, size)
    print("read", flush=True)
    line = sys.stdin.readline()
    if line == "delete\\n":
        store.delete(location)
        print("deleted", flush=True)
        break
    if not line:
        break
"""


class Process:
    """A process that has read an image, and keeps it for some seconds."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def expect(self, word: str) -> None:
        assert self._popen.stdout is not None
        assert self._popen.stdout.readline() == f"{word}\n"

    def tell(self, word: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{word}\n")
        self._popen.stdin.flush()

    def end(self) -> None:
        """Let it exit, as any Python program."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        assert self._popen.wait() == 0

    def end_or_kill(self) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._popen.stdin.close()
            self._popen.wait(timeout=30)
        self.kill()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()


@contextlib.contextmanager
def reading(base: str, volume_id: str, linger_s: int) -> Iterator[Process]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, base, volume_id, str(linger_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as popen:
        process = Process(popen)
        try:
            process.expect("read")
            yield process
        finally:
            # What a failed test reads is released too: the next tests need it so.
            process.end_or_kill()


@pytest.fixture
def base() -> str:
    return stores.new_base()


@pytest.fixture
def volume_id(admin: Any, user: User) -> str:
    return str(images.image_volume(admin, user.uploaded(Sized(SIZE), "fv1").id).id)


def status(admin: Any, volume_id: str) -> str:
    return str(admin.block_storage.get_volume(volume_id).status)


def test_it_serves_the_next_reader_and_is_released_at_the_exit(
    lab: Any, admin: Any, base: str, volume_id: str
) -> None:
    requests = Requests(lab)
    with reading(base, volume_id, 9) as process:
        words = ["show", *cinder_requests.ATTACHING]
        first = requests.new(*words)
        # A login looks at nothing of Cinder.
        assert [word for word in first if word != "detach"][-len(words) :] == words
        process.tell("again")
        process.expect("read")
        wait_until(
            lambda: status(admin, volume_id) == "in-use", "the volume is attached"
        )
        process.end()
    # A device may be another volume's by now; an open file may not.
    looks = [] if lab.protocol == "nfs" else ["show"]
    assert requests.new("detach") == [*looks, "detach"]
    assert status(admin, volume_id) == "available"
    assert not direct.connected(base)


def test_its_time_ends(admin: Any, base: str, volume_id: str) -> None:
    with reading(base, volume_id, 1):
        wait_until(
            lambda: status(admin, volume_id) == "available", "the volume is detached"
        )
        wait_until(lambda: not direct.connected(base), "the host is disconnected")


def test_another_process_reads_a_clone_and_deletes_the_image(
    lab: Any, admin: Any, base: str, volume_id: str
) -> None:
    other = stores.make_store(lab, mount_point_base=base)
    location = direct.at("fv1", volume_id)
    with reading(base, volume_id, 9):
        stream, _size = other.get(location)
        assert b"".join(stream) == pattern.at(0, SIZE)
        # The deletion waits for the end of the time.
        other.delete(location)
    wait_until(lambda: _is_gone(admin, volume_id), "the image is deleted")


def test_the_process_itself_deletes_the_image_at_once(
    admin: Any, base: str, volume_id: str
) -> None:
    with reading(base, volume_id, 9) as process:
        process.tell("delete")
        process.expect("deleted")
    wait_until(lambda: _is_gone(admin, volume_id), "the image is deleted")


def test_the_next_process_releases_it_after_a_kill(
    admin: Any, base: str, volume_id: str
) -> None:
    with reading(base, volume_id, 9) as process:
        process.kill()
    # It did not wait until Cinder knew that it was attached.
    assert status(admin, volume_id) in ("attaching", "in-use")
    with reading(base, volume_id, 0) as process:
        process.end()
    assert status(admin, volume_id) == "available"
    assert not direct.connected(base)


def _is_gone(admin: Any, volume_id: str) -> bool:
    found = admin.block_storage.volumes(all_projects=True)
    return volume_id not in {each.id for each in found}
