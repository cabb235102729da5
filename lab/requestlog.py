# SPDX-License-Identifier: Apache-2.0
"""A WSGI filter that writes one JSON line for each request.

The lab's configuration puts it first in a service's paste pipeline. It takes the
user from the environ, where keystonemiddleware leaves it.

A line is appended in one call when the answer has been sent or given up, so that
several processes can share a file. Its keys: ``time`` (seconds, at the start),
``seconds``, ``method``, ``path``, ``query``, ``status``, ``user``,
``project``, ``request_id``, ``request_bytes``, ``response_bytes`` (bytes of
body sent and received), ``agent``, ``complete`` (false: ended early).
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import json
import os
import time
from typing import Any

App = Callable[..., Iterable[bytes]]


def filter_factory(_global_conf: dict[str, str], log_file: str) -> Callable[[App], App]:
    """Return the paste filter, which appends to ``log_file``."""

    def make(app: App) -> App:
        return RequestLog(app, log_file)

    return make


class RequestLog:
    """The WSGI middleware."""

    def __init__(self, app: App, log_file: str) -> None:
        self._app = app
        self._log_file = log_file

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        entry = _Entry(environ, self._log_file)
        environ["wsgi.input"] = body = _CountedInput(_body_of(environ))
        entry.body = body

        def note_status(
            status: str, headers: list[tuple[str, str]], *exc_info: Any
        ) -> Any:
            entry.status = int(status.split(" ", 1)[0])
            for name, value in headers:
                if name.lower() == "x-openstack-request-id":
                    entry.request_id = value
            return start_response(status, headers, *exc_info)

        try:
            answer = self._app(environ, note_status)
        except BaseException:
            entry.write()
            raise
        return _CountedAnswer(answer, entry)


class _Entry:
    """The line of a request, which is written at its end."""

    def __init__(self, environ: dict[str, Any], log_file: str) -> None:
        self._environ = environ
        self._log_file = log_file
        self._started = time.time()
        self._written = False
        # Read at the start, because routing shortens PATH_INFO later.
        self._path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.body: _CountedInput | None = None
        self.status = 0
        self.request_id: str | None = None
        self.response_bytes = 0
        self.complete = False

    def write(self) -> None:
        """Append the line, once."""
        if self._written:
            return
        self._written = True
        env = self._environ
        line = {
            "time": round(self._started, 6),
            "seconds": round(time.time() - self._started, 6),
            "method": env.get("REQUEST_METHOD"),
            "path": self._path,
            "query": env.get("QUERY_STRING", ""),
            "status": self.status,
            "user": env.get("HTTP_X_USER_NAME"),
            "project": env.get("HTTP_X_PROJECT_NAME"),
            "service_user": env.get("HTTP_X_SERVICE_USER_NAME"),
            "request_id": self.request_id or env.get("openstack.request_id"),
            "request_bytes": self.body.count if self.body else 0,
            "response_bytes": self.response_bytes,
            "agent": env.get("HTTP_USER_AGENT"),
            "complete": self.complete,
        }
        text = json.dumps(line) + "\n"
        handle = os.open(
            self._log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)


def _body_of(environ: dict[str, Any]) -> Any:
    """Return the request's body as a file, even if uWSGI has it in chunks.

    Glance reads chunked image data directly from uWSGI instead of ``wsgi.input``, so
    that its bytes could not be counted. This turns it into ordinary, terminated
    input, which Glance reads as from any other server. It is done only for image
    data, because Glance looks at the header of other requests.
    """
    if (
        environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        and environ.get("CONTENT_TYPE") == "application/octet-stream"
    ):
        try:
            import uwsgi  # exists only in a uWSGI process
        except ImportError:
            return environ["wsgi.input"]
        del environ["HTTP_TRANSFER_ENCODING"]
        environ["wsgi.input_terminated"] = True
        return _ChunkedInput(uwsgi.chunked_read)
    return environ["wsgi.input"]


class _ChunkedInput:
    """uWSGI's chunks as a file; ``read(n)`` returns fewer than n bytes at the end."""

    def __init__(self, next_chunk: Callable[[], bytes]) -> None:
        self._next_chunk = next_chunk
        self._rest = b""
        self._ended = False

    def read(self, size: int | None = None) -> bytes:
        wanted = float("inf") if size is None or size < 0 else size
        pieces, have = [self._rest], len(self._rest)
        while have < wanted and not self._ended:
            chunk = self._next_chunk()
            self._ended = not chunk
            pieces.append(chunk)
            have += len(chunk)
        joined = b"".join(pieces)
        if have <= wanted:
            self._rest = b""
            return joined
        self._rest = joined[size:]
        return joined[:size]


class _CountedInput:
    """The real input, with the bytes counted that are read from it."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.count = 0

    def _counted(self, piece: bytes) -> bytes:
        self.count += len(piece)
        return piece

    def read(self, *args: Any) -> bytes:
        return self._counted(self._raw.read(*args))

    def readline(self, *args: Any) -> bytes:
        return self._counted(self._raw.readline(*args))

    def readlines(self, *args: Any) -> list[bytes]:
        return [self._counted(line) for line in self._raw.readlines(*args)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._raw:
            yield self._counted(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _CountedAnswer:
    """The answer's iterator; the line is written when the server closes it."""

    def __init__(self, answer: Iterable[bytes], entry: _Entry) -> None:
        self._answer = answer
        self._pieces = iter(answer)
        self._entry = entry

    def __iter__(self) -> "_CountedAnswer":
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            self._entry.complete = True
            raise
        self._entry.response_bytes += len(piece)
        return piece

    def close(self) -> None:
        try:
            close = getattr(self._answer, "close", None)
            if close:
                close()
        finally:
            self._entry.write()
