# SPDX-License-Identifier: Apache-2.0
"""glance-api in the ways in which uWSGI can run it, with several images at once.

The lab's own glance-api loads Glance in each worker. These load it once, before the
workers are forked, or let a worker serve one request at a time.
"""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import openstack
import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab import uwsgi
from lab.polling import wait_until
from lab.services import Service

SIZE = 40 * MIB
PORT = "glance-second"


def without(*names: str) -> Callable[[list[str]], list[str]]:
    return lambda argv: [word for word in argv if word not in names]


def one_thread(argv: list[str]) -> list[str]:
    """Several would switch ``enable-threads`` on."""
    argv = without("--lazy-apps", "--enable-threads")(argv)
    argv[argv.index("--threads") + 1] = "1"
    return argv


WAYS = {
    "loaded before the fork": without("--lazy-apps"),
    "loaded before the fork, threads not enabled": one_thread,
}


def service(lab: Any, log: Path, change: Callable[[list[str]], list[str]]) -> Service:
    """Return a glance-api like the lab's, with another command line."""
    process = Path(f"/proc/{lab.pid('glance')}")
    argv = change((process / "cmdline").read_text().split("\0")[:-1])
    environment = dict(
        word.split("=", 1)
        for word in (process / "environ").read_text().split("\0")[:-1]
    )
    url = lab.facts["urls"][PORT]
    argv[argv.index("--http-socket") + 1] = url.removeprefix("http://")
    # The application is loaded once, for all workers.
    return Service(
        "glance", argv, environment, log, uwsgi.ready(f"{url}/v2/", 1, (200, 401))
    )


@pytest.fixture(params=WAYS)
def server(lab: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a glance-api that is run in this way."""
    made = service(lab, tmp_path / "glance.log", WAYS[request.param])
    try:
        made.start()
        yield lab.facts["urls"][PORT]
    finally:
        made.stop()


@pytest.fixture
def user(server: str) -> Iterator[User]:
    """Alice, who sends her requests to that glance-api."""
    with openstack.connect(cloud="alice", image_endpoint_override=server) as me:
        made = User(me)
        yield made
        made.clean()


def test_images_are_stored_read_by_two_and_deleted(lab: Any, user: User) -> None:
    with futures.ThreadPoolExecutor() as pool:
        uploads = [pool.submit(user.uploaded, Sized(SIZE), "fv1") for _ in range(4)]
        images = [upload.result() for upload in uploads]
        expected = pattern.at(0, SIZE)
        reads = [
            pool.submit(lambda found: user.download(found.id).content, image)
            for image in (*images, images[0])
        ]
        assert [read.result() == expected for read in reads] == [True] * len(reads)
    for image in images:
        user.cloud.image.delete_image(image.id, ignore_missing=False)
    base = stores.option("fv1", "ontap_mount_point_base")
    wait_until(lambda: not direct.connected(base), "the host is disconnected")
