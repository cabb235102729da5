# SPDX-License-Identifier: Apache-2.0
"""Image-volumes in the uploading user's project: store ``own`` of the lab."""

from collections.abc import Iterator
import contextlib
import http.server
import os
from pathlib import Path
import threading
from typing import Any
import uuid

from glance_store import exceptions
from keystoneauth1 import session
from keystoneauth1.identity import v3
from openstack import connection
import pytest

from glance_ontap_store.tests.fakes import glance
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab import ini
from lab import layout
from lab import stores
from lab.polling import wait_until


@pytest.fixture
def base() -> str:
    return stores.new_base()


@pytest.fixture
def leftovers(lab: Any, admin: Any, base: str) -> Iterator[Leftovers]:
    """Fail the test if it leaves anything behind."""
    watch = Leftovers(lab, admin, base, flexvol="fv2")
    yield watch
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not watch.new(), "nothing is left", timeout_s=60)
    assert watch.new() == {}


def project_of(admin: Any, image_id: str) -> str:
    return str(images.image_volume(admin, image_id).project_id)


def visible(cloud: Any) -> set[str]:
    return {volume.id for volume in cloud.block_storage.volumes()}


# One owner each


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_the_volume_belongs_to_the_uploader(
    lab: Any, admin: Any, alice: Any, bob: Any, user: User, is_known: bool
) -> None:
    used = direct.used_gib(admin, alice.current_project_id)
    size = GIB + MIB
    data = Sized(size) if is_known else Pattern(size)
    image = user.uploaded(data, "own")
    images.assert_stored(lab, admin, image, data)
    volume = images.image_volume(admin, image.id)
    assert volume.project_id == alice.current_project_id
    assert volume.metadata["image_owner"] == alice.current_project_id
    assert direct.used_gib(admin, alice.current_project_id) == used + 2
    assert volume.id in visible(alice)
    assert volume.id not in visible(bob)
    alice.image.delete_image(image.id, ignore_missing=False)
    wait_until(lambda: not images.image_volumes(admin, image.id), "the volume is gone")
    assert direct.used_gib(admin, alice.current_project_id) == used


@pytest.mark.shared
@pytest.mark.parametrize(
    "visibility",
    [
        "public",
        pytest.param("community", marks=pytest.mark.long),
        pytest.param("shared", marks=pytest.mark.long),
    ],
)
def test_upstream_cannot_read_what_another_project_owns(
    lab: Any,
    admin: Any,
    bob: Any,
    user: User,
    other: User,
    visibility: str,
) -> None:
    image = user.uploaded(Sized(MIB), "own")
    admin.image.update_image(image.id, visibility=visibility)
    if visibility == "shared":
        user.cloud.image.add_member(image.id, member=bob.current_project_id)
        bob.image.update_member(bob.current_project_id, image.id, status="accepted")
    source = images.backing_file(lab, images.image_volume(admin, image.id))
    volume = other.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    assert images.data_reads(lab, image.id) == []
    shown = admin.block_storage.get_volume(volume.id)
    assert shown.project_id == bob.current_project_id
    path = images.backing_file(lab, shown)
    assert path.parent == source.parent
    assert pattern.first_difference(path, MIB) is None
    assert other.download(image.id).content == pattern.at(0, MIB)
    elsewhere = other.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
    shown = admin.block_storage.get_volume(elsewhere.id)
    assert pattern.first_difference(images.backing_file(lab, shown), MIB) is None
    # Reading is not deleting.
    assert bob.image.delete(f"/images/{image.id}").status_code in (403, 404)
    assert user.download(image.id).content == pattern.at(0, MIB)


@pytest.mark.shared
def test_readers_of_two_processes(lab: Any, admin: Any, user: User, base: str) -> None:
    """While one has the volume attached, the other reads a clone of the store."""
    image = user.uploaded(Sized(9 * MIB), "own")
    volume_id = images.image_volume(admin, image.id).id
    reader = stores.make_store(lab, "own", mount_point_base=base)
    first, _size = reader.get(direct.at("own", volume_id))
    with first:
        assert user.download(image.id).content == pattern.at(0, 9 * MIB)
    assert project_of(admin, image.id) == user.cloud.current_project_id


@pytest.mark.shared
def test_an_administrator_deletes(lab: Any, admin: Any, user: User) -> None:
    image = user.uploaded(Sized(MIB), "own")
    path = images.backing_file(lab, images.image_volume(admin, image.id))
    assert admin.image.delete(f"/images/{image.id}").status_code == 204
    wait_until(lambda: not images.image_volumes(admin, image.id), "the volume is gone")
    assert not path.exists()


@pytest.mark.shared
def test_an_administrator_uploads_for_a_user(
    lab: Any, admin: Any, user: User, operator: User
) -> None:
    """The volume belongs to the administrator; alice may use it with her image."""
    image = user.image()
    assert operator.put(image, Sized(MIB), "own").status_code == 204
    volume = images.image_volume(admin, image.id)
    assert volume.project_id == admin.current_project_id
    assert volume.metadata["image_owner"] == user.cloud.current_project_id
    assert user.download(image.id).content == pattern.at(0, MIB)
    assert user.cloud.image.delete(f"/images/{image.id}").status_code == 204


@pytest.mark.shared
def test_a_snapshot_of_the_users_keeps_the_image(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB), "own")
    volume = images.image_volume(admin, image.id)
    with direct.snapshot_as(user.cloud, volume.id):
        refused = user.cloud.image.delete(f"/images/{image.id}")
        assert refused.status_code == 409, refused.text
        assert "snapshots" in refused.text


def test_a_full_quota_of_the_user(
    lab: Any, admin: Any, alice: Any, user: User, leftovers: Any
) -> None:
    image = user.image()
    project = alice.current_project_id
    used = direct.used_gib(admin, project)
    with direct.quota(admin, project, gigabytes=used):
        refused = user.put(image, Sized(MIB), "own")
    assert refused.status_code == 413, refused.text
    assert f"quota of project {project}" in refused.text
    assert alice.image.get_image(image.id).status == "queued"


# What is left behind: nothing


def add(store: Any, context: Any, reader: Any, size: int) -> str:
    url: str = store.add(str(uuid.uuid4()), reader, size, "sha512", context=context)[0]
    return url.rpartition("/")[2]


def test_a_client_that_goes_away(lab: Any, base: str, leftovers: Any) -> None:
    store = stores.make_store(lab, "own", mount_point_base=base)
    reader = OnePass(glance.Pattern(9 * MIB), breaks_at=5 * MIB)
    with pytest.raises(OSError, match="went away"):
        add(store, direct.context("alice"), reader, 9 * MIB)


def test_a_store_without_rights_over_the_volume(
    lab: Any, base: str, leftovers: Any
) -> None:
    store = stores.make_store(
        lab,
        "own",
        mount_point_base=base,
        store_user_name="image-fv1",
        store_password=stores.option("fv1", "ontap_store_password"),
    )
    with pytest.raises(exceptions.BadStoreConfiguration, match="role admin"):
        add(store, direct.context("alice"), Pattern(1), 1)


@pytest.mark.long
def test_an_endpoint_template(lab: Any, admin: Any, base: str, leftovers: Any) -> None:
    url = lab.facts["urls"]["cinder"]
    store = stores.make_store(
        lab, "own", mount_point_base=base, endpoint_template=f"{url}/%(project_id)s"
    )
    context = direct.context("alice")
    vars_ = {**vars(context), "service_catalog": None}
    volume_id = add(store, Context(**vars_), Pattern(1), 1)
    volume = admin.block_storage.get_volume(volume_id)
    assert volume.project_id == context.project_id
    store.delete(direct.at("own", volume_id))


# Tokens that end


@contextlib.contextmanager
def short_tokens(lab: Any, seconds: int) -> Iterator[None]:
    """Let Keystone issue tokens for *seconds* until the block ends."""
    path = Path(lab.facts["configs"]) / "keystone" / "keystone.conf"
    before = path.read_text("utf-8")
    path.write_text(ini.set_option(before, "token", "expiration", seconds), "utf-8")
    lab.restart("keystone")
    try:
        yield
    finally:
        path.write_text(before, "utf-8")
        lab.restart("keystone")


def is_good(lab: Any, token: str) -> bool:
    keystone = lab.cloud("admin").identity
    answer = keystone.get("/auth/tokens", headers={"X-Subject-Token": token})
    return bool(answer.status_code == 200)


def revoke(lab: Any, token: str) -> None:
    keystone = lab.cloud("admin").identity
    answer = keystone.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert answer.status_code == 204, answer.text


@pytest.mark.long
def test_a_token_that_expired_before_the_upload(
    lab: Any, admin: Any, base: str, leftovers: Any
) -> None:
    """The store's own token vouches that it was valid when the request began."""
    with short_tokens(lab, 2):
        token = lab.cloud("alice").session.get_token()
    wait_until(lambda: not is_good(lab, token), "the token expires")
    store = stores.make_store(lab, "own", mount_point_base=base)
    context = direct.context("alice", token)
    volume_id = add(store, context, Pattern(MIB), MIB)
    volume = admin.block_storage.get_volume(volume_id)
    assert volume.project_id == context.project_id
    store.delete(direct.at("own", volume_id), context=context)


@pytest.mark.long
def test_a_token_that_was_revoked_before_the_upload(
    lab: Any, admin: Any, base: str, leftovers: Any, caplog: Any
) -> None:
    token = lab.cloud("alice").session.get_token()
    revoke(lab, token)
    store = stores.make_store(lab, "own", mount_point_base=base)
    volume_id = add(store, direct.context("alice", token), Pattern(1), 1)
    volume = admin.block_storage.get_volume(volume_id)
    assert volume.project_id == direct.owner("own").current_project_id
    assert "store's own project" in caplog.text
    assert token not in caplog.text
    store.delete(direct.at("own", volume_id))


@pytest.mark.long
def test_a_token_that_is_revoked_during_the_upload(
    lab: Any, admin: Any, user: User
) -> None:
    size = GIB + 9 * MIB
    cloud = lab.cloud("alice")
    token = cloud.session.get_token()

    def data() -> Iterator[bytes]:
        yield pattern.at(0, MIB)
        wait_until(lambda: images.image_volumes(admin, image.id), "the volume is there")
        revoke(lab, token)
        for offset in range(MIB, size, MIB):
            yield pattern.at(offset, MIB)

    image = user.image()
    answer = User(cloud).put(image, data(), "own")
    assert answer.status_code == 204, answer.text
    assert project_of(admin, image.id) == cloud.current_project_id
    volume = images.image_volume(admin, image.id)
    assert pattern.first_difference(images.backing_file(lab, volume), size) is None


class _Waiting(http.server.ThreadingHTTPServer):
    """Serves the pattern's first MiB once *ready* is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ready = threading.Event()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Waiting

    def do_GET(self) -> None:
        self.server.ready.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(MIB))
        self.end_headers()
        self.wfile.write(pattern.at(0, MIB))

    def log_message(self, *_args: Any) -> None:
        pass


def test_an_import_that_outlives_its_token(
    lab: Any, admin: Any, alice: Any, user: User
) -> None:
    image = user.image()
    # Keystone needs a part of it to start again, more on a busy host.
    with short_tokens(lab, 30):
        token = lab.cloud("alice").session.get_token()
    with _Waiting() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            # Keystone gives a token for a token, which ends with it.
            auth = v3.Token(
                lab.facts["urls"]["keystone"],
                token,
                project_id=alice.current_project_id,
            )
            short = connection.Connection(
                session=session.Session(auth), region_name=layout.REGION
            )
            uri = f"http://127.0.0.1:{server.server_port}/image"
            answer = short.image.post(
                f"/images/{image.id}/import",
                json={
                    "method": {"name": "web-download", "uri": uri},
                    "stores": ["own"],
                },
            )
            assert answer.status_code == 202, answer.text
            used = short.session.get_token()
            wait_until(lambda: not is_good(lab, used), "the token expires")
            server.ready.set()
            wait_until(
                lambda: alice.image.get_image(image.id).status == "active",
                "the import ends",
            )
        finally:
            server.ready.set()
            server.shutdown()
            thread.join()
    assert project_of(admin, image.id) == alice.current_project_id
    path = images.backing_file(lab, images.image_volume(admin, image.id))
    assert os.path.getsize(path) == GIB
    assert pattern.first_difference(path, MIB) is None
