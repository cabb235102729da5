# SPDX-License-Identifier: Apache-2.0
"""A host with block devices: its kernel, and os-brick, as far as the store sees them.

The array is `FakeCinder`: it knows which volume has which number. A device is a second
name of the volume's file. As in Linux, a device stays until it is removed: if its
number goes to another volume before that, the old device is taken for it.
"""

from collections.abc import Iterable
import dataclasses
import errno
import fcntl
import os
import pathlib
import threading

from glance_ontap_store import errors
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.attach.block.connection import BlockConnection
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.tests.fakes.cinder import FakeCinder

THIN = "writesame_16_unmap"


@dataclasses.dataclass
class _Device:
    name: str
    path: str
    volume_id: str
    protocol: str


def wwid(volume_id: str, protocol: str) -> str:
    """The identity of a volume's LUN or namespace, as sysfs tells it."""
    if protocol == "nvmeof":
        return f"uuid.{volume_id}"
    return f"naa.600a0980{volume_id.replace('-', '')[:24]}"


class FakeKernel:
    """`attach.block.brick.Connector`, and a tree that `sysfs` reads.

    *events* has what was done, in order. Devices zero themselves as *zeroing_mode*
    says.
    """

    def __init__(self, cinder: FakeCinder, root: str) -> None:
        self._cinder = cinder
        self._root = pathlib.Path(root) / "host"
        self.devices: dict[int, _Device] = {}
        self.events: list[str] = []
        self.zeroing_mode = THIN
        # What the next calls raise, by their name.
        self.failures: dict[str, list[Exception]] = {}
        # What the next calls wait for before they do anything, by their name.
        self.hangs: dict[str, threading.Event] = {}
        self._count = 0

    @property
    def sysfs(self) -> Sysfs:
        return Sysfs(str(self._root / "sys"))

    def fail(self, call: str, error: Exception, times: int = 1) -> None:
        self.failures.setdefault(call, []).extend([error] * times)

    def _began(self, call: str) -> None:
        self.events.append(call)
        hang = self.hangs.pop(call, None)
        if hang is not None:
            assert hang.wait(60), f"{call} was never let go"
        if self.failures.get(call):
            raise self.failures[call].pop(0)

    def connect(self, connection: BlockConnection) -> Found:
        self._began("connect")
        number = _number(connection)
        if number not in self.devices:
            try:
                self.devices[number] = self._made(
                    self._cinder.volume_at(number), connection.protocol
                )
            except (LookupError, OSError) as error:
                raise errors.Broken(
                    f"This host cannot connect to {connection.place}: no device"
                ) from error
        device = self.devices[number]
        return Found(device.path, self._wwid(device.name))

    def _made(self, volume_id: str, protocol: str) -> _Device:
        self._count += 1
        name = f"sd{chr(ord('a') + self._count - 1)}"
        path = self._root / "dev" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self._cinder.path_of(volume_id), path)
        (self._directory(name) / "device").mkdir(parents=True)
        if protocol != "nvmeof":
            disk = self._directory(name) / "device" / "scsi_disk" / "0:0:0:0"
            disk.mkdir(parents=True)
            (disk / "zeroing_mode").write_text(self.zeroing_mode)
        device = _Device(name, str(path), volume_id, protocol)
        self._name(device, volume_id)
        return device

    def _directory(self, name: str) -> pathlib.Path:
        return self._root / "sys" / "class" / "block" / name

    def _name(self, device: _Device, volume_id: str) -> None:
        path = self._directory(device.name) / "device" / "wwid"
        path.write_text(f"{wwid(volume_id, device.protocol)}\n")

    def _wwid(self, name: str) -> str:
        return (self._directory(name) / "device" / "wwid").read_text().strip()

    def ask_again(self, disks: Iterable[str]) -> None:
        self._began("ask_again")
        for number, device in self.devices.items():
            if device.name in disks:
                self._name(device, self._cinder.volume_at(number))

    def extend(self, connection: BlockConnection) -> None:
        self._began("extend")

    def disconnect(
        self, connection: BlockConnection, found: Found | None = None
    ) -> None:
        self._began("disconnect")
        device = self.devices.pop(_number(connection), None)
        if device is not None:
            assert not self.is_open(device.path), "disconnected while it is open"
            os.unlink(device.path)
            (self._directory(device.name) / "device" / "wwid").unlink()

    def is_open(self, path: str) -> bool:
        """Whether somebody has the device for himself alone."""
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def open(self, path: str, writable: bool, shared: bool = False) -> int:
        """`opening.open_device`: nobody else can have it then."""
        self._began("open")
        fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        try:
            if not shared:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            text = os.strerror(errno.EBUSY)
            raise errors.Broken(f"{path} is used by something else: {text}") from error
        return fd


def _number(connection: BlockConnection) -> int:
    return int(connection.properties["target_lun"])
