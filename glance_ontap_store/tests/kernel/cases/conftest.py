# SPDX-License-Identifier: Apache-2.0
"""The host, the server and the limits of the cases."""

import threading

import pytest

from glance_ontap_store.attach.block.brick import BrickConnector
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.block.transport import BlockTransport
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel.attachments import Attachments
from glance_ontap_store.tests.kernel.iscsi import Array
from glance_ontap_store.tests.kernel.nfs import NfsServer
from glance_ontap_store.tests.kernel.shell import Shell

# Seconds that the store waits for an answer of a server.
PATIENCE_S = 15


def pytest_configure(config):
    if not guest.is_here():
        raise pytest.UsageError("these cases run in their kernel only: tox -e kernel")
    guest.configure()


@pytest.fixture(autouse=True)
def nothing_left():
    """No case leaves a mount, a device, a session or a thread of the store."""
    yield
    assert guest.mounted() == []
    assert guest.connected() == []
    left = [thread.name for thread in threading.enumerate()]
    assert [name for name in left if name.startswith("ontap-")] == []


@pytest.fixture(scope="session")
def shell():
    made = Shell()
    yield made
    made.close()


@pytest.fixture(scope="session")
def nfs_server(shell):
    return NfsServer(shell)


@pytest.fixture
def server(nfs_server, nothing_left):
    """The server, with all its exports and no file."""
    yield nfs_server
    nfs_server.restore()


@pytest.fixture
def nfs():
    """The store's own transport."""
    return NfsTransport(Mounts(guest.BASE, NfsMounter(guest.BASE), PATIENCE_S))


@pytest.fixture(scope="session")
def iscsi_array(shell):
    return Array(shell)


@pytest.fixture
def array(iscsi_array):
    """The array, with both portals and no LUN."""
    yield iscsi_array
    iscsi_array.restore()


@pytest.fixture
def attachments(array, nothing_left):
    return Attachments(array)


@pytest.fixture
def block():
    """The store's own transport, with multipath."""
    return BlockTransport(BrickConnector("", use_multipath=True), Sysfs())
