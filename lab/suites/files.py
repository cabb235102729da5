# SPDX-License-Identifier: Apache-2.0
"""A web server with two images, for Glance and the tests to fetch."""

from collections.abc import Iterator
import contextlib
from functools import partial
from http.server import SimpleHTTPRequestHandler
from http.server import ThreadingHTTPServer
import os
from pathlib import Path
import socket
import subprocess
import threading

from lab.layout import HOST

RAW, QCOW2 = "image.raw", "image.qcow2"
SIZE = 5 * 1024 * 1024


def make_images(directory: Path) -> None:
    """Write a raw image of random bytes, and a qcow2 of the same content."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RAW).write_bytes(os.urandom(SIZE))
    subprocess.run(
        ["qemu-img", "convert", "-O", "qcow2", directory / RAW, directory / QCOW2],
        check=True,
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve the files of a directory; yield the URL without a slash at its end."""
    server = ThreadingHTTPServer((HOST, 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outward_addresses() -> list[str]:
    """Return this machine's address towards others; empty if it has none.

    Tempest's own slow web server listens there. Connecting UDP sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]
