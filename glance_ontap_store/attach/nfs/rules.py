# SPDX-License-Identifier: Apache-2.0
"""The exports, file names and mount options that the store accepts.

Glance's process checks them to refuse early with a clear error. The helper that
runs as root checks them again, because it does not trust that process.
"""

import hashlib
import os
import re

from glance_ontap_store import errors
from glance_ontap_store import nfs_options

# Added after all other options, because the last one wins. They keep programs on the
# export from running, with any user's rights, and its device files from being used.
OURS = ("nosuid", "nodev", "noexec")

# <host name, IPv4 address or [IPv6 address]>:<absolute path>. No commas, which
# separate servers for some versions of mount.nfs.
_EXPORT = re.compile(
    r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]):(?P<path>/.*)", re.ASCII
)


def check_export(export: object) -> str:
    """Return *export* if it names an NFS export and nothing else.

    :raises errors.Broken: it does not
    """
    match = isinstance(export, str) and _EXPORT.fullmatch(export)
    if match and not match["host"].startswith("-") and _is_plain_path(match["path"]):
        return str(export)
    raise errors.Broken(
        f"Cinder's connection information names export {export!r}, which cannot be"
        " mounted: it must be ADDRESS:/PATH without blanks, commas and '..'. Correct"
        " the shares file (nfs_shares_config) of cinder-volume."
    )


def _is_plain_path(path: str) -> bool:
    return (
        path.isprintable()
        and not any(character.isspace() or character in ",\\" for character in path)
        and not {".", ".."} & set(path.split("/"))
    )


def check_name(name: object) -> str:
    """Return *name* if it names a file in the export's directory.

    :raises errors.Broken: it does not
    """
    if (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and "/" not in name
        and name.isprintable()
    ):
        return name
    raise errors.Broken(
        f"Cinder's connection information names file {name!r}, which cannot be opened:"
        " it must be the name of a file in the export's own directory."
    )


def mount_options(options: str) -> str:
    """Return *options* as mount's ``-o`` takes them, then ours.

    They are names or ``name=value``, separated by commas. Options that ours
    contradict, or that mean nothing to the store, are left out.

    :raises errors.Broken: an option is not one of NFS
    """
    for option in nfs_options.refused(options):
        raise errors.Broken(
            f"The mount options contain {option!r}, which the store does not pass to"
            " mount: it is not an option of NFS that is safe to use here. Remove it"
            " from ontap_nfs_mount_options, or from the shares file"
            " (nfs_shares_config) of cinder-volume."
        )
    return ",".join([*nfs_options.kept(options), *OURS])


def mount_point(base: str, export: str) -> str:
    """Return the directory under *base* for *export*, as os-brick names it."""
    return os.path.join(base, directory_name(export))


def directory_name(export: str) -> str:
    """Return the name of the directory on which *export* is mounted."""
    return hashlib.md5(export.encode(), usedforsecurity=False).hexdigest()
