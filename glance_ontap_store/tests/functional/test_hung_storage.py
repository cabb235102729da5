# SPDX-License-Identifier: Apache-2.0
"""A FlexVol that does not take writes for a while: its file system is frozen."""

from collections.abc import Iterator
import contextlib
import subprocess
import threading
from typing import Any

import pytest

from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Announcing
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab.client import Lab

SECOND = "glance-second"
SIZE = 300 * MIB
# Where the FlexVol stops; what the process has read until then is not all written.
HANGS_AT = 60 * MIB


@contextlib.contextmanager
def frozen(lab: Lab, flexvol: str) -> Iterator[None]:
    """Let everything that writes to the FlexVol wait until the block ends."""
    path = str(lab.flexvol(flexvol))
    subprocess.run(["fsfreeze", "--freeze", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", path], check=True)


class Upload:
    """An upload to fv2 in a thread, which stops at `HANGS_AT` until `go_on` is set."""

    def __init__(self, user: User) -> None:
        self.image = user.image()
        self.under_way, self.go_on = threading.Event(), threading.Event()
        self.body = Announcing(SIZE, self._wait)
        self.answers: list[Any] = []
        self._user = user
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _wait(self, reader: Pattern) -> None:
        if reader.position > HANGS_AT:
            self.under_way.set()
            self.go_on.wait(120)

    def _run(self) -> None:
        self.answers.append(self._user.put(self.image, self.body, "fv2"))


@pytest.mark.exclusive
def test_other_flexvols_and_a_start_do_not_wait_for_one_that_hangs(
    lab: Lab, user: User
) -> None:
    upload = Upload(user)
    with contextlib.ExitStack() as stack:
        stack.callback(upload.thread.join)
        stack.callback(upload.go_on.set)
        assert upload.under_way.wait(120)
        with frozen(lab, "fv2"):
            # More than the process keeps in its memory.
            upload.go_on.set()
            other = user.uploaded(Sized(9 * MIB))
            stack.callback(lab.stop, SECOND)
            lab.start(SECOND)
            url = f"{lab.facts['urls'][SECOND]}/v2/images/{other.id}/file"
            for found in (user.download(other.id), user.cloud.session.get(url)):
                assert found.content == Pattern(9 * MIB).read(9 * MIB)
            user.cloud.image.delete_image(other.id)
            assert not upload.answers
            assert upload.body.position < SIZE
        upload.thread.join(120)
    (answer,) = upload.answers
    assert answer.status_code == 204, answer.text
    image = user.cloud.image.get_image(upload.image.id)
    assert (image.status, image.hash_value) == (
        "active",
        upload.body.sha512.hexdigest(),
    )
    assert user.download(image.id).content == Pattern(SIZE).read(SIZE)
