# SPDX-License-Identifier: Apache-2.0
"""The commands of a user, and what must be removed after them."""

from collections.abc import Callable
import os
from pathlib import Path
import subprocess

from glance_ontap_store.tests.functional.clouds import User

# No multiple of a block.
SIZE = 3 * 1024 * 1024 + 17


class Client(User):
    """A user whose images and volumes are also made by commands."""

    def remove_image(self, image_id: str) -> None:
        """Delete the image at the end, if it is still there."""
        image = self.cloud.image
        self.at_end(lambda: image.delete_image(image_id, ignore_missing=True))

    def remove_volume(self, volume_id: str) -> None:
        """Delete the volume at the end, and wait until it is gone."""
        self.at_end(lambda: self._delete_volume(volume_id))

    def at_end(self, work: Callable[[], object]) -> None:
        """Do *work* before everything that was made earlier is removed."""
        self._made.append(lambda: (work(), None)[1])


def run(*command: object, cloud: str = "alice", stdin: Path | None = None) -> str:
    """Run a client; return what it prints.

    :raises AssertionError: the command failed; has what it printed
    """
    with open(stdin or os.devnull, "rb") as given:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, "OS_CLOUD": cloud},
            stdin=given,
            capture_output=True,
            check=False,
        )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{said}"
    return done.stdout.decode(errors="replace")
