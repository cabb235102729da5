# SPDX-License-Identifier: Apache-2.0
"""The devices of the lab's host: real loop devices, without a lab."""

from contextlib import ExitStack
import os
from pathlib import Path
import subprocess

import pytest

from lab import san
from lab.ontapsim import requirements
from lab.ontapsim import san_records
from lab.ontapsim.san import Igroup
from lab.ontapsim.san import Map
from lab.ontapsim.san import San
from lab.ontapsim.san import Unit
from lab.ontapsim.state import Svm
from lab.polling import wait_until
from lab.san_devices import Devices
from lab.san_devices import NotFound
from lab.san_devices import wwn_of

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]

MIB = 1 << 20
AT_0 = {"target_iqn": san_records.target_iqn(Svm("svm1")), "target_lun": 0}


class Host:
    """A host, and an array of which only the state is there."""

    def __init__(self, root):
        self.root = root
        self.state = San(root / "san.json")
        group = Igroup("g", "g", "svm1", "linux", initiators=(san.INITIATOR,))
        with self.state.changing():
            self.state.igroups["g"] = group
        self.devices = Devices(root / "san.json", lambda: {"fv1": str(root)})

    def lun(self, name, letter):
        """Make a LUN full of one letter, mapped at number 0, and no other there."""
        path = f"/vol/fv1/{name}"
        (self.root / name).write_bytes(letter * 4 * MIB)
        unit = Unit(name, "lun", path, "svm1", 4 * MIB, "linux", path)
        with self.state.changing():
            self.state.units[name] = unit
            self.state.lun_maps = [Map(name, "g", 0)]
        return unit

    def unmap(self):
        with self.state.changing():
            self.state.lun_maps = []


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    for _ in host.devices.list()["devices"]:
        host.devices.disconnect(AT_0)
    wait_until(lambda: not loops_of(tmp_path), "no loop device is left")


def loops_of(root):
    """Return the loop devices of the files below a directory."""
    found = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [line.split()[0] for line in found.splitlines() if str(root) in line]


def first(path):
    return Path(path).open("rb").read(1)


def test_a_device_is_the_file_of_its_lun(host, tmp_path):
    unit = host.lun("a", b"a")
    found = host.devices.connect(AT_0)
    assert found["wwn"] == wwn_of(unit)
    with open(found["path"], "r+b", buffering=0) as device:
        assert device.read(1) == b"a"
        device.write(b"new")
    host.devices.disconnect(AT_0)
    assert (tmp_path / "a").read_bytes()[:4] == b"anew"
    assert host.devices.list() == {"devices": {}}


def test_who_connects_a_volume_again_gets_the_same_device(host):
    host.lun("a", b"a")
    assert host.devices.connect(AT_0) == host.devices.connect(AT_0)
    assert len(host.devices.list()["devices"]) == 1


def test_a_lun_that_is_not_mapped_is_not_found(host):
    host.lun("a", b"a")
    host.unmap()
    with pytest.raises(NotFound):
        host.devices.connect(AT_0)
    host.devices.disconnect(AT_0)


def test_a_device_grows_when_it_is_told_to(host, tmp_path):
    host.lun("a", b"a")
    path = host.devices.connect(AT_0)["path"]
    os.truncate(tmp_path / "a", 8 * MIB)
    assert host.devices.extend(AT_0) == {"bytes": 8 * MIB}
    with open(path, "rb") as device:
        assert device.seek(0, os.SEEK_END) == 8 * MIB


def test_a_device_without_a_disconnect_shows_the_old_lun_at_its_number(host):
    """What was seen of Linux and os-brick: a write to the new volume hits the old."""
    old = host.lun("old", b"o")
    host.devices.connect(AT_0)
    host.unmap()
    host.lun("new", b"n")
    found = host.devices.connect(AT_0)
    assert found["wwn"] == wwn_of(old)
    assert first(found["path"]) == b"o"
    host.devices.disconnect(AT_0)
    assert first(host.devices.connect(AT_0)["path"]) == b"n"


def test_a_device_that_is_open_lives_until_it_is_closed(host, tmp_path):
    host.lun("a", b"a")
    with ExitStack() as stack:
        path = host.devices.connect(AT_0)["path"]
        device = stack.enter_context(open(path, "rb"))
        host.devices.disconnect(AT_0)
        assert loops_of(tmp_path) == [path]
        assert device.read(1) == b"a"
