# SPDX-License-Identifier: Apache-2.0
"""Asynchronous jobs, each a thread, as ``/cluster/jobs`` shows them.

Page: "Cluster jobs". A job is queued, running, success or failure; its last state
stays readable (ONTAP forgets it after 300 s, this simulator keeps it).
"""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
import datetime
import logging
import threading
import uuid as uuid_module

from lab.ontapsim import errors
from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import Cancelled

LOG = logging.getLogger(__name__)

FINAL = frozenset({"success", "failure"})
# Derived: a cancelled job ends as a failure with a message, in ONTAP too.
_CANCELLED_CODE = 4
_BROKEN_CODE = 262250


@dataclass(frozen=True)
class Job:
    """The state of a job at one moment."""

    uuid: str
    description: str
    svm: str | None
    start_time: datetime.datetime
    state: str = "queued"
    message: str = ""
    code: int = 0
    target: str | None = None
    end_time: datetime.datetime | None = None

    @property
    def is_final(self) -> bool:
        """Return whether the job has ended."""
        return self.state in FINAL


class JobControl:
    """A running job's connection to the table: progress, and the request to stop."""

    def __init__(self, report: Callable[[str], None], stop: threading.Event) -> None:
        self.report = report
        self.stop = stop


Work = Callable[[JobControl], None]


@dataclass
class _Running:
    thread: threading.Thread
    stop: threading.Event
    done: threading.Event


class JobTable:
    """All jobs since the start. Safe to use from several threads.

    The lock guards both dicts, in this process; nothing blocks while it is held.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, _Running] = {}
        self._closed = False

    def start(
        self, description: str, svm: str | None, work: Work, hold: bool = False
    ) -> Job:
        """Start a job and return its first state.

        ``work`` runs in a thread of its own; an :class:`OntapError` or OSError out
        of it is the job's failure. ``hold``: the job stays running and does
        nothing, until it is cancelled.
        """
        job = Job(
            uuid=str(uuid_module.uuid4()),
            description=description,
            svm=svm,
            start_time=_now(),
            state="running",
        )
        stop, done = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=self._run,
            args=(job.uuid, _wait_for_cancel if hold else work, stop, done),
            name=f"job-{job.uuid[:8]}",
            daemon=True,
        )
        with self._lock:
            if self._closed:
                raise OntapError(503, _BROKEN_CODE, "shutting down")
            self._jobs[job.uuid] = job
            self._running[job.uuid] = _Running(thread, stop, done)
        thread.start()
        return job

    def _run(
        self, uuid: str, work: Work, stop: threading.Event, done: threading.Event
    ) -> None:
        control = JobControl(lambda text: self._change(uuid, message=text), stop)
        try:
            work(control)
        except Cancelled:
            self._fail(uuid, "The job was cancelled.", _CANCELLED_CODE, None)
        except OntapError as error:
            self._fail(uuid, error.message, int(error.code), error.target)
        except OSError as error:
            failure = errors.file_error(error, str(error.filename or ""))
            self._fail(uuid, failure.message, int(failure.code), failure.target)
        except Exception as error:
            LOG.exception("job %s broke", uuid)
            self._fail(uuid, f"internal error: {error}", _BROKEN_CODE, None)
        else:
            self._change(uuid, state="success", message="success", end_time=_now())
        finally:
            done.set()

    def _fail(self, uuid: str, message: str, code: int, target: str | None) -> None:
        LOG.info("job %s failed: %s (%s)", uuid, message, code)
        self._change(
            uuid,
            state="failure",
            message=message,
            code=code,
            target=target,
            end_time=_now(),
        )

    def _change(self, uuid: str, **changes: object) -> None:
        with self._lock:
            self._jobs[uuid] = replace(self._jobs[uuid], **changes)  # type: ignore[arg-type]

    def wait(self, uuid: str, timeout_s: float) -> Job:
        """Return the job when it ends, or as it is after ``timeout_s``."""
        with self._lock:
            running = self._running[uuid]
        running.done.wait(timeout_s)
        return self.get(uuid)

    def get(self, uuid: str) -> Job:
        """Return a job as it is now.

        :raises OntapError: 404, no job has this uuid
        """
        with self._lock:
            if uuid not in self._jobs:
                raise errors.no_entry()
            return self._jobs[uuid]

    def cancel(self, uuid: str) -> Job:
        """Tell a job to stop; returns at once. Nothing happens to one that ended."""
        job = self.get(uuid)
        with self._lock:
            self._running[uuid].stop.set()
        return job

    def __iter__(self) -> Iterator[Job]:
        with self._lock:
            return iter(list(self._jobs.values()))

    def close(self) -> None:
        """Cancel what runs and wait until it has ended."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for one in running:
            one.stop.set()
        for one in running:
            one.thread.join()


def _wait_for_cancel(control: JobControl) -> None:
    control.report("in progress")
    control.stop.wait()
    raise Cancelled


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
