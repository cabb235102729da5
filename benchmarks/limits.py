# SPDX-License-Identifier: Apache-2.0
"""The limits of an upload on this machine: hashing, and writing with dd(1).

The limit of a download is `benchmarks.streams.pread`.
"""

import hashlib
import os
from pathlib import Path
import subprocess
from typing import Any

from benchmarks.images import BLOCK
from benchmarks.images import Image
from benchmarks.images import Reader
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.digests import Digests

# Of the multihash, as in Glance's default configuration.
ALGORITHM = "sha512"


class _Discard:
    """A sink that keeps nothing: only reading and hashing remain."""

    def write(self, data: bytes | memoryview) -> None:
        pass

    def finish(self) -> None:
        pass


def hash_on_threads(image: Image) -> str:
    """Run this store's pipeline without a device and return the multihash."""
    sink: Any = _Discard()
    written = pipeline.run(Reader(image), image.size, Digests(ALGORITHM), sink)
    return written.multihash


def hash_in_series(image: Image) -> str:
    """Compute md5 and multihash one after the other, as upstream's stores do.

    Return the multihash.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    multihash = hashlib.new(ALGORITHM)
    reader = Reader(image)
    while block := reader.read(BLOCK):
        md5.update(block)
        multihash.update(block)
    return multihash.hexdigest()


class Dd:
    """dd(1) of an image in memory into a file of a FlexVol."""

    def __init__(self, image: Image, flexvol: Path) -> None:
        self.path = flexvol / "benchmark-dd"
        # The source has no name in a file system, so it ends with this process.
        self._source = os.memfd_create("benchmark")
        offset = 0
        while piece := image.piece(offset, BLOCK):
            offset += os.write(self._source, piece)

    def run(self) -> None:
        """Write the file; return when its bytes are durable."""
        subprocess.run(
            [
                "dd", f"if=/proc/self/fd/{self._source}", f"of={self.path}",
                "bs=4M", "conv=fsync", "status=none",
            ],
            pass_fds=[self._source],
            check=True,
        )  # fmt: skip

    def close(self) -> None:
        """Remove the file and free the memory."""
        self.path.unlink(missing_ok=True)
        os.close(self._source)
