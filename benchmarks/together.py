# SPDX-License-Identifier: Apache-2.0
"""Several requests or transfers at once."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
import subprocess
import threading
import time
from typing import TypeVar

from benchmarks import running
from benchmarks.results import Sample

TIMEOUT_S = 120

T = TypeVar("T")
R = TypeVar("R")


def ask(
    do: Callable[[T], R], items: Sequence[T]
) -> tuple[list[R], list[BaseException]]:
    """Call *do* with each of *items*, all at the same time.

    Return the results in the order of *items*, and the errors of the others.
    """
    with futures.ThreadPoolExecutor(len(items)) as pool:
        asked = [pool.submit(do, item) for item in items]
    errors = [error for request in asked if (error := request.exception())]
    return [request.result() for request in asked if not request.exception()], errors


def transfer(
    size: int,
    do: Callable[[], int],
    what: str,
    count: int,
    repeat: int,
    unsynced: Path | None = None,
) -> Sample:
    """Call *do* on *count* threads at once and return the sample.

    *do* transfers a whole image and returns the number of bytes; it has finished if
    that is *size*. The seconds last until the last thread has ended, at most
    `TIMEOUT_S`, and until the file system of *unsynced* is synced, if that is given.
    The sample's note counts the transfers that did not finish. *what* names them, and
    is the metric with their number.
    """
    counts: list[int] = []
    errors: list[BaseException] = []

    def do_once() -> None:
        try:
            counts.append(do())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=do_once, daemon=True) for _ in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + TIMEOUT_S - time.monotonic()))
    late = sum(thread.is_alive() for thread in threads)
    if unsynced is not None:
        subprocess.run(["sync", "-f", unsynced], check=True)
    seconds = time.monotonic() - began
    finished = counts.count(size)
    note = "" if finished == count else _note(finished, count, late, errors)
    for thread in threads:
        # The next sample must not share the machine with late transfers.
        thread.join(TIMEOUT_S)
    metrics = {"finished": float(finished), what: float(count)}
    if finished:
        metrics |= {"seconds": seconds, "bytes_per_s": finished * size / seconds}
    return Sample(repeat, metrics, note=note)


def _note(finished: int, count: int, late: int, errors: list[BaseException]) -> str:
    note = f"{finished} of {count} finished"
    if late:
        note += f", {late} not within {TIMEOUT_S} s"
    if errors:
        note += f"; {running.describe(errors[0])[:120]}"
    return note
