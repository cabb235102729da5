# SPDX-License-Identifier: Apache-2.0
"""glance-ontap sweep over what killed processes leave, among what others use."""

from collections.abc import Iterator
import json
import signal
import subprocess
import sys
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab import stores
from lab.polling import wait_until

# A process with a store. It stores an image, and dies at the step that is its name.
_WORKER = """
import os, signal, sys, uuid
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional.direct import Announcing
from lab.client import Lab
from lab.stores import make_store

base, step, image_id = sys.argv[1:]
# The sweep is to find what recovery would release.
store = make_store(Lab.from_facts(), mount_point_base=base, recovery_interval=0)

def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def wait(_reader):
    print("waiting", flush=True)
    sys.stdin.read()

on_read = {"write": die, "hold": wait}.get(step, lambda _reader: None)
if step == "read":
    stream, _size = store.get(direct.at("fv1", image_id))
    next(stream)
else:
    size = 9 * 1024 * 1024
    url = store.add(image_id, Announcing(size, on_read), size, "sha256")[0]
    print(url, flush=True)
die()
"""


class Workers:
    """Processes of one base, that die at a step."""

    def __init__(self) -> None:
        self.base = stores.new_base()
        self._running: list[subprocess.Popen[str]] = []

    def killed(self, step: str, image_id: str = "") -> str:
        """Run a process to its death at *step*; return what it said."""
        process = self._start(step, image_id)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        return said.strip()

    def held(self, image_id: str) -> None:
        """Start a process that is in the middle of an upload until `end`."""
        process = self._start("hold", image_id)
        self._running.append(process)
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"

    def _start(self, step: str, image_id: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, self.base, step, image_id or _new_id()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self) -> None:
        while self._running:
            process = self._running.pop()
            process.kill()
            process.communicate(timeout=60)


def _new_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def workers() -> Iterator[Workers]:
    found = Workers()
    yield found
    found.end()


class Sweeper:
    """The operator with the command ``sweep``, on the host of the workers."""

    def __init__(self, operator: Operator, base: str) -> None:
        self._operator = operator
        self._base = base

    def __call__(self, *arguments: str, here: bool = True) -> Any:
        """Return the exit code and the rows by id; *here*: with the workers' base."""
        changes = {"fv1": {"ontap_mount_point_base": self._base}} if here else {}
        with self._operator.changed(changes) as config:
            ended = self._operator.run(
                *("--os-cloud", "admin", "sweep", "--store", "fv1", "-f", "json"),
                *arguments,
                config=config,
            )
        assert ended.stdout, ended.stderr
        return ended.returncode, {row["Id"]: row for row in json.loads(ended.stdout)}


@pytest.fixture
def sweep(lab: Any, workers: Workers) -> Iterator[Sweeper]:
    """The command; at the end nothing is left that would disturb other tests."""
    found = Sweeper(Operator(lab), workers.base)
    yield found
    workers.end()
    found("--apply", "--guard", "1s")
    assert not direct.connected(workers.base)


def volume_of(admin: Any, image_id: str) -> str:
    return str(images.image_volume(admin, image_id).id)


def kinds(rows: Any) -> dict[str, str]:
    return {key: row["Kind"] for key, row in rows.items()}


def test_what_killed_processes_left_is_removed_and_nothing_else(
    lab: Any, admin: Any, user: User, workers: Workers, sweep: Sweeper
) -> None:
    data = Sized(5 * MIB)
    image = user.uploaded(data)
    read = volume_of(admin, image.id)
    left = Leftovers(lab, admin, workers.base)
    unfinished, live = _new_id(), _new_id()
    workers.held(live)
    kept = left.new()
    workers.killed("write", unfinished)
    filling = volume_of(admin, unfinished)
    sealed = workers.killed("sealed").rpartition("/")[2]
    workers.killed("read", read)
    (attachment,) = (each["id"] for each in attachments(admin, read))

    code, rows = sweep()
    assert code == 1
    expected = {
        filling: "unfinished upload",
        sealed: "image-volume without image",
        attachment: "attachment",
    }
    found = kinds(rows)
    assert {key: found[key] for key in expected} == expected
    assert volume_of(admin, live) not in rows
    assert {"mount", "lock files"} >= set(found.values()) - set(expected.values())
    assert left.new() != kept

    code, rows = sweep("--apply")
    assert code == 0, rows
    assert {row["Action"] for row in rows.values()} == {"removed"}
    wait_until(
        lambda: left.new() == kept, "only the live upload is left", state=left.new
    )
    # Nothing is left for a second run, and the live upload still goes on.
    assert sweep("--apply") == (0, {})
    assert user.download(image.id).content == Pattern(5 * MIB).read(5 * MIB)
    workers.end()
    code, rows = sweep("--apply")
    assert code == 0
    assert volume_of_or_none(admin, live) in (None, "deleting")
    assert not left.new() or set(left.new()) == {"volumes", "files"}


def volume_of_or_none(admin: Any, image_id: str) -> str | None:
    found = images.image_volumes(admin, image_id)
    return found[0].status if found else None


def attachments(admin: Any, volume_id: str) -> Any:
    path = f"/attachments?all_tenants=1&volume_id={volume_id}"
    return admin.block_storage.get(path, microversion="3.54").json()["attachments"]


def test_a_reservation_that_nobody_connects_blocks_no_longer(
    admin: Any, user: User, sweep: Sweeper
) -> None:
    image = user.uploaded(Sized(MIB))
    volume_id = volume_of(admin, image.id)
    owner = direct.owner("fv1").block_storage
    body = {"attachment": {"volume_uuid": volume_id, "mode": "ro"}}
    answer = owner.post("/attachments", json=body, microversion="3.54")
    reserved = answer.json()["attachment"]["id"]
    code, rows = sweep()
    assert (code, rows[reserved]["Kind"]) == (1, "attachment")
    code, rows = sweep("--apply")
    assert (code, rows[reserved]["Action"]) == (0, "removed")
    assert user.download(image.id).status_code == 200


def test_what_another_host_left_needs_its_age(
    lab: Any, admin: Any, workers: Workers, sweep: Sweeper
) -> None:
    image_id = _new_id()
    workers.killed("write", image_id)
    volume_id = volume_of(admin, image_id)
    _, rows = sweep("--apply", here=False)
    assert rows[volume_id]["Action"] == "none without --older-than"
    _, rows = sweep("--apply", "--older-than", "1h", here=False)
    assert rows[volume_id]["Action"] == "none without --older-than"
    code, rows = sweep("--apply", "--older-than", "1s", here=False)
    if lab.protocol != "nfs":
        # Whatever its age: the device is to go before the attachment.
        assert (code, rows[volume_id]["Action"][:6]) == (2, "failed")
        assert "Run glance-ontap sweep on that host" in rows[volume_id]["Action"]
        _, rows = sweep("--apply")
    assert rows[volume_id]["Action"] == "removed"
    wait_until(
        lambda: not images.image_volumes(admin, image_id), "the volume is deleted"
    )


def test_an_image_volume_that_just_changed_waits_for_its_image(
    admin: Any, workers: Workers, sweep: Sweeper
) -> None:
    """To another host its writer may be about to register it."""
    volume_id = workers.killed("sealed").rpartition("/")[2]
    code, rows = sweep("--apply", here=False)
    assert rows[volume_id]["Action"].startswith("none: it changed less than 1 h ago")
    assert code == 1
    _, rows = sweep("--apply", "--guard", "0s", here=False)
    assert rows[volume_id]["Action"] == "removed"


@pytest.mark.nfs_only("Cinder's driver for NFS alone keeps copies of images")
def test_copies_of_deleted_images_are_reported(
    lab: Any, admin: Any, user: User, sweep: Sweeper
) -> None:
    """Cinder downloads the image to the FlexVol, and its driver keeps it there."""
    kept = user.uploaded(Sized(MIB), store="file")
    image = user.uploaded(Sized(MIB), store="file")
    # The FlexVols that are looked at are those with image-volumes of the store.
    user.uploaded(Sized(MIB), store="fv1")
    for each in (kept, image):
        user.volume(image_id=each.id, volume_type="ontap-fv1")
    user.cloud.image.delete_image(image.id)
    name = f"img-cache-{image.id}"
    assert (lab.flexvol("fv1") / name).exists()
    code, rows = sweep("--files", "--apply")
    assert code == 1
    assert rows[name]["Kind"] == "cache file"
    assert rows[name]["Action"].startswith("none: ")
    assert f"img-cache-{kept.id}" not in rows
