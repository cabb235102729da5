# SPDX-License-Identifier: Apache-2.0
"""Mounts without root: a mount point is a symbolic link into another file system."""

import errno
import os
import pathlib
import stat

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.exports import Exports


class FakeMounter:
    """`attach.nfs.mount.Mounter` with its whole state on disk.

    So it serves several processes, as the kernel's mount table does. It is stricter
    than mount(8): mounting twice, and unmounting what is not mounted, fail the test.
    As with umount(8), an export with open files is busy.
    """

    def __init__(self, base: str, root: str) -> None:
        self._base = base
        self._exports = Exports(root)
        self.options: dict[str, str] = {}
        # Faults: mount(8) fails, reports success without a mount, or umount(8) fails.
        self.refuses = False
        self.lies = False
        self.keeps = False
        # The file system of several hosts on which the base is, in words.
        self.shared: str | None = None

    def mount_point(self, export: str) -> str:
        return os.path.join(self._base, export.replace("/", "_"))

    def shared_base(self) -> str | None:
        return self.shared

    def mount(self, export: str, options: str) -> None:
        point = self.mount_point(export)
        if self.refuses:
            raise errors.Broken(f"{export} cannot be mounted: access denied by server")
        if os.path.islink(point):
            raise AssertionError(f"{export} is mounted twice")
        os.makedirs(point, exist_ok=True)
        if self.lies:
            return
        # A mount hides the content of the directory below it.
        os.rename(point, _hidden(point))
        os.symlink(self._exports.directory(export), point)
        self.options[export] = options

    def unmount(self, export: str) -> None:
        point = self.mount_point(export)
        if not os.path.islink(point):
            raise AssertionError(f"{export} is not mounted")
        if self.keeps or self._has_open_files(export):
            raise errors.Broken(f"{export} cannot be unmounted: target is busy")
        os.unlink(point)
        os.rename(_hidden(point), point)

    def filesystem(self, export: str) -> str | None:
        point = self.mount_point(export)
        if not os.path.islink(point):
            return None
        target = os.readlink(point)
        # A link to itself stands for a server that does not answer.
        if target in (point, self._exports.directory(export)):
            return f"fake {export}"
        return f"fake {target}"

    def open_root(self, export: str) -> int:
        return os.open(self.mount_point(export), os.O_RDONLY | os.O_DIRECTORY)

    def open_as_owner(self, export: str, name: str, flags: int) -> int:
        """Open as the user of the tests; the mode counts, also if that is root."""
        path = os.path.join(self.mount_point(export), name)
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            raise errors.Broken(f"{name} is not a regular file.")
        needed = 0o400 if flags & os.O_ACCMODE == os.O_RDONLY else 0o600
        if mode & needed != needed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return os.open(path, flags)

    def mounted(self) -> set[str]:
        """Return the mount points that any process has mounted."""
        base = pathlib.Path(self._base)
        if not base.is_dir():
            return set()
        return {entry.name for entry in base.iterdir() if entry.is_symlink()}

    def directory(self, export: str) -> str:
        """Return the export's directory on the array."""
        return self._exports.directory(export)

    def _has_open_files(self, export: str) -> bool:
        directory = self._exports.directory(export)
        for fd in pathlib.Path("/proc/self/fd").iterdir():
            try:
                if os.readlink(fd).startswith(directory):
                    return True
            except OSError:
                continue
        return False


def _hidden(point: str) -> str:
    return f"{point}.under"
