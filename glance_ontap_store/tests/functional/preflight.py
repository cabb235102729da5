# SPDX-License-Identifier: Apache-2.0
"""Runs glance-ontap as an operator does, with copies of the lab's configuration."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import os
from pathlib import Path
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from lab import ini

PROGRAM = str(Path(sys.executable).with_name("glance-ontap"))
OPENSTACK = str(Path(sys.executable).with_name("openstack"))
CINDER_CONF = "/etc/cinder/cinder.conf"

# Group -> option -> value, None to remove the option.
Changes = Mapping[str, Mapping[str, str | None]]


class Operator:
    """The operator, who runs the command on the Glance host."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab

    def environment(self) -> dict[str, str]:
        """The environment of Glance's user: its PATH, and no cloud's credentials."""
        tools = os.path.join(self._lab.facts["root"], "bin")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        return {
            **kept,
            "PATH": f"{tools}:{kept['PATH']}",
            "OS_CLIENT_CONFIG_FILE": os.environ["OS_CLIENT_CONFIG_FILE"],
        }

    def command(self, *arguments: str, config: str | None = None) -> list[str]:
        config = config or "/etc/glance/glance-api.conf"
        return [PROGRAM, "--config-file", config, *arguments]

    def run(
        self, *arguments: str, config: str | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; *before* are words before it."""
        return subprocess.run(
            [*before, *self.command(*arguments, config=config)],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def findings(
        self, *arguments: str, cloud: str | None = "admin", **options: Any
    ) -> tuple[int, list[dict[str, str]]]:
        """Run ``check``; return its exit code and its findings."""
        given = ["--os-cloud", cloud] if cloud else []
        ended = self.run(*given, "check", "-f", "json", *arguments, **options)
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout)

    def remedied(self, found: Sequence[Mapping[str, str]], code: str) -> None:
        """Run the command that the finding with this code proposes, as admin."""
        (remedy,) = (finding["Remedy"] for finding in found if finding["Code"] == code)
        start, _, command = remedy.partition(": openstack ")
        assert start.endswith("Run"), remedy
        subprocess.run(
            [OPENSTACK, "--os-cloud", "admin", *shlex.split(command)],
            env=self.environment(),
            check=True,
            timeout=120,
        )

    @contextlib.contextmanager
    def changed(self, changes: Changes, service: str = "glance") -> Iterator[str]:
        """A copy of the service's configuration with options changed.

        It is below /etc, where rootwrap's filters expect it.
        """
        original = {
            "glance": "/etc/glance/glance-api.conf",
            "cinder": CINDER_CONF,
        }[service]
        text = Path(original).read_text("utf-8")
        for group, options in changes.items():
            for name, value in options.items():
                text = ini.set_option(text, group, name, value)
        with self.copied(text) as path:
            yield path

    @contextlib.contextmanager
    def copied(self, text: str) -> Iterator[str]:
        directory = Path(tempfile.mkdtemp(prefix="glance-check-", dir="/etc"))
        try:
            path = directory / "service.conf"
            path.write_text(text, encoding="utf-8")
            yield str(path)
        finally:
            shutil.rmtree(directory)


def wrong(found: Sequence[Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """Severity, code and subject of all findings but notes."""
    return [
        (finding["Severity"], finding["Code"], finding["Subject"])
        for finding in found
        if finding["Severity"] != "info"
    ]


def hiding(*paths: str) -> list[str]:
    """Words before a command that hide *paths* from it, in its own namespace."""
    script = "".join(
        f"mount -n --bind {'/var/empty-dir' if os.path.isdir(path) else '/dev/null'}"
        f" {path} && "
        for path in paths
    )
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f'{script}exec "$0" "$@"',
    ]
