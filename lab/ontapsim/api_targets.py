# SPDX-License-Identifier: Apache-2.0
"""Requests about what hosts connect to: iSCSI, FC and NVMe services and interfaces.

Each SVM has all three services, always. Pages "SAN iSCSI services", "SAN iSCSI
credentials", "SAN FCP services", "NVMe services", "Network FC interfaces" and "Network
FC ports". IP interfaces are in ``api_cluster.py``.

Cinder's driver sets CHAP credentials by SSH and not here; SSH is not modelled.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import san_calls
from lab.ontapsim import san_errors
from lab.ontapsim import san_records
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.san import Credential
from lab.ontapsim.state import Svm

_CHAP = ("chap.inbound.user", "chap.inbound.password")
_AUTHENTICATION = frozenset({"chap", "none", "deny"})


def _svms(call: Call) -> list[Svm]:
    return [svm for svm in call.array.svms.values() if call.svm in (None, svm.name)]


def _svm(call: Call, uuid: str) -> Svm:
    for svm in _svms(call):
        if svm.uuid == uuid:
            return svm
    message = f"The SVM has no such service: {uuid}"
    raise san_errors.missing(san_errors.NO_ISCSI_SERVICE, message, "svm.uuid")


# Services


def _services(record: Callable[[Svm], dict[str, Any]]) -> Callable[[Call], Reply]:
    def handler(call: Call) -> Reply:
        return call.collection([record(svm) for svm in _svms(call)], keys=("svm",))

    return handler


def _service(record: Callable[[Svm], dict[str, Any]]) -> Callable[..., Reply]:
    def handler(call: Call, uuid: str) -> Reply:
        return call.instance(record(_svm(call, uuid)))

    return handler


# iSCSI credentials


def list_credentials(call: Call) -> Reply:
    """Page "GET /protocols/san/iscsi/credentials"."""
    with call.array.san.lock:
        found = [
            san_records.credential(one)
            for one in call.array.san.credentials
            if call.svm in (None, one.svm)
        ]
    optional = ("svm.name", "svm.uuid", "authentication_type", "chap.inbound.user")
    keys = ("svm", "initiator")
    return call.collection(found, keys=keys, optional=optional)


def post_credential(call: Call) -> Reply:
    """Page "POST /protocols/san/iscsi/credentials"."""
    known = ("svm", "initiator", "authentication_type", *_CHAP)
    body = san_calls.body_of(call, known)
    svm, san = san_calls.svm_of(call, body), call.array.san
    for name in ("initiator", "authentication_type"):
        if not body.get(name):
            raise errors.missing_value(name)
    new = _with_chap(Credential(svm, body["initiator"], ""), body)

    def act() -> None:
        with san.changing():
            if any(_is(one, svm, new.initiator) for one in san.credentials):
                message = f"A credential exists already for {new.initiator}."
                code = san_errors.CREDENTIAL_EXISTS
                raise san_errors.conflict(code, message, "initiator")
            san.credentials.append(new)

    keys = f"{call.array.svms[svm].uuid}/{new.initiator}"
    return san_calls.carry_out(
        call,
        act,
        lambda: san_calls.created(call, keys, lambda: san_records.credential(new)),
    )


def _is(one: Credential, svm: str, initiator: str) -> bool:
    return (one.svm, one.initiator) == (svm, initiator)


def _with_chap(known: Credential, body: san_calls.Body) -> Credential:
    """Return a credential with the changes of a body.

    :raises OntapError: CHAP without a user or a password
    """
    kind = body.get("authentication_type", known.authentication)
    if kind not in _AUTHENTICATION:
        raise errors.bad_value("authentication_type", kind)
    user = san_calls.at(body, "chap.inbound.user") or known.user
    password = san_calls.at(body, "chap.inbound.password") or known.password
    if kind != "chap":
        return replace(known, authentication=kind, user="", password="")
    if not user or not password:
        message = "The inbound user and password properties are required for CHAP."
        raise san_errors.refused(san_errors.NO_CHAP_USER, message, "chap.inbound")
    return replace(known, authentication=kind, user=user, password=password)


def _credential(call: Call, uuid: str, initiator: str) -> Credential:
    svm = _svm(call, uuid)
    for one in call.array.san.credentials:
        if _is(one, svm.name, initiator):
            return one
    message = f"SVM {svm.name} has no credential for {initiator}."
    raise san_errors.missing(san_errors.NO_CREDENTIAL, message, "initiator")


def get_credential(call: Call, uuid: str, initiator: str) -> Reply:
    """Page "GET /protocols/san/iscsi/credentials/{svm.uuid}/{initiator}"."""
    return Reply(san_records.credential(_credential(call, uuid, initiator)))


def patch_credential(call: Call, uuid: str, initiator: str) -> Reply:
    """Page "PATCH /protocols/san/iscsi/credentials/{svm.uuid}/{initiator}"."""
    body = san_calls.body_of(call, ("authentication_type", *_CHAP))
    old, san = _credential(call, uuid, initiator), call.array.san
    new = _with_chap(old, body)

    def act() -> None:
        with san.changing():
            san.credentials = [new if o == old else o for o in san.credentials]

    return san_calls.carry_out(call, act, Reply)


def delete_credential(call: Call, uuid: str, initiator: str) -> Reply:
    """Page "DELETE /protocols/san/iscsi/credentials/{svm.uuid}/{initiator}"."""
    old, san = _credential(call, uuid, initiator), call.array.san

    def act() -> None:
        with san.changing():
            san.credentials = [one for one in san.credentials if one != old]

    return san_calls.carry_out(call, act, Reply)


# Fibre Channel


def list_fc_interfaces(call: Call) -> Reply:
    """Page "GET /network/fc/interfaces"."""
    numbers = range(1, san_records.FC_INTERFACES + 1)
    return call.collection(
        [
            san_records.fc_interface(call.array, svm, number)
            for svm in _svms(call)
            for number in numbers
        ]
    )


def list_fc_ports(call: Call) -> Reply:
    """Page "GET /network/fc/ports"."""
    numbers = range(1, san_records.FC_INTERFACES + 1)
    return call.collection([san_records.fc_port(call.array, n) for n in numbers])


_CREDENTIALS = "/protocols/san/iscsi/credentials"
_ONE_CREDENTIAL = f"{_CREDENTIALS}/<uuid>/<initiator>"

ROUTES = (
    *(
        route
        for path, record in (
            ("/protocols/san/iscsi/services", san_records.iscsi_service),
            ("/protocols/san/fcp/services", san_records.fcp_service),
            ("/protocols/nvme/services", san_records.nvme_service),
        )
        for route in (
            ("GET", path, _services(record)),
            ("GET", f"{path}/<uuid>", _service(record)),
        )
    ),
    ("GET", _CREDENTIALS, list_credentials),
    ("POST", _CREDENTIALS, post_credential),
    ("GET", _ONE_CREDENTIAL, get_credential),
    ("PATCH", _ONE_CREDENTIAL, patch_credential),
    ("DELETE", _ONE_CREDENTIAL, delete_credential),
    ("GET", "/network/fc/interfaces", list_fc_interfaces),
    ("GET", "/network/fc/ports", list_fc_ports),
)
