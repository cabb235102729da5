# SPDX-License-Identifier: Apache-2.0
"""Real iSCSI whose paths, LUN, password or writer go away."""

import os
import signal
import time

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.host_connections import HostConnections
from glance_ontap_store.liveness import processes
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.glance import pieces
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import iscsi
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.transfers import Eventful
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB
from glance_ontap_store.units import ByteRange

# Seconds in which an upload fails without any path, see `iscsi.Array`: the initiator
# notices, multipath waits, and os-brick flushes and removes the device.
BOUND_S = 120
PASSWORD = "chap-s3cret-0001"


@pytest.fixture
def lun(array, attachments):
    """The file of a new LUN, and its attachment."""
    path = array.create("volume-1")
    return path, attachments.attach("volume-1")


def store(block, attached, event):
    """Upload 120 MiB; *event* happens at the half of it."""
    content = Eventful(Pattern(120 * MIB), 60 * MIB, event)
    with block.opened(attached.info, "rw", attached) as device:
        transfers.write(device, content)
    assert content.has_happened
    return content


def test_an_upload_goes_on_when_one_path_is_lost(block, array, lun):
    path, attached = lun
    content = store(block, attached, lambda: array.lose_portal(iscsi.PORTALS[1]))
    assert transfers.difference(path, content) is None
    assert not attached.is_connected


def lose_all(array):
    for portal in iscsi.PORTALS:
        array.lose_portal(portal)


def test_an_upload_fails_when_all_paths_are_lost(block, array, lun):
    _path, attached = lun
    began = time.monotonic()
    with pytest.raises(errors.Broken, match=r"Writing /dev.*\(multipath -ll\)"):
        store(block, attached, lambda: lose_all(array))
    assert time.monotonic() - began < BOUND_S
    assert not attached.is_connected
    # The paths are not there yet.
    assert guest.connected() == []


def test_an_upload_fails_when_the_flexvol_is_full(block, array, attachments):
    """Linux says EIO of pages that it wrote back; the device is asked once more."""
    array.create_in_full("volume-1", 64 * MIB)
    attached = attachments.attach("volume-1")
    attached.length = lambda _found: GIB
    began = time.monotonic()
    with pytest.raises(errors.NoSpace, match="The FlexVol is full"):
        store(block, attached, lambda: None)
    # Multipath does not take it for a lost path, and try again.
    assert time.monotonic() - began < BOUND_S
    assert not attached.is_connected


def test_an_upload_fails_when_its_lun_is_unmapped(block, array, lun):
    _path, attached = lun
    with pytest.raises(errors.Broken, match=r"Writing /dev.*\(multipath -ll\)"):
        store(block, attached, attached.forget)
    assert not attached.is_connected


@pytest.fixture
def failing(array, attachments):
    """The file of a new LUN that can go offline, and its attachment."""
    path = array.create_failing("volume-1")
    return path, attachments.attach("volume-1")


def test_an_upload_fails_when_its_lun_goes_offline(block, array, attachments, failing):
    path, attached = failing
    began = time.monotonic()
    with pytest.raises(errors.Broken, match="Writing /dev"):
        store(block, attached, lambda: array.go_offline("volume-1"))
    assert time.monotonic() - began < BOUND_S
    assert not attached.is_connected
    # It is not online yet.
    assert guest.connected() == []
    attached.detach()
    array.go_online("volume-1")
    attached = attachments.attach("volume-1")
    content = store(block, attached, lambda: None)
    assert transfers.difference(path, content) is None
    attached.detach()


def test_a_download_fails_when_its_lun_goes_offline(block, array, failing):
    path, attached = failing
    content = Pattern(200 * MIB)
    with open(path, "r+b") as file:
        for piece in pieces(content):
            file.write(piece)
    began = time.monotonic()
    with pytest.raises(exceptions.BackendException, match="Input/output error"):
        with block.opened(attached.info, "ro", attached) as device:
            wanted = ByteRange(0, content.size)
            stream = ImageStream(device, wanted, lambda: None)
            next(stream)
            array.go_offline("volume-1")
            transfers.forget()
            for _piece in stream:
                pass
    assert time.monotonic() - began < BOUND_S
    assert not attached.is_connected
    assert guest.connected() == []
    array.go_online("volume-1")
    assert transfers.misread(block, attached.info, content, attached) is None
    attached.detach()


def test_a_lun_that_is_offline_is_named(block, array, failing):
    _path, attached = failing
    array.go_offline("volume-1")
    began = time.monotonic()
    with pytest.raises(errors.Broken, match=r"has 0 bytes: its LUN .* is offline"):
        store(block, attached, lambda: None)
    assert time.monotonic() - began < BOUND_S
    assert not attached.is_connected
    assert guest.connected() == []
    attached.detach()


@pytest.fixture
def with_password(array, lun):
    """The attachment of a LUN whose target asks for a password."""
    array.ask_for_password(PASSWORD)
    _path, attached = lun
    attached.info.update(
        auth_method="CHAP", auth_username=iscsi.CHAP_USER, auth_password=PASSWORD
    )
    return attached


def test_the_password_of_chap_opens_the_lun(block, lun, with_password):
    path, _attached = lun
    content = Pattern(30 * MIB)
    with block.opened(with_password.info, "rw", with_password) as device:
        transfers.write(device, content)
    assert transfers.difference(path, content) is None


def test_a_wrong_password_is_in_no_message(block, with_password):
    with_password.info["auth_password"] = "wr0ng-s3cret-0002"
    with pytest.raises(errors.Broken, match="cannot connect to iSCSI LUN 0") as failed:
        with block.opened(with_password.info, "rw", with_password):
            pass
    assert "wr0ng" not in f"{failed.value} {failed.value.__cause__!r}"


class OneAttachment:
    """The part of `cinder.api.VolumeService` that a release asks."""

    def __init__(self, info):
        self._info = info

    def connection_info(self, attachment_id):
        return self._info


def test_the_device_of_a_killed_process_is_released(block, lun):
    _path, attached = lun

    def journal():
        return Journal(processes.of(guest.BASE), "store")

    child = os.fork()
    if child == 0:
        try:
            attached.write_down(journal().attaching("volume-1"), "attachment-1")
            store(block, attached, lambda: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert guest.connected()
    service = OneAttachment(attached.info)
    connections = HostConnections(journal(), service, block, Sysfs())
    connections.release("volume-1", "attachment-1")
    assert guest.connected() == []
