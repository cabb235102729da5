# SPDX-License-Identifier: Apache-2.0
"""The lab with secure NFS: Glance and Cinder as two ordinary users (``--secure-nfs``).

As NetApp's guide has it, Cinder's files have the mode 0660 and belong to its user, as
the FlexVols do, and Cinder handles them as that user. Glance's user is not in Cinder's
group unless a test changes ``/etc/group``, which is this namespace's own, and restarts
Glance.

The FlexVols are bind mounts, which cannot squash root. In its place Glance, and all
that it starts with sudo, lacks capabilities, so that root can do less:

* It cannot change the owner or the mode of others' files.
* It can write others' files until the store's helper has dropped that capability
  (CAP_DAC_OVERRIDE) by itself. The helper needs it to connect to the socket of Glance's
  user, from which oslo.privsep starts it.
* It can read and search everything, which mount(8) needs where the directories of its
  mount points are closed. The store's helper drops that capability to open a file.

Root that Cinder's user becomes is not squashed, because Cinder's own helper asks for
these capabilities. It touches the FlexVol's directory for each clone. Everything else
that Cinder does with files it does as its user. The service ``glance-second`` does not
start in this flavour.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import subprocess
import sys

from lab import packages
from lab.layout import CHECKOUT
from lab.layout import Layout
from lab.layout import environment_bin
from lab.services import Service


@dataclass(frozen=True)
class User:
    """An ordinary user of this namespace, with a group of the same name and number.

    Root, if the user becomes root with sudo, lacks the capabilities in *squashed*.
    """

    name: str
    number: int
    squashed: tuple[str, ...] = ()


CINDER = User("lab-cinder", 64061)
GLANCE = User("lab-glance", 64062, ("chown", "fowner", "fsetid"))
# The sticky bit: all may make files there, and remove their own.
SHARED = 0o1777
# Others may pass, and see nothing.
PASSAGE = 0o711

_PASSWD = "{user.name}:*:{user.number}:{user.number}::/nonexistent:/usr/sbin/nologin\n"
_GROUP = "{user.name}:x:{user.number}:\n"
_SUDOERS = """\
Defaults env_reset, !requiretty, secure_path="{path}"
Defaults env_keep += "PYTHONPATH TMPDIR"
root ALL = (ALL:ALL) NOPASSWD: ALL
{glance.name} ALL = (root) NOPASSWD: {bin}/glance-rootwrap /etc/glance/rootwrap.conf *
{cinder.name} ALL = (root) NOPASSWD: {bin}/cinder-rootwrap /etc/cinder/rootwrap.conf *
"""


def user_of(service: str) -> User | None:
    """Return the user that a service runs as; None for root."""
    if service.startswith("cinder"):
        return CINDER
    return GLANCE if service.startswith("glance") else None


def prepare_host(lab: Layout) -> None:
    """Make the users and sudo's rules, and let the users reach the programs."""
    etc = Path("/etc")
    for name, line in (("passwd", _PASSWD), ("group", _GROUP)):
        with (etc / name).open("a", encoding="utf-8") as file:
            file.writelines(line.format(user=user) for user in (CINDER, GLANCE))
    rules = _SUDOERS.format(
        path=f"{environment_bin()}:{packages.search_path()}",
        bin=environment_bin(),
        glance=GLANCE,
        cinder=CINDER,
    )
    (etc / "sudoers").write_text(rules, encoding="utf-8")
    (etc / "sudoers").chmod(0o440)
    lab.root.chmod(PASSAGE)
    lab.logs.chmod(PASSAGE)
    lab.configs.chmod(PASSAGE)
    lab.data.chmod(SHARED)
    lab.scratch.chmod(SHARED)
    (lab.configs / "keystone").chmod(0o700)
    trees = [lab.root, CHECKOUT, Path(sys.prefix), Path(sys.base_prefix).resolve()]
    make_reachable(trees, lab.scratch / "reachable")


def give_files(lab: Layout, project: str) -> None:
    """Give a project's configuration, data and request log to its user."""
    user = user_of(project)
    if user is None:
        return
    database = lab.data / f"{project}.sqlite"
    (lab.configs / project).chmod(0o750)
    owned = [lab.configs / project, lab.data / project, lab.requests(project)]
    owned += lab.data.glob(f"{database.name}*")
    for path in owned:
        _give(path, user)


def _give(path: Path, user: User) -> None:
    """Change the owner of *path*, and of all below it."""
    os.chown(path, user.number, user.number, follow_symlinks=False)
    if path.is_dir() and not path.is_symlink():
        for below in path.iterdir():
            _give(below, user)


def give_flexvols(flexvols: Mapping[str, str]) -> None:
    """Give the directories of the FlexVols to Cinder's user, with the mode 0755."""
    for directory in flexvols.values():
        os.chown(directory, CINDER.number, CINDER.number)
        Path(directory).chmod(0o755)


def run_as_users(services: Sequence[Service], root_tools: Path) -> None:
    """Have each service run as its user, with root squashed as `User` says.

    The programs in *root_tools* are for root only. setpriv(1) reads the user's groups
    from /etc/group at each start.
    """
    for service in services:
        user = user_of(service.name)
        if user is not None:
            service.argv = [*command(user), *service.argv]
            service.environment = _without(service.environment, root_tools)


def command(user: User) -> list[str]:
    """Return the prefix of a command that runs as *user*, with root squashed."""
    lacking = ",".join(f"-{name}" for name in user.squashed)
    return [
        "setpriv",
        f"--reuid={user.number}",
        f"--regid={user.number}",
        "--init-groups",
        *([f"--bounding-set={lacking}"] if lacking else []),
        "--",
    ]


def _without(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the environment without *directory*, and so its ``sudo``, in PATH."""
    words = environment["PATH"].split(os.pathsep)
    path = os.pathsep.join(word for word in words if word != str(directory))
    return {**environment, "PATH": path}


def make_reachable(trees: Sequence[Path], work: Path) -> None:
    """Let ordinary users reach the trees, in this mount namespace only.

    Where a directory above a tree is closed to others (``/root``, say), an empty one
    covers it, with nothing but the trees in their places. *work* is a new directory for
    the time in between, and in no closed directory itself.
    """
    for tree in trees:
        while (barrier := _barrier(tree)) is not None:
            inside = [path for path in trees if barrier in path.parents]
            _cover(barrier, inside, work)


def _barrier(tree: Path) -> Path | None:
    """Return the uppermost directory above *tree* that others may not pass."""
    above = reversed(tree.parents)
    return next((path for path in above if not path.stat().st_mode & 0o001), None)


def _cover(barrier: Path, trees: Sequence[Path], work: Path) -> None:
    places = {tree: work / str(number) for number, tree in enumerate(trees)}
    for tree, place in places.items():
        place.mkdir(parents=True)
        _mount("--rbind", str(tree), str(place))
    _mount("-t", "tmpfs", "-o", "mode=755", "lab", str(barrier))
    for tree, place in places.items():
        # A tree inside another one is there already.
        if not tree.exists():
            tree.mkdir(parents=True)
            _mount("--rbind", str(place), str(tree))
    for place in places.values():
        subprocess.run(["umount", "-n", "--lazy", str(place)], check=True)
    shutil.rmtree(work)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", "-n", *arguments], check=True, capture_output=True)
