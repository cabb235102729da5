# SPDX-License-Identifier: Apache-2.0
"""The four things that need root: mount, unmount, and open a file or a LUN.

They run in an oslo.privsep daemon, which
``etc/glance/rootwrap.d/glance_ontap_store.filters`` lets Glance's user start. The
daemon keeps the capabilities of `context` and drops all others. It does not trust
the process that calls it:

* A mount point base must be a store's ``ontap_mount_point_base``, or lie below
  one, in the configuration files that the daemon was started with.
* Below a base, only the directory named for the export is mounted on and
  unmounted, never through a symbolic link.
* The daemon builds the command that it runs itself: NFS, an export in the usual
  form, options of NFS. mount(8) gets the capabilities that it needs, and can gain
  no others.
* Only a regular file on such a mount is opened, with the rights of its owner and no
  others, and never with those of root.
* Only a block device of NetApp is opened, as the kernel tells its maker.

This limits mistakes. It does not contain a hostile glance-api: between the check
and mount(8) such a process can replace the directory with a link, and os-brick's
own helper, which Glance's user may start too, runs any command as root.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import shlex
import signal
import stat
import subprocess

from oslo_concurrency import processutils
from oslo_config import cfg
from oslo_privsep import capabilities
from oslo_privsep import priv_context

from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.attach import devices
from glance_ontap_store.attach import handover
from glance_ontap_store.attach import ownership
from glance_ontap_store.attach.nfs import mountinfo
from glance_ontap_store.attach.nfs import rules

# For mount(8) and mount.nfs: to mount, to enter directories of Glance's user, and
# to use the reserved ports that servers ask for with NFS version 3.
_MOUNT_NEEDS = frozenset(
    {
        capabilities.CAP_SYS_ADMIN,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_NET_BIND_SERVICE,
    }
)

context = priv_context.PrivContext(
    "glance_ontap_store",
    cfg_section=opts.HELPER_GROUP,
    pypath=f"{__name__}.context",
    capabilities=sorted(_MOUNT_NEEDS | ownership.NEEDS),
)

# Seconds. mount.nfs itself gives a server up after two minutes, and os-brick tries
# three versions of NFS.
MOUNT_S = 30

_BASE = next(
    option for option in opts.OPTIONS if option.name == "ontap_mount_point_base"
)
# The group of the only store, where ``enabled_backends`` is not set.
_ONLY = "glance_store"

# From <sys/prctl.h> and <sys/mount.h>.
_PR_SET_NO_NEW_PRIVS = 38
_UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def init(rootwrap_config: str) -> None:
    """Set how the daemon is started; the first call starts it.

    The setting is for the whole process. Upstream's cinder store has the same
    setting.
    """
    priv_context.init(root_helper=shlex.split(root_helper(rootwrap_config)))


def root_helper(rootwrap_config: str) -> str:
    """Return the command prefix that runs a command as root on a Glance host."""
    return f"sudo glance-rootwrap {rootwrap_config}"


@context.entrypoint
def mount(base: str, export: str, options: str) -> None:
    """Mount NFS *export* on its directory below *base*, which must exist.

    *options* are separated by commas; nosuid, nodev and noexec are added.

    :raises errors.Broken: an argument is not accepted, or something is mounted
        there already
    :raises processutils.ProcessExecutionError: mount(8) failed, or took longer than
        `MOUNT_S` seconds and was killed
    """
    rules.check_export(export)
    wanted = rules.mount_options(options)
    with _opened_base(base) as (real_base, directory):
        name = rules.directory_name(export)
        point = os.path.join(real_base, name)
        _check_is_directory(name, directory, point)
        if mountinfo.at(point) is not None:
            raise errors.Broken(f"Something is mounted on {point} already: unmount it.")
        _run("mount", "-t", "nfs", "-o", wanted, "--", export, point)


@context.entrypoint
def unmount(base: str, export: str) -> None:
    """Unmount what is mounted on the directory of *export* below *base*.

    This calls umount(2), which runs no other program. A server of NFS version 3
    is not told; it uses that for the list of `showmount` alone.

    :raises errors.Broken: an argument is not accepted, or nothing is mounted there
    :raises OSError: umount(2) failed; EBUSY while files are open there
    """
    with _opened_base(base) as (real_base, directory):
        name = rules.directory_name(rules.check_export(export))
        point = os.path.join(real_base, name)
        if mountinfo.at(point) is None:
            raise errors.Broken(f"Nothing is mounted on {point}.")
        path = f"/proc/self/fd/{directory}/{name}"
        if _libc.umount2(path.encode(), _UMOUNT_NOFOLLOW):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), point)


@context.entrypoint
def open_as_owner(
    base: str, export: str, name: str, writable: bool, address: str, receiver: int
) -> None:
    """Open the regular file *name* on the mounted *export* with its owner's rights.

    The descriptor goes to the inbox at *address* of user *receiver* (`handover`),
    which must exist. Nothing changes on the export.

    :raises errors.Broken: an argument is not accepted, the export is not mounted,
        the name is not that of a regular file, or the inbox is not there
    :raises errors.WriteDenied: the file belongs to root
    :raises OSError: open(2) failed; EACCES if its owner may not open it either
    """
    rules.check_name(name)
    if os.getgroups():
        # Root's groups: NFS would send them to the server beside the owner's.
        os.setgroups([])
    flags = os.O_RDWR if writable else os.O_RDONLY
    with _opened_export(base, export) as root:
        file = ownership.open_file(root, name, flags)
        try:
            handover.send(file, address, receiver)
        finally:
            os.close(file)


@context.entrypoint
def open_device(
    path: str, writable: bool, shared: bool, address: str, receiver: int
) -> None:
    """Open a block device of NetApp; nobody else may have it, unless *shared*.

    The descriptor goes to the inbox at *address* of user *receiver* (`handover`),
    which must exist. Owner and mode of the device stay as they are.

    :raises errors.Broken: it is not a block device of NetApp, or the inbox is not there
    :raises OSError: open(2) failed; EBUSY if somebody else has it
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
    real = os.path.realpath(path)
    if not devices.is_netapp(real):
        raise errors.Broken(
            f"The helper that runs as root opens devices of NetApp only, and the kernel"
            f" does not say that of {real}."
        )
    device = os.open(real, flags if shared else flags | os.O_EXCL)
    try:
        if not stat.S_ISBLK(os.fstat(device).st_mode):
            raise errors.Broken(f"{real} is not a block device.")
        handover.send(device, address, receiver)
    finally:
        os.close(device)


@contextlib.contextmanager
def _opened_export(base: str, export: str) -> Iterator[int]:
    """Yield a descriptor of the directory of the mounted *export*.

    :raises errors.Broken: *base* is not permitted, or *export* is not mounted
    """
    root_name = rules.directory_name(rules.check_export(export))
    with (
        _opened_base(base) as (real_base, directory),
        _descriptor(root_name, os.O_PATH | os.O_DIRECTORY, directory) as root,
    ):
        found = mountinfo.at(os.path.join(real_base, root_name))
        if found is None or found.mount_id != mountinfo.id_of(root):
            raise errors.Broken(f"{export} is not mounted below {base}.")
        yield root


@contextlib.contextmanager
def _opened_base(base: str) -> Iterator[tuple[str, int]]:
    """Yield the path of *base* without symbolic links, and a descriptor of it.

    :raises errors.Broken: the configuration does not permit *base*
    """
    real_base = os.path.realpath(base)
    allowed = {os.path.realpath(name) for name in mount_point_bases()}
    if not any(
        os.path.commonpath([real_base, permitted]) == permitted for permitted in allowed
    ):
        raise errors.Broken(
            f"The helper that runs as root does not mount below {base}. It permits the"
            " ontap_mount_point_base of the stores in its configuration files"
            f" ({', '.join(_config_files()) or 'none'}):"
            f" {', '.join(sorted(allowed)) or 'none'}."
        )
    with _descriptor(real_base, os.O_PATH | os.O_DIRECTORY) as directory:
        yield real_base, directory


@contextlib.contextmanager
def _descriptor(path: str, flags: int, directory: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _check_is_directory(name: str, directory: int, point: str) -> None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        raise errors.Broken(
            f"{point} is not a directory, and the store mounts on nothing else."
            " Remove it."
        )


def mount_point_bases() -> set[str]:
    """Return the ``ontap_mount_point_base`` of each store in this configuration."""
    conf = cfg.ConfigOpts()
    conf(
        [
            f"--config-dir={name}"
            for name in getattr(cfg.CONF, "config_dir", None) or ()
        ],
        project="glance",
        default_config_files=_config_files(),
    )
    conf.register_opt(cfg.DictOpt("enabled_backends", default={}))
    if not conf.enabled_backends:
        return _base_of_the_only_store(conf)
    for store_id in _stores(conf):
        opts.declare(conf, [_BASE], store_id)
    return {str(opts.value(conf, store_id, _BASE.dest)) for store_id in _stores(conf)}


def _base_of_the_only_store(conf: cfg.ConfigOpts) -> set[str]:
    conf.register_opt(_BASE, group=_ONLY)
    conf.register_opt(cfg.ListOpt("stores", default=[]), group=_ONLY)
    return {str(conf[_ONLY][_BASE.name])} if "ontap" in conf[_ONLY].stores else set()


def _stores(conf: cfg.ConfigOpts) -> list[str]:
    enabled: dict[str, str] = conf.enabled_backends
    return [store_id for store_id, kind in enabled.items() if kind == "ontap"]


def _config_files() -> list[str]:
    return list(getattr(cfg.CONF, "config_file", None) or ())


def _run(*command: str) -> None:
    """Run *command*, and kill it if it takes longer than `MOUNT_S` seconds.

    The helper runs as many calls at once as the host has CPUs: those that wait for a
    server that is gone would keep others from mounting.
    """
    try:
        processutils.execute(
            *command, preexec_fn=_confine, timeout=MOUNT_S, on_completion=_end
        )
    except subprocess.TimeoutExpired as error:
        raise processutils.ProcessExecutionError(
            cmd=" ".join(command),
            description=f"{command[0]} was killed: no answer in {MOUNT_S} s",
        ) from error


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its children if it still runs: mount(8) has mount.nfs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        # The kernel lets a process that waits for a server of NFS be killed.
        process.wait()


def _confine() -> None:
    """Limit the new process to the capabilities that mounting needs.

    It leads a process group of its own, which can be killed as one.

    Without "no new privileges", a program that root executes would get every
    capability again.
    """
    os.setsid()
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    _effective, permitted, _inheritable = capabilities.get_caps()
    kept = _MOUNT_NEEDS.intersection(permitted)
    capabilities.drop_all_caps_except(kept, kept, [])
