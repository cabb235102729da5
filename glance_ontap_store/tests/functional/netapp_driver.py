# SPDX-License-Identifier: Apache-2.0
"""Cinder's NetApp NFS driver and database in this process, over the simulator.

The driver, Cinder's objects and its database are real. A FlexVol is linked instead of
mounted. For programs that show what Cinder does, see ``doc/patches``.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import os
from pathlib import Path
from typing import Any

from cinder import context
from cinder import objects
from cinder import privsep
from cinder import rpc
from cinder import utils
from cinder.db import api as db
from cinder.db import migration
from cinder.volume import configuration
from cinder.volume import driver as volume_driver
from cinder.volume.drivers.netapp.dataontap import nfs_cmode
from os_brick.remotefs import remotefs
from oslo_config import cfg

from lab import databases
from lab.ontapsim import process
from lab.ontapsim.process import RunningSimulator

MIB = 1 << 20
GIB = 1 << 30
ADDRESS = "127.0.0.1"
HOST = "lab@ontap"


class Links(remotefs.RemoteFsClient):
    """A client that links what it is asked to mount."""

    exports: Mapping[str, Path]

    def mount(self, share: str, flags: Any = None) -> None:
        point = Path(self.get_mount_point(share))
        if not point.exists():
            point.symlink_to(self.exports[share])


class Backend:
    """A driver, and volumes that Cinder's database knows."""

    def __init__(
        self, driver: volume_driver.BaseVD, simulator: RunningSimulator
    ) -> None:
        self.driver = driver
        self.simulator = simulator
        self.context = context.get_admin_context()

    def volume(self, path: str, **fields: Any) -> "objects.Volume":
        """Make the row of a volume in the pool that has this junction path."""
        given = {
            "size": 1,
            "host": f"{HOST}#{pool(path)}",
            "status": "creating",
            "project_id": "project",
            "user_id": "user",
            "volume_type_id": objects.VolumeType.get_by_name_or_id(
                self.context, "__DEFAULT__"
            ).id,
        }
        volume = objects.Volume(self.context, **{**given, **fields})
        volume.create()
        return volume

    def created(self, path: str, **fields: Any) -> "objects.Volume":
        """Make an empty volume."""
        volume = self.volume(path, **fields)
        return self.finish(volume, self.driver.create_volume(volume))

    def finish(self, volume: "objects.Volume", update: Any) -> "objects.Volume":
        """Do as Cinder's manager does when the driver has made a volume."""
        volume.update({**(update or {}), "status": "available"})
        volume.save()
        return objects.Volume.get_by_id(self.context, volume.id)

    def make(self, volume: "objects.Volume", driver: Any, how: Any) -> Any:
        """Let Cinder's manager make the volume with this driver."""
        # Can be imported only when Cinder's objects are registered.
        from cinder.volume.flows.manager import create_volume

        task = create_volume.CreateVolumeFromSpecTask(None, db, driver)
        return task.execute(self.context, volume, how)

    def file(self, volume: "objects.Volume") -> Path:
        """Return the volume's file by way of its pool."""
        return Path(self.driver.local_path(volume))

    def posts(self, path: str) -> int:
        """Return the number of POST requests to this path of ONTAP so far."""
        return sum(
            entry["method"] == "POST" and entry["path"].endswith(path)
            for entry in self.simulator.logged()
        )


def pool(path: str) -> str:
    """Return the name of the pool that has this junction path."""
    return f"{ADDRESS}:{path}"


@contextlib.contextmanager
def running(work: Path, junctions: Mapping[str, str]) -> Iterator[Backend]:
    """Run the simulator with these FlexVols, name to junction path, and a driver."""
    sizes = dict.fromkeys(junctions, 4 * GIB)
    with process.running(work / "ontap", sizes) as simulator:
        _mount_at(simulator, junctions)
        _configure(work, simulator, junctions.values())
        exports = {
            pool(path): simulator.flexvols[name] for name, path in junctions.items()
        }
        driver = _driver(work, exports)
        _provide_helper(work / "bin")
        driver.do_setup(context.get_admin_context())
        driver._update_ssc()
        driver.set_initialized()
        yield Backend(driver, simulator)


def _mount_at(simulator: RunningSimulator, junctions: Mapping[str, str]) -> None:
    """Give the FlexVols their junction paths; first none, as they may exchange them."""
    records = simulator.api("GET", "/storage/volumes?fields=uuid").json()["records"]
    uuids = {record["name"]: record["uuid"] for record in records}
    for paths in (dict.fromkeys(junctions, ""), junctions):
        for name, path in paths.items():
            answer = simulator.api(
                "PATCH", f"/storage/volumes/{uuids[name]}", json={"nas": {"path": path}}
            )
            answer.raise_for_status()


def _configure(work: Path, simulator: RunningSimulator, paths: Any) -> None:
    for name in ("mnt", "locks"):
        (work / name).mkdir()
    shares = work / "nfs_shares"
    shares.write_text("".join(f"{pool(path)}\n" for path in paths))
    (work / "ssh_known_hosts").touch()
    config = work / "cinder.conf"
    config.write_text(f"""
[DEFAULT]
state_path = {work}
transport_url = fake:/
enabled_backends = ontap
allowed_direct_url_schemes = cinder
ssh_hosts_key_file = {work}/ssh_known_hosts
[database]
connection = sqlite:///{work}/cinder.sqlite
[oslo_concurrency]
lock_path = {work}/locks
[ontap]
volume_backend_name = ontap
netapp_server_hostname = {ADDRESS}
netapp_server_port = {simulator.port}
netapp_transport_type = http
netapp_login = {process.ADMIN}
netapp_password = {simulator.passwords[process.ADMIN]}
netapp_vserver = svm1
netapp_use_legacy_client = False
netapp_allow_zapi_fallback = False
nfs_shares_config = {shares}
nfs_mount_point_base = {work}/mnt
nas_secure_file_operations = False
nas_secure_file_permissions = False
""")
    cfg.CONF(["--config-file", str(config)], project="cinder")
    privsep.sys_admin_pctxt.set_client_mode(False)
    objects.register_all()
    rpc.init(cfg.CONF)
    databases.prepare("cinder", work / "cinder.sqlite", migration.db_sync)


def _provide_helper(directory: Path) -> None:
    """Put a mount.nfs into PATH: the driver wants one, and `Links` does not use it."""
    directory.mkdir()
    helper = directory / "mount.nfs"
    helper.write_text("#!/bin/sh\nexit 1\n")
    helper.chmod(0o755)
    os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"


def _driver(work: Path, exports: Mapping[str, Path]) -> volume_driver.BaseVD:
    driver = nfs_cmode.NetAppCmodeNfsDriver(
        configuration=configuration.Configuration(
            volume_driver.volume_opts, config_group="ontap"
        ),
        host=HOST,
        db=db,
        execute=utils.execute,
        netapp_mode="proxy",
    )
    driver._remotefsclient = Links("nfs", "", nfs_mount_point_base=str(work / "mnt"))
    driver._remotefsclient.exports = exports
    return driver
