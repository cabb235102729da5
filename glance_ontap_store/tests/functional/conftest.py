# SPDX-License-Identifier: Apache-2.0
"""The lab that the session runs in, and its users.

``tox -e functional`` runs all tests in one lab.
"""

from collections.abc import Iterator
import os

from openstack import connection
import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.quiet import Remains
from lab.client import Lab


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks that `__main__` divides the tests by."""
    config.addinivalue_line("markers", "shared: may run beside other shared tests")
    config.addinivalue_line(
        "markers", "exclusive: must run alone, in a module or class that is shared"
    )
    config.addinivalue_line("markers", "own_lab: starts a lab of its own")
    config.addinivalue_line(
        "markers", "nfs_only(reason): is about NFS, and left out with other protocols"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note the test's part before its fixtures are set up.

    A test that is marked ``nfs_only`` is skipped, with its reason, in a lab whose
    volumes are LUNs or namespaces.
    """
    marks = {mark.name: mark for mark in item.iter_markers()}
    direct.Part.is_shared = "shared" in marks and "exclusive" not in marks
    is_about_nfs = "nfs_only" in marks and "LAB_FACTS" in os.environ
    if is_about_nfs and Lab.from_facts().protocol != "nfs":
        pytest.skip(f"NFS only: {marks['nfs_only'].args[0]}")


@pytest.fixture(scope="session")
def long_option(is_long: bool) -> list[str]:
    """``--long`` for pytest in another lab, if this run has it."""
    return ["--long"] if is_long else []


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab; outside of a lab the error says how to start one."""
    return Lab.from_facts()


@pytest.fixture(scope="session")
def admin(lab: Lab) -> connection.Connection:
    return lab.cloud("admin")


@pytest.fixture(scope="session")
def alice(lab: Lab) -> connection.Connection:
    """A member of project acme."""
    return lab.cloud("alice")


@pytest.fixture(scope="session")
def bob(lab: Lab) -> connection.Connection:
    """A member of project globex."""
    return lab.cloud("bob")


@pytest.fixture
def user(alice: connection.Connection) -> Iterator[User]:
    """Alice; all that the test makes as her is removed at its end."""
    user = User(alice)
    yield user
    user.clean()


@pytest.fixture
def other(bob: connection.Connection) -> Iterator[User]:
    """Bob; all that the test makes as him is removed at its end."""
    user = User(bob)
    yield user
    user.clean()


@pytest.fixture
def operator(admin: connection.Connection) -> Iterator[User]:
    """The administrator, with the same clean-up."""
    user = User(admin)
    yield user
    user.clean()


@pytest.fixture(scope="session")
def remains(lab: Lab) -> Remains:
    return Remains(lab)


@pytest.fixture(scope="module", autouse=True)
def _quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Name the module that leaves attachments, mounts or devices.

    They would disturb the next ones. Not in the shared part, where other tests go on
    meanwhile.
    """
    if "LAB_FACTS" not in os.environ or direct.Part.is_shared:
        yield
        return
    remains: Remains = request.getfixturevalue("remains")
    yield
    remains.must_end()
