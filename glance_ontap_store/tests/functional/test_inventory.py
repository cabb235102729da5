# SPDX-License-Identifier: Apache-2.0
"""glance-ontap list and usage, over images of several projects."""

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator


@pytest.fixture
def operator(lab: Any) -> Operator:
    return Operator(lab)


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def other(bob: Any) -> Iterator[User]:
    """Bob; everything that he makes is removed after the test."""
    user = User(bob)
    yield user
    user.clean()


def asked(operator: Operator, *arguments: str) -> list[dict[str, Any]]:
    ended = operator.run(*arguments, "-f", "json")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_list_shows_images_with_their_volumes(
    lab: Any, operator: Operator, user: User, other: User
) -> None:
    first = user.uploaded(Sized(3 * MIB), store="fv1")
    second = other.uploaded(Sized(GIB + 1), store="fv2")
    rows = {row["Image"]: row for row in asked(operator, "list")}
    assert rows[first.id]["Pool"] is None
    shown = asked(operator, "--os-cloud", "admin", "list")
    assert {row["Image"] for row in shown} == set(rows)
    rows = {row["Image"]: row for row in shown}
    volume = rows[second.id].pop("Volume")
    assert rows[second.id] == {
        "Image": second.id,
        "Name": second.name,
        "Owner": second.owner,
        "Store": "fv2",
        "Pool": "lab@ontap#127.0.0.1:/fv2",
        "Size GiB": 2,
        "Image Size": GIB + 1,
        "Content": "raw",
        "State": "sealed",
        "Status": "available",
        "Replica Of": None,
    }
    assert (Path(lab.flexvol("fv2")) / f"volume-{volume}").exists()
    filtered = ("list", "--image", second.id, "--pool", "127.0.0.1:/fv2")
    (row,) = asked(operator, "--os-cloud", "admin", *filtered)
    assert row["Volume"] == volume
    only = asked(operator, "list", "--store", "fv2")
    assert second.id in {row["Image"] for row in only}
    assert first.id not in {row["Image"] for row in only}


def test_stores_of_upstream_are_not_listed(operator: Operator, user: User) -> None:
    """Upstream's store has the volume type of one of ours, and the project."""
    image = user.uploaded(Sized(MIB), store="peer")
    assert image.id not in {row["Image"] for row in asked(operator, "list")}


@pytest.mark.parametrize("cloud", [(), ("--os-cloud", "admin")], ids=["", "admin"])
def test_image_volumes_in_their_projects_are_listed(
    operator: Operator, user: User, cloud: tuple[str, ...]
) -> None:
    """The user of such a store is an administrator of Cinder itself."""
    image = user.uploaded(Sized(MIB), store="own")
    shown = asked(operator, *cloud, "list", "--store", "own")
    (row,) = (row for row in shown if row["Image"] == image.id)
    assert (row["Store"], row["Owner"]) == ("own", image.owner)
    assert row["Pool"].startswith("lab@ontap#")


def test_a_cloud_without_role_admin_lists_the_stores_own_projects(
    operator: Operator, user: User
) -> None:
    """Cinder refuses such a user's list by project ("Invalid filters project_id")."""
    image = user.uploaded(Sized(MIB), store="fv1")
    rows = {row["Image"]: row for row in asked(operator, "--os-cloud=alice", "list")}
    assert rows[image.id]["Pool"] is None


def test_a_store_of_projects_without_role_admin_lists_its_own_project(
    operator: Operator,
) -> None:
    changes = {"fv1": {"ontap_image_volume_owner": "project"}}
    with operator.changed(changes) as config:
        ended = operator.run("list", "--store", "fv1", "-f", "json", config=config)
    assert ended.returncode == 0, ended.stderr
    assert "give an administrator's credentials" in ended.stderr


@pytest.fixture
def registered(undo: contextlib.ExitStack) -> Any:
    """An image-volume of type ontap-fv1 as Cinder's own upload leaves it."""
    storage = direct.owner("fv1").block_storage
    made = storage.create_volume(
        name=f"image-{uuid.uuid4()}",
        size=1,
        volume_type="ontap-fv1",
        metadata={"image_owner": uuid.uuid4().hex, "glance_image_id": "by-cinder"},
    )
    undo.callback(storage.wait_for_delete, made, interval=1, wait=60)
    undo.callback(storage.delete_volume, made)
    return storage.wait_for_status(made, interval=0.5, wait=60)


@pytest.mark.parametrize("spelling", sampling.one_of(2, ["name", "id"]))
def test_images_that_cinder_registered_are_found_by_name_or_id_of_the_type(
    operator: Operator, admin: Any, registered: Any, spelling: str
) -> None:
    kind = getattr(admin.block_storage.find_type("ontap-fv1"), spelling)
    with operator.changed({"fv1": {"ontap_volume_type": kind}}) as config:
        listed = operator.run("list", "--store=fv1", "-f", "json", config=config)
        usage = operator.run(
            *("usage", "--store=fv1", "--by=project", "-f", "json"), config=config
        )
    assert (listed.returncode, usage.returncode) == (0, 0)
    states = {row["Volume"]: row["State"] for row in json.loads(listed.stdout)}
    assert states[registered.id] == "by cinder"
    images = {row["Project"]: row["Images"] for row in json.loads(usage.stdout)}
    assert images[registered.metadata["image_owner"]] == 1


def test_usage_by_project_adds_up_what_the_files_occupy(
    lab: Any, operator: Operator, user: User, other: User
) -> None:
    """The files occupy less than the volumes: zeros are not written."""

    def usage(*arguments: str) -> dict[str, dict[str, Any]]:
        rows = asked(operator, *arguments, "--by", "project")
        return {row.pop("Project"): row for row in rows}

    admin = ("--os-cloud", "admin", "usage", "--allocated")
    before = usage(*admin)
    image = user.uploaded(Sized(5 * MIB), store="fv1")
    other.uploaded(Sized(2 * MIB), store="fv2")
    after = usage(*admin)
    row = after[image.owner]
    empty = dict.fromkeys(row, 0)
    was = before.get(image.owner, empty)
    assert {name: row[name] - was[name] for name in row} == {
        "Images": 1,
        "Image Size": 5 * MIB,
        "Volumes GiB": 1,
        "Allocated": 5 * MIB,
        "Replicas": 0,
        "Replicas GiB": 0,
        "Replicas Allocated": 0,
    }
    listed = asked(operator, "list")
    files = [
        Path(lab.flexvol(row["Store"])) / f"volume-{row['Volume']}"
        for row in listed
        if row["Owner"] == image.owner
    ]
    assert row["Allocated"] == sum(path.stat().st_blocks * 512 for path in files)
    # Without the mounts it is unknown.
    assert usage("usage")[image.owner]["Allocated"] is None


@pytest.mark.long
def test_an_export_that_cannot_be_mounted_leaves_its_size_unknown(
    operator: Operator, user: User
) -> None:
    user.uploaded(Sized(MIB), store="fv1")
    base = {"ontap_mount_point_base": "/etc/hostname/mnt"}
    with operator.changed({"fv1": base}) as config:
        ended = operator.run(
            *("--os-cloud", "admin", "usage", "--allocated", "--store", "fv1"),
            *("-f", "json"),
            config=config,
        )
    assert ended.returncode == 0
    (row,) = json.loads(ended.stdout)
    assert row["Allocated"] is None
    assert "ontap_mount_point_base" in ended.stderr
