# SPDX-License-Identifier: Apache-2.0
"""A request to Glance costs no more with fifty stores than with one."""

from collections.abc import Iterator
import configparser
import os
from pathlib import Path
import re
import time
from typing import Any

import pytest

from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab.polling import wait_until
from lab.stores import CONFIG
from lab.stores import make_store

COUNT = 50
LAST = f"s{COUNT - 1}"
# All fifty stores log in as this user; upstream's store is another one.
USER = "image-fv1"


@pytest.fixture(scope="module", autouse=True)
def stores(lab: Any) -> Iterator[float]:
    """Glance with fifty more stores; the time of its start."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CONFIG)
    names = [f"s{number}" for number in range(COUNT)]
    enabled = parser["DEFAULT"]["enabled_backends"]
    more = ",".join(f"{name}:ontap" for name in names)
    options: dict[str, dict[str, Any]] = {name: dict(parser["fv1"]) for name in names}
    options["DEFAULT"] = {"enabled_backends": f"{enabled},{more}"}
    since = time.time()
    with direct.glance_options(lab, options):
        yield since


def asked_of_cinder(lab: Any, since: float) -> list[str]:
    """Return the stores' requests in order; repeated ones count once."""
    found: list[str] = []
    for each in lab.cinder_requests(since):
        # Lists are those of recovery: no operation on an image needs one.
        if each["user"] != USER or each["path"].endswith("/volumes/detail"):
            continue
        shape = re.sub(r"[0-9a-f-]{32,36}", "ID", f"{each['method']} {each['path']}")
        if found[-1:] != [shape]:
            found.append(shape)
    return found


def asked_until(lab: Any, since: float, last: str) -> list[str]:
    """Return them when *last* is logged, which happens after its answer."""
    wait_until(
        lambda: last in asked_of_cinder(lab, since),
        f"{last} is logged",
        state=lambda: asked_of_cinder(lab, since),
    )
    return asked_of_cinder(lab, since)


def test_nothing_is_asked_at_the_start(lab: Any, admin: Any, stores: float) -> None:
    listed = admin.image.get("/info/stores").json()["stores"]
    assert len(listed) > COUNT
    assert asked_of_cinder(lab, stores) == []


def image_operations(
    lab: Any, admin: Any, user: User, store: str
) -> dict[str, list[str]]:
    """Return the requests to Cinder for each operation on an image."""
    asked = {}
    since = time.time()
    image = user.uploaded(Sized(MIB), store)
    asked["upload"] = asked_of_cinder(lab, since)
    since = time.time()
    assert user.cloud.image.get(f"/images/{image.id}").json()["stores"] == store
    asked["show"] = asked_of_cinder(lab, since)
    since = time.time()
    assert user.download(image.id).content == pattern.at(0, MIB)
    asked["download"] = asked_until(lab, since, "DELETE /v3/attachments/ID")
    since = time.time()
    user.cloud.image.delete_image(image.id, ignore_missing=False)
    asked["delete"] = asked_until(lab, since, "DELETE /v3/volumes/ID")
    return asked


def test_requests_per_image_are_those_of_one_store(
    lab: Any, admin: Any, user: User
) -> None:
    many = image_operations(lab, admin, user, LAST)
    assert many["show"] == []
    # The image-volume's state and metadata, and the deletion.
    assert many["delete"] == ["GET /v3/volumes/ID", "DELETE /v3/volumes/ID"]
    lab_config = lab.glance_config.read_text("utf-8")
    enabled = re.sub(
        r"^enabled_backends = .*$",
        f"enabled_backends = {LAST}:ontap",
        lab_config,
        flags=re.MULTILINE,
    )
    only = re.sub(
        r"^default_backend = .*$", f"default_backend = {LAST}", enabled, flags=re.M
    )
    lab.glance_config.write_text(only, "utf-8")
    lab.restart("glance")
    try:
        assert image_operations(lab, admin, user, LAST) == many
    finally:
        lab.glance_config.write_text(lab_config, "utf-8")
        lab.restart("glance")


def connections_to(port: int) -> int:
    """Return the number of this process's TCP connections to a local server."""
    sockets = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            sockets.add(os.readlink(each))
        except FileNotFoundError:  # of the listing itself
            continue
    lines = Path("/proc/self/net/tcp").read_text("ascii").splitlines()[1:]
    return sum(
        int(words[2].partition(":")[2], 16) == port
        and f"socket:[{words[9]}]" in sockets
        for words in map(str.split, lines)
    )


def test_stores_of_a_process_share_connections(
    lab: Any, admin: Any, user: User
) -> None:
    """Idle ones count: with 100 open, Cinder's API answers no other client."""
    volume = images.image_volume(admin, user.uploaded(Sized(MIB), "fv1").id)
    made = [make_store(lab, f"s{number}") for number in range(COUNT)]
    port = int(lab.facts["urls"]["cinder"].rpartition(":")[2].partition("/")[0])
    before, since = connections_to(port), time.time()
    for each in made:
        # Of another store, so that each has to ask whose it is.
        assert not each.is_image_associated_with_store(Context(), volume.id)

    def answered() -> int:
        return sum(
            request["path"].endswith(volume.id) and request["status"] == 200
            for request in lab.cinder_requests(since)
        )

    # A request without an answer would look like a volume of another store. The last
    # one is logged after its answer.
    wait_until(lambda: answered() == COUNT, f"{COUNT} are answered", 30, state=answered)
    assert connections_to(port) <= before + 1
