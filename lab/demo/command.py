# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap`` in the demo, as an operator runs it on the Glance host."""

from importlib import metadata
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

PROGRAM = Path(sys.executable).with_name("glance-ontap")
POLICY = """\
defaults: {{stores: [{store}], ttl: never, free_floor_percent: 0, verify: none}}
rules: [{{match: {{name: {name}}}}}]
"""
_OPTIONS = ("--config-file", "/etc/glance/glance-api.conf", "--os-cloud", "admin")
# Exit codes of both subcommands: all is well, and something is left or a download.
_ANSWERED = (0, 1)

Row = dict[str, Any]


class Command:
    """The command with the lab's configuration, as the administrator.

    *facts* are the lab's, *locations* the URL of the glance-api that may set
    locations; a policy is written into *directory*.
    """

    def __init__(self, facts: dict[str, Any], locations: str, directory: str) -> None:
        self._environment = environment(facts["root"])
        self._locations = locations
        self._policy = Path(directory, "policy.yaml")

    def explain(self, image_id: str, volume_type: str) -> Row:
        """Return the answer about the only pool of a volume type.

        :raises SystemExit: the command failed
        """
        release = metadata.version("cinder").partition(".")[0]
        (row,) = self._rows(
            *("explain", image_id, "--volume-type", volume_type, "--files"),
            *("--cinder-conf", "/etc/cinder/cinder.conf", "--cinder-release", release),
        )
        return row

    def replicate(self, image_id: str, name: str, store: str) -> Row:
        """Have the array make a replica; return the row about it.

        :raises SystemExit: there is no replica now, or a host moved its data
        """
        self._policy.write_text(POLICY.format(store=store, name=name), "utf-8")
        rows = self._rows(
            *("replicate", str(self._policy), "--apply", "--image", image_id),
            *("--image-endpoint", self._locations),
        )
        return made(rows, store)

    def _rows(self, *arguments: str) -> list[Row]:
        ended = subprocess.run(
            [PROGRAM, *_OPTIONS, *arguments, "-f", "json"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode not in _ANSWERED or not ended.stdout.strip():
            raise SystemExit(
                f"glance-ontap {arguments[0]} ended with exit code"
                f" {ended.returncode}: {ended.stderr}{ended.stdout}"
            )
        rows: list[Row] = json.loads(ended.stdout)
        return rows


def environment(root: str) -> dict[str, str]:
    """Return the environment of Glance's user: the lab's tools are on its PATH.

    Of the variables of a cloud it has only the place of clouds.yaml.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OS_") or name == "OS_CLIENT_CONFIG_FILE"
    }
    return {**kept, "PATH": f"{root}/bin:{kept['PATH']}"}


def made(rows: list[Row], store: str) -> Row:
    """Return the row of the replica that was made in a store.

    :raises SystemExit: none was made, or not by the array
    """
    for row in rows:
        if row["Store"] == store and row["Action"] == "make":
            if row["Result"] == "done":
                return row
            raise SystemExit(f"No replica in {store}, {row['Result']}: {row['Why']}")
    raise SystemExit(f"The plan has no replica to make in {store}: {rows}")
