# SPDX-License-Identifier: Apache-2.0
"""The whole simulator: FlexVols, applications and the HTTP server, as one value."""

from collections.abc import Callable
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import field
import fcntl
import logging
from pathlib import Path
import ssl
import threading
from typing import Any

from werkzeug.serving import ThreadedWSGIServer
from werkzeug.serving import WSGIRequestHandler
from werkzeug.serving import make_server

from lab.ontapsim import certificate
from lab.ontapsim.control import create_control
from lab.ontapsim.faults import FaultTable
from lab.ontapsim.faults import with_faults
from lab.ontapsim.flexvol import FlexVol
from lab.ontapsim.flexvol import LoopFlexVol
from lab.ontapsim.requestlog import RequestLog
from lab.ontapsim.requestlog import with_log
from lab.ontapsim.routes import create_app
from lab.ontapsim.routes import normal_path
from lab.ontapsim.state import Array
from lab.ontapsim.state import Svm
from lab.ontapsim.state import User

LOG = logging.getLogger(__name__)

Wsgi = Callable[..., Iterable[bytes]]

# How soon a server notices that it should stop.
_SHUTDOWN_POLL_S = 0.05


@dataclass(frozen=True)
class NewFlexVol:
    """A FlexVol to make. Without ``junction`` it is mounted at ``/NAME``."""

    name: str
    size_bytes: int
    svm: str = "svm1"
    junction: str = ""
    style: str = "flexvol"


@dataclass(frozen=True)
class Settings:
    """The settings of a simulator.

    Each FlexVol is exported as the address of its SVM and its junction path. Port 0
    takes a free one.
    """

    root: Path
    users: tuple[User, ...]
    svms: tuple[Svm, ...] = (Svm("svm1"),)
    flexvols: tuple[NewFlexVol, ...] = ()
    address: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    request_log: Path | None = None
    make_flexvol: Callable[[Path, str, int], FlexVol] = field(default=LoopFlexVol)


class Simulator:
    """A running simulator. Use it in a ``with``; leaving unmounts everything.

    Everything is released in reverse order: the server stops answering, jobs end,
    FlexVols are unmounted, and the lock on ``root`` is released.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = FaultTable()
        self.array: Array
        self.log: RequestLog
        self.ca_file: Path | None = None
        self._server: ThreadedWSGIServer
        self._stack = ExitStack()

    def __enter__(self) -> "Simulator":
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        root = self.settings.root
        root.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_sole_user(root))
        self.log = RequestLog(self.settings.request_log)
        stack.callback(self.log.close)
        self.array = self._make_array()
        stack.callback(self.array.close)
        for new in self.settings.flexvols:
            junction = new.junction or f"/{new.name}"
            self.array.add_volume(
                new.svm, new.name, new.size_bytes, junction, new.style
            )
        self._server = self._make_server()
        stack.callback(self._server.server_close)
        thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": _SHUTDOWN_POLL_S},
            name="http",
        )
        thread.start()
        stack.callback(thread.join)
        stack.callback(self._server.shutdown)

    def _make_array(self) -> Array:
        folder = self.settings.root / "flexvols"

        def make(svm: str, name: str, size_bytes: int) -> FlexVol:
            return self.settings.make_flexvol(folder / svm, name, size_bytes)

        settings = self.settings
        jobs_file, san_file = settings.root / "jobs.json", settings.root / "san.json"
        return Array(settings.svms, settings.users, make, jobs_file, san_file)

    def _make_server(self) -> ThreadedWSGIServer:
        settings = self.settings
        server = make_server(
            settings.address,
            settings.port,
            make_wsgi(self.array, self.faults, self.log),
            threaded=True,
            request_handler=_QuietHandler,
        )
        assert isinstance(server, ThreadedWSGIServer)
        # Otherwise closing waits for requests that a latency fault holds up.
        server.daemon_threads = True
        if settings.tls:
            self.ca_file = settings.root / "ca.pem"
            _use_tls(server, certificate.make_context(settings.address, self.ca_file))
        return server

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """The URL without ``/api``."""
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://{self.settings.address}:{self.port}"

    @property
    def flexvols(self) -> dict[str, Path]:
        """The directory of each FlexVol, by its name in the first SVM.

        Those of other SVMs have the SVM before the name, as in ``svm2:fv1``.
        """
        first = self.settings.svms[0].name
        return {
            f"{'' if each.svm == first else f'{each.svm}:'}{each.name}": each.directory
            for each in self.array.volumes()
        }

    @property
    def exports(self) -> dict[str, Path]:
        """The directory of each mounted FlexVol, by its export ``ADDRESS:/PATH``."""
        return {
            f"{self.array.svms[each.svm].address}:{each.junction}": each.directory
            for each in self.array.volumes()
            if each.junction
        }


def make_wsgi(array: Array, faults: FaultTable, log: RequestLog) -> Wsgi:
    """Return the whole application: control plane, log, faults, API."""
    control = create_control(faults, log)
    api = with_log(with_faults(create_app(array), faults, _path_of), log)

    def dispatch(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        app = control if _path_of(environ).startswith("/_sim/") else api
        return app(environ, start_response)

    return dispatch


def _path_of(environ: dict[str, Any]) -> str:
    return normal_path(environ["RAW_URI"])


def _use_tls(server: ThreadedWSGIServer, context: ssl.SSLContext) -> None:
    """Speak TLS; the handshake runs in the connection's thread.

    werkzeug does it while accepting, where a silent client would stop all others.
    """
    server.ssl_context = context
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )


class _QuietHandler(WSGIRequestHandler):
    """Leaves the log of requests to requestlog.py."""

    def log(self, type: str, message: str, *args: Any) -> None:
        level = logging.ERROR if type == "error" else logging.DEBUG
        LOG.log(level, message, *args)


class _sole_user:
    """A lock on a simulator's directory, between processes of a host.

    The kernel frees it when the process ends, however that happens.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "ontapsim.lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            text = f"another simulator uses {self._path.parent}"
            raise RuntimeError(text) from error

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
