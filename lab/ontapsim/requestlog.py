# SPDX-License-Identifier: Apache-2.0
"""A log of requests: JSON lines in a file, and the last ones in memory.

Each line: ``time`` (UTC, when it came), ``method``, ``path`` (the raw URL after the
host, with its query), ``status`` (null: the connection was reset), ``user``, ``svm``
(X-Dot-SVM-Name), ``duration_s``. No password, no body.
"""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
import datetime
import json
from pathlib import Path
import threading
import time
from typing import Any

KEPT_IN_MEMORY = 10_000
Wsgi = Callable[..., Iterable[bytes]]


class RequestLog:
    """The requests, in a file and in memory. The lock guards both, in this process."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._recent: deque[dict[str, Any]] = deque(maxlen=KEPT_IN_MEMORY)
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def note(self, entry: dict[str, Any]) -> None:
        """Add a request."""
        with self._lock:
            self._recent.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(entry) + "\n")

    def recent(self) -> list[dict[str, Any]]:
        """Return what is in memory, oldest first."""
        with self._lock:
            return list(self._recent)

    def clear(self) -> None:
        """Forget what is in memory; the file stays."""
        with self._lock:
            self._recent.clear()

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def with_log(app: Wsgi, log: RequestLog) -> Wsgi:
    """Wrap a WSGI application so that each request is noted before its answer.

    So a client that has its answer finds the request in the log.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        began = time.monotonic()
        entry = _entry(environ)

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            entry["status"] = int(status.split()[0])
            return start_response(status, headers, *exc_info)

        try:
            return [b"".join(app(environ, start))]
        finally:
            entry["duration_s"] = round(time.monotonic() - began, 6)
            log.note(entry)

    return wrapped


def _entry(environ: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "method": environ["REQUEST_METHOD"],
        "path": environ["RAW_URI"],
        "status": None,
        "user": user_of(environ.get("HTTP_AUTHORIZATION", "")),
        "svm": environ.get("HTTP_X_DOT_SVM_NAME"),
        "duration_s": None,
    }


def user_of(authorization: str) -> str | None:
    """Return the user's name of a basic authentication header, never the password."""
    kind, _, text = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(text).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return None
