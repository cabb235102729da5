# SPDX-License-Identifier: Apache-2.0
"""glance-ontap list and usage, over images of several projects."""

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

import pytest

from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator


@pytest.fixture
def operator(lab: Any) -> Operator:
    return Operator(lab)


@pytest.fixture
def other(bob: Any) -> Iterator[User]:
    """Bob, with what the test lets him make removed at its end."""
    user = User(bob)
    yield user
    user.clean()


def asked(operator: Operator, *arguments: str) -> list[dict[str, Any]]:
    ended = operator.run(*arguments, "-f", "json")
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_list(lab: Any, operator: Operator, user: User, other: User) -> None:
    first = user.uploaded(Sized(3 * MIB), store="fv1")
    second = other.uploaded(Sized(GIB + 1), store="fv2")
    rows = {each["Image"]: each for each in asked(operator, "list")}
    assert rows[first.id]["Pool"] is None
    shown = asked(operator, "--os-cloud", "admin", "list")
    assert {each["Image"] for each in shown} == set(rows)
    rows = {each["Image"]: each for each in shown}
    volume = rows[second.id].pop("Volume")
    assert rows[second.id] == {
        "Image": second.id,
        "Owner": second.owner,
        "Store": "fv2",
        "Pool": "lab@ontap#127.0.0.1:/fv2",
        "Size GiB": 2,
        "Image Size": GIB + 1,
        "State": "sealed",
        "Status": "available",
    }
    assert (Path(lab.flexvol("fv2")) / f"volume-{volume}").exists()
    only = asked(operator, "list", "--store", "fv2")
    assert second.id in {each["Image"] for each in only}
    assert first.id not in {each["Image"] for each in only}


def test_stores_of_upstream_are_not_listed(operator: Operator, user: User) -> None:
    """Upstream's store has the volume type of one of ours, and the project."""
    image = user.uploaded(Sized(MIB), store="peer")
    assert image.id not in {each["Image"] for each in asked(operator, "list")}


@pytest.mark.parametrize("cloud", [(), ("--os-cloud", "admin")], ids=["", "admin"])
def test_image_volumes_in_their_projects_are_listed(
    operator: Operator, user: User, cloud: tuple[str, ...]
) -> None:
    """The user of such a store is an administrator of Cinder itself."""
    image = user.uploaded(Sized(MIB), store="own")
    shown = asked(operator, *cloud, "list", "--store", "own")
    (row,) = (each for each in shown if each["Image"] == image.id)
    assert (row["Store"], row["Owner"]) == ("own", image.owner)
    assert row["Pool"].startswith("lab@ontap#")


def test_usage_by_project(
    lab: Any, operator: Operator, user: User, other: User
) -> None:
    """What is allocated is what the files occupy: zeros are not written."""

    def usage(*arguments: str) -> dict[str, dict[str, Any]]:
        rows = asked(operator, *arguments, "--by", "project")
        return {each.pop("Project"): each for each in rows}

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
    }
    listed = asked(operator, "list")
    files = [
        Path(lab.flexvol(each["Store"])) / f"volume-{each['Volume']}"
        for each in listed
        if each["Owner"] == image.owner
    ]
    assert row["Allocated"] == sum(each.stat().st_blocks * 512 for each in files)
    # Without the mounts nobody knows.
    assert usage("usage")[image.owner]["Allocated"] is None


def test_what_cannot_be_mounted_is_not_known(operator: Operator, user: User) -> None:
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
