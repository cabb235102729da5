# SPDX-License-Identifier: Apache-2.0
"""The lab and its users."""

from collections.abc import Iterator
import os
from pathlib import Path

from openstack import connection
import pytest

from glance_ontap_store.tests.suites.sessions import SIZE
from glance_ontap_store.tests.suites.sessions import Client
from lab.client import Lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab.from_facts()


@pytest.fixture(scope="session")
def connections(lab: Lab) -> dict[str, connection.Connection]:
    return {name: lab.cloud(name) for name in ("admin", "alice", "bob")}


@pytest.fixture
def alice(connections: dict[str, connection.Connection]) -> Iterator[Client]:
    """A member of project acme; what is made as her is removed."""
    user = Client(connections["alice"])
    yield user
    user.clean()


@pytest.fixture
def bob(connections: dict[str, connection.Connection]) -> Iterator[Client]:
    """A member of project globex."""
    user = Client(connections["bob"])
    yield user
    user.clean()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of random bytes."""
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(SIZE))
    return path
