# SPDX-License-Identifier: Apache-2.0
"""Cinder's whole NetApp NFS driver against the simulator, as the lab runs both.

Cinder replaces most operations that fail on the array by slower ones, so each is
checked by its result and by the simulator's log.
"""

import json
import os

import pytest

from glance_ontap_store.tests.functional.clouds import User
from lab.polling import wait_until

MIB = 1 << 20
CLONE = "/api//storage/file/clone"
COPY = "/api//storage/file/copy"


def requests_of(lab):
    """Return what the simulator of the lab has logged since its start."""
    with open(lab.facts["ontap_requests"]) as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def owner(admin):
    owner = User(admin)
    yield owner
    owner.clean()


@pytest.fixture
def posts(lab):
    """Return a function that returns the clones and copies requested since then."""
    before = len(requests_of(lab))

    def since():
        return [
            entry["path"]
            for entry in requests_of(lab)[before:]
            if entry["method"] == "POST" and entry["path"] in (CLONE, COPY)
        ]

    yield since
    refused = [
        entry
        for entry in requests_of(lab)[before:]
        if entry["status"] is None or entry["status"] >= 400
    ]
    assert not refused


def path_of(lab, volume):
    """Return the file of a volume, by the pool that Cinder says it is in."""
    name = volume.host.rpartition("/")[2]
    return os.path.join(lab.flexvol(name), f"volume-{volume.id}")


def fill(path):
    """Write a MiB at the start of a volume and return it."""
    data = os.urandom(MIB)
    with open(path, "r+b") as file:
        file.write(data)
    return data


def first_mib(path):
    with open(path, "rb") as file:
        return file.read(MIB)


def test_clone_extend_snapshot_and_volume_from_it(lab, owner, posts):
    storage = owner.cloud.block_storage
    source = owner.volume(volume_type="ontap-fv1")
    data = fill(path_of(lab, source))
    clone = owner.volume(source_volume_id=source.id)
    assert posts() == [CLONE]
    assert first_mib(path_of(lab, clone)) == data
    storage.extend_volume(clone, 2)
    clone = owner.available(clone.id)
    assert os.path.getsize(path_of(lab, clone)) == 2 << 30
    snapshot = storage.create_snapshot(volume_id=source.id, name="functional")
    storage.wait_for_status(snapshot, "available")
    try:
        assert posts() == [CLONE, CLONE]
        fill(path_of(lab, source))
        back = owner.volume(snapshot_id=snapshot.id)
        assert posts() == [CLONE, CLONE, CLONE]
        assert first_mib(path_of(lab, back)) == data
    finally:
        storage.delete_snapshot(snapshot)
        storage.wait_for_delete(snapshot)
    folder = lab.flexvol("fv1")
    assert f"snapshot-{snapshot.id}" not in os.listdir(folder)


def test_a_volume_migrates_inside_the_array(lab, owner, posts):
    volume = owner.volume(volume_type="ontap")
    old = path_of(lab, volume)
    data = fill(old)
    here = volume.host.rpartition("/")[2]
    host = volume.host.removesuffix(here) + ("fv2" if here != "fv2" else "fv1")
    owner.cloud.block_storage.migrate_volume(volume, host=host)

    def moved():
        found = owner.cloud.block_storage.get_volume(volume.id)
        return found if found.host == host else None

    volume = wait_until(moved, "the volume is in its new pool")
    assert posts() == [COPY]
    assert first_mib(path_of(lab, volume)) == data
    wait_until(lambda: not os.path.exists(old), "the old file is gone")


def test_no_request_of_the_driver_was_unknown(lab):
    """In all requests so far, those of the lab's start included."""
    statuses = {entry["status"] for entry in requests_of(lab)}
    assert 200 in statuses
    assert 501 not in statuses
