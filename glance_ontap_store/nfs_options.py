# SPDX-License-Identifier: Apache-2.0
"""The mount options of NFS that the store accepts. Pure.

Glance's process checks options to refuse them early with a clear error. The helper
that runs as root checks them again, because it does not trust that process.
"""

from collections.abc import Iterator
import re

# Options that contradict the store's own, and options that only fstab or mount(8)
# itself reads. The store does not need them.
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


def kept(options: str) -> list[str]:
    """Return the options, separated by commas in *options*, that mount(8) is given.

    Those that the store does without are left out.
    """
    return [option for option in _split(options) if option not in _LEFT_OUT.split()]


def refused(options: str) -> list[str]:
    """Return those of *options* that are not options of NFS, or are not safe."""
    return [option for option in kept(options) if not _is_of_nfs(option)]


def version(options: str) -> str | None:
    """Return the version of NFS that *options* ask for, ``3`` or ``4.1``, if any.

    os-brick negotiates the version only without one (os_brick/remotefs/remotefs.py).
    """
    found = minor = None
    for option in kept(options):
        name, _, value = option.partition("=")
        if name in ("vers", "nfsvers"):
            found = value
        elif re.fullmatch(r"v[\d.]+", option, re.ASCII):
            found = option[1:]
        elif name == "minorversion":
            minor = value
    return f"{found}.{minor}" if found == "4" and minor else found


def _split(options: str) -> Iterator[str]:
    return filter(None, (part.strip() for part in options.split(",")))


def _is_of_nfs(option: str) -> bool:
    name, has_value, value = option.partition("=")
    if not has_value:
        return name in _FLAGS.split()
    return name in _WITH_VALUE.split() and _VALUE.fullmatch(value) is not None
