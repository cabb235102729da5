# SPDX-License-Identifier: Apache-2.0
"""An array with LUNs: the kernel's own iSCSI target (LIO), with two portals.

It is told by files of configfs, and not through rtslib: that is a package of the
system's Python, which is not the one that runs the cases.
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path
import shlex
import sys
from typing import Any

from glance_ontap_store.tests.kernel import failing_lun
from glance_ontap_store.tests.kernel.failing_lun import SECTOR
from glance_ontap_store.tests.kernel.shell import Shell
from glance_ontap_store.units import GIB

INITIATOR = "iqn.1994-05.org.test:host"
TARGET = "iqn.1992-08.com.netapp:sn.kernel"
PORTALS = ("10.9.0.1", "10.9.0.2")
CHAP_USER = "NetApp_iSCSI_CHAP_Username"

_CONFIGFS = Path("/sys/kernel/config/target")
_CORE = _CONFIGFS / "core"
_GROUP = _CONFIGFS / "iscsi" / TARGET / "tpgt_1"
# The files of the LUNs.
FILES = Path("/array")
# Three checks of the paths, two seconds apart: so long a write waits for a path.
_MULTIPATH = """
defaults {
    user_friendly_names no
    find_multipaths no
    polling_interval 2
    max_polling_interval 2
}
blacklist {
    devnode "^(ubd|loop|ram)"
}
overrides {
    no_path_retry 3
}
"""
_PREPARE = f"""(
set -e
mkdir -p {FILES} /etc/target /etc/iscsi /var/lib/iscsi /run/lock/iscsi
modprobe -a iscsi_tcp iscsi_target_mod target_core_file sd_mod sg configfs dummy \
    dm_multipath dm_round_robin dm_service_time
mount -t configfs none /sys/kernel/config
mkfs.xfs -K -q -f /dev/ubdc
mount /dev/ubdc {FILES}
/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add --subsystem-match=block
udevadm settle -t 20
echo InitiatorName={INITIATOR} > /etc/iscsi/initiatorname.iscsi
ip link add portals type dummy
ip link set portals up
cat > /etc/multipath.conf <<END
{_MULTIPATH}
END
iscsid
multipathd
)"""


class Array:
    """The array, and what its administrator and Cinder's driver do with it.

    A LUN is a file. As ONTAP does, it gives a mapped LUN the lowest free number.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        shell.run(_PREPARE)
        self._mapped: dict[str, int] = {}
        # The LUNs, and where the target is told of them.
        self._cores: dict[str, Path] = {}
        _GROUP.mkdir(parents=True)
        acl = _GROUP / "acls" / INITIATOR
        for address in PORTALS:
            self.raise_portal(address)
            (_GROUP / "np" / f"{address}:3260").mkdir()
        acl.mkdir()
        self.ask_for_password(None)
        _set(_GROUP / "enable", 1)

    def create(self, name: str, size_gib: int = 1, unmaps: bool = True) -> Path:
        """Make a new LUN, which is one hole; return its file.

        *unmaps*: it takes no space for what the host lets it zero.
        """
        path = FILES / name
        with open(path, "xb") as file:
            file.truncate(size_gib * GIB)
        self.serve(name, unmaps)
        return path

    def serve(self, name: str, unmaps: bool = True) -> None:
        """Let a file of the array be a LUN; *unmaps* as of `create`."""
        path = FILES / name
        size = path.stat().st_size
        core = self._new(name, "fileio_0")
        _set(
            core / "control",
            f"fd_dev_name={path},fd_dev_size={size},fd_buffered_io=1",
        )
        _set(core / "enable", 1)
        _set(core / "wwn/company_id", "0x00a098")
        _set(core / "wwn/vendor_id", "NETAPP")
        _set(core / "wwn/product_id", "LUN C-Mode")
        _set(core / "wwn/revision", "9151")
        _set(core / "wwn/vpd_unit_serial", name.encode().hex())
        _set(core / "attrib/emulate_write_cache", 1)
        _set(core / "attrib/emulate_tpu", 1)
        if unmaps:
            _set(core / "attrib/emulate_tpws", 1)
            _set(core / "attrib/unmap_zeroes_data", 1)

    def _new(self, name: str, kind: str) -> Path:
        core = self._cores[name] = _CORE / kind / name
        core.mkdir(parents=True)
        return core

    def create_in_full(self, name: str, room: int) -> None:
        """Make a new LUN of 1 GiB, for which its FlexVol has only *room* bytes."""
        path = FILES / "full" / name
        self._shell.run(
            f"mkdir -p {path.parent};"
            f" mount -t tmpfs -o size={room} flexvol {path.parent}"
        )
        self._serve_failing(name, path)

    def create_failing(self, name: str) -> Path:
        """Make a new LUN of 1 GiB that can go offline; return its file."""
        path = FILES / name
        self._serve_failing(name, path)
        return path

    def go_offline(self, name: str) -> None:
        """Take a LUN offline, of `create_failing`. Its maps stay."""
        failing_lun.sign(name).touch()

    def go_online(self, name: str) -> None:
        """Take a LUN back online."""
        failing_lun.sign(name).unlink(missing_ok=True)

    def _serve_failing(self, name: str, path: Path) -> None:
        self._shell.run(f"modprobe target_core_user; truncate -s {GIB} {path}")
        core = self._new(name, "user_0")
        # None listens for the news that the target would await an answer to.
        _set(core / "control", f"dev_config=lun/{name},dev_size={GIB}")
        _set(core / "control", f"hw_block_size={SECTOR},nl_reply_supported=-1")
        _set(core / "enable", 1)
        (device,) = Path("/sys/class/uio").iterdir()
        program = [sys.executable, "-m", failing_lun.__name__]
        program += [f"/dev/{device.name}", str(path), name]
        self._shell.start(shlex.join(program))

    def size_gib(self, name: str) -> int:
        """The size of a LUN."""
        return (FILES / name).stat().st_size // GIB

    def extend(self, name: str, size_gib: int) -> None:
        """Make a LUN larger, while hosts use it."""
        with open(FILES / name, "r+b") as file:
            file.truncate(size_gib * GIB)
        _set(self._cores[name] / "control", f"fd_dev_size={size_gib * GIB}")

    def map(self, name: str, portals: tuple[str, ...] = PORTALS) -> dict[str, Any]:
        """Let the host see a LUN; return the ``connection_info``, as Cinder's driver.

        *portals* are those that Cinder tells.
        """
        taken = set(self._mapped.values())
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        lun = _GROUP / f"lun/lun_{number}"
        lun.mkdir()
        (lun / "storage").symlink_to(self._cores[name])
        seen = _GROUP / "acls" / INITIATOR / f"lun_{number}"
        seen.mkdir()
        (seen / "lun").symlink_to(lun)
        self._mapped[name] = number
        info: dict[str, Any] = {
            "driver_volume_type": "iscsi",
            "target_discovered": False,
            "target_portal": f"{portals[0]}:3260",
            "target_iqn": TARGET,
            "target_lun": number,
            "volume_id": name,
        }
        if len(portals) > 1:
            info["target_portals"] = [f"{address}:3260" for address in portals]
            info["target_iqns"] = [TARGET] * len(portals)
            info["target_luns"] = [number] * len(portals)
        return info

    def unmap(self, name: str) -> None:
        """Take a LUN away from the host, which may use it."""
        number = self._mapped.pop(name)
        seen = _GROUP / "acls" / INITIATOR / f"lun_{number}"
        (seen / "lun").unlink()
        seen.rmdir()
        lun = _GROUP / f"lun/lun_{number}"
        (lun / "storage").unlink()
        lun.rmdir()

    def raise_portal(self, address: str) -> None:
        """Bring a portal's address up."""
        self._shell.run(f"ip addr replace {address}/32 dev portals")

    def lose_portal(self, address: str) -> None:
        """Take a portal's address down: the path is lost."""
        self._shell.run(f"ip addr del {address}/32 dev portals")

    def ask_for_password(self, password: str | None) -> None:
        """Accept logins with CHAP and *password* only, or with none."""
        _set(_GROUP / "attrib/authentication", int(password is not None))
        if password is not None:
            auth = _GROUP / "acls" / INITIATOR / "auth"
            _set(auth / "userid", CHAP_USER)
            _set(auth / "password", password)

    @contextlib.contextmanager
    def without_multipath(self) -> Iterator[None]:
        """Let the host run without multipathd."""
        self._shell.run("multipathd shutdown; while pidof multipathd; do sleep 1; done")
        try:
            yield
        finally:
            self._shell.run("multipathd")

    def restore(self) -> None:
        """All portals up, no password, no LUN."""
        for address in PORTALS:
            self.raise_portal(address)
        self.ask_for_password(None)
        for name in self._cores:
            self.go_online(name)
        for name in list(self._mapped):
            self.unmap(name)
        for name, core in self._cores.items():
            core.rmdir()
            (FILES / name).unlink(missing_ok=True)
        self._cores.clear()
        # The programs of LUNs end when these are gone.
        self._shell.wait()
        self._shell.run(f"! mountpoint -q {FILES}/full || umount {FILES}/full")


def _set(path: Path, value: object) -> None:
    # Without a line feed, which would become a part of a password.
    path.write_text(str(value), encoding="ascii")
