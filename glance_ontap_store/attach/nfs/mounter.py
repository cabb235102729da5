# SPDX-License-Identifier: Apache-2.0
"""Mounts NFS exports with mount(8), as os-brick drives it."""

from typing import Any

from os_brick import exception as brick_errors
from os_brick.remotefs import remotefs
from oslo_concurrency import processutils

from glance_ontap_store import errors
from glance_ontap_store.attach import privilege


class NfsMounter:
    """`mounts.Mounter` with mount(8), as os-brick drives it.

    os-brick asks for NFS 4.2, then 4.1, then whatever the host negotiates,
    unless the options name a version.
    """

    # The export holds volumes' data, which nobody may run or use as a device.
    _ALWAYS = "nosuid,nodev,noexec"

    def __init__(self, base: str) -> None:
        self._base = base

    def mount_point(self, export: str) -> str:
        """The directory under *base* for *export*, the same in every process."""
        point: str = self._client("").get_mount_point(export)
        return point

    def mount(self, export: str, options: str) -> None:
        """
        :raises errors.Broken: it cannot be mounted
        """
        try:
            self._client(options).mount(export)
        except (brick_errors.BrickException, processutils.ProcessExecutionError) as e:
            # os-brick makes one of everything, a helper that did not start too.
            raise errors.Broken(
                f"{export} cannot be mounted: {e}. Check the export policy of the"
                " FlexVol for this host, the network to the LIF, the package that has"
                " mount.nfs, and glance_ontap_store.filters in rootwrap's filters_path."
            ) from e

    def unmount(self, export: str) -> None:
        """
        :raises errors.Broken: it cannot be unmounted
        """
        try:
            privilege.unmount(self.mount_point(export))
        except Exception as error:
            raise errors.Broken(f"{export} cannot be unmounted: {error}") from error

    def _client(self, options: str) -> remotefs.RemoteFsClient:
        return remotefs.RemoteFsClient(
            "nfs",
            "",
            execute=_execute,
            nfs_mount_point_base=self._base,
            nfs_mount_options=",".join(filter(None, [self._ALWAYS, options])),
        )


def _execute(*command: str, run_as_root: bool = False, **kwargs: Any) -> Any:
    """What os-brick's client runs: as root only mount(8), in our own daemon."""
    kwargs.pop("root_helper", None)
    if not run_as_root:
        return processutils.execute(*command, **kwargs)
    if command[0] != "mount":
        raise AssertionError(f"os-brick wants to run {command[0]!r} as root")
    return privilege.mount(*command[1:])
