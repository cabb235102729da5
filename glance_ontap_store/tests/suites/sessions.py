# SPDX-License-Identifier: Apache-2.0
"""The commands of a user, and what must be removed after them."""

from collections.abc import Callable
from collections.abc import Mapping
import contextlib
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


def run(
    *command: object,
    cloud: str = "alice",
    stdin: Path | None = None,
    login: Mapping[str, str] | None = None,
) -> str:
    """Run a client; return what it prints.

    Without *stdin* it runs as at a terminal: otherwise both clients upload their empty
    input. *login* has environment variables for a client that reads no clouds.yaml.

    :raises AssertionError: the command failed; has what it printed
    """
    with contextlib.ExitStack() as opened:
        if stdin:
            given = opened.enter_context(stdin.open("rb")).fileno()
        else:
            terminal, given = os.openpty()
            opened.callback(os.close, terminal)
            opened.callback(os.close, given)
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, "OS_CLOUD": cloud, **(login or {})},
            stdin=given,
            capture_output=True,
            check=False,
        )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{said}"
    return done.stdout.decode(errors="replace")
