# SPDX-License-Identifier: Apache-2.0
"""What the SAN requests have in common: which SVM, which body, which answer."""

from collections.abc import Callable
from collections.abc import Collection
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import query
from lab.ontapsim import san_errors
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.jobs import JobControl
from lab.ontapsim.query import expand_dots

Body = dict[str, Any]


def body_of(call: Call, known: Collection[str]) -> Body:
    """Return the body without dots.

    :raises OntapError: 501, it has a property that is not modelled
    """
    body = expand_dots(call.body)
    for path in _leaves(body):
        if not any(path == name or path.startswith(f"{name}.") for name in known):
            raise errors.not_modelled(f"{call.method} of {call.path}: {path}")
    return body


def _leaves(body: Body, prefix: str = "") -> list[str]:
    found = []
    for name, value in body.items():
        path = f"{prefix}{name}"
        found += _leaves(value, f"{path}.") if isinstance(value, dict) else [path]
    return found


def at(body: Body, path: str) -> Any:
    """Return the value at a path with dots, or None."""
    values = query.values_at(body, path)
    return values[0] if values else None


def flag(body: Body, path: str) -> bool | None:
    """Return a truth of a body; Cinder's driver writes some as text."""
    value = at(body, path)
    if value is None or isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise errors.bad_value(path, value)
    return str(value).lower() == "true"


def same(own: dict[str, str], reference: dict[str, Any]) -> bool:
    """Return whether a body names this object, by name, uuid or both."""
    return bool(reference) and all(
        own.get(name) == value for name, value in reference.items()
    )


def svm_of(call: Call, body: Body) -> str:
    """Return the name of the SVM that a POST is about.

    :raises OntapError: no SVM is named, or one that does not exist
    """
    reference = body.get("svm", {})
    for svm in call.array.svms.values():
        if same({"name": svm.name, "uuid": svm.uuid}, reference):
            return svm.name
    if reference:
        raise errors.no_svm(str(reference.get("name", reference.get("uuid"))))
    if call.svm is None:
        raise san_errors.no_svm_given()
    return call.svm


def qos_policy_of(call: Call, body: Body, svm: str) -> str | None:
    """Return the name of the QoS policy of a body.

    :raises OntapError: 404, the SVM has none of this name or uuid
    """
    reference = body.get("qos_policy")
    if not reference:
        return None
    for policy in call.array.policies(svm):
        if reference in ({"name": policy.name}, {"uuid": policy.uuid}):
            return policy.name
    raise errors.no_entry("qos_policy.name")


def carry_out(
    call: Call, act: Callable[[], None], answer: Callable[[], Reply]
) -> Reply:
    """Act and answer; a fault of jobs makes a job of it.

    ONTAP answers such a request at once, or with 202 and a job.
    """
    if call.job_fault is None:
        act()
        return answer()

    def work(control: JobControl) -> None:
        act()

    return call.start_job(work)


def created(call: Call, keys: str, record: Callable[[], Body]) -> Reply:
    """Answer a POST: 201, where the new object is, and it itself if asked for."""
    body: Body = {"num_records": 1}
    if call.query.return_records:
        body["records"] = [record()]
    return Reply(body, 201, {"Location": f"/api{call.path}/{keys}"})
