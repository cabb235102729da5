# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap replicate``, as an operator runs it: plan, apply, and plan again."""

from collections.abc import Iterator
import datetime
from importlib import metadata
import json
from pathlib import Path
from typing import Any
import uuid

import pytest

from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.replicating import Replicating
from lab import glance
from lab import stores

CINDER = metadata.version("cinder").partition(".")[0]


class Policy(Replicating):
    """A policy for the images of one name, and the command with it."""

    def __init__(self, lab: Any, path: Path) -> None:
        super().__init__(lab, path)
        self.name = f"replicate-{uuid.uuid4().hex[:8]}"

    def asked(self, *arguments: str) -> list[dict[str, Any]]:
        """The rows of another subcommand."""
        ended = self.operator.run("--os-cloud", "admin", *arguments, "-f", "json")
        assert ended.stdout, ended.stderr
        found: list[dict[str, Any]] = json.loads(ended.stdout)
        return found

    def way(self, image_id: str) -> str:
        """The way that Cinder takes for a volume on fv2, as ``explain`` tells it."""
        (row,) = self.asked(
            *("explain", image_id, "--volume-type", "ontap-fv2", "--files"),
            *("--cinder-conf", CINDER_CONF, "--cinder-release", CINDER),
        )
        assert row["Certainty"] == "certain"
        return str(row["Path"])

    def steps(
        self, *arguments: str, stores: str = "fv1, fv2", ttl: str = "30d"
    ) -> tuple[int, dict[str, dict[str, Any]], str]:
        """The exit code, the rows by their store, and what was said."""
        self.policy.write_text(
            f"defaults: {{free_floor_percent: 0, ttl: {ttl}}}\n"
            f"rules: [{{match: {{name: {self.name}}}, stores: [{stores}]}},"
            " {match: {name: '*'}, stores: [fv3]}]\n"
        )
        code, rows, said = self.run("--image", self.name, *arguments)
        assert rows, said
        return code, {row["Store"]: row for row in rows}, said


@pytest.fixture
def policy(lab: Any, tmp_path: Path) -> Iterator[Policy]:
    lab.start(glance.LOCATIONS)
    yield Policy(lab, tmp_path / "policy.yaml")
    lab.stop(glance.LOCATIONS)


def test_a_plan_is_carried_out_and_nothing_is_left(
    lab: Any, policy: Policy, user: User
) -> None:
    image = user.uploaded(Sized(3 * MIB), name=policy.name)
    assert policy.way(image.id) == "download"
    code, rows, said = policy.steps()
    assert {key: row["Action"] for key, row in rows.items()} == {
        "fv1": "keep",
        "fv2": "make",
    }
    assert code == 0
    assert "1 to make, 1 kept; the array copies at most 0.0 GiB." in said
    assert user.stores(image.id) == ["fv1"]

    code, rows, said = policy.steps("--apply")
    assert (code, rows["fv2"]["Result"]) == (0, "done"), said
    assert set(user.stores(image.id)) == {"fv1", "fv2"}

    assert policy.way(image.id) == "image-volume clone"
    user.volume(image_id=image.id, volume_type="ontap-fv2")
    assert images.data_reads(lab, image.id) == []

    listed = policy.asked("list", "--image", image.id)
    assert {row["Store"]: row["Replica Of"] for row in listed} == {
        "fv1": None,
        "fv2": rows["fv1"]["Replica"],
    }
    (used,) = policy.asked("usage", "--allocated", "--store", "fv2")
    assert used["Replicas"] >= 1
    assert used["Replicas GiB"] >= 1
    assert used["Replicas Allocated"] >= 3 * MIB

    code, rows, said = policy.steps("--files")
    assert {row["Action"] for row in rows.values()} == {"keep"}
    assert rows["fv2"]["Source"] == rows["fv1"]["Replica"]
    assert "last used on" in rows["fv2"]["Why"]

    code, rows, said = policy.steps("--apply", stores="fv1")
    assert (rows["fv2"]["Action"], rows["fv2"]["Result"]) == ("retire", "done"), said
    assert user.stores(image.id) == ["fv1"]


def test_cinder_tells_when_an_image_was_used_and_where(admin: Any, user: User) -> None:
    client = CinderClient(stores.settings("fv1"), admin.session)
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    image = user.uploaded(Sized(3 * MIB))
    volume = user.volume(image_id=image.id, volume_type="ontap-fv2")
    found = {each.id: each for each in client.volumes_since(now - hour)}
    assert found[volume.id].image_id == image.id
    assert found[volume.id].pool == "lab@ontap#127.0.0.1:/fv2"
    later = {each.id for each in client.volumes_since(now + hour)}
    assert volume.id not in later
