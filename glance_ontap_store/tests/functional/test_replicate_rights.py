# SPDX-License-Identifier: Apache-2.0
"""Who may make replicas: an administrator, and a service's user with a few rights."""

from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from glance_ontap_store.replication import rights
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional import policies
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.preflight import Operator
from glance_ontap_store.tests.functional.replicating import Replicating
from lab import glance

NAME = "replicator"
DATA = pattern.at(0, MIB) + b"the end"
RULES = """
defaults: {stores: [fv2], ttl: never, verify: none}
rules:
  - match: {property: {ontap_replicate: "yes"}}
"""


@pytest.fixture(scope="module")
def replicator(lab: Any, admin: Any, tmp_path_factory: Any) -> Iterator[Replicating]:
    """The user that the page describes, and the internal glance-api with its policy."""
    directory = tmp_path_factory.mktemp("replicate")
    policy = directory / "policy.yaml"
    policy.write_text(RULES, "utf-8")
    with contextlib.ExitStack() as undo:
        undo.enter_context(_user(admin, directory))
        own = Path(lab.facts["configs"]) / "glance" / glance.LOCATIONS / "policy.yaml"
        own.parent.mkdir(exist_ok=True)
        own.write_text(
            policies.documented("replicas.rst", "context_is_admin", which=1),
            encoding="utf-8",
        )
        undo.callback(own.unlink)
        lab.start(glance.LOCATIONS)
        undo.callback(lab.stop, glance.LOCATIONS)
        yield Replicating(lab, policy)


@contextlib.contextmanager
def _user(admin: Any, directory: Path) -> Iterator[None]:
    """A user with the role service in the stores' project, in clouds.yaml."""
    user = admin.identity.create_user(name=NAME, password=NAME)
    project = admin.identity.find_project("service", ignore_missing=False)
    for name in ("service", "reader"):
        role = admin.identity.find_role(name, ignore_missing=False)
        admin.identity.assign_project_role_to_user(project, user, role)
    before = os.environ["OS_CLIENT_CONFIG_FILE"]
    clouds = yaml.safe_load(Path(before).read_text("utf-8"))
    cloud = json.loads(json.dumps(clouds["clouds"]["admin"]))
    cloud["auth"] |= {"username": NAME, "password": NAME, "project_name": "service"}
    clouds["clouds"][NAME] = cloud
    path = directory / "clouds.yaml"
    path.write_text(yaml.safe_dump(clouds), "utf-8")
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(path)
    try:
        yield
    finally:
        os.environ["OS_CLIENT_CONFIG_FILE"] = before
        admin.identity.delete_user(user)


def wanted(user: User) -> Any:
    """An image of alice's, which nobody else sees, that is to get a replica."""
    image = user.image(ontap_replicate="yes", visibility="private")
    answer = user.put(image, DATA, "fv1")
    assert answer.status_code == 204, answer.text
    return image


def assert_replicated(
    replicator: Replicating, cloud: str, user: User, image: Any
) -> None:
    code, rows, said = replicator.run("--image", image.id, "--apply", cloud=cloud)
    assert code == 0, said
    (row,) = rows
    assert (row["Action"], row["Result"]) == ("make", "done")
    assert sorted(user.stores(image.id)) == ["fv1", "fv2"]
    code, rows, said = replicator.run("--image", image.id, cloud=cloud)
    assert code == 0, said
    assert [each["Action"] for each in rows] == ["keep"]
    # Without its property, no rule wants it any more.
    user.cloud.image.update_image(image.id, ontap_replicate="no")
    code, rows, said = replicator.run("--image", image.id, "--apply", cloud=cloud)
    assert code == 0, said
    assert [(each["Action"], each["Result"]) for each in rows] == [("retire", "done")]
    assert user.stores(image.id) == ["fv1"]


def test_an_administrator_needs_no_line_of_cinders_policy(
    replicator: Replicating, user: User
) -> None:
    assert_replicated(replicator, "admin", user, wanted(user))


@pytest.mark.long
def test_an_administrator_of_cinder_alone_is_enough(
    lab: Any, admin: Any, replicator: Replicating, user: User
) -> None:
    image = wanted(user)
    code, _rows, said = replicator.run("--image", image.id, "--apply", cloud=NAME)
    assert code == 3
    assert rights.POOLS in said
    assert user.stores(image.id) == ["fv1"]
    text = policies.documented("replicas.rst", "context_is_admin")
    own = admin.identity.find_user(NAME, ignore_missing=False)
    text = text.replace("REPLICATOR_ID", own.id)
    with policies.policy_file(lab, "cinder", text, restarted="cinder-api"):
        _assert_bounds(lab, admin, user, image)
        assert_replicated(replicator, NAME, user, image)


def _assert_bounds(lab: Any, admin: Any, user: User, image: Any) -> None:
    """Of other projects the user sees and moves no volumes, and sees no images."""
    cloud = lab.cloud(NAME)
    source = images.image_volume(admin, image.id)
    made = user.volume(size=1)
    for request in (
        cloud.block_storage.get(f"/volumes/{made.id}"),
        cloud.block_storage.post(
            f"/volumes/{made.id}/action",
            json={"os-migrate_volume": {"host": source.host}},
        ),
        cloud.image.get(f"/images/{image.id}"),
    ):
        assert request.status_code == 404, request.text
    assert cloud.identity.get("/users").status_code == 403


def test_check_finds_what_is_lacking(lab: Any, replicator: Replicating) -> None:
    operator = Operator(lab)
    urls = lab.facts["urls"]

    def found(cloud: str, endpoint: str) -> list[tuple[str, str]]:
        _, all_found = operator.findings(
            *("--deep", "--store", "fv1", "--image-endpoint", urls[endpoint]),
            cloud=cloud,
        )
        codes = ("replica-rights", "replica-locations", "deep-failed")
        return [
            (each["Code"], each["Problem"])
            for each in all_found
            if each["Code"] in codes
        ]

    assert found("admin", glance.LOCATIONS) == []
    ((code, problem),) = found("admin", "glance")
    assert code == "replica-locations"
    assert urls["glance"] in problem
    lacking = [problem for code, problem in found(NAME, "glance") if "rights" in code]
    assert len(lacking) == len(rights.LINES)
    for line, problem in zip(rights.LINES, lacking, strict=True):
        assert line in problem
