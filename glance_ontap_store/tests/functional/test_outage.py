# SPDX-License-Identifier: Apache-2.0
"""cinder-api is away when a transfer ends, and comes back."""

from collections.abc import Iterator
import contextlib
import threading
from typing import Any

import pytest

from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab.client import Lab
from lab.polling import wait_until

SIZE = 200 * MIB
AWAY_S = 15


@contextlib.contextmanager
def returning(lab: Lab) -> Iterator[None]:
    """Stop cinder-api for `AWAY_S` seconds; it answers when the block has ended."""
    lab.stop("cinder-api")
    timer = threading.Timer(AWAY_S, lab.start, ["cinder-api"])
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.mark.exclusive
def test_an_upload_waits_for_cinder_at_its_end(
    lab: Lab, admin: Any, user: User
) -> None:
    with contextlib.ExitStack() as stack:
        stopped = threading.Event()

        def stop(reader: Pattern) -> None:
            if reader.position > SIZE // 2 and not stopped.is_set():
                stopped.set()
                stack.enter_context(returning(lab))

        image = user.image()
        answer = user.put(image, Announcing(SIZE, stop), "fv1")
        assert stopped.is_set()
    assert answer.status_code == 204, answer.text
    assert user.download(image.id).content == Pattern(SIZE).read(SIZE)
    volume = images.image_volume(admin, image.id)
    wait_until(lambda: not attachments(admin, image.id), "the reader has detached")
    assert volume.metadata["ontap_state"] == "sealed"


@pytest.mark.exclusive
def test_a_download_leaves_no_attachment_when_cinder_was_away(
    lab: Lab, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(SIZE))
    pieces = user.download(image.id).iter_content(MIB)
    first = next(pieces)
    with returning(lab):
        data = first + b"".join(pieces)
    assert data == Pattern(SIZE).read(SIZE)
    wait_until(lambda: not attachments(admin, image.id), "the reader has detached")
    user.cloud.image.delete_image(image.id)


def attachments(admin: Any, image_id: str) -> list[Any]:
    return list(images.image_volume(admin, image_id).attachments)
