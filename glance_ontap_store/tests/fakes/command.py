# SPDX-License-Identifier: Apache-2.0
"""What the tests of ``glance-ontap`` have in common: its cloud, its files, its run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glance_ontap_store.cli import main
from glance_ontap_store.tests.fakes.openstack_http import Http

CLOUDS = """
clouds:
  boss:
    auth:
      auth_url: http://keystone.example.com/v3
      username: boss
      password: p4ssword-of-boss
      project_name: admin
"""

# The exit code, what is printed, and what is said on standard error.
Ended = tuple[int, str, str]


def http(requests_mock: Any, monkeypatch: pytest.MonkeyPatch) -> Http:
    """The services, for a command that finds no cloud in its environment."""
    for name in ("OS_CLOUD", "OS_AUTH_URL"):
        monkeypatch.delenv(name, raising=False)
    return Http(requests_mock)


def write_clouds(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command find the cloud ``boss``, an administrator's."""
    path = directory / "clouds.yaml"
    path.write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))


def runner(
    name: str,
    config: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Ended]:
    """A function that runs the subcommand *name*, with the text *config*."""
    write_clouds(directory, monkeypatch)
    path = directory / "glance-api.conf"
    path.write_text(config)

    def run(*arguments: str, cloud: str | None = "boss") -> Ended:
        given = ["--config-file", str(path)]
        given += ["--os-cloud", cloud] if cloud else []
        code = main.main([*given, name, *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
