# SPDX-License-Identifier: Apache-2.0
"""glance-api is told to stop (SIGTERM) while it transfers images."""

from collections.abc import Iterator
import contextlib
import threading
from typing import Any

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab import stores
from lab.client import Lab

SECOND = "glance-second"


def connections() -> set[str]:
    return direct.connected(stores.option("fv1", "ontap_mount_point_base"))


def file_url(lab: Lab, image_id: str) -> str:
    return f"{lab.facts['urls'][SECOND]}/v2/images/{image_id}/file"


@pytest.fixture
def second(lab: Lab) -> Iterator[Lab]:
    """Another glance-api on this host. It only stops: no later start cleans up."""
    lab.start(SECOND)
    yield lab
    lab.stop(SECOND)


@contextlib.contextmanager
def uploading(user: User, url: str, body: Any) -> Iterator[None]:
    """A client that uploads in a thread, and may fail."""

    def upload() -> None:
        with contextlib.suppress(Exception):
            user.cloud.session.put(
                url,
                data=body,
                headers={
                    "Content-Type": "application/octet-stream",
                    "X-Image-Meta-Store": "fv1",
                },
                raise_exc=False,
            )

    client = threading.Thread(target=upload)
    client.start()
    yield
    client.join()


def chunks(body: Pattern) -> Iterator[bytes]:
    """The same bytes without an announced size."""
    while piece := body.read(MIB):
        yield piece


@pytest.mark.exclusive
@pytest.mark.parametrize("is_size_known", [True, False])
def test_an_upload_whose_client_waits_leaves_nothing(
    second: Lab, user: User, is_size_known: bool
) -> None:
    image = user.image()
    under_way, stopped = threading.Event(), threading.Event()

    def wait(reader: Pattern) -> None:
        if reader.position > 40 * MIB:
            under_way.set()
            stopped.wait(60)

    body = Announcing(GIB, wait)
    with uploading(
        user, file_url(second, image.id), body if is_size_known else chunks(body)
    ):
        assert under_way.wait(120)
        second.stop(SECOND)
        stopped.set()
    owner = direct.owner("fv1").block_storage
    names = [volume["name"] for volume in owner.get("/volumes").json()["volumes"]]
    # Its deletion may still run.
    assert {
        owner.get_volume(volume["id"]).status
        for volume in owner.get("/volumes").json()["volumes"]
        if volume["name"] == f"image-{image.id}"
    } <= {"deleting"}, names
    assert not connections()
    assert user.cloud.image.get_image(image.id).status == "queued"


@pytest.mark.exclusive
def test_a_download_leaves_no_attachment(second: Lab, admin: Any, user: User) -> None:
    image = user.uploaded(Sized(200 * MIB))
    answer = user.cloud.session.get(file_url(second, image.id), stream=True)
    pieces = answer.iter_content(MIB)
    next(pieces)
    volume = images.image_volume(admin, image.id)
    assert volume.attachments
    second.stop(SECOND)
    with pytest.raises(Exception):  # noqa: B017 - of any class
        assert sum(len(piece) for piece in pieces) == 199 * MIB
    volume = images.image_volume(admin, image.id)
    assert (volume.status, volume.attachments) == ("available", [])
    assert not connections()
