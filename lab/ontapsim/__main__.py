# SPDX-License-Identifier: Apache-2.0
"""Run the simulator until SIGTERM or SIGINT."""

import argparse
import json
import logging
import os
from pathlib import Path
import re
import signal
import sys
import threading

from lab.ontapsim.server import NewFlexVol
from lab.ontapsim.server import Settings
from lab.ontapsim.server import Simulator
from lab.ontapsim.state import Svm
from lab.ontapsim.state import User

_UNITS = {"": 1, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_ROLES = ("admin", "readonly", "vsadmin", "none")
READY = "ready"


def parse_flexvol(text: str) -> NewFlexVol:
    """Return the FlexVol of "NAME:SIZE[,svm=SVM][,junction=/PATH][,style=flexgroup]".

    SIZE is written as 24GiB or 512MiB.
    """
    first, *others = text.split(",")
    match = re.fullmatch(r"([A-Za-z_]\w*):(\d+)(|MiB|GiB|TiB)", first)
    if match is None:
        raise argparse.ArgumentTypeError(f"not NAME:SIZE, SIZE as 24GiB: {text!r}")
    given = dict(each.partition("=")[::2] for each in others)
    unknown = given.keys() - {"svm", "junction", "style"}
    if unknown or given.get("style", "flexvol") not in ("flexvol", "flexgroup"):
        raise argparse.ArgumentTypeError(f"not svm=, junction=, style=: {text!r}")
    return NewFlexVol(match[1], int(match[2]) * _UNITS[match[3]], **given)


def parse_svm(text: str) -> Svm:
    """Return the SVM of "NAME" or "NAME=ADDRESS"."""
    name, _, address = text.partition("=")
    return Svm(name, address) if address else Svm(name)


def parse_listen(text: str) -> tuple[str, int]:
    """Return address and port of "127.0.0.1:0"."""
    address, _, port = text.rpartition(":")
    if not address or not port.isdigit():
        raise argparse.ArgumentTypeError(f"not ADDRESS:PORT: {text!r}")
    return address, int(port)


def read_users(path: Path) -> tuple[User, ...]:
    """Return the users of a file ``[{"name", "password", "role"}]``.

    :raises ValueError: the content has another form
    """
    users = []
    for entry in json.loads(path.read_text()):
        user = User(entry["name"], entry["password"], entry.get("role", "admin"))
        if user.role not in _ROLES:
            raise ValueError(f"role of {user.name}: one of {', '.join(_ROLES)}")
        users.append(user)
    return tuple(users)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.ontapsim", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="everything is here")
    parser.add_argument(
        "--svm",
        type=parse_svm,
        action="append",
        metavar="NAME[=ADDRESS]",
        help="an SVM, by default svm1 alone; may be repeated",
    )
    parser.add_argument(
        "--flexvol",
        type=parse_flexvol,
        action="append",
        default=[],
        metavar="NAME:SIZE[,svm=SVM][,junction=/PATH][,style=flexgroup]",
        help="a FlexVol, by default of svm1 and mounted at /NAME; may be repeated",
    )
    parser.add_argument("--listen", type=parse_listen, default=("127.0.0.1", 0))
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a new CA")
    parser.add_argument("--users-file", type=Path, required=True)
    parser.add_argument("--request-log", type=Path)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--log-level", default="INFO")
    return parser.parse_args(argv)


def write_ready(path: Path, simulator: Simulator) -> None:
    """Write where to reach the simulator; the file appears whole or not at all."""
    facts = {
        "url": simulator.url,
        "port": simulator.port,
        "ca_file": str(simulator.ca_file) if simulator.ca_file else None,
        "flexvols": {name: str(path) for name, path in simulator.flexvols.items()},
        "exports": {name: str(path) for name, path in simulator.exports.items()},
        "pid": os.getpid(),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(facts, indent=2) + "\n")
    temporary.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit code. Prints "ready" when it listens."""
    arguments = parse_arguments(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    address, port = arguments.listen
    settings = Settings(
        root=arguments.root.absolute(),
        users=read_users(arguments.users_file),
        svms=tuple(arguments.svm or [Svm("svm1")]),
        flexvols=tuple(arguments.flexvol),
        address=address,
        port=port,
        tls=arguments.tls,
        request_log=arguments.request_log,
    )
    with Simulator(settings) as simulator:
        if arguments.ready_file:
            write_ready(arguments.ready_file, simulator)
        logging.getLogger(__name__).info("listening at %s", simulator.url)
        print(READY, flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
