# SPDX-License-Identifier: Apache-2.0
"""A request as a handler gets it, and its possible answers."""

from dataclasses import dataclass
from dataclasses import field
from functools import partial
import threading
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import query as query_module
from lab.ontapsim.errors import OntapError
from lab.ontapsim.jobs import Job
from lab.ontapsim.jobs import JobControl
from lab.ontapsim.jobs import Strike
from lab.ontapsim.jobs import Work
from lab.ontapsim.query import Collection
from lab.ontapsim.query import Query
from lab.ontapsim.state import Array

# How long a request that starts a quick job (clone, delete) waits for it before it
# answers 202. Cinder's driver polls a job every 2 s: without this a clone of a
# millisecond would often cost it two seconds.
QUICK_JOB_GRACE_S = 1.0


@dataclass(frozen=True)
class JobFault:
    """The effect of a fault on the job of a request.

    It strikes when the job has copied ``after_bytes``, or at once for 0.
    """

    kind: str  # "stuck" or "failed"
    code: int = 0
    message: str = ""
    cause: str = ""
    after_bytes: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def strike(self, control: JobControl, path: str) -> None:
        """Hold the job until ``ended``, or fail it. ``path``: what it makes.

        :raises OntapError: the failure
        :raises Cancelled: the job is cancelled
        """
        if self.kind == "stuck":
            control.hold(self.ended)
            return
        if self.cause:
            raise errors.caused(self.cause, path)
        raise OntapError(500, self.code, self.message)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer with a JSON body."""

    body: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request after parsing. ``svm`` is that of X-Dot-SVM-Name, or None."""

    array: Array
    method: str
    path: str  # without "/api", decoded, single slashes
    query: Query
    body: dict[str, Any]
    svm: str | None = None
    job_fault: JobFault | None = None

    def collection(
        self,
        records: list[dict[str, Any]],
        keys: tuple[str, ...] = ("uuid", "name"),
        optional: tuple[str, ...] = (),
        query: Query | None = None,
    ) -> Reply:
        """Answer GET of a collection."""
        collection = Collection(self.path, records, keys, optional)
        return Reply(query_module.answer(collection, query or self.query))

    def instance(self, record: dict[str, Any], optional: tuple[str, ...] = ()) -> Reply:
        """Answer GET of one object: everything, or the fields asked for."""
        fields = self.query.fields
        if not fields:
            return Reply(record)
        keys = ("uuid", "name", "id")
        collection = Collection(self.path, [record], keys, optional)
        query_module.select(collection, Query(fields=fields))
        return Reply(query_module.project(record, fields, keys))

    def required(self, *path: str) -> Any:
        """Return a value of the body.

        :raises OntapError: 400, the value is missing
        """
        value: Any = self.body
        for name in path:
            if not isinstance(value, dict) or name not in value:
                raise errors.missing_value(".".join(path))
            value = value[name]
        return value

    def start_job(
        self,
        work: Work,
        description: str | None = None,
        grace_s: float = QUICK_JOB_GRACE_S,
        created: str | None = None,
        path: str = "",
    ) -> Reply:
        """Start a job and answer 202, or with the job's result if it ends soon.

        Page: "Synchronous and asynchronous operations". With ``return_timeout`` in
        the query the answer waits that long, and is 200 or 201 if the job has
        succeeded, or its error. ``created`` is the location of what it makes, and
        ``path`` the file.
        """
        fault = self.job_fault
        held = fault is not None and fault.kind == "stuck"
        text = description or f"{self.method} /api{self.path}"
        strike = None
        if fault is not None:
            strike = Strike(fault.after_bytes, partial(fault.strike, path=path))
        job = self.array.jobs.start(text, self.svm, work, strike)
        wait_s = max(self.query.return_timeout_s, 0 if held else grace_s)
        if wait_s:
            job = self.array.jobs.wait(job.uuid, wait_s)
        headers = {"Location": f"/api{created}"} if created else {}
        body = {"job": job_link(job)}
        if not self.query.return_timeout_s or not job.is_final:
            return Reply(body, 202, headers)
        if job.state == "failure":
            raise OntapError(500, job.code, job.message, job.target)
        return Reply(body, 201 if self.method == "POST" else 200, headers)


def is_true(text: str | None) -> bool:
    """Return whether an option of a query is on; clients write "true" and "True"."""
    return (text or "false").lower() == "true"


def job_link(job: Job) -> dict[str, Any]:
    """Return how an answer refers to a job."""
    href = f"/api/cluster/jobs/{job.uuid}"
    return {"uuid": job.uuid, "_links": {"self": {"href": href}}}
