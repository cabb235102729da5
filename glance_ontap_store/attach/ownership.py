# SPDX-License-Identifier: Apache-2.0
"""Open a file with the rights of its owner, in the helper that runs as root.

An export that squashes root takes root for nobody, so that root's own rights open
nothing there. The NFS client sends the user and the group of the process that opens a
file, also with each later read and write of it (open(2) keeps them with the file).

On Linux these credentials belong to a thread (setfsuid(2), capabilities(7)). A thread
of its own takes them, and ends: no other thread ever has them, and nothing must be
restored.
"""

from concurrent.futures import ThreadPoolExecutor
import contextlib
import ctypes
import os
import stat

from oslo_privsep import capabilities

from glance_ontap_store import errors

# To take another user's and group's place. Without the others, the kernel and the
# server judge that user's rights and nothing else.
NEEDS = frozenset({capabilities.CAP_SETUID, capabilities.CAP_SETGID})

# The id that these calls never set. They return the present one then.
_NONE = 0xFFFFFFFF
_O_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW

_libc = ctypes.CDLL(None)
_libc.setfsuid.argtypes = _libc.setfsgid.argtypes = [ctypes.c_uint]


def open_file(directory: int, name: str, flags: int) -> int:
    """Return a descriptor of the regular file *name*, opened as its owner.

    It is looked up as the owner of *directory*, a descriptor: others may have no right
    to search it. *flags* are O_RDONLY or O_RDWR. A file of root is refused: on an
    export that trusts root, the helper would have more rights than any volume needs.

    :raises PermissionError: its owner may not open it
    :raises OSError: as open(2)
    :raises errors.Broken: it is not a regular file
    :raises errors.WriteDenied: it belongs to root
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_open, directory, name, flags).result()


def _open(directory: int, name: str, flags: int) -> int:
    """Do the work of `open_file`. The thread that runs it must not be used again."""
    _effective, permitted, _inheritable = capabilities.get_caps()
    kept = NEEDS.intersection(permitted)
    capabilities.drop_all_caps_except(kept, kept, [])
    _become(os.fstat(directory))
    with contextlib.ExitStack() as stack:
        found = os.open(name, os.O_PATH | _O_SAFE, dir_fd=directory)
        stack.callback(os.close, found)
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise errors.Broken(f"{name} is not a regular file.")
        if status.st_uid == 0:
            raise errors.WriteDenied(
                f"{name} belongs to root, and the helper opens no file as root. Set"
                " Cinder's nas_secure_file_operations to true, so that files belong to"
                " Cinder's user, or nas_secure_file_permissions to false."
            )
        _become(status)
        # This opens the very file that was looked at.
        return os.open(f"/proc/self/fd/{found}", flags | os.O_CLOEXEC | os.O_NONBLOCK)


def _become(status: os.stat_result) -> None:
    """Give this thread the user and the group of a file for access to files.

    :raises PermissionError: that was not possible
    """
    for change, wanted in (
        (_libc.setfsgid, status.st_gid),
        (_libc.setfsuid, status.st_uid),
    ):
        change(wanted)
        # The calls report no failure.
        if change(_NONE) & _NONE != wanted:
            raise PermissionError(
                f"the helper cannot act as user {status.st_uid}, group {status.st_gid}"
            )
