# SPDX-License-Identifier: Apache-2.0
"""The lab's command line: ``up`` and ``run CMD ARGS...``.

With ``--release`` the command first runs itself again in the environment of that
release (:mod:`.releases`).

The command runs itself again inside private namespaces (:mod:`.namespace`). One
environment variable tells the inner command its task.
"""

import argparse
from collections.abc import Sequence
import json
import os
from pathlib import Path
import shlex
import signal
import subprocess
import sys
import tempfile

from lab import namespace
from lab import packages
from lab import progress
from lab import releases
from lab import san
from lab.errors import Unusable
from lab.layout import STORES
from lab.layout import STORES_OF_TWO
from lab.namespace import Reaper

PROGRAM = "python -m lab"
_INSIDE = "GLANCE_ONTAP_LAB_INSIDE"
_PREFIX = "glance-ontap-lab-"
_IN_MEMORY = ("tmpfs", "ramfs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a lab; return the exit code of the command run in it, or of the lab."""
    inside = os.environ.pop(_INSIDE, None)
    if inside is not None:
        return namespace.as_first_process(lambda: _inside(json.loads(inside)))
    arguments = sys.argv[1:] if argv is None else argv
    options = _parse(arguments)
    progress.started()
    try:
        if options.release:
            releases.enter(options.release, arguments, __package__)
        _require_root()
        packages.ensure(options.broker)
        return _outside(options)
    except Unusable as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 2


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Real Keystone, Glance and Cinder over an ONTAP simulator, on "
        "127.0.0.1, in namespaces of their own. Nothing is left when it ends.",
    )
    parser.add_argument(
        "--release",
        help="the OpenStack release to run, such as 2025.1, with --broker; its "
        "environment is made if it is missing (default: the installed one)",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--broker",
        action="store_true",
        help="the stock flavour: unmodified cinder-api, cinder-scheduler and "
        "cinder-volume processes over RabbitMQ",
    )
    common.add_argument(
        "--secure-nfs",
        action="store_true",
        help="Glance and Cinder run as two ordinary users, and volumes' files have the "
        "mode 0660",
    )
    common.add_argument(
        "--svms",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: a second SVM with its own FlexVols and back end of Cinder, see "
        "lab/svms.py; needs --broker",
    )
    common.add_argument(
        "--san",
        action="store_true",
        help="back ends for iSCSI, FC and NVMe/TCP beside NFS, see lab/san.py; needs "
        "--broker",
    )
    common.add_argument(
        "--protocol",
        choices=("nfs", *san.PROTOCOLS),
        default="nfs",
        help="the protocol of the FlexVols fv1, fv2 and fv3 (default: nfs); others "
        "need --broker, see lab/san.py",
    )
    common.add_argument(
        "--kernel-nfs",
        action="store_true",
        help="the FlexVols are mounted over real NFS, from this kernel's own server, "
        "see lab/kernel_nfs.py",
    )
    common.add_argument(
        "--dir",
        type=Path,
        help="directory for the lab's logs and data, new or empty; kept at the end "
        "(default: a temporary one, removed at the end)",
    )
    common.add_argument(
        "--keep", action="store_true", help="keep the temporary directory"
    )
    common.add_argument(
        "--stores",
        help=f"Glance's stores, the default one first ({','.join(STORES)}; with two "
        f"SVMs {','.join(STORES_OF_TWO)}; with --san also {','.join(san.STORES)})",
    )
    commands = parser.add_subparsers(dest="do", required=True, metavar="up | run")
    commands.add_parser("up", parents=[common], help="keep a lab running until ctrl-C")
    run = commands.add_parser(
        "run",
        parents=[common],
        help="run a command inside a lab, and end with its exit code",
        usage=f"{PROGRAM} [--release R] run [--broker] [--secure-nfs] "
        "[--svms 2] [--san] [--protocol P] [--kernel-nfs] [--dir DIR] [--keep] "
        "[--stores A,B] CMD ...",
    )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD ...")
    options = parser.parse_args(argv)
    _check_flavour(parser, options)
    if options.do == "run":
        if options.command[:1] == ["--"]:
            del options.command[0]
        if not options.command:
            parser.error("run: the command is missing")
    return options


def _check_flavour(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Refuse flavours that do not go together, and stores that they do not have."""
    if options.svms == 2 and not options.broker:
        parser.error("--svms 2 needs --broker: the embedded Cinder has one back end")
    if options.san and (options.secure_nfs or not options.broker):
        parser.error("--san needs --broker, and its services run as root")
    beside = options.secure_nfs or options.svms == 2 or options.san
    if options.protocol != "nfs" and (beside or not options.broker):
        parser.error(
            f"--protocol {options.protocol} needs --broker, and goes together with"
            " neither --secure-nfs nor --svms 2 nor --san"
        )
    usual = STORES if options.svms == 1 else STORES_OF_TWO
    if options.san:
        usual = (*usual, *san.STORES)
    options.stores = tuple(options.stores.split(",")) if options.stores else usual
    unknown = sorted(set(options.stores) - {*STORES, *usual})
    if unknown:
        names = ", ".join(unknown)
        parser.error(f"unknown stores with --svms {options.svms}: {names}")


def _require_root() -> None:
    if os.geteuid() == 0:
        return
    again = shlex.join([sys.executable, *sys.orig_argv[1:]])
    raise Unusable(
        "mounting the FlexVols' loop files needs root (in a mount namespace of its "
        "own: the machine's own mounts stay as they are). Please run it as root:\n"
        f"  sudo {again}\n"
        "or, under tox, `sudo` in front of the tox command."
    )


def _outside(options: argparse.Namespace) -> int:
    """Make the directories, run the inner command, and have everything removed."""
    root = _root_directory(options.dir)
    # The shipped filters want privsep's sockets below /tmp, and a socket's path
    # must be short.
    scratch = root / "tmp"
    if not str(scratch).startswith("/tmp/") or len(str(scratch)) > 60:
        scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    keep = bool(options.keep or options.dir)
    reaper = Reaper(always=[scratch], unless_kept=[] if options.dir else [root])
    order = {
        "root": str(root),
        "scratch": str(scratch),
        "broker": options.broker,
        "stores": options.stores,
        "secure_nfs": options.secure_nfs,
        "svms": options.svms,
        "san": options.san,
        "protocol": options.protocol,
        "kernel_nfs": options.kernel_nfs,
        "do": options.do,
        "command": getattr(options, "command", []),
    }
    code = namespace.run_in_namespace(
        [sys.executable, "-m", __package__],
        dict(os.environ) | {_INSIDE: json.dumps(order)},
        pid_file=root / "namespace.pid",
        reaper=reaper,
        keep=keep,
    )
    if keep:
        progress.say("lab", f"logs and data are kept in {root}")
    return code


def _root_directory(wanted: Path | None) -> Path:
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=temporary_base())).resolve()
    wanted.mkdir(parents=True, exist_ok=True)
    if any(wanted.iterdir()):
        raise Unusable(f"--dir {wanted}: not empty; choose another directory")
    return wanted.resolve()


def temporary_base() -> str:
    """Return the user's TMPDIR, else /tmp, or /var/tmp where /tmp is in memory.

    A lab may hold many GiB.
    """
    base = tempfile.gettempdir()
    if os.environ.get("TMPDIR"):
        return base
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", base], capture_output=True, text=True, check=False
    ).stdout.strip()
    return "/var/tmp" if kind in _IN_MEMORY else base


def _inside(order: dict[str, object]) -> int:
    """Start the lab inside the namespace, then wait or run the command."""
    # Imported here because the outer command does not need them and starts faster.
    from lab import layout
    from lab import supervisor
    from lab.layout import Layout
    from lab.supervisor import Supervisor

    lab = layout.plan(
        Path(str(order["root"])),
        Path(str(order["scratch"])),
        bool(order["broker"]),
        tuple(order["stores"]),  # type: ignore[arg-type]  # a list of str
        bool(order["secure_nfs"]),
        with_second_svm=order["svms"] == 2,
        with_san=bool(order["san"]),
        protocol=str(order["protocol"]),
        with_kernel_nfs=bool(order["kernel_nfs"]),
    )
    progress.say(
        "lab", f"starting, {lab.flavour} flavour, {lab.protocol}, in {lab.root}"
    )
    command = [str(word) for word in order["command"]]  # type: ignore[attr-defined]

    def work(lab: Layout, running: Supervisor) -> int:
        progress.say("lab", "all services are up")
        environment = supervisor.command_environment(lab)
        if order["do"] == "run":
            return _run(command, environment)
        print(supervisor.describe_use(lab), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print(file=sys.stderr)
        return 0

    return supervisor.run(lab, work)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run the command; return its exit code as a shell does. It handles ctrl-C."""
    try:
        process = subprocess.Popen(command, env=environment)
    except FileNotFoundError:
        # Popen looks it up in the lab's PATH.
        print(f"lab: {command[0]}: command not found", file=sys.stderr)
        return 127
    except PermissionError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 126
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code
