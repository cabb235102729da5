# SPDX-License-Identifier: Apache-2.0
"""What a killed process leaves is released by the next one, on the real Cinder."""

from collections.abc import Iterator
import contextlib
import signal
import subprocess
import sys
import threading
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab.polling import wait_until

# Reads an image, or stores one, until it is killed; tells when it is in the middle.
_BEGINNING = """
import sys, time
from glance_ontap_store.tests.functional import direct
from lab.client import Lab
from lab.stores import make_store

what, base, name = sys.argv[1:]
store = make_store(Lab.from_facts(), mount_point_base=base, **OPTIONS)
if what == "read":
    stream, _size = store.get(direct.at("fv1", name))
    next(stream)
    print("reading", flush=True)
    time.sleep(600)

class Reader:
    given = 0
    def read(self, size):
        if self.given > 20_000_000:
            print("writing", flush=True)
            time.sleep(600)
        self.given += size
        return b"x" * size

store.add(name, Reader(), 50_000_000, "sha256")
"""

# Uses the store once, as the next process of the host does, and then waits: what is
# done meanwhile, its recovery does.
_NEXT = """
import sys
from glance_ontap_store.tests.functional import direct
from lab.client import Lab
from lab.stores import make_store

store = make_store(Lab.from_facts(), mount_point_base=sys.argv[1])
try:
    store.get_size(direct.at("fv1", sys.argv[2]))
except Exception as error:
    print(type(error).__name__)
print("used", flush=True)
sys.stdin.read()
"""

# Reads the whole image, then deletes it.
_READ_AND_DELETE = """
import sys
from glance_ontap_store.tests.functional import direct, pattern
from lab.client import Lab
from lab.stores import make_store

store = make_store(Lab.from_facts(), mount_point_base=sys.argv[1], recovery_interval=0)
stream, size = store.get(direct.at("fv1", sys.argv[2]))
assert b"".join(stream) == pattern.at(0, size)
store.delete(direct.at("fv1", sys.argv[2]))
"""


@pytest.fixture
def base() -> str:
    return stores.new_base()


@contextlib.contextmanager
def started(program: str, *arguments: str) -> Iterator[Any]:
    """Run *program*; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_in(what: str, base: str, name: str) -> None:
    """Let a process with the base read an image or store one, and kill it there."""
    program = _BEGINNING.replace("OPTIONS", "{}")
    with started(program, what, base, name) as process:
        told = process.stdout.readline().strip()
        assert told == {"read": "reading", "write": "writing"}[what]
        process.send_signal(signal.SIGKILL)
        process.wait()


def attachments(admin: Any, volume_id: str) -> list[str]:
    found = admin.block_storage.get(
        f"/attachments?all_tenants=1&volume_id={volume_id}", microversion="3.54"
    ).json()["attachments"]
    return [attachment["id"] for attachment in found]


def test_an_upload_that_was_killed_leaves_nothing(
    lab: Any, admin: Any, base: str
) -> None:
    left = Leftovers(lab, admin, base)
    image_id = str(uuid.uuid4())
    killed_in("write", base, image_id)
    new = left.new()
    assert {kind: len(found) for kind, found in new.items()} == {
        "volumes": 1,
        "attachments": 1,
        "connections": 1,
        "files": 1,
    }
    (volume_id,) = new["volumes"]
    with started(_NEXT, base, volume_id) as process:
        assert process.stdout.readline() == "BackendException\n"
        wait_until(lambda: not left.new(), "all is released", state=left.new)


def test_a_download_that_was_killed_leaves_nothing(
    lab: Any, admin: Any, user: User, base: str
) -> None:
    image = user.uploaded(Sized(5 * MIB), "fv1")
    volume = images.image_volume(admin, image.id)
    left = Leftovers(lab, admin, base)
    killed_in("read", base, volume.id)
    assert set(left.new()) == {"attachments", "connections"}
    # Glance has another base, and reads beside it meanwhile.
    assert user.download(image.id).content == pattern.at(0, 5 * MIB)
    with started(_NEXT, base, volume.id) as process:
        assert process.stdout.readline() == "used\n"
        wait_until(lambda: not left.new(), "all is released", state=left.new)
    assert user.download(image.id).content == pattern.at(0, 5 * MIB)
    user.cloud.image.delete_image(image.id)


def test_a_live_reader_is_not_disturbed(
    lab: Any, admin: Any, user: User, base: str
) -> None:
    image, other = (user.uploaded(Sized(5 * MIB), "fv1") for _image in range(2))
    volume, read = (images.image_volume(admin, each.id).id for each in (image, other))
    program = _BEGINNING.replace("OPTIONS", "{}")
    with started(program, "read", base, read) as living:
        assert living.stdout.readline() == "reading\n"
        (kept,) = attachments(admin, read)
        killed_in("read", base, volume)
        with started(_NEXT, base, volume) as process:
            process.stdout.readline()
            wait_until(lambda: not attachments(admin, volume), "the dead one's is gone")
        assert attachments(admin, read) == [kept]
        assert direct.connected(base)
        living.kill()
        living.wait()
    with started(_NEXT, base, volume):
        wait_until(lambda: not attachments(admin, read), "it is released")
        wait_until(lambda: not direct.connected(base), "the host is disconnected")


def test_a_reader_and_a_deletion_release_the_image_at_once(
    lab: Any, admin: Any, base: str
) -> None:
    """Also with ``ontap_recovery_interval = 0``."""
    store = stores.make_store(lab)
    data = pattern.at(0, 5 * MIB)
    image_id = str(uuid.uuid4())
    url = store.add(image_id, Sized(5 * MIB), len(data), "sha256")[0]
    volume_id = url.rpartition("/")[2]
    killed_in("read", base, volume_id)
    assert len(attachments(admin, volume_id)) == 1
    run = subprocess.run(
        [sys.executable, "-c", _READ_AND_DELETE, base, volume_id],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    left = Leftovers(lab, admin, base)
    wait_until(lambda: volume_id not in left.now()["volumes"], "the image is deleted")


def test_glance_releases_what_its_killed_workers_left(
    lab: Any, admin: Any, user: User
) -> None:
    kept = user.uploaded(Sized(300 * MIB))
    volume = images.image_volume(admin, kept.id)
    left = Leftovers(lab, admin, stores.option("fv1", "ontap_mount_point_base"))
    under_way, killed = threading.Event(), threading.Event()

    def wait(reader: Pattern) -> None:
        if reader.position > 100 * MIB:
            under_way.set()
            killed.wait(60)

    failures: list[Exception] = []
    image = user.image()

    def upload() -> None:
        try:
            user.put(image, Announcing(GIB, wait), "fv1")
        except Exception as error:
            failures.append(error)

    client = threading.Thread(target=upload)
    client.start()
    assert under_way.wait(120)
    answer = user.download(kept.id)
    next(answer.iter_content(MIB))
    assert attachments(admin, volume.id)
    lab.kill("glance")
    killed.set()
    client.join()
    answer.close()
    assert failures
    assert {"volumes", "attachments", "connections"} <= set(left.new())
    lab.start("glance")
    # The first transfer begins the recovery.
    assert user.download(kept.id, Range="bytes=0-9").content == pattern.at(0, 10)
    wait_until(lambda: not left.new(), "all is released", state=left.new)
    user.cloud.image.delete_image(kept.id)
    user.cloud.image.delete_image(image.id)
