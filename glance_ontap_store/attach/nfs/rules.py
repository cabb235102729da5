# SPDX-License-Identifier: Apache-2.0
"""The exports, file names and mount options of Cinder that the store accepts.

Glance's process checks them to refuse early with a clear error. The helper that
runs as root checks them again, because it does not trust that process.
"""

from collections.abc import Iterator
import hashlib
import os
import re

from glance_ontap_store import errors

# Added after all other options, because the last one wins. They keep programs on the
# export from running, with any user's rights, and its device files from being used.
OURS = ("nosuid", "nodev", "noexec")

# <host name, IPv4 address or [IPv6 address]>:<absolute path>. No commas, which
# separate servers for some versions of mount.nfs.
_EXPORT = re.compile(
    r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]):(?P<path>/.*)", re.ASCII
)

# Options that contradict ours, and options that only fstab or mount(8) itself
# reads. The store does not need them.
_LEFT_OUT = """
defaults suid dev exec nosuid nodev noexec auto noauto nofail _netdev nouser fg
"""

# Of mount(8) and nfs(5): options that only change how NFS is spoken or cached.
# `bg` is missing, because with it mount reports success without a mount. So are all
# options that make mount(8) do something else: bind, move, remount, loop, x-..., user,
# helper=.
_FLAGS = """
rw ro sync async dirsync atime noatime diratime nodiratime relatime norelatime
strictatime nostrictatime lazytime nolazytime
soft softerr hard softreval nosoftreval intr nointr ac noac cto nocto acl noacl
lock nolock rdirplus nordirplus sharecache nosharecache resvport noresvport
migration nomigration trunkdiscovery notrunkdiscovery fsc nofsc
tcp tcp6 udp udp6 rdma v3 v4 v4.0 v4.1 v4.2
"""
_WITH_VALUE = """
vers nfsvers minorversion proto port mountport mountproto mounthost mountvers
sec xprtsec timeo retrans retry rsize wsize bsize namlen nconnect max_connect
acregmin acregmax acdirmin acdirmax actimeo lookupcache local_lock rdirplus
clientaddr write fsc context fscontext defcontext rootcontext
"""
_VALUE = re.compile(r"[\w.:/@%+*-]+", re.ASCII)


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
    """Return Cinder's *options* as mount's ``-o`` takes them, then ours.

    Both are names or ``name=value``, separated by commas. Options that ours
    contradict, or that mean nothing to the store, are left out.

    :raises errors.Broken: an option is not one of NFS
    """
    return ",".join([*_accepted(options), *OURS])


def _accepted(options: str) -> Iterator[str]:
    for option in filter(None, (part.strip() for part in options.split(","))):
        if option in _LEFT_OUT.split():
            continue
        if not _is_of_nfs(option):
            raise errors.Broken(
                f"Cinder's mount options contain {option!r}, which the store does not"
                " pass to mount: it is not an option of NFS that is safe to use here."
                " Remove it from the shares file (nfs_shares_config) of cinder-volume."
            )
        yield option


def _is_of_nfs(option: str) -> bool:
    name, has_value, value = option.partition("=")
    if not has_value:
        return name in _FLAGS.split()
    return name in _WITH_VALUE.split() and _VALUE.fullmatch(value) is not None


def mount_point(base: str, export: str) -> str:
    """Return the directory under *base* for *export*, as os-brick names it."""
    return os.path.join(base, directory_name(export))


def directory_name(export: str) -> str:
    """Return the name of the directory on which *export* is mounted."""
    return hashlib.md5(export.encode(), usedforsecurity=False).hexdigest()
