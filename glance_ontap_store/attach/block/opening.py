# SPDX-License-Identifier: Apache-2.0
"""Open a block device that nobody else has open."""

import errno
import os
import stat

from glance_ontap_store import errors
from glance_ontap_store.attach import handover
from glance_ontap_store.attach import privilege


def open_device(path: str, writable: bool, shared: bool = False) -> int:
    """Return a descriptor of the block device at *path*, which nobody else may use.

    On a block device O_EXCL fails with EBUSY if it is mounted, part of another device,
    or opened so by anybody else (open(2)). With *shared* it may be.

    The helper that runs as root opens it where Glance's user may not. Owner and mode
    of the device stay as they are.

    :raises errors.Broken: it is not a block device, it is in use, or the helper failed
    :raises errors.WriteDenied: neither may open it
    """
    try:
        if not stat.S_ISBLK(os.stat(path).st_mode):
            raise errors.Broken(
                f"os-brick connected this host, but {path} is not a block device."
            )
        flags = os.O_RDWR if writable else os.O_RDONLY
        try:
            return os.open(path, flags | os.O_CLOEXEC | (0 if shared else os.O_EXCL))
        except PermissionError:
            return _through_helper(path, writable, shared)
    except PermissionError as error:
        raise errors.WriteDenied(
            f"Neither Glance's user {os.geteuid()} nor the helper that runs as root may"
            f" open {path}: {error.strerror}. In a container, the device must be"
            " permitted (privileged, or the device cgroup)."
        ) from error
    except OSError as error:
        raise _not_opened(path, error) from error


def _not_opened(path: str, error: OSError) -> errors.Broken:
    if error.errno == errno.EBUSY:
        return errors.Broken(
            f"{path} is used by something else on this host, such as a volume that"
            " was detached before its device was gone. See lsblk, multipath -ll and"
            " fuser -v."
        )
    return errors.Broken(
        f"{path} cannot be opened: {error}. See the log of this host's kernel (dmesg)."
    )


def _through_helper(path: str, writable: bool, shared: bool) -> int:
    with handover.inbox() as inbox:
        try:
            privilege.open_device(path, writable, shared, inbox.address, os.geteuid())
        except (OSError, errors.StoreError):
            raise
        except Exception as error:
            raise errors.Broken(
                f"The helper that runs as root cannot open {path}: {error}"
            ) from error
        return inbox.take()
