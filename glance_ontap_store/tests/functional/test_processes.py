# SPDX-License-Identifier: Apache-2.0
"""Workers of one host: killed, restarted, and sharing mounts with each other."""

import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab.polling import wait_until


def connections() -> set[str]:
    return direct.connected(stores.option("fv1", "ontap_mount_point_base"))


def disconnected() -> None:
    """Wait for it: a download is detached after its last byte was sent."""
    wait_until(lambda: not connections(), "the host is disconnected", state=connections)


def test_many_workers_share_one_mount(lab: Any, user: User) -> None:
    """More uploads at once than a worker has threads, so in several processes."""
    images = [user.image() for _ in range(8)]
    answers: list[Any] = []

    def upload(image: Any) -> None:
        answers.append(user.put(image, Sized(100 * MIB), "fv1"))

    threads = [threading.Thread(target=upload, args=[image]) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [204] * len(images)
    assert not connections()
    for image in images:
        data = user.download(image.id).content
        assert data == pattern.at(0, 100 * MIB)


def test_many_downloads_of_one_image_at_once(lab: Any, user: User) -> None:
    """More than one worker can serve, so some read from a temporary clone."""
    image = user.uploaded(Sized(100 * MIB))
    expected = pattern.at(0, 100 * MIB)
    equal: list[bool] = []

    def download() -> None:
        equal.append(user.download(image.id).content == expected)

    threads = [threading.Thread(target=download) for _reader in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * len(threads)
    owner = direct.owner("fv1").block_storage
    wait_until(
        lambda: (
            not any(
                each["name"].startswith("reading-")
                for each in owner.get("/volumes").json()["volumes"]
            )
        ),
        "the temporary clones are gone",
    )
    disconnected()


@pytest.mark.nfs_only("reads without an attachment; san_cases has what LUNs do")
@pytest.mark.parametrize("is_connected", [False, True])
def test_an_image_whose_reader_died_while_attaching_is_read(
    lab: Any, admin: Any, user: User, is_connected: bool
) -> None:
    """Its volume is ``reserved`` or ``attaching``, by a process of another host."""
    image = user.uploaded(Sized(5 * MIB))
    volume = images.image_volume(admin, image.id)
    owner = direct.owner("fv1").block_storage
    body: dict[str, Any] = {"volume_uuid": volume.id, "mode": "ro"}
    if is_connected:
        body["connector"] = {"host": "another", "ip": "192.0.2.99"}
    made = owner.post(
        "/attachments", json={"attachment": body}, microversion="3.54"
    ).json()["attachment"]
    wanted = "attaching" if is_connected else "reserved"
    wait_until(
        lambda: owner.get_volume(volume.id).status == wanted,
        f"the volume is {wanted}",
    )
    try:
        assert user.download(image.id).content == pattern.at(0, 5 * MIB)
        disconnected()
    finally:
        owner.delete(f"/attachments/{made['id']}", microversion="3.54")


@pytest.mark.long
def test_all_is_readable_after_a_restart(lab: Any, user: User) -> None:
    data = pattern.at(0, 5 * MIB)
    images = {
        store: user.uploaded(Sized(5 * MIB), store=store)
        for store in ("fv1", "fv2", "peer", "file")
    }
    lab.restart("glance")
    for store, image in images.items():
        assert user.download(image.id).content == data, store


# A worker that is killed while it reads: its mount stays.
_KILLED = """
import os, signal, sys
from glance_ontap_store.tests.functional import direct
from lab.client import Lab
from lab.stores import make_store

store = make_store(Lab.from_facts(), mount_point_base=sys.argv[1])
stream, _size = store.get(direct.at("fv1", sys.argv[2]))
next(stream)
os.kill(os.getpid(), signal.SIGKILL)
"""

# A server that loads Glance first and then forks, as uWSGI without lazy-apps and
# glance-api before 2025.2 do. Each child uploads an image and reads it back.
_FORKING = """
import io, os, sys, uuid
from glance_ontap_store.tests.functional import direct
from lab.client import Lab
from lab.stores import make_store

store = make_store(Lab.from_facts(), mount_point_base=sys.argv[1])
children = []
for _number in range(2):
    child = os.fork()
    if child:
        children.append(child)
        continue
    try:
        data = os.urandom(5_000_000)
        image_id = str(uuid.uuid4())
        url = store.add(image_id, io.BytesIO(data), len(data), "sha256")[0]
        stream, _size = store.get(direct.located("fv1", url))
        assert b"".join(stream) == data
        store.delete(direct.located("fv1", url))
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_children_of_a_server_that_loaded_first_transfer_after_a_crash(
    lab: Any, admin: Any, user: User
) -> None:
    base = stores.new_base()
    image = user.uploaded(Sized(5 * MIB), "fv1")
    volume = images.image_volume(admin, image.id)
    killed = subprocess.run([sys.executable, "-c", _KILLED, base, volume.id])
    assert killed.returncode == -signal.SIGKILL
    assert direct.connected(base)
    served = subprocess.run(
        [sys.executable, "-c", _FORKING, base],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert served.returncode == 0, served.stdout + served.stderr
    wait_until(lambda: not direct.connected(base), "the host is disconnected")
