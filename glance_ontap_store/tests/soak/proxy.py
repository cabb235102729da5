# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy before one service, which answers wrongly, late or not at all."""

import dataclasses
import enum
import http.client
import http.server
import random
import socket
import struct
import threading
import time
from urllib import parse

# Headers that belong to one connection.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_ANSWER_S = 120


class Fault(enum.Enum):
    """What happens to a request."""

    ERROR = "500"
    BUSY = "503 with Retry-After"
    RESET_BEFORE = "reset before"
    RESET_AFTER = "reset after"
    GATEWAY = "504 after"
    GARBAGE = "garbage"
    LATE = "late"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The faults to choose from, and the part of the requests that they strike."""

    faults: tuple[Fault, ...] = ()
    share: float = 0.0


NOTHING = Plan()
ALL = tuple(Fault)
# Nobody answers.
OUTAGE = Plan((Fault.RESET_BEFORE, Fault.BUSY), 1.0)


class Proxy:
    """A proxy on 127.0.0.1 in front of *target*, until `close`. *url* is its own."""

    def __init__(self, target: str, seed: int) -> None:
        self._target = parse.urlsplit(target)
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self.plan = NOTHING
        # The number of requests that each fault struck; None: those without.
        self.struck: dict[Fault | None, int] = dict.fromkeys([None, *Fault], 0)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        host, port = self._server.server_address[:2]
        self.url = f"http://{host!s}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self) -> Fault | None:
        """The fault of the next request."""
        with self._lock:
            chosen = None
            if self.plan.faults and self._rng.random() < self.plan.share:
                chosen = self._rng.choice(self.plan.faults)
            self.struck[chosen] += 1
            return chosen

    def forwarded(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The service's answer: status, headers and body."""
        connection = http.client.HTTPConnection(
            self._target.hostname or "", self._target.port, timeout=_ANSWER_S
        )
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients die, and close connections, on purpose."""


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            fault = proxy.fault()
            if fault is Fault.RESET_BEFORE:
                self._reset()
            elif fault is Fault.ERROR:
                self._answer(500, [], b'{"computeFault": {"message": "injected"}}')
            elif fault is Fault.BUSY:
                self._answer(503, [("Retry-After", "1")], b"injected: busy")
            else:
                self._forward(body, fault)

        def _forward(self, body: bytes, fault: Fault | None) -> None:
            if fault is Fault.LATE:
                time.sleep(2)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in _HOP_BY_HOP
            }
            try:
                status, found, data = proxy.forwarded(
                    self.command, self.path, headers, body
                )
            except (OSError, http.client.HTTPException):
                self._reset()  # the service itself is away
                return
            if fault is Fault.RESET_AFTER:
                self._reset()
            elif fault is Fault.GATEWAY:
                self._answer(504, [], b"<html>injected: gateway timeout</html>")
            elif fault is Fault.GARBAGE:
                self._answer(200, [], b"<html>injected</html>")
            else:
                kept = [pair for pair in found if pair[0].lower() not in _HOP_BY_HOP]
                self._answer(status, kept, data)

        def _answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _reset(self) -> None:
            # SO_LINGER of no time: close(2) sends RST.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            self.rfile.close()

        def finish(self) -> None:
            if not self.rfile.closed:
                super().finish()

        def log_message(self, format: str, *args: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    return Handler
