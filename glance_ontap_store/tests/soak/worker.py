# SPDX-License-Identifier: Apache-2.0
"""A process of the soak: it does what it is told, with stores of its own.

``python -m glance_ontap_store.tests.soak.worker SETUP``; *SETUP* is a `Setup` in JSON.
Each of its threads has a connection to the soak, over which commands come.
"""

import dataclasses
import json
import logging
from multiprocessing import connection
import sys
import threading
from typing import Any

from glance_store import exceptions
from glance_store import location

from glance_ontap_store.location import StoreLocation
from glance_ontap_store.store import Store
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.soak.model import Command
from glance_ontap_store.tests.soak.model import Outcome
from glance_ontap_store.tests.soak.model import Result
from lab import stores
from lab.client import Lab


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a worker is told at its start; *address* is a Unix socket's path."""

    name: str
    address: str
    threads: int
    store_ids: list[str]
    options: dict[str, Any]


class Worker:
    """Does commands with the stores of this process."""

    def __init__(self, made: dict[str, Store]) -> None:
        self._stores = made

    def do(self, command: Command) -> Outcome:
        """Do it and say how it ended; never raises an Exception."""
        try:
            return getattr(self, f"_{command.verb}")(command)  # type: ignore[no-any-return]
        except exceptions.NotFound as error:
            return Outcome(Result.MISSING, f"{type(error).__name__}: {error}")
        except Exception as error:
            return Outcome(Result.FAILED, f"{type(error).__name__}: {error}")

    def _add(self, command: Command) -> Outcome:
        return self._stored(
            command.store, command.image_id, command, OnePass(command.data, 256 * 1024)
        )

    def _abandon(self, command: Command) -> Outcome:
        reader = OnePass(command.data, 256 * 1024, breaks_at=command.offset)
        self._stored(command.store, command.image_id, command, reader)
        return Outcome(Result.WRONG, "an upload whose client went away succeeded")

    def _copy(self, command: Command) -> Outcome:
        stream, size = self._opened(command)
        reader = _FromStream(stream)
        try:
            return self._stored(command.target, command.new_id, command, reader, size)
        finally:
            stream.close()

    def _stored(
        self,
        store_id: str,
        image_id: str,
        command: Command,
        reader: Any,
        size: int | None = None,
    ) -> Outcome:
        if size is None:
            size = command.data.size if command.is_size_known else 0
        url, written, _md5, _hash, _metadata = self._stores[store_id].add(
            image_id, reader, size, "sha256", context=Context()
        )
        if written != command.data.size:
            return Outcome(Result.WRONG, f"{written} bytes of {command.data.size}")
        return Outcome(Result.DONE, url)

    def _opened(self, command: Command) -> Any:
        length = command.length if command.verb == "read" else None
        return self._stores[command.store].get(
            self._location(command), command.offset, length
        )

    def _read(self, command: Command) -> Outcome:
        stream, announced = self._opened(command)
        return _compared(stream, announced, command, command.data.size)

    def _leave(self, command: Command) -> Outcome:
        stream, announced = self._opened(command)
        return _compared(stream, announced, command, command.length or 1)

    def _delete(self, command: Command) -> Outcome:
        self._stores[command.store].delete(self._location(command))
        return Outcome(Result.DONE)

    @staticmethod
    def _location(command: Command) -> Any:
        return location.Location(
            "cinder", StoreLocation, None, uri=command.url, backend=command.store
        )


def _compared(stream: Any, announced: int, command: Command, most: int) -> Outcome:
    """Read up to *most* bytes, close the stream, and compare."""
    offset, data = command.offset, command.data
    length = command.length if command.verb == "read" else None
    wanted = data.size - offset if length is None else length
    where = f"image {command.image_id} from {offset}: "
    try:
        if announced != wanted:
            return Outcome(Result.WRONG, f"{where}{announced} bytes announced")
        position = offset
        for piece in stream:
            if piece != data.at(position, len(piece)):
                return Outcome(Result.WRONG, f"{where}other bytes at {position}")
            position += len(piece)
            if position - offset >= most:
                break
        if position - offset < min(most, wanted):
            return Outcome(Result.WRONG, f"{where}ended at {position} without an error")
    finally:
        stream.close()
    return Outcome(Result.DONE)


class _FromStream:
    """A stream as the reader of an upload, as Glance's copy-image passes it."""

    def __init__(self, stream: Any) -> None:
        self._pieces = iter(stream)
        self._left = b""

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = next(self._pieces, b"")
        found, self._left = self._left[:size], self._left[size:]
        return found


def _serve(setup: Setup, worker: Worker) -> None:
    with connection.Client(setup.address, family="AF_UNIX") as line:
        line.send(setup.name)
        while True:
            try:
                command = line.recv()
            except (EOFError, OSError):
                return
            line.send(worker.do(command))


def main(argument: str) -> None:
    """Serve until the soak closes the connections."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(threadName)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("stevedore").setLevel(logging.WARNING)
    setup = Setup(**json.loads(argument))
    lab = Lab.from_facts()
    made = {
        store_id: stores.make_store(lab, store_id, **setup.options)
        for store_id in setup.store_ids
    }
    worker = Worker(made)
    threads = [
        threading.Thread(target=_serve, args=(setup, worker), name=f"slot-{number}")
        for number in range(setup.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
