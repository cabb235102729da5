# SPDX-License-Identifier: Apache-2.0
"""cinder-volume as a cluster of one node and of two (``cluster`` in cinder.conf).

``python -m lab run --broker --stores fv1,own pytest FILE`` runs them; so does
``test_cluster.py``, in a lab of their own, because Cinder cannot leave a cluster. The
first node is the lab's, and the tests start the second one. Locations are shown, so
that each release of Cinder knows them.
"""

from collections.abc import Iterator
from importlib import metadata
import json
from pathlib import Path
from typing import Any

import pytest

from glance_ontap_store.survey import release
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Operator
from lab import ini
from lab.demo import blocks
from lab.polling import wait_until
from lab.services import Service

CLUSTER = "big"
NODE, SECOND = "lab", "second"
VOLUME = "cinder-volume"
TYPE = "ontap-fv1"
SIZE = 24 * MIB + 5
MAJOR = int(metadata.version("cinder").partition(".")[0])
RELEASE = release.name(MAJOR)
# From 2026.1 on a node clones the image-volumes of all nodes.
KNOWS_CLUSTERS = MAJOR >= 28
CLONE = "image-volume clone"


def second_node(lab: Any, directory: Path) -> Service:
    """Return another cinder-volume of the cluster, with mount points of its own."""
    process = Path(f"/proc/{lab.pid(VOLUME)}")
    argv = (process / "cmdline").read_text().split("\0")[:-1]
    environment = dict(
        word.split("=", 1)
        for word in (process / "environ").read_text().split("\0")[:-1]
    )
    mounts, config = directory / "mnt", directory / "second.conf"
    mounts.mkdir()
    own = {"DEFAULT": {"host": SECOND}, "ontap": {"nfs_mount_point_base": mounts}}
    ini.write(config, own)
    return Service(
        VOLUME,
        [*argv, "--config-file", str(config)],
        environment,
        directory / "second.log",
        lambda node: node.log_count("Driver initialization completed successfully") > 0,
    )


@pytest.fixture(scope="module", autouse=True)
def cluster(lab: Any, admin: Any) -> Iterator[None]:
    """The lab's cinder-volume, as the only node of a cluster."""
    assert lab.facts["flavour"] == "stock", "run this in a lab with --broker"
    lab.set_cinder_option("DEFAULT", "cluster", CLUSTER)
    lab.restart(VOLUME)
    wait_until(
        lambda: all(name.startswith(f"{CLUSTER}@") for name in pools(admin)),
        "the scheduler names the pools by the cluster",
        state=lambda: pools(admin),
    )
    with direct.glance_options(lab, {"DEFAULT": {"show_image_direct_url": "true"}}):
        yield


@pytest.fixture
def second(lab: Any, tmp_path: Path) -> Iterator[Service]:
    """The second node, which the test starts."""
    node = second_node(lab, tmp_path)
    try:
        yield node
    finally:
        node.stop()
        lab.start(VOLUME)


@pytest.fixture
def operator(lab: Any) -> Operator:
    return Operator(lab)


def pools(admin: Any) -> list[str]:
    """Return the names of the scheduler's pools."""
    found = admin.block_storage.get("/scheduler-stats/get_pools").json()["pools"]
    return sorted(pool["name"] for pool in found) or [""]


def shown(admin: Any, volume_id: str) -> dict[str, Any]:
    """Return a volume as Cinder shows it to the administrator, with its cluster."""
    answer = admin.block_storage.get(f"/volumes/{volume_id}", microversion="3.61")
    found: dict[str, Any] = answer.json()["volume"]
    return found


def node_of(admin: Any, volume_id: str) -> str:
    """Return the node that made the volume."""
    host: str = shown(admin, volume_id)["os-vol-host-attr:host"]
    return host.partition("@")[0]


def is_clone(lab: Any, admin: Any, user: User, image: Any) -> bool:
    """Have Cinder make a volume; return whether it cloned the image-volume."""
    before = len(images.data_reads(lab, image.id))
    source = images.backing_file(lab, images.image_volume(admin, image.id))
    volume = user.volume(image_id=image.id, volume_type=TYPE)
    path = images.backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert pattern.first_difference(path, SIZE) is None
    own = blocks.not_in(blocks.extents(str(path)), blocks.extents(str(source)))
    was_downloaded = len(images.data_reads(lab, image.id)) > before
    assert was_downloaded is (own > 0)
    return not was_downloaded


def explained(operator: Operator, image: Any) -> dict[str, str]:
    """Return what ``explain`` says of the pool of the volume type."""
    ended = operator.run(
        *("--os-cloud", "admin", "explain", image.id, "-f", "json"),
        *("--volume-type", TYPE, "--size", "1", "--project", image.owner),
        *("--cinder-conf", CINDER_CONF, "--cinder-release", RELEASE, "--files"),
    )
    assert ended.stdout, ended.stderr
    (found,) = json.loads(ended.stdout)
    return dict(found)


def checked(operator: Operator, *arguments: str) -> dict[str, str]:
    """Return the severities of check's findings by their codes."""
    _, found = operator.findings("--cinder-release", RELEASE, *arguments)
    return {finding["Code"]: finding["Severity"] for finding in found}


class TestOneNode:
    def test_a_volume_has_the_host_of_its_node_and_the_pool_of_the_cluster(
        self, admin: Any, user: User
    ) -> None:
        image = user.uploaded(Sized(SIZE))
        volume = shown(admin, images.image_volume(admin, image.id).id)
        pool = volume["cluster_name"]
        assert pool in pools(admin)
        assert pool.partition("@")[0] == CLUSTER
        assert volume["os-vol-host-attr:host"] == pool.replace(CLUSTER, NODE, 1)

    def test_a_volume_is_a_clone_and_explain_says_so(
        self, lab: Any, admin: Any, user: User, operator: Operator
    ) -> None:
        image = user.uploaded(Sized(SIZE))
        found = explained(operator, image)
        assert (found["Path"], found["Certainty"]) == (CLONE, "certain")
        assert is_clone(lab, admin, user, image)

    def test_check_finds_the_pools_of_image_volumes(
        self, user: User, operator: Operator
    ) -> None:
        user.uploaded(Sized(SIZE))
        found = checked(operator, "--deep", "--volume-type", TYPE)
        assert "deep-clone" in found
        assert "pool-gone" not in found
        assert found.get("cinder-cluster") == (None if KNOWS_CLUSTERS else "warning")

    def test_audit_finds_the_pools_of_image_volumes(
        self, user: User, operator: Operator
    ) -> None:
        image = user.uploaded(Sized(SIZE))
        ended = operator.run("--os-cloud", "admin", "audit", "-f", "json")
        rows = json.loads(ended.stdout)
        assert not [row for row in rows if row["Image"] == image.id], rows


class TestTwoNodes:
    def test_another_node_clones_since_2026_1_and_explain_says_so(
        self, lab: Any, admin: Any, user: User, operator: Operator, second: Service
    ) -> None:
        image = user.uploaded(Sized(SIZE))
        assert node_of(admin, images.image_volume(admin, image.id).id) == NODE
        second.start()
        found = explained(operator, image)
        if KNOWS_CLUSTERS:
            assert (found["Path"], found["Certainty"]) == (CLONE, "certain")
        else:
            assert (found["Path"], found["Code"]) == ("download", "other-node")
            certainty = f"unless {NODE}@ontap of the cluster makes the volume"
            assert found["Certainty"] == certainty
        lab.stop(VOLUME)
        assert is_clone(lab, admin, user, image) is KNOWS_CLUSTERS

    def test_the_node_that_made_the_image_volume_clones_it(
        self, lab: Any, admin: Any, user: User, second: Service
    ) -> None:
        image = made_by(second, lab, admin, user)
        assert is_clone(lab, admin, user, image)

    def test_the_image_volume_of_a_node_that_left_is_still_read_and_deleted(
        self, lab: Any, admin: Any, user: User, second: Service
    ) -> None:
        image = made_by(second, lab, admin, user)
        lab.start(VOLUME)
        second.stop()
        assert user.download(image.id).content == pattern.at(0, SIZE)
        user.cloud.image.delete_image(image.id)
        wait_until(
            lambda: not images.image_volumes(admin, image.id), "the volume is gone"
        )


def made_by(second: Service, lab: Any, admin: Any, user: User) -> Any:
    """Return an image whose image-volume the second node has made, alone."""
    second.start()
    lab.stop(VOLUME)
    image = user.uploaded(Sized(SIZE))
    assert node_of(admin, images.image_volume(admin, image.id).id) == SECOND
    return image
