# SPDX-License-Identifier: Apache-2.0
"""The lab itself: real services and file systems, in namespaces of its own."""

from collections.abc import Iterator
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any
import urllib.request

from openstack import connection
import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional.clouds import User
from lab import cinder
from lab import layout
from lab import svms
from lab.client import Lab
from lab.errors import LabError

pytestmark = pytest.mark.shared

CONTENT = os.urandom(3 * 1024 * 1024 + 1)


def upload(user: User, store: str, data: Any = CONTENT) -> str:
    """Upload an image of ``CONTENT``; return its id."""
    image = user.image()
    answer = user.put(image, data, store)
    assert answer.status_code == 204, answer.text
    return str(image.id)


def in_pieces() -> Iterator[bytes]:
    """Yield ``CONTENT`` in pieces, so that its size is unknown."""
    step = 70_000
    for start in range(0, len(CONTENT), step):
        yield CONTENT[start : start + step]


@pytest.mark.exclusive
def test_services_answer(lab: Lab, admin: connection.Connection) -> None:
    assert {"admin", "acme", "globex", "service"} <= {
        project.name for project in admin.identity.projects()
    }
    backends = {(s.binary, s.host): s.state for s in admin.block_storage.services()}
    assert backends == {
        ("cinder-scheduler", "lab"): "up",
        ("cinder-volume", "lab@ontap"): "up",
    }
    stores = admin.image.get("/info/stores").json()["stores"]
    assert [store["id"] for store in stores] == lab.facts["stores"]
    assert next(store["id"] for store in stores if store.get("default")) == "fv1"


def test_pools_and_their_capabilities_are_listed(admin: connection.Connection) -> None:
    """In the embedded flavour too (`test_secure_nfs`)."""
    pools = admin.block_storage.get("/scheduler-stats/get_pools?detail=True").json()
    capabilities = {pool["name"]: pool["capabilities"] for pool in pools["pools"]}
    assert capabilities.keys() == cinder.expected_pools()
    assert {each["storage_protocol"] for each in capabilities.values()} == {"NFS"}


def test_glance_has_its_metadata_definitions(admin: connection.Connection) -> None:
    names = {space.namespace for space in admin.image.metadef_namespaces()}
    assert "OS::Compute::Hypervisor" in names


@pytest.mark.exclusive
def test_a_second_glance_serves_the_images_of_the_first(lab: Lab, user: User) -> None:
    image = upload(user, "fv1")
    lab.start("glance-second")
    try:
        url = f"{lab.facts['urls']['glance-second']}/v2/images/{image}/file"
        assert user.cloud.session.get(url).content == CONTENT
    finally:
        lab.stop("glance-second")


def test_facts_name_what_exists(lab: Lab) -> None:
    facts = lab.facts
    for name in ("cinder_requests", "glance_requests", "ontap_requests", "clouds"):
        assert Path(facts[name]).is_file(), name
    for name in ("logs", "configs", "file_store"):
        assert Path(facts[name]).is_dir(), name
    for service in ("ontap", "keystone", "glance", "cinder-api", "cinder-volume"):
        assert Path(f"/proc/{facts['pids'][service]}").is_dir(), service
    assert facts["flavour"] in ("embedded", "stock")
    assert ("rabbitmq" in facts["pids"]) == (facts["flavour"] == "stock")


def test_python3_is_of_the_environment() -> None:
    found = subprocess.check_output(
        ["python3", "-c", "import sys; print(sys.prefix)"], text=True
    )
    assert found.strip() == sys.prefix


def test_flexvols_are_file_systems_of_their_own(lab: Lab) -> None:
    places = [lab.flexvol(name) for name in ("fv1", "fv2", "fv3")]
    places.append(Path(lab.facts["file_store"]))
    assert all(place.is_mount() for place in places)
    assert len({place.stat().st_dev for place in places}) == len(places)
    kinds = subprocess.check_output(
        ["stat", "-f", "-c", "%T", *map(str, places)], text=True
    )
    assert kinds.split() == ["xfs"] * len(places)
    for name, size in svms.SIZES.items():
        gib = int(size.removesuffix("GiB"))
        found = os.statvfs(lab.flexvol(name))
        # XFS keeps a little for itself.
        assert 0.9 < found.f_blocks * found.f_frsize / (gib * 1024**3) <= 1


@pytest.mark.parametrize("store", layout.STORES)
@pytest.mark.parametrize("size", sampling.one_of(2, ["unknown", "known"]))
def test_each_store_takes_and_gives_an_image(user: User, store: str, size: str) -> None:
    image = upload(user, store, CONTENT if size == "known" else in_pieces())
    assert user.download(image).content == CONTENT


def test_each_volume_type_puts_volumes_on_its_flexvol(
    admin: connection.Connection, user: User
) -> None:
    for flexvol in ("fv1", "fv2", "fv3"):
        volume = user.volume(volume_type=f"ontap-{flexvol}")
        host = admin.block_storage.get_volume(volume.id).host
        assert host == f"lab@ontap#127.0.0.1:/{flexvol}"


def test_request_logs_have_users_and_sizes(lab: Lab, user: User) -> None:
    since = time.time()
    image = upload(user, "file", in_pieces())
    assert user.download(image).content == CONTENT
    user.volume()
    path = f"/v2/images/{image}/file"
    put, get = (
        next(
            request
            for request in lab.glance_requests(since)
            if (request["method"], request["path"]) == (method, path)
        )
        for method in ("PUT", "GET")
    )
    assert (put["user"], put["project"]) == ("alice", "acme")
    assert (put["status"], put["request_bytes"]) == (204, len(CONTENT))
    assert (get["status"], get["response_bytes"]) == (200, len(CONTENT))
    assert get["complete"]
    assert any(
        (request["method"], request["path"], request["status"])
        == ("POST", "/v3/volumes", 202)
        and request["user"] == "alice"
        and request["request_id"].startswith("req-")
        for request in lab.cinder_requests(since)
    )
    assert lab.ontap_requests()[0]["user"] == "cinder"


@pytest.mark.long
@pytest.mark.exclusive
def test_stores_log_in_as_themselves(lab: Lab, user: User) -> None:
    since = time.time()
    upload(user, "fv2")
    assert any(
        request["user"] == "image-fv2" and request["method"] == "POST"
        for request in lab.cinder_requests(since)
    )


def test_alice_and_bob_are_apart(user: User, bob: connection.Connection) -> None:
    image = upload(user, "file")
    assert image not in {found.id for found in bob.image.images()}


def mount(export: str, target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["mount", "-t", "nfs", *options, export, str(target)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    """A directory; mounts on it are removed at the end."""
    yield tmp_path
    while tmp_path.is_mount():
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_export_is_mounted_once(lab: Lab, mount_point: Path) -> None:
    assert mount("127.0.0.1:/fv1", mount_point).returncode == 0
    assert mount_point.stat().st_dev == lab.flexvol("fv1").stat().st_dev
    again = mount("127.0.0.1:/fv1", mount_point)
    assert (again.returncode, "already mounted" in again.stderr) == (32, True)


def test_a_read_only_mount_refuses_writing(mount_point: Path) -> None:
    assert mount("127.0.0.1:/fv1", mount_point, "-o", "ro,vers=3").returncode == 0
    with pytest.raises(OSError, match="Read-only"):
        (mount_point / "new").touch()


def test_an_unknown_export_is_refused(mount_point: Path) -> None:
    refused = mount("127.0.0.1:/nowhere", mount_point)
    assert (refused.returncode, "No such file" in refused.stderr) == (32, True)
    assert not mount_point.is_mount()


def test_mount_nfs_can_be_probed() -> None:
    assert (
        subprocess.run(["mount.nfs"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.exclusive
@pytest.mark.parametrize(
    "service", sampling.one_of(3, ["glance", "cinder-volume", "ontap"])
)
def test_a_service_restarts(lab: Lab, user: User, service: str) -> None:
    before = lab.pid(service)
    lab.restart(service)
    assert lab.pid(service) not in (before, None)
    image = upload(user, "peer")
    user.volume(image_id=image, volume_type="ontap-fv2")
    assert user.download(image).content == CONTENT


@pytest.mark.long
@pytest.mark.exclusive
def test_a_killed_service_is_gone_until_it_is_started(lab: Lab) -> None:
    url = lab.facts["urls"]["glance"] + "/healthcheck"
    lab.kill("glance")
    try:
        assert lab.pid("glance") is None
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=10)
    finally:
        lab.start("glance")
    assert urllib.request.urlopen(url, timeout=10).status == 200


@pytest.mark.long
@pytest.mark.exclusive
def test_an_edited_configuration_is_read_at_restart(
    lab: Lab, admin: connection.Connection
) -> None:
    def default_store() -> str:
        stores = admin.image.get("/info/stores").json()["stores"]
        return str(next(store["id"] for store in stores if store.get("default")))

    lab.set_glance_option("glance_store", "default_backend", "file")
    try:
        lab.restart("glance")
        assert default_store() == "file"
    finally:
        lab.set_glance_option("glance_store", "default_backend", "fv1")
        lab.restart("glance")
    assert default_store() == "fv1"


def test_an_unknown_service_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="no service 'nova'"):
        lab.restart("nova")


def test_outside_of_a_lab_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LAB_FACTS")
    with pytest.raises(LabError, match="tox -e functional"):
        Lab.from_facts()


def test_no_secret_on_a_command_line(lab: Lab) -> None:
    secrets = {
        line.partition("=")[2].strip()
        for line in lab.glance_config.read_text().splitlines()
        if line.partition("=")[0].strip().endswith("password")
    }
    assert len(secrets) == 6  # four of ours, upstream's, and Glance's
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_text(errors="replace"))
        except OSError:
            continue  # it has ended
    assert not [secret for secret in secrets for line in lines if secret in line]


@pytest.mark.exclusive
def test_no_database_was_locked(lab: Lab) -> None:
    """SQLite under several workers: see lab/sqlite_plugin.py."""
    for log in Path(lab.facts["logs"]).glob("*.log"):
        assert "database is locked" not in log.read_text(errors="replace"), log
