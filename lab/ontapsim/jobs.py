# SPDX-License-Identifier: Apache-2.0
"""Asynchronous jobs, each a thread, as ``/cluster/jobs`` shows them.

Page: "Cluster jobs". A job is queued, running, success or failure; its last state
stays readable (ONTAP forgets it after 300 s, this simulator keeps it), also after a
restart of the simulator. A job that runs when the simulator is killed has failed
then, and what it has copied stays. What ONTAP does with jobs of a node that restarts
is not published.
"""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
import datetime
from functools import partial
import json
import logging
from pathlib import Path
import threading
from typing import Any
import uuid as uuid_module

from lab.ontapsim import errors
from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import Cancelled

LOG = logging.getLogger(__name__)

FINAL = frozenset({"success", "failure"})
# Derived: a cancelled job ends as a failure with a message, in ONTAP too.
_CANCELLED_CODE = 4
_INTERRUPTED = "The job was interrupted by a restart."
_BROKEN_CODE = 262250
_HELD_POLL_S = 0.05


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
    """A running job's connection to the table: progress, stop, and its fault."""

    def __init__(
        self,
        report: Callable[[str], None],
        stop: threading.Event,
        strike: "Strike | None" = None,
    ) -> None:
        self.report = report
        self.stop = stop
        self._strike = strike

    def passed(self, copied: int) -> None:
        """Let the job's fault strike if it waits for no more than so many bytes.

        :raises OntapError: the fault's failure
        :raises Cancelled: the fault held the job until it was cancelled
        """
        if self._strike is not None and copied >= self._strike.after_bytes:
            self._strike.happen(self)

    def hold(self, ended: threading.Event) -> None:
        """Do nothing until the job's fault has ended, or the job is cancelled.

        :raises Cancelled: it is
        """
        while not ended.is_set():
            if self.stop.wait(_HELD_POLL_S):
                raise Cancelled


@dataclass(frozen=True)
class Strike:
    """What a fault does to a job that has copied so many bytes."""

    after_bytes: int
    happen: Callable[[JobControl], None]


Work = Callable[[JobControl], None]


@dataclass
class _Running:
    thread: threading.Thread
    stop: threading.Event
    done: threading.Event


class JobTable:
    """All jobs, with those of earlier runs that ``file`` has. For several threads.

    The lock guards both dicts and the file, in this process; nothing but the writing
    of the file blocks while it is held.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file = file
        self._jobs: dict[str, Job] = _read(file) if file else {}
        self._running: dict[str, _Running] = {}
        self._closed = False

    def start(
        self,
        description: str,
        svm: str | None,
        work: Work,
        strike: Strike | None = None,
    ) -> Job:
        """Start a job and return its first state.

        ``work`` runs in a thread of its own; an :class:`OntapError` or OSError out
        of it is the job's failure, as it is of ``strike``.
        """
        job = Job(
            uuid=str(uuid_module.uuid4()),
            description=description,
            svm=svm,
            start_time=_now(),
            state="running",
        )
        stop, done = threading.Event(), threading.Event()
        report = partial(self._report, job.uuid)
        thread = threading.Thread(
            target=self._run,
            args=(job.uuid, work, JobControl(report, stop, strike), done),
            name=f"job-{job.uuid[:8]}",
            daemon=True,
        )
        with self._lock:
            if self._closed:
                raise OntapError(503, _BROKEN_CODE, "shutting down")
            self._jobs[job.uuid] = job
            self._running[job.uuid] = _Running(thread, stop, done)
            self._save()
        thread.start()
        return job

    def _run(
        self, uuid: str, work: Work, control: JobControl, done: threading.Event
    ) -> None:
        try:
            control.passed(0)
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
            self._end(uuid, state="success", message="success")
        finally:
            done.set()

    def _fail(self, uuid: str, message: str, code: int, target: str | None) -> None:
        LOG.info("job %s failed: %s (%s)", uuid, message, code)
        self._end(uuid, state="failure", message=message, code=code, target=target)

    def _report(self, uuid: str, text: str) -> None:
        with self._lock:
            self._jobs[uuid] = replace(self._jobs[uuid], message=text)

    def _end(self, uuid: str, **changes: Any) -> None:
        with self._lock:
            self._jobs[uuid] = replace(self._jobs[uuid], end_time=_now(), **changes)
            self._save()

    def _save(self) -> None:
        """Write the file whole or not at all."""
        if self._file is None:
            return
        text = json.dumps([asdict(job) for job in self._jobs.values()], default=str)
        new = self._file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self._file)

    def wait(self, uuid: str, timeout_s: float) -> Job:
        """Return the job when it ends, or as it is after ``timeout_s``."""
        with self._lock:
            running = self._running.get(uuid)
        if running is not None:
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
            running = self._running.get(uuid)
        if running is not None:
            running.stop.set()
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


def _read(file: Path) -> dict[str, Job]:
    """Return the jobs of an earlier run, none of which runs any more."""
    if not file.exists():
        return {}
    jobs = [_revived(values) for values in json.loads(file.read_text("utf-8"))]
    return {job.uuid: job for job in jobs}


def _revived(values: dict[str, Any]) -> Job:
    for name in ("start_time", "end_time"):
        if values[name] is not None:
            values[name] = datetime.datetime.fromisoformat(values[name])
    job = Job(**values)
    if job.is_final:
        return job
    return replace(
        job,
        state="failure",
        message=_INTERRUPTED,
        code=_BROKEN_CODE,
        end_time=_now(),
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
