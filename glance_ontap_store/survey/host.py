# SPDX-License-Identifier: Apache-2.0
"""Look at this host: programs, packages, directories, rootwrap and sudo.

All answers are those for the user who runs the command.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import configparser
import contextlib
from importlib import metadata
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

from glance_ontap_store.attach.nfs import mountinfo
from glance_ontap_store.errors import Reason
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import brick_locks
from glance_ontap_store.survey import multipath
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import HostFacts

# mount(8) looks for its helpers here, whatever PATH says.
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin")
PROGRAMS = ("mount", "umount", "mount.nfs", "sudo", "glance-rootwrap")
# By their names on PyPI.
PACKAGES = (
    "glance",
    "glance_store",
    "os-brick",
    "oslo.privsep",
    "oslo.rootwrap",
    "python-cinderclient",
)
# The user that glance-api runs as if distribution packages set it up.
_SERVICE_USER = "glance"
CONTEXTS = (
    "glance_ontap_store.attach.privilege.context",
    "os_brick.privileged.default",
)


def look(glance: GlanceConfig) -> HostFacts:
    """Return the facts about this host that matter to the stores."""
    settings = [store.settings for store in glance.stores if store.settings]
    bases = {usable.mount_point_base for usable in settings}
    shared = _shared(bases)
    # A server that is gone would never answer.
    directories = bases - set(shared)
    if glance.lock_path:
        directories.add(glance.lock_path)
    configs = sorted({usable.rootwrap_config for usable in settings})
    return HostFacts(
        programs={name: _program(name) for name in PROGRAMS},
        packages={name: _version(name) for name in PACKAGES},
        directories={path: unusable(path) for path in sorted(directories)},
        rootwrap={path: _rootwrap(path, glance) for path in configs},
        sudo=_sudo(configs),
        shared=shared,
        block_names=block_names(),
        has_multipathd=os.path.exists("/run/multipathd.pid"),
        no_path_retry=_no_path_retry(settings),
        brick_lock_paths=brick_locks.lock_paths(),
    )


def _no_path_retry(settings: Iterable[Settings]) -> Answer[str] | None:
    if any(usable.use_multipath for usable in settings):
        return multipath.no_path_retry(_program("multipath"))
    return None


def block_names(root: str = "/") -> frozenset[str]:
    """Return the block protocols for which the host below *root* has a name.

    The files' contents may be root's to read.
    """
    places = {
        "iscsi": "etc/iscsi/initiatorname.iscsi",
        "fc": "sys/class/fc_host",
        "nvme": "etc/nvme/hostnqn",
    }
    found = set()
    for protocol, place in places.items():
        path = os.path.join(root, place)
        if os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path)):
            found.add(protocol)
    return frozenset(found)


def _shared(bases: Iterable[str]) -> Mapping[str, str]:
    """Return those of *bases* that other hosts share, and their file systems."""
    mounts = list(mountinfo.table())
    found = {base: mountinfo.shared(base, mounts) for base in bases}
    return {base: entry.identity for base, entry in found.items() if entry}


def _program(name: str) -> str | None:
    # A virtual environment's programs need not be on the PATH.
    places = [
        *os.environ.get("PATH", "").split(os.pathsep),
        os.path.dirname(sys.executable),
        *_SYSTEM,
    ]
    return shutil.which(name, path=os.pathsep.join(places))


def _version(package: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def unusable(path: str) -> str | None:
    """Return why files cannot be written in directory *path*; None if they can.

    The directory may not exist yet. Nothing is created.
    """
    existing = path
    while not os.path.lexists(existing) and existing != os.path.dirname(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        return f"{existing} is not a directory"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} cannot be written by this user"
    try:
        # access(2) does not notice read-only mounts in some kinds of containers. A
        # temporary file without a name leaves no trace.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return f"{existing} cannot be written: {error.strerror}"
    return None


def _rootwrap(path: str, glance: GlanceConfig) -> Answer[str | None]:
    """Return why glance-rootwrap would not start the helpers; None if it would.

    Rootwrap's own code judges the commands that oslo.privsep runs.
    """
    try:
        from oslo_rootwrap import wrapper
    except ImportError:
        return "oslo.rootwrap is not installed"
    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        config = wrapper.RootwrapConfig(parser)
        filters = wrapper.load_filters(config.filters_path)
    except PermissionError as error:
        # rootwrap runs as root, which may read it.
        return Unknown(Reason.UNREADABLE, f"you may not read {error.filename}")
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"
    except (configparser.Error, ValueError, TypeError) as error:
        return f"it cannot be parsed: {error}"
    for context in CONTEXTS:
        try:
            wrapper.match_filter(filters, _helper(glance, context), config.exec_dirs)
        except wrapper.NoFilterMatched:
            return f"no filter in {', '.join(config.filters_path)} lets {context} start"
        except wrapper.FilterMatchNotExecutable:
            return (
                "privsep-helper is in none of its exec_dirs"
                f" ({', '.join(config.exec_dirs)})"
            )
    return None


def _helper(glance: GlanceConfig, context: str) -> list[str]:
    """Return the command that oslo.privsep has rootwrap run (priv_context.py)."""
    command = ["privsep-helper"]
    for path in glance.files:
        command += ["--config-file", path]
    for path in glance.directories:
        command += ["--config-dir", path]
    socket = "/tmp/tmp0/privsep.sock"  # noqa: S108 - a name, never made
    return [*command, "--privsep_context", context, "--privsep_sock_path", socket]


def _sudo(configs: Iterable[str]) -> Answer[bool]:
    """Return whether Glance's user may run glance-rootwrap without a password."""
    sudo = _program("sudo")
    if sudo is None:
        return Unknown(Reason.MISSING, "sudo is not installed")
    command = [sudo, "-n", "-l"]
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_SERVICE_USER)
        except KeyError:
            return Unknown(
                Reason.NOT_GIVEN,
                f"the command runs as root, and there is no user {_SERVICE_USER!r}",
            )
        command += ["-U", _SERVICE_USER]
    for config in configs:
        asked = [*command, "glance-rootwrap", config, "privsep-helper"]
        try:
            answer = subprocess.run(
                asked, capture_output=True, check=False, env=_environment(), timeout=30
            )
        except subprocess.TimeoutExpired:
            # It may wait for a directory service.
            return Unknown(Reason.UNREACHABLE, "sudo did not answer within 30 s")
        if answer.returncode != 0:
            return False
    return True


def _environment() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C"}
