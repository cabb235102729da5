# SPDX-License-Identifier: Apache-2.0
"""The store's block transport on real block devices, without a lab.

The devices are loop devices on the files of LUNs, which the lab's connector attaches in
the place of os-brick's (``lab/san_connector.py``).
"""

import copy
import os
import subprocess
import sys

from os_brick.initiator import connector
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.block import opening
from glance_ontap_store.attach.block.brick import BrickConnector
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.block.transport import BlockTransport
from glance_ontap_store.tests.functional.test_lab_san_devices import AT_0
from glance_ontap_store.tests.functional.test_lab_san_devices import Host
from glance_ontap_store.tests.functional.test_lab_san_devices import loops_of
from glance_ontap_store.transfer.sink import Sink
from lab import san
from lab import san_devices
from lab import san_hook
from lab.ontapsim import requirements
from lab.polling import wait_until

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]

MIB, GIB = 1 << 20, 1 << 30
INFO = {
    **AT_0,
    "driver_volume_type": "iscsi",
    "target_portal": "127.1.0.1:3260",
    "auth_password": "chap-s3cret",
}


class Attached:
    """`attach.transport.Attached` of a volume that only the array has."""

    volume_id = "00000000-0000-4000-8000-000000000001"

    def __init__(self, file):
        self._file = file
        self.is_connected = False
        self.devices = []
        self.rivals = []

    def length(self, _found):
        return os.stat(self._file).st_size

    def extend(self, size_gib):
        os.truncate(self._file, size_gib * GIB)

    def connecting(self, protocol):
        assert protocol == "iscsi"
        self.is_connected = True

    def connected(self, device):
        self.devices.append(device)

    def others(self, device, alive=False):
        return self.rivals

    def disconnected(self):
        self.is_connected = False


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    san_devices.serve(made.devices, tmp_path / "san.sock")
    monkeypatch.setenv(san.SOCKET_VARIABLE, str(tmp_path / "san.sock"))
    # For this test only.
    for name in ("_connector_mapping_linux", "unix_connector_list"):
        monkeypatch.setattr(connector, name, copy.copy(getattr(connector, name)))
    san_hook.replace(connector)
    yield made
    for _ in made.devices.list()["devices"]:
        made.devices.disconnect(AT_0)
    wait_until(lambda: not loops_of(tmp_path), "no loop device is left")


@pytest.fixture
def file(host, tmp_path):
    """The file of a LUN of 1 GiB with old bytes, which is mapped at number 0."""
    host.lun("new", b"o")
    path = tmp_path / "new"
    os.truncate(path, GIB)
    return path


@pytest.fixture
def attached(file):
    return Attached(file)


@pytest.fixture
def transport():
    return BlockTransport(BrickConnector("/etc/glance/rootwrap.conf", False), Sysfs())


def test_an_image_is_written_thin_and_nothing_old_is_left(
    host, file, attached, transport
):
    image = os.urandom(MIB) + bytes(200 * MIB) + b"tail"
    with transport.opened(INFO, "rw", attached) as device:
        assert device.is_blank()
        sink = Sink(device, thin=True)
        sink.write(image)
        sink.finish()
    assert not attached.is_connected
    assert host.devices.list() == {"devices": {}}
    with file.open("rb") as written:
        assert written.read(len(image)) == image
        assert not any(written.read(64 * MIB))
    assert file.stat().st_blocks * 512 < 4 * MIB
    (identity,) = attached.devices
    assert identity.startswith("3600a0980")


@pytest.fixture
def small(tmp_path, tmp_path_factory):
    """A file system with 20 MiB of room, in the place of the FlexVol."""
    disk = tmp_path_factory.mktemp("disk") / "disk"
    with disk.open("wb") as file:
        file.truncate(400 * MIB)
    subprocess.run(["mkfs.xfs", "-q", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(tmp_path)], check=True)
    state = os.statvfs(tmp_path)
    with (tmp_path / "filler").open("wb") as file:
        free = state.f_bavail * state.f_frsize
        os.posix_fallocate(file.fileno(), 0, free - 20 * MIB)
    yield
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
    disk.unlink()


def test_a_full_flexvol_is_told_from_other_errors(
    small, host, file, attached, transport
):
    with pytest.raises(errors.NoSpace, match="The FlexVol is full"):
        with transport.opened(INFO, "rw", attached) as device:
            sink = Sink(device, thin=True)
            sink.write(os.urandom(64 * MIB))
            sink.finish()
    assert not attached.is_connected
    assert host.devices.list() == {"devices": {}}


def test_a_device_grows_with_its_volume(host, file, attached, transport):
    with transport.opened(INFO, "rw", attached) as device:
        assert device.is_blank()
        device.ensure(GIB + 1)
        assert device.length() == 2 * GIB
        device.write_at(2 * GIB - 4, b"tail")
        device.sync()
    with file.open("rb") as written:
        written.seek(2 * GIB - 5)
        assert written.read() == b"\0tail"


def test_a_device_is_open_for_one_process_only(host, attached, transport):
    with transport.opened(INFO, "ro", attached) as device:
        path = device.name.split()[0]
        with pytest.raises(errors.Broken, match="used by something else"):
            opening.open_device(path, False)
        os.close(opening.open_device(path, False, shared=True))
        assert device.read_at(0, 2) == b"oo"


def test_a_mounted_device_is_not_opened(host, file, attached, transport, tmp_path):
    subprocess.run(["mkfs.ext4", "-q", str(file)], check=True)
    point = tmp_path / "mounted"
    point.mkdir()
    path = host.devices.connect(AT_0)["path"]
    subprocess.run(["mount", path, str(point)], check=True)
    try:
        with pytest.raises(errors.Broken, match="used by something else"):
            opening.open_device(path, True)
    finally:
        subprocess.run(["umount", str(point)], check=True)


# As in the helper: with its capabilities only, and the loop device taken for NetApp's.
# The lab's services are root's, so that the helper is not needed there.
_HELPER = """
import os, sys
from oslo_privsep import capabilities
from glance_ontap_store.attach import devices, handover, privilege

kept = set(privilege.context.conf.capabilities)
capabilities.drop_all_caps_except(kept, kept, [])
privilege.context.set_client_mode(False)
devices.is_netapp = lambda path: path == sys.argv[1]
for shared in (False, True):
    with handover.inbox() as inbox:
        try:
            privilege.open_device(sys.argv[1], True, shared, inbox.address, 0)
        except OSError as error:
            print(error.strerror)
        else:
            print(os.pread(inbox.take(), 2, 0).decode())
"""


def test_the_helper_opens_a_device_that_nobody_else_has(host, file):
    path = host.devices.connect(AT_0)["path"]

    def told():
        command = [sys.executable, "-c", _HELPER, path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split("\n")

    assert told() == ["oo", "oo", ""]
    held = opening.open_device(path, False)
    try:
        assert told() == ["Device or resource busy", "oo", ""]
    finally:
        os.close(held)


def test_a_file_in_the_place_of_a_device_is_refused(file):
    with pytest.raises(errors.Broken, match="not a block device"):
        opening.open_device(str(file), True)


def test_a_device_of_another_length_is_neither_read_nor_written(
    host, file, attached, transport
):
    before = file.read_bytes()[:MIB]
    attached.length = lambda _found: 2 * GIB
    with pytest.raises(errors.Broken, match="device of another volume"):
        with transport.opened(INFO, "rw", attached):
            pass
    assert not attached.is_connected
    assert file.read_bytes()[:MIB] == before


def test_a_device_that_another_volume_has_is_left_connected(host, attached, transport):
    """The kernel gave the old device: another attachment of this host has it."""
    attached.rivals = ["00000000-0000-4000-8000-000000000002"]
    with pytest.raises(errors.Broken, match="is the device of volume"):
        with transport.opened(INFO, "rw", attached):
            pass
    assert not attached.is_connected
    assert len(host.devices.list()["devices"]) == 1


def test_a_lun_that_is_not_mapped_is_an_error_without_the_password(
    host, attached, transport
):
    host.unmap()
    with pytest.raises(errors.Broken, match="cannot connect") as caught:
        with transport.opened(INFO, "rw", attached):
            pass
    assert "chap-s3cret" not in f"{errors.describe(caught.value)} {caught.value!r}"
    assert not attached.is_connected
