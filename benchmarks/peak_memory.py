# SPDX-License-Identifier: Apache-2.0
"""Measure the peak memory of one transfer in a process of its own.

The process is this module, started with a JSON object as its argument; it prints a
JSON object. Store ``null`` imports and configures the same, but only hashes the
image, or reads the file without a store. The difference to ``null`` is the memory
that a store needs.
"""

import dataclasses
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from benchmarks import limits
from benchmarks import processes
from benchmarks import stores
from benchmarks import streams
from benchmarks.images import Image
from benchmarks.stores import DirectStore
from benchmarks.stores import StoredImage
from lab.client import Lab

TIMEOUT_S = 300


def of_upload(store: str, size: int) -> float:
    """Return the peak memory in bytes of a new process that uploads *size* bytes.

    The peak is ``VmHWM``: resident memory, without the page cache.

    :raises RuntimeError: the process failed; the message has the end of its output
    """
    return _measured({"store": store, "size": size})


def of_download(store: str, stored: StoredImage) -> float:
    """Return the same for a download of *stored*."""
    image = dataclasses.asdict(stored) | {"path": str(stored.path)}
    return _measured({"store": store, "stored": image})


def _measured(order: dict[str, Any]) -> float:
    done = subprocess.run(
        processes.command("peak_memory", order),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=processes.environment(),
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-250:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["peak_bytes"])


def main() -> None:
    """Do the transfer that the first argument describes, and print its peak."""
    order = json.loads(sys.argv[1])
    lab = Lab.from_facts()
    # Every process configures all stores, so that `null` differs in the transfer only.
    configured = {name: make(lab) for name, make in stores.MAKERS.items()}
    store = configured.get(order["store"])
    if "stored" in order:
        raw = order["stored"]
        peak = _download(store, StoredImage(**{**raw, "path": Path(raw["path"])}))
    else:
        peak = _upload(store, Image(order["size"]))
    print(json.dumps({"peak_bytes": peak}))


def _upload(store: DirectStore | None, image: Image) -> int:
    image.piece(0, 1)  # makes the random data
    _reset_peak()
    if store is None:
        limits.hash_in_series(image)
        return peak_bytes()
    stored = store.add(image)
    peak = peak_bytes()
    store.delete(stored)
    return peak


def _download(store: DirectStore | None, stored: StoredImage) -> int:
    _reset_peak()
    if store is None:
        streams.drain(streams.pread(stored.path, stored.size))
    else:
        streams.drain(store.get(stored))
    return peak_bytes()


def _reset_peak() -> None:
    """Set the peak to the current memory.

    Making the random data takes more memory than any transfer.
    """
    # proc(5): 5 sets VmHWM to the current resident memory.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """Return the most memory that this process had at once since `_reset_peak`."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main()
