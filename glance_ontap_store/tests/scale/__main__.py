# SPDX-License-Identifier: Apache-2.0
"""Measure the commands with many stores and image-volumes; see ``--help``.

The services are the fakes of the tests, in the same process: no lab is needed. The
CPU time of the fakes is not part of the figures. Each figure is of a new process, which
has run the command with a few image-volumes before, so that imports do not count.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import io
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
import tracemalloc
from typing import Any

import requests_mock

from glance_ontap_store.cli import main as cli
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes import many
from glance_ontap_store.tests.fakes.many import ManyImages
from glance_ontap_store.tests.fakes.openstack_http import Http

MODULE = "glance_ontap_store.tests.scale"
SIZES = (1000, 3000, 10_000)
STORES = 50
# The few image-volumes of the run that is not measured.
_FEW = 10
COMMANDS = {
    "list": ("list", "-f", "csv"),
    "usage": ("usage", "-f", "csv"),
    "sweep": ("sweep",),
    "audit": ("audit",),
    "replicate": ("replicate", "POLICY"),
    "explain --all": ("explain", "--all"),
}


class TimedHttp(Http):
    """The services; *seconds* is the CPU time that their answers took."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.seconds = 0.0
        super().__init__(mock)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Count the time of a block, which makes an answer."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.seconds += time.thread_time() - began


class _Counted(io.TextIOBase):
    """Standard output that keeps nothing; *size* is the number of its characters."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, text: str) -> int:
        self.size += len(text)
        return len(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the options ask for, and print a table."""
    options = _parse(argv)
    if options.order:
        print(json.dumps(_measured(json.loads(options.order))))
        return 0
    rows = []
    for name in options.commands.split(","):
        for size in map(int, options.sizes.split(",")):
            order = {"command": name, "volumes": size, "stores": options.stores}
            found = _in_new_process(order) | _in_new_process(order | {"traces": True})
            rows.append(_row(name, size, found))
            print(*rows[-1], sep="\t", file=sys.stderr, flush=True)
    print(table([_HEADS, *rows]))
    return 0


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows, of which the first has the heads, as a table in RST."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([ruler, lines[0], ruler, *lines[1:], ruler])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Measure the commands with many stores and image-volumes, over"
        " the fakes of the tests: tox -e scale -- [options]",
    )
    parser.add_argument(
        "--sizes",
        default=",".join(map(str, SIZES)),
        help="numbers of image-volumes, separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--stores",
        type=int,
        default=STORES,
        help="number of stores (default: %(default)s)",
    )
    parser.add_argument(
        "--commands",
        default=",".join(COMMANDS),
        help="commands, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--order", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


_HEADS = (
    *("command", "image-volumes", "CPU s", "CPU ms each", "peak MiB", "KiB each"),
    *("requests", "answers MiB", "output KiB"),
)


def _row(name: str, size: int, found: dict[str, float]) -> tuple[str, ...]:
    return (
        name,
        str(size),
        f"{found['cpu_s']:.1f}",
        f"{found['cpu_s'] / size * 1000:.2f}",
        f"{found['peak_bytes'] / 2**20:.1f}",
        f"{found['peak_bytes'] / 2**10 / size:.1f}",
        str(found["requests"]),
        f"{found['answer_bytes'] / 2**20:.1f}",
        f"{found['output_bytes'] / 2**10:.0f}",
    )


def _in_new_process(order: dict[str, Any]) -> dict[str, float]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "glance_ontap_store.tests.scale",
            "--order",
            json.dumps(order),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured(order: dict[str, Any]) -> dict[str, float]:
    """Run a command twice, with few image-volumes and with many; measure the second.

    Python's allocations are traced in a run of their own, because that takes time.
    """
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "clouds.yaml").write_text(command.CLOUDS)
        (place / "replicas.yaml").write_text(many.POLICY)
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(place / "clouds.yaml")
        _run(place, order["command"], _FEW, order["stores"], False)
        return _run(
            *(place, order["command"], order["volumes"], order["stores"]),
            order.get("traces", False),
        )


def _run(
    place: Path, name: str, volumes: int, stores: int, traces: bool
) -> dict[str, float]:
    with requests_mock.Mocker() as mock:
        http = TimedHttp(mock)
        cloud = ManyImages(http, volumes, stores)
        config = place / "glance-api.conf"
        config.write_text(cloud.config(str(place / "mnt")))
        policy = str(place / "replicas.yaml")
        words = [policy if word == "POLICY" else word for word in COMMANDS[name]]
        printed, said = _Counted(), io.StringIO()
        if traces:
            tracemalloc.start()
        began = time.process_time()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            code = cli.main(["--config-file", str(config), "--os-cloud=boss", *words])
        took_s = time.process_time() - began - http.seconds
        if code not in (0, 1):
            raise RuntimeError(f"exit code {code}: {said.getvalue()[-500:]}")
        found: dict[str, float] = {
            "requests": len(http.answers),
            "answer_bytes": sum(size for _name, size in http.answers),
            "output_bytes": printed.size,
        }
        if traces:
            return {**found, "peak_bytes": tracemalloc.get_traced_memory()[1]}
        return {**found, "cpu_s": took_s}


if __name__ == "__main__":
    sys.exit(main())
