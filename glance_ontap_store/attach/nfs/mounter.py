# SPDX-License-Identifier: Apache-2.0
"""Mount NFS exports with os-brick and the helper that runs as root."""

import ast
import os
import stat
from typing import Any

from os_brick import exception as brick_errors
from os_brick.remotefs import remotefs
from oslo_concurrency import processutils

from glance_ontap_store import errors
from glance_ontap_store.attach import handover
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.nfs import mountinfo
from glance_ontap_store.attach.nfs import rules


class NfsMounter:
    """`mount.Mounter` over the kernel.

    os-brick asks for NFS 4.2, then 4.1, then for the version that the host
    negotiates, unless the options name a version. The helper that runs as root
    builds the command, so that it need not trust this process.
    """

    def __init__(self, base: str) -> None:
        self._base = base

    def mount_point(self, export: str) -> str:
        """Return the directory under the base for *export*."""
        return rules.mount_point(self._base, export)

    def shared_base(self) -> str | None:
        """Return which file system of several hosts the base is on, in words; or None.

        Their locks would be one host's users of a mount on another.
        """
        found = mountinfo.shared(self._base, mountinfo.table())
        return found.identity if found else None

    def filesystem(self, export: str) -> str | None:
        """Return which file system is mounted for *export*, in words; or None."""
        # The kernel lists mount points without symbolic links.
        point = rules.mount_point(os.path.realpath(self._base), export)
        found = mountinfo.at(point)
        return found.identity if found else None

    def mount(self, export: str, options: str) -> None:
        """Create the mount point if it is missing, and mount.

        :raises errors.Broken: it cannot be mounted
        """
        self._check_mount_point(self.mount_point(export))
        client = remotefs.RemoteFsClient(
            "nfs",
            "",
            execute=self._execute,
            nfs_mount_point_base=self._base,
            nfs_mount_options=options,
        )
        try:
            client.mount(export)
        except (brick_errors.BrickException, processutils.ProcessExecutionError) as e:
            # os-brick raises these two for a helper that does not start as well.
            raise errors.Broken(
                f"{export} cannot be mounted: {_causes(str(e))}. Check the export"
                " policy of the FlexVol for this host, the network to the LIF, the"
                " package that has mount.nfs, glance_ontap_store.filters in rootwrap's"
                " filters_path, and the rule of sudo for glance-rootwrap."
            ) from e

    @staticmethod
    def _check_mount_point(point: str) -> None:
        try:
            status = os.lstat(point)
        except OSError:
            return  # os-brick makes the directory, or says why it cannot
        if not stat.S_ISDIR(status.st_mode):
            raise errors.Broken(
                f"{point} is not a directory (perhaps a symbolic link), and the store"
                " mounts on nothing else. Remove it."
            )

    def unmount(self, export: str) -> None:
        """Unmount *export*.

        :raises errors.Broken: it cannot be unmounted, busy for instance
        """
        try:
            privilege.unmount(self._base, export)
        except Exception as error:
            raise errors.Broken(f"{export} cannot be unmounted: {error}") from error

    def open_root(self, export: str) -> int:
        """Return a descriptor of the mounted directory.

        One that this user may not read is opened as a place only (O_PATH).

        :raises OSError: as open(2); ESTALE or EIO if the server is gone
        """
        flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        point = self.mount_point(export)
        try:
            return os.open(point, os.O_RDONLY | flags)
        except PermissionError:
            return os.open(point, os.O_PATH | flags)

    def open_as_owner(self, export: str, name: str, flags: int) -> int:
        """Return a descriptor of file *name* on *export*, opened as its owner.

        :raises PermissionError: its owner may not open it
        :raises OSError: as open(2)
        :raises errors.WriteDenied: it belongs to root
        :raises errors.Broken: the file is not a regular one, or the helper failed
        """
        writable = flags & os.O_ACCMODE == os.O_RDWR
        with handover.inbox() as inbox:
            try:
                privilege.open_as_owner(
                    self._base, export, name, writable, inbox.address, os.geteuid()
                )
            except (OSError, errors.StoreError):
                raise
            except Exception as error:
                raise errors.Broken(
                    f"The helper that runs as root cannot open {name} on {export}:"
                    f" {error}"
                ) from error
            return inbox.take()

    def _execute(self, *command: str, run_as_root: bool = False, **kwargs: Any) -> Any:
        """Run a command of os-brick's client; our helper runs mount(8) as root.

        :raises AssertionError: os-brick wants to run anything else as root
        """
        kwargs.pop("root_helper", None)
        if not run_as_root:
            return processutils.execute(*command, **kwargs)
        match command:
            case ("mount", "-t", "nfs", "-o", options, export, point) if (
                point == self.mount_point(export)
            ):
                privilege.mount(self._base, export, options)
                return "", ""
            case _:
                raise AssertionError(f"os-brick wants to run {command} as root")


def _causes(text: str) -> str:
    """Return the causes in os-brick's text, each of them once.

    os-brick tries several versions of NFS, and tells the errors of all as a dict:
    ``NFS mount failed for share E. Error - {'nfs_4.2': 'refused', 'nfs': 'refused'}``.
    """
    _, found, tail = text.partition(" Error - ")
    try:
        causes = ast.literal_eval(tail) if found else None
    except (SyntaxError, ValueError):
        return text
    if not isinstance(causes, dict):
        return text
    return "; ".join(dict.fromkeys(str(cause) for cause in causes.values()))
