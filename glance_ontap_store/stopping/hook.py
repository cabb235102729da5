# SPDX-License-Identifier: Apache-2.0
"""Ends the transfers of this process when it is told to stop.

uWSGI ends a busy worker inside the handler of SIGINT or SIGTERM: neither Python's
``atexit`` nor ``uwsgi.atexit`` runs. Its handlers are set after the application has
loaded, and only the main thread may call `signal.signal`. `faulthandler` may be used
from any thread: it puts its own handler before uWSGI's, which writes to a pipe, and
puts uWSGI's back. So the signal takes effect when the transfers have ended.

Everywhere else they end at the exit of the interpreter, if it has one.
"""

import atexit
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from oslo_log import log as logging

from glance_ontap_store.stopping.transfers import Transfers

LOG = logging.getLogger(__name__)

# Shorter than the 10 s after which `docker stop` kills. Detaching takes about 2 s.
PATIENCE_S = 8.0
# Glance then records in its database that an upload has failed.
_AFTERWARDS_S = 1.0
# What uWSGI's master sends to its workers, and what others send.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PIPE_BYTES = 65536


def install(transfers: Transfers) -> None:
    """End *transfers* when this process is told to stop; once in each process."""
    atexit.register(transfers.stop, PATIENCE_S)
    uwsgi = _uwsgi()
    if uwsgi is not None and _has_threads(uwsgi):
        _intercept(transfers)


def threads_run() -> bool:
    """Return whether threads of this process run while it serves no request."""
    uwsgi = _uwsgi()
    return uwsgi is None or _has_threads(uwsgi)


def connection_of_request() -> int | None:
    """The descriptor of the client's connection to the request of this thread.

    None outside of a request, and under other servers than uWSGI.
    """
    uwsgi = _uwsgi()
    if uwsgi is None:
        return None
    try:
        return int(uwsgi.connection_fd())
    except SystemError:  # this thread serves no request
        return None


def cut(connection: int) -> None:
    """End a connection that a thread may be reading from; it stays open."""
    with (
        contextlib.suppress(OSError),
        socket.socket(fileno=os.dup(connection)) as client,
    ):
        client.shutdown(socket.SHUT_RDWR)


def _uwsgi() -> Any:
    """uWSGI's module, which exists in its processes only."""
    return sys.modules.get("uwsgi")


def _has_threads(uwsgi: Any) -> bool:
    """Return whether threads run beside requests: otherwise none could stop it."""
    return any(uwsgi.opt.get(name) for name in ("threads", "enable-threads"))


def _intercept(transfers: Transfers) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # A handler must never wait.
    os.set_blocking(writer, False)
    thread = threading.Thread(
        target=_watch, args=(reader, transfers), daemon=True, name="ontap-stop"
    )
    thread.start()
    for number in _SIGNALS:
        faulthandler.register(number, file=writer, all_threads=False, chain=False)


def _watch(reader: int, transfers: Transfers) -> None:
    # The server's handlers run in its main thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.read(reader, _PIPE_BYTES)
    try:
        if transfers.stop(PATIENCE_S):
            time.sleep(_AFTERWARDS_S)
    finally:
        for number in _SIGNALS:
            faulthandler.unregister(number)
        os.kill(os.getpid(), signal.SIGTERM)
