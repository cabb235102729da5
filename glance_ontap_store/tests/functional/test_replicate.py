# SPDX-License-Identifier: Apache-2.0
"""Replicas that the array makes, with the real Cinder and Glance."""

from collections.abc import Iterator
import contextlib
import hashlib
import multiprocessing
import os
import signal
from typing import Any

import pytest
import requests

from glance_ontap_store import identity
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.replication import parts
from glance_ontap_store.replication.carrying_out import CarryingOut
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.image import Image
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from lab import glance
from lab import stores
from lab.client import Lab
from lab.demo import blocks
from lab.polling import wait_until

# Not a whole number of blocks, with a run of zeros.
DATA = pattern.at(0, MIB) + bytes(4 * MIB) + pattern.at(MIB, MIB) + b"the end"
# What the array does for a replica.
CHANGES = [
    ("POST", "/api/storage/file/clone"),
    ("POST", "/api/storage/file/copy"),
    ("DELETE", "file"),
]


class Replicas:
    """Makes replicas of images that are in fv1, as an operator's command does."""

    def __init__(self, lab: Any, admin: Any, endpoint: str) -> None:
        stores.prepare_privileges(lab)
        self.lab = lab
        self.admin = admin
        base = stores.new_base()
        self.settings = {
            each: stores.settings(each, mount_point_base=base)
            for each in ("fv1", "fv2", "fv3")
        }
        self.endpoint = endpoint

    def run(self, *steps: Step, by: By = By.ARRAY) -> list[Outcome]:
        first = self.settings["fv1"]
        carrying = CarryingOut(
            Glance(
                self.admin.session, first, identity.session_for(first), self.endpoint
            ),
            CinderClient(first, self.admin.session),
            {key: parts.build(each) for key, each in self.settings.items()},
            SystemClock(),
            by=by,
            parallel=2,
            per_pool=1,
            stop=Stop(),
            say=print,
        )
        return carrying.run(steps)

    def make(self, image_id: str, **changes: Any) -> Outcome:
        (outcome,) = self.run(self.step(image_id, **changes))
        return outcome

    def step(
        self,
        image_id: str,
        action: Action = Action.MAKE,
        verify: Verify = Verify.SAMPLE,
        store_id: str = "fv2",
    ) -> Step:
        original = self.volume(image_id, "fv1")
        assert original is not None
        return Step(
            action,
            Image(image_id),
            store_id,
            "a test wants it",
            pool=original.host.replace("/fv1", f"/{store_id}"),
            source=original.id,
            verify=verify,
            moved_bytes=GIB,
        )

    def volume(self, image_id: str, store_id: str = "fv2") -> Any:
        """The only image-volume in a store; None if there is none."""
        found = [
            volume
            for volume in images.image_volumes(self.admin, image_id)
            if volume.metadata["ontap_store"] == store_id
            and volume.status != "deleting"
        ]
        assert len(found) <= 1, found
        return found[0] if found else None

    def migrating(self, image_id: str) -> Any:
        """Wait until Cinder moves the replica; the volume."""

        def moving() -> Any:
            volume = self.volume(image_id)
            is_moving = volume and volume.migration_status == "migrating"
            return volume if is_moving else None

        return wait_until(moving, "Cinder moves the replica")

    def begin(self, image_id: str) -> Any:
        """Make a replica in a process of its own, which has its own connections."""
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=_make, args=(self.endpoint, self.step(image_id))
        )
        process.start()
        return process


def _make(endpoint: str, step: Step) -> None:
    lab = Lab.from_facts()
    Replicas(lab, lab.cloud("admin"), endpoint).run(step)


@pytest.fixture(scope="module")
def replicas(lab: Any, admin: Any) -> Iterator[Replicas]:
    lab.start(glance.LOCATIONS)
    yield Replicas(lab, admin, lab.facts["urls"][glance.LOCATIONS])
    lab.stop(glance.LOCATIONS)


def uploaded(user: User) -> Any:
    image = user.image()
    answer = user.put(image, DATA, "fv1")
    assert answer.status_code == 204, answer.text
    return user.cloud.image.get_image(image.id)


def changes_at_ontap(lab: Any, since: int) -> list[tuple[str, str]]:
    """What the array was asked to change, in short.

    The driver tidies its policies of QoS, whatever it does.
    """
    found = []
    for request in lab.ontap_requests()[since:]:
        path = request["path"].partition("?")[0].replace("//", "/")
        method = request["method"]
        if method == "DELETE" and "/files/" in path:
            path = "file"
        if method != "GET" and "/qos/" not in path:
            found.append((method, path))
    return found


@contextlib.contextmanager
def fault(lab: Any, **wanted: Any) -> Iterator[None]:
    """Let the array's copies of files go wrong until the block ends."""
    url = f"{lab.facts['urls']['ontap'].partition('/api')[0]}/_sim/faults"
    body = {"path": "^/api/storage/file/copy$", "method": "POST", **wanted}
    made = requests.post(url, json=body, timeout=10)
    assert made.ok, made.text
    try:
        yield
    finally:
        requests.delete(f"{url}/{made.json()['id']}", timeout=10)


def slowly(lab: Any) -> contextlib.AbstractContextManager[None]:
    """Let the next copy take so long that a test can do something meanwhile."""
    return fault(lab, action="latency", latency_s=8, count=1)


def assert_replica(replicas: Replicas, user: User, image: Any) -> Any:
    volume = replicas.volume(image.id)
    source = replicas.volume(image.id, "fv1")
    assert volume.status == "available"
    assert volume.metadata["ontap_state"] == "sealed"
    assert volume.metadata["ontap_replica_of"] == source.id
    assert volume.metadata["readonly"] == "True"
    assert volume.metadata["image_size"] == str(len(DATA))
    assert volume.metadata["ontap_hash_value"] == image.hash_value
    path = images.backing_file(replicas.lab, volume)
    assert path.parent == replicas.lab.flexvol("fv2")
    assert path.stat().st_size == GIB
    with path.open("rb") as file:
        found = hashlib.sha512(file.read(len(DATA))).hexdigest()
    assert found == image.hash_value
    assert sorted(user.stores(image.id)) == ["fv1", "fv2"]
    return volume


def test_the_array_makes_it_and_the_next_volume_is_a_clone(
    lab: Any, replicas: Replicas, user: User
) -> None:
    image = uploaded(user)
    before = len(lab.ontap_requests())
    outcome = replicas.make(image.id, verify=Verify.NONE)
    assert (outcome.result, outcome.reason) == (Result.DONE, None)
    assert changes_at_ontap(lab, before) == CHANGES
    volume = assert_replica(replicas, user, image)
    made = user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    assert images.data_reads(lab, image.id) == []
    of_user = images.backing_file(lab, replicas.admin.block_storage.get_volume(made.id))
    with of_user.open("rb") as file:
        assert file.read(len(DATA)) == DATA
    shared = blocks.extents(str(images.backing_file(lab, volume)))
    assert blocks.not_in(blocks.extents(str(of_user)), shared) == 0
    # Retired, it leaves the original and the user's volume as they are.
    retire = replicas.step(image.id, Action.RETIRE)
    (outcome,) = replicas.run(retire)
    assert (outcome.result, outcome.reason) == (Result.DONE, None)
    assert user.stores(image.id) == ["fv1"]
    wait_until(lambda: replicas.volume(image.id) is None, "the replica is deleted")
    assert user.download(image.id).content == DATA
    with of_user.open("rb") as file:
        assert file.read(len(DATA)) == DATA
    (outcome,) = replicas.run(replicas.step(image.id, Action.RETIRE))
    assert outcome.result is Result.DONE


@pytest.mark.long
def test_a_compared_one_is_read_by_glance_and_goes_with_its_image(
    lab: Any, replicas: Replicas, user: User
) -> None:
    image = uploaded(user)
    before = len(lab.ontap_requests())
    steps = [
        replicas.step(image.id),
        replicas.step(image.id, verify=Verify.FULL, store_id="fv3"),
    ]
    assert [each.result for each in replicas.run(*steps)] == [Result.DONE] * 2
    assert sorted(changes_at_ontap(lab, before)) == sorted(CHANGES * 2)
    for store_id, verified in (("fv2", "sample"), ("fv3", "full")):
        volume = replicas.volume(image.id, store_id)
        assert volume.metadata["ontap_verified"].startswith(verified)
        data, _size = stores.make_store(lab, store_id)._backend.images.read(
            volume.id, 0, None
        )
        assert b"".join(data) == DATA
    user.cloud.image.delete_image(image.id, ignore_missing=False)
    wait_until(
        lambda: not images.image_volumes(replicas.admin, image.id),
        "the image-volumes are deleted with the image",
    )


def test_after_a_kill_the_next_run_ends_it(
    lab: Any, replicas: Replicas, user: User
) -> None:
    image = uploaded(user)
    with slowly(lab):
        process = replicas.begin(image.id)
        volume = replicas.migrating(image.id)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert replicas.make(image.id, action=Action.RESUME).result is Result.DONE
    assert assert_replica(replicas, user, image).id == volume.id


def test_an_image_that_is_deleted_meanwhile_takes_it_along(
    lab: Any, replicas: Replicas, user: User
) -> None:
    image = uploaded(user)
    with slowly(lab):
        process = replicas.begin(image.id)
        replicas.migrating(image.id)
        user.cloud.image.delete_image(image.id, ignore_missing=False)
        process.join()
    assert process.exitcode == 0
    wait_until(
        lambda: not images.image_volumes(replicas.admin, image.id),
        "nothing is left of the image",
    )


@pytest.mark.long
def test_a_new_owner_reaches_it(
    lab: Any, replicas: Replicas, user: User, bob: Any
) -> None:
    image = uploaded(user)
    project = bob.current_project_id
    with slowly(lab):
        process = replicas.begin(image.id)
        replicas.migrating(image.id)
        replicas.admin.image.update_image(image.id, owner=project)
        process.join()
    assert process.exitcode == 0
    assert replicas.volume(image.id).metadata["image_owner"] == project
    # That of the original is refreshed too.
    (outcome,) = replicas.run(replicas.step(image.id, Action.REFRESH))
    assert outcome.result is Result.DONE
    assert replicas.volume(image.id, "fv1").metadata["image_owner"] == project
    replicas.admin.image.delete_image(image.id, ignore_missing=False)


@pytest.mark.long
def test_an_image_whose_replica_is_read_is_deleted_by_a_second_request(
    replicas: Replicas, user: User
) -> None:
    """Glance deletes one location after the other, and ends at the one in use."""
    image = uploaded(user)
    assert replicas.make(image.id).result is Result.DONE
    replica = replicas.volume(image.id)
    url = f"/images/{image.id}"
    with images.reserved(replicas.admin, replica.id):
        refused = user.cloud.image.delete(url)
        assert refused.status_code == 409, refused.text
        assert user.cloud.image.get_image(image.id).status == "active"
        assert "fv2" in user.stores(image.id)
    assert user.download(image.id).content == DATA
    answer = user.cloud.image.delete(url)
    assert answer.status_code == 204, answer.text
    wait_until(
        lambda: not images.image_volumes(replicas.admin, image.id),
        "nothing is left of the image",
    )


@pytest.mark.long
def test_a_volume_that_is_begun_before_its_replica_is_retired_is_right(
    replicas: Replicas, user: User
) -> None:
    """It is a clone if Cinder was faster, and a download otherwise."""
    image = uploaded(user)
    assert replicas.make(image.id).result is Result.DONE
    made = user.volume(wait=False, size=1, image_id=image.id, volume_type="ontap-fv2")
    retire = replicas.step(image.id, Action.RETIRE)
    (outcome,) = replicas.run(retire)
    assert outcome.result in (Result.DONE, Result.LATER)
    user.settled()
    volume = replicas.admin.block_storage.get_volume(made.id)
    with images.backing_file(replicas.lab, volume).open("rb") as file:
        assert file.read(len(DATA)) == DATA


def test_a_copy_that_fails_leaves_nothing(
    lab: Any, replicas: Replicas, user: User
) -> None:
    image = uploaded(user)
    before = set(lab.flexvol("fv2").iterdir())
    failed = {"action": "job_failed", "code": "458753", "message": "No space left"}
    with fault(lab, **failed, count=1):
        outcome = replicas.make(image.id)
    assert outcome.result is Result.FAILED
    wait_until(lambda: replicas.volume(image.id) is None, "the clone is deleted")
    assert set(lab.flexvol("fv2").iterdir()) == before
    assert user.stores(image.id) == ["fv1"]
    assert replicas.make(image.id).result is Result.DONE
    assert_replica(replicas, user, image)


def test_glance_copies_it_where_that_is_wanted(replicas: Replicas, user: User) -> None:
    image = uploaded(user)
    (outcome,) = replicas.run(replicas.step(image.id), by=By.COPY_IMAGE)
    assert (outcome.result, outcome.reason) == (Result.DONE, None)
    assert_replica(replicas, user, image)
    (outcome,) = replicas.run(replicas.step(image.id, Action.RETIRE), by=By.COPY_IMAGE)
    assert outcome.result is Result.DONE
    assert user.stores(image.id) == ["fv1"]
