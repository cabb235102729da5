# SPDX-License-Identifier: Apache-2.0
"""One transfer in a process of its own, which prints its peak memory.

Started by the benchmark with a JSON object as its argument. Store ``null`` imports
and configures the same, and only hashes, or reads the file without a store: what a
store costs is the difference.
"""

import dataclasses
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from benchmarks import peers
from benchmarks.peers import Peer
from benchmarks.peers import Stored
from benchmarks.reader import Image
from lab.client import Lab

TIMEOUT_S = 300


def of_upload(store: str, size: int) -> float:
    """Bytes of a new process's most memory during the transfer.

    VmHWM: resident, without page cache.

    :raises RuntimeError: with the end of what the process said
    """
    return _measured({"store": store, "size": size})


def of_download(store: str, stored: Stored) -> float:
    """Likewise, reading what is stored already."""
    image = dataclasses.asdict(stored) | {"path": str(stored.path)}
    return _measured({"store": store, "stored": image})


def _measured(order: dict[str, Any]) -> float:
    top = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [top, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", json.dumps(order)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-250:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["peak_bytes"])


def main() -> None:
    order = json.loads(sys.argv[1])
    lab = Lab.from_facts()
    # All that the stores import and configure is part of the null store, too.
    made = {name: make(lab) for name, make in peers.MAKERS.items()}
    if "stored" in order:
        raw = order["stored"]
        stored = Stored(**{**raw, "path": Path(raw["path"])})
        peak = _download(made.get(order["store"]), stored)
    else:
        peak = _upload(made.get(order["store"]), Image(order["size"]))
    print(json.dumps({"peak_bytes": peak}))


def _upload(peer: Peer | None, image: Image) -> int:
    image.piece(0, 1)
    _forget_peak()
    if peer is None:
        peers.hash_in_series(image)
        return peak_bytes()
    stored = peer.add(image)
    peak = peak_bytes()
    peer.delete(stored)
    return peak


def _download(peer: Peer | None, stored: Stored) -> int:
    _forget_peak()
    if peer is None:
        peers.drain(peers.pread(stored.path, stored.size))
    else:
        peers.drain(peer.get(stored))
    return peak_bytes()


def _forget_peak() -> None:
    """Making the random data takes more memory than any transfer."""
    # proc(5): 5 sets VmHWM to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most memory that this process had at once since `_forget_peak`."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main()
