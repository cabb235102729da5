# SPDX-License-Identifier: Apache-2.0
"""WSGI applications of the lab, run by uWSGI."""

from collections.abc import Callable
from importlib import util
import sys

from lab.layout import HOST
from lab.layout import environment_bin
from lab.services import Service
from lab.services import answers


def entry_point(module: str, factory: str) -> str:
    """Return ``module:application``, or in releases without it ``factory()``."""
    try:
        exists = util.find_spec(module) is not None
    except ModuleNotFoundError:
        exists = False  # not even its package
    return f"{module}:application" if exists else f"{factory}()"


def command(module: str, port: int, processes: int, threads: int) -> list[str]:
    """Return the uWSGI command line for ``module`` (``package.module:callable``)."""
    return [
        str(environment_bin() / "uwsgi"),
        "--http-socket", f"{HOST}:{port}",
        "--module", module,
        "--home", sys.prefix,
        # sys.executable would be uwsgi: image_conversion starts Python with it.
        "--py-sys-executable", str(environment_bin() / "python3"),
        "--master", "--die-on-term", "--need-app", "--lazy-apps",
        "--processes", str(processes),
        "--threads", str(threads), "--enable-threads", "--thunder-lock",
        "--buffer-size", "65535",
        # Otherwise clients that keep the connection see resets.
        "--add-header", "Connection: close",
        # For slow senders: the defaults of 4 s drop an upload that pauses.
        "--socket-timeout", "600",
        "--chunked-input-timeout", "600",
        "--chunked-input-limit", str(16 * 1024 * 1024),
        "--disable-logging",
    ]  # fmt: skip


def ready(
    url: str, processes: int, statuses: tuple[int, ...]
) -> Callable[[Service], bool]:
    """Return a function that tells whether all workers have loaded and one answers.

    The socket is open long before. A worker that fails to load ends the master.
    """

    def ask(service: Service) -> bool:
        loaded = service.log_count(" ready in ")
        return loaded >= processes and answers(url, statuses)

    return ask
