# SPDX-License-Identifier: Apache-2.0
"""The store in the release of OpenStack that is installed.

The lab's other tests run in the newest release. These are also run in older ones
(``tox -e functional-2025.1``), and their results are in the compatibility table
(``doc/source/admin/compatibility.rst``).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
from importlib import metadata
import json
from typing import Any

import openstack
import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.images import assert_stored
from glance_ontap_store.tests.functional.images import backing_file
from glance_ontap_store.tests.functional.images import data_reads
from glance_ontap_store.tests.functional.images import image_volume
from glance_ontap_store.tests.functional.images import image_volumes
from glance_ontap_store.tests.functional.images import start_import
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Operator
from lab import glance
from lab.demo import blocks
from lab.polling import wait_until
from lab.stores import CONFIG

# With the newest release, test_images.py and test_location_visibility.py show the same.
pytestmark = [pytest.mark.exclusive, pytest.mark.long]

CINDER = int(metadata.version("cinder").partition(".")[0])
# Cinder 27 (2025.2) asks Glance's location API. Earlier ones know ``direct_url`` only.
ASKS_LOCATION_API = CINDER >= 27
# Glance has the location API since release 29 (2024.2).
HAS_LOCATION_API = int(metadata.version("glance").partition(".")[0]) >= 29
INTERNAL_CONFIG = f"/etc/glance/{glance.INTERNAL}/glance-api.conf"


@contextlib.contextmanager
def running(lab: Any, server: str) -> Iterator[str]:
    """Start a server of Glance that the lab starts on request; give its URL."""
    lab.start(server)
    try:
        yield lab.facts["urls"][server]
    finally:
        lab.stop(server)


def user_at(name: str, url: str) -> User:
    """Return a user who talks to the Glance at *url*."""
    return User(openstack.connect(cloud=name, image_endpoint_override=url))


@pytest.fixture(
    scope="module",
    params=[
        "uwsgi",
        pytest.param(
            glance.STANDALONE,
            marks=pytest.mark.skipif(
                not glance.has_standalone(),
                reason="this release of Glance has no standalone server",
            ),
        ),
    ],
)
def server(lab: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of glance-api, under uWSGI and as the standalone program."""
    if request.param == "uwsgi":
        yield lab.facts["urls"]["glance"]
    else:
        with running(lab, request.param) as url:
            yield url


@pytest.fixture
def alice_there(server: str) -> Iterator[User]:
    """Alice, who uses that glance-api."""
    user = user_at("alice", server)
    yield user
    user.clean()


@pytest.mark.parametrize("size", [1, GIB + 1], ids=["one-byte", "GiB-plus-1"])
@pytest.mark.parametrize("make", [Sized, Pattern], ids=["known", "unknown"])
def test_an_upload_keeps_each_byte(
    lab: Any, admin: Any, alice_there: User, make: Any, size: int
) -> None:
    data = make(size)
    assert_stored(lab, admin, alice_there.uploaded(data), data)


def test_two_readers_get_each_byte(alice_there: User) -> None:
    size = 64 * MIB + 7
    image = alice_there.uploaded(Sized(size))

    def differs(_: int) -> int | None:
        position = 0
        for piece in alice_there.download(image.id).iter_content(MIB):
            if piece != pattern.at(position, len(piece)):
                return position
            position += len(piece)
        return None if position == size else position

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(differs, range(2))) == [None, None]


def test_a_deleted_image_leaves_no_volume(admin: Any, alice_there: User) -> None:
    image = alice_there.uploaded(Sized(MIB))
    assert image_volumes(admin, image.id)
    alice_there.cloud.image.delete_image(image.id, ignore_missing=False)
    wait_until(lambda: not image_volumes(admin, image.id), "the volume is gone")


class Visibility:
    """A way to show locations; the URL of the Glance that Cinder asks, and its file."""

    def __init__(self, kind: str, cinder_asks: str, config: str = CONFIG) -> None:
        self.kind = kind
        self.cinder_asks = cinder_asks
        self.config = config

    @property
    def clones(self) -> bool:
        """Whether Cinder of this release learns the location of an image."""
        return self.kind != "hidden" or ASKS_LOCATION_API


@pytest.fixture(scope="module", params=["hidden", "direct_url", "internal"])
def visibility(lab: Any, request: pytest.FixtureRequest) -> Iterator[Visibility]:
    """Hidden locations, shown to all, or shown by a Glance for services only."""
    public = lab.facts["urls"]["glance"]
    with contextlib.ExitStack() as stack:
        if request.param == "direct_url":
            shown = {"DEFAULT": {"show_image_direct_url": "true"}}
            stack.enter_context(direct.glance_options(lab, shown))
        if request.param != "internal":
            yield Visibility(request.param, public)
            return
        url = stack.enter_context(running(lab, glance.INTERNAL))
        servers = {"DEFAULT": {"glance_api_servers": url}}
        stack.enter_context(direct.cinder_options(lab, servers))
        yield Visibility(request.param, url, INTERNAL_CONFIG)


def clones_of_files(lab: Any) -> int:
    """Return how many clones of files have been asked of ONTAP."""
    return sum(
        request["method"] == "POST" and "/storage/file/clone" in request["path"]
        for request in lab.ontap_requests()
    )


def test_a_volume_on_the_same_flexvol_is_a_clone_if_cinder_knows_the_location(
    lab: Any, admin: Any, user: User, visibility: Visibility
) -> None:
    size = 96 * MIB + 5
    image = user.uploaded(Sized(size))
    source = backing_file(lab, image_volume(admin, image.id))
    before = clones_of_files(lab)
    volume = user.volume(size=2, image_id=image.id, volume_type="ontap-fv1")
    path = backing_file(lab, admin.block_storage.get_volume(volume.id))
    own = blocks.not_in(blocks.extents(str(path)), blocks.extents(str(source)))
    if visibility.clones:
        assert data_reads(lab, image.id) == []
        assert clones_of_files(lab) == before + 1
        assert own == 0
    else:
        assert data_reads(lab, image.id) == [size]
        assert own >= size
    assert pattern.first_difference(path, size) is None


def test_a_volume_on_another_flexvol_is_a_download(
    lab: Any, admin: Any, user: User, visibility: Visibility
) -> None:
    size = 32 * MIB + 5
    image = user.uploaded(Sized(size))
    volume = user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    path = backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert data_reads(lab, image.id) == [size]
    assert pattern.first_difference(path, size) is None


def test_a_copy_on_another_flexvol_is_cloned_if_cinder_knows_all_locations(
    lab: Any, admin: Any, user: User, visibility: Visibility
) -> None:
    """``direct_url`` is the first location only."""
    size = 16 * MIB + 5
    image = user.uploaded(Sized(size))
    start_import(admin, image.id, "copy-image", "fv2")
    wait_until(lambda: "fv2" in user.stores(image.id), "the image is on both FlexVols")
    volume = user.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
    path = backing_file(lab, admin.block_storage.get_volume(volume.id))
    # The copying itself reads from the store, and not through the API.
    assert data_reads(lab, image.id) == ([] if ASKS_LOCATION_API else [size])
    assert pattern.first_difference(path, size) is None


def test_check_deep_says_what_cinder_does(lab: Any, visibility: Visibility) -> None:
    code, found = Operator(lab).findings(
        *("--deep", "--store", "fv1", "--volume-type", "ontap-fv1"),
        *("--cinder-conf", CINDER_CONF, "--cinder-release", str(CINDER)),
        config=visibility.config,
    )
    codes = {finding["Code"] for finding in found}
    assert "deep-stored" in codes, found
    assert ("deep-clone" in codes) is visibility.clones, found
    assert ("deep-download" in codes) is not visibility.clones
    assert ("locations-hidden" in codes) is not visibility.clones
    assert (code < 2) is visibility.clones, found


def test_explain_says_what_cinder_does(
    lab: Any, user: User, visibility: Visibility
) -> None:
    image = user.uploaded(Sized(MIB))
    ended = Operator(lab).run(
        *("--os-cloud", "admin", "explain", image.id, "-f", "json"),
        *("--volume-type", "ontap-fv1", "--cinder-conf", CINDER_CONF),
        *("--cinder-release", str(CINDER), "--files"),
        config=visibility.config,
    )
    assert ended.stdout, ended.stderr
    (found,) = json.loads(ended.stdout)
    way = "image-volume clone" if visibility.clones else "download"
    assert found["Path"] == way, found


def test_users_see_locations_only_where_they_are_shown(
    lab: Any, admin: Any, user: User, other: User, visibility: Visibility
) -> None:
    image = user.uploaded(Sized(MIB), visibility="community")
    url = f"cinder://fv1/{image_volume(admin, image.id).id}"
    shown = url if visibility.kind == "direct_url" else None
    for reader in (user, other):
        answer = reader.cloud.image.get(f"/images/{image.id}").json()
        assert answer.get("direct_url") == shown
        assert "locations" not in answer
    # So the network must keep users from a Glance that is there for services.
    if visibility.kind == "internal":
        there = user_at("bob", visibility.cinder_asks)
        answer = there.cloud.image.get(f"/images/{image.id}").json()
        assert answer["direct_url"] == url
    if HAS_LOCATION_API:
        refused = user.cloud.image.get(f"/images/{image.id}/locations")
        assert refused.status_code == 403, refused.text
