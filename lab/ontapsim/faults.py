# SPDX-License-Identifier: Apache-2.0
"""Faults that a test switches on: latency, errors, lost connections, bad jobs.

They are set over ``/_sim/faults``, outside ``/api``, without a login. A fault is a
JSON object::

    {"action": "error", "path": "^/api/storage/file/clone$", "method": "POST",
     "count": 1, "status": 503, "code": "1", "message": "busy"}

``path``, ``method`` and ``body`` are regular expressions (``path`` is searched in the
path with single slashes and without the query; all default to everything). ``count``
is how often it strikes (default: until deleted). Actions:

``latency``     waits ``latency_s`` seconds, then goes on;
``error``       answers ``status`` (default 500) with ``code`` and ``message``;
``reset``       closes the connection with a TCP reset, without an answer;
``job_stuck``   the job that the request starts stays running and does nothing more
                until the fault is deleted; then it goes on;
``job_failed``  that job fails with ``code`` and ``message``, or as ONTAP words the
                ``cause``: ``full`` (the FlexVol), ``split_load`` (of the node).

With ``after_bytes`` a job that copies a file does so before its fault strikes, and
what it has copied stays. A target that becomes full in the middle of a copy is::

    {"action": "job_failed", "path": "/storage/file/copy$", "cause": "full",
     "after_bytes": 67108864}

Several may match one request: their latencies add up, and of the others the oldest
strikes.
"""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
import io
import json
import logging
import os
import re
import socket
import struct
import threading
import time
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim.call import JobFault
from lab.ontapsim.errors import OntapError

LOG = logging.getLogger(__name__)

JOB_FAULT_KEY = "ontapsim.job_fault"
ACTIONS = frozenset({"latency", "error", "reset", "job_stuck", "job_failed"})


class BadFault(ValueError):
    """A fault that cannot be understood; the text says what is wrong."""


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on. ``hits`` counts how often it has struck."""

    id: str
    action: str
    path: str = ""
    method: str = ""
    count: int | None = None
    latency_s: float = 0.0
    status: int = 500
    code: str = "262250"
    message: str = "fault switched on by a test"
    body: str = ""
    cause: str = ""
    after_bytes: int = 0
    hits: int = 0

    def matches(self, method: str, path: str, body: str) -> bool:
        """Return whether the fault strikes this request."""
        if self.count is not None and self.hits >= self.count:
            return False
        pairs = ((self.path, path), (self.method, method), (self.body, body))
        return all(re.search(pattern, text) for pattern, text in pairs)


def parse(fault_id: str, body: object) -> Fault:
    """Return the fault of a JSON body.

    :raises BadFault: an unknown name, a missing action, a value of another kind
    """
    if not isinstance(body, dict):
        raise BadFault("a fault is a JSON object")
    settable = {name: kind for name, kind in _KINDS.items() if name in body}
    unknown = sorted(set(body) - set(settable))
    if unknown:
        raise BadFault(f"unknown: {', '.join(unknown)}")
    if body.get("action") not in ACTIONS:
        raise BadFault(f"action must be one of {', '.join(sorted(ACTIONS))}")
    for name, kinds in settable.items():
        if not isinstance(body[name], kinds) or isinstance(body[name], bool):
            raise BadFault(f"{name}: {body[name]!r}")
    if body.get("cause", "") not in ("", *errors.CAUSES):
        raise BadFault(f"cause must be one of {', '.join(errors.CAUSES)}")
    for name in ("path", "method", "body"):
        try:
            re.compile(body.get(name, ""))
        except re.error as error:
            raise BadFault(f"{name}: {error}") from error
    return Fault(id=fault_id, **{**body, "code": str(body.get("code", Fault.code))})


_KINDS: dict[str, tuple[type, ...]] = {
    "action": (str,),
    "path": (str,),
    "method": (str,),
    "count": (int, type(None)),
    "latency_s": (int, float),
    "status": (int,),
    "code": (str, int),
    "message": (str,),
    "body": (str,),
    "cause": (str,),
    "after_bytes": (int,),
}


class FaultTable:
    """The faults that are switched on. The lock guards the dicts, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}
        self._ended: dict[str, threading.Event] = {}
        self._next = 1

    def add(self, body: object) -> Fault:
        """Switch a fault on.

        :raises BadFault: it cannot be understood
        """
        with self._lock:
            fault = parse(str(self._next), body)
            self._next += 1
            self._faults[fault.id] = fault
            self._ended[fault.id] = threading.Event()
            return fault

    def remove(self, fault_id: str | None = None) -> None:
        """Switch one fault off, or all of them."""
        with self._lock:
            for each in [fault_id] if fault_id else list(self._faults):
                if self._faults.pop(each, None):
                    self._ended[each].set()

    def ended(self, fault_id: str) -> threading.Event:
        """Return what is set when the fault is switched off."""
        with self._lock:
            return self._ended[fault_id]

    def list(self) -> list[dict[str, Any]]:
        """Return the faults as JSON."""
        with self._lock:
            return [asdict(fault) for fault in self._faults.values()]

    def strike(
        self, method: str, path: str, body: str = ""
    ) -> tuple[float, Fault | None]:
        """Return the latency and the fault for a request, and count them as hits."""
        latency_s = 0.0
        chosen: Fault | None = None
        with self._lock:
            for fault in list(self._faults.values()):
                if not fault.matches(method, path, body):
                    continue
                if fault.action == "latency":
                    latency_s += fault.latency_s
                elif chosen is None:
                    chosen = fault
                else:
                    continue
                self._faults[fault.id] = replace(fault, hits=fault.hits + 1)
        return latency_s, chosen


Wsgi = Callable[..., Iterable[bytes]]


def with_faults(
    app: Wsgi,
    table: FaultTable,
    path_of: Callable[[dict[str, Any]], str],
    sleep: Callable[[float], None] = time.sleep,
) -> Wsgi:
    """Wrap a WSGI application so that faults strike its requests.

    A reset leaves as ConnectionResetError, which werkzeug takes for a client that
    has gone; the socket is closed before.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], path_of(environ)
        latency_s, fault = table.strike(method, path, _body_of(environ))
        if latency_s:
            LOG.info("fault: %s %s waits %s s", method, path, latency_s)
            sleep(latency_s)
        if fault is None:
            return app(environ, start_response)
        LOG.info("fault %s: %s for %s %s", fault.id, fault.action, method, path)
        if fault.action == "reset":
            reset(environ.get("werkzeug.socket"))
            raise ConnectionResetError("fault: reset")
        if fault.action == "error":
            return _answer(fault, start_response)
        kind = fault.action.removeprefix("job_")
        environ[JOB_FAULT_KEY] = JobFault(
            kind,
            int(fault.code),
            fault.message,
            fault.cause,
            fault.after_bytes,
            table.ended(fault.id),
        )
        return app(environ, start_response)

    return wrapped


def _body_of(environ: dict[str, Any]) -> str:
    """Return the body of a request, which stays readable for the application."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length:
        return ""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body.decode("utf-8", "replace")


def _answer(fault: Fault, start_response: Any) -> Iterable[bytes]:
    error = OntapError(fault.status, fault.code, fault.message)
    body = json.dumps(error.body()).encode()
    headers = [
        ("Content-Type", "application/hal+json"),
        ("Content-Length", str(len(body))),
    ]
    start_response(f"{fault.status} Fault", headers)
    return [body]


def reset(connection: socket.socket | None) -> None:
    """Close a connection at once: lingering for 0 s makes the kernel send RST.

    The descriptor's number stays in use, for /dev/null, until the socket object is
    closed. Otherwise the next connection gets the number, and the TLS layer of this
    one would still read from it.
    """
    if connection is None:
        return
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), connection.fileno(), inheritable=False)
