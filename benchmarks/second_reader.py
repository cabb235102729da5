# SPDX-License-Identifier: Apache-2.0
"""Downloads in a second process, beside a reader in the benchmark's own.

The process is this module, started with a JSON object as its argument. It configures
the store, downloads a small image once, and says so by a first line. Then it downloads
the image for each line that it reads, and answers with the times as a JSON object.
"""

import dataclasses
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

from benchmarks import processes
from benchmarks import stores
from benchmarks import streams
from benchmarks.stores import StoredImage
from lab.client import Lab

_READY = {"ready": True}
EXIT_TIMEOUT_S = 60


class SecondReader:
    """A process that downloads *stored* when asked to, and ends with the block."""

    def __init__(self, trial: StoredImage, stored: StoredImage) -> None:
        order = {"trial": _plain(trial), "stored": _plain(stored)}
        self._process = subprocess.Popen(
            processes.command("second_reader", order),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=processes.environment(),
        )

    def __enter__(self) -> "SecondReader":
        """Wait until the process is ready.

        :raises RuntimeError: it ended instead; its error is on stderr
        """
        assert self._answer() == _READY
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(EXIT_TIMEOUT_S)

    def download(self) -> dict[str, float]:
        """Download the image and return its times, see `benchmarks.streams.timed`.

        :raises RuntimeError: the process ended instead; its error is on stderr
        """
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        times: dict[str, float] = self._answer()
        return times

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the second reader ended, code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    """Do what the module's docstring says."""
    order = json.loads(sys.argv[1])
    store = stores.ours(Lab.from_facts())
    streams.drain(store.get(_stored(order["trial"])))
    stored = _stored(order["stored"])
    print(json.dumps(_READY), flush=True)
    for _line in sys.stdin:
        began = time.monotonic()
        times = streams.timed(store.get(stored), stored.size, began)
        print(json.dumps(times), flush=True)


def _plain(stored: StoredImage) -> dict[str, Any]:
    return dataclasses.asdict(stored) | {"path": str(stored.path)}


def _stored(plain: dict[str, Any]) -> StoredImage:
    return StoredImage(**plain)


if __name__ == "__main__":
    main()
