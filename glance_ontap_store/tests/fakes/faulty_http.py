# SPDX-License-Identifier: Apache-2.0
"""The fake Cinder behind HTTP, so that the real client and its libraries ask it.

A fault can be put in the place of any request, to Cinder or to Keystone.
"""

from collections.abc import Callable
import dataclasses
import json
import re
from typing import Any
import urllib.parse

import requests
import requests_mock

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.tests.fakes.cinder import FakeCinder
from glance_ontap_store.tests.fakes.clock import FakeClock
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import Http

# The seconds that a client waits for an answer: see ``ontap_api_timeout``.
API_TIMEOUT_S = 10

_CODES: dict[type[errors.StoreError], int] = {
    errors.ImageVolumeGone: 404,
    errors.ImageVolumeInUse: 400,
    errors.NoSpace: 413,
    errors.Misconfigured: 404,
    errors.NotConnected: 500,
    errors.Broken: 400,
}

Serve = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A way in which a request fails. *is_done*: Cinder acts all the same.

    *code* is that of the answer, *error* what the client's library raises instead.
    """

    name: str
    is_done: bool = False
    code: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    error: type[Exception] | None = None
    takes_s: float = 0


FAULTS = (
    Fault("500", code=500),
    Fault("503 with Retry-After", code=503, headers=(("Retry-After", "7"),)),
    Fault("504", code=504),
    Fault("429", code=429, headers=(("Retry-After", "2"),)),
    Fault("reset before", error=requests.ConnectionError),
    Fault("reset after", is_done=True, error=requests.ConnectionError),
    Fault("no answer", error=requests.ReadTimeout, takes_s=API_TIMEOUT_S),
    Fault("late answer", True, error=requests.ReadTimeout, takes_s=API_TIMEOUT_S),
    Fault("garbage"),
    Fault("garbage after", is_done=True),
)


class CinderOverHttp(Http):
    """Answers all requests; *sent* has those that were sent, without ids.

    *sizes* has the bytes of their answers, but for faults.
    """

    def __init__(
        self, mock: requests_mock.Mocker, cinder: FakeCinder, clock: FakeClock
    ) -> None:
        super().__init__(mock)
        self._cinder = cinder
        self._clock = clock
        self.sent: list[str] = []
        self.sizes: list[int] = []
        # Called before each answer of Cinder.
        self.on_request: Callable[[], object] = lambda: None
        self._fault: Fault | None = None
        self._skipped = 0
        self._seconds: float | None = None
        self._ends_at = 0.0
        mock.post(f"{AUTH_URL}/auth/tokens", content=self._answer_login)
        mock.register_uri(
            requests_mock.ANY, re.compile(re.escape(CINDER)), content=self._answer
        )

    def fail(self, fault: Fault, nth: int, seconds: float | None = None) -> None:
        """Let the request number *nth* from now on (0: the next one) fail.

        With *seconds*, all later ones fail too, until so much time has passed.
        """
        self._fault, self._skipped, self._seconds = fault, nth, seconds
        self._ends_at = 0.0

    def recover(self) -> None:
        """Let no request fail any more, and forget what was sent."""
        self._fault = None
        self.sent.clear()

    def _due(self) -> Fault | None:
        fault = self._fault
        if fault is None:
            return None
        if self._skipped:
            self._skipped -= 1
            return None
        if self._seconds is None:
            self._fault = None
            return fault
        self._ends_at = self._ends_at or self._clock.monotonic() + self._seconds
        if self._clock.monotonic() < self._ends_at:
            return fault
        self._fault = None
        return None

    def _answer_login(self, request: Any, context: Any) -> bytes:
        return self._through_faults(
            "POST /auth/tokens", context, lambda: self._login(request, context)
        )

    def _answer(self, request: Any, context: Any) -> bytes:
        self.on_request()
        path = urllib.parse.urlsplit(request.url).path.partition("/v3")[2]
        name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", path)
        return self._through_faults(
            f"{request.method} {name}", context, lambda: self._serve(request, path)
        )

    def _through_faults(self, name: str, context: Any, serve: Serve) -> bytes:
        self.sent.append(name)
        fault = self._due()
        if fault is None or fault.is_done:
            answer = self._served(context, serve)
        if fault is None:
            self.sizes.append(len(answer))
            return answer
        if fault.takes_s:
            self._clock.sleep(fault.takes_s)
        if fault.error:
            raise fault.error(fault.name)
        context.status_code = fault.code
        context.headers.update(fault.headers)
        return f"<html>{fault.name}</html>".encode()

    @staticmethod
    def _served(context: Any, serve: Serve) -> bytes:
        try:
            found = serve()
        except errors.StoreError as error:
            context.status_code = next(
                code for cls, code in _CODES.items() if isinstance(error, cls)
            )
            found = {"fault": {"message": str(error)}}
        return b"" if found is None else json.dumps(found).encode()

    def _serve(self, request: Any, path: str) -> object:
        """Cinder's answer; a request that it does not know fails the test."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.url).query)
        body = request.json() if request.body else {}
        match (request.method, *path.strip("/").split("/")):
            case ("POST", "volumes"):
                return {"volume": self._created(body["volume"])}
            case ("GET", "volumes", "detail"):
                everywhere = "all_tenants" in query
                find = (
                    self._cinder.seen_by_operator if everywhere else self._cinder.find
                )
                found = find(query["name"][0])
                return {"volumes": [_volume(volume) for volume in found]}
            case ("GET", "volumes", volume_id):
                return {"volume": _volume(self._cinder.get(volume_id))}
            case ("DELETE", "volumes", volume_id):
                self._cinder.delete(volume_id)
                return None
            case ("POST", "volumes", volume_id, "action"):
                return self._act(volume_id, body)
            case ("POST", "volumes", volume_id, "metadata"):
                self._cinder.set_metadata(volume_id, body["metadata"])
                return body
            case ("GET", "snapshots"):
                has_some = self._cinder.has_snapshots(query["volume_id"][0])
                return {"snapshots": [{"id": "s-1"}] if has_some else []}
            case ("GET", "messages"):
                return {"messages": []}
            case (_, "attachments", *_):
                return self._serve_attachments(request.method, path, query, body)
        raise AssertionError(f"no answer to {request.method} {path} {body}")

    def _created(self, asked: dict[str, Any]) -> dict[str, Any]:
        new = NewVolume(
            name=asked["name"],
            size_gib=asked["size"],
            volume_type=asked["volume_type"],
            metadata=asked["metadata"],
            source_id=asked.get("source_volid"),
            availability_zone=asked.get("availability_zone"),
        )
        return _volume(self._cinder.create(new))

    def _act(self, volume_id: str, body: dict[str, Any]) -> object:
        match body:
            case {"os-extend": {"new_size": size_gib}}:
                self._cinder.extend(volume_id, size_gib)
                return None
            case {"os-migrate_volume": {"host": pool, "force_host_copy": False}}:
                self._cinder.begin_migration(volume_id, pool)
                return None
            case {"os-update_readonly_flag": {"readonly": is_readonly}}:
                self._cinder.set_readonly(volume_id, is_readonly)
                return None
        raise AssertionError(f"no such action: {body}")

    def _serve_attachments(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> object:
        match (method, *path.strip("/").split("/")[1:]):
            case ("POST",):
                asked = body["attachment"]
                assert asked["connector"] is None
                made = self._cinder.reserve(asked["volume_uuid"], asked["mode"])
                return {"attachment": {"id": made, "status": "reserved"}}
            case ("GET",):
                return {"attachments": self._listed(query["volume_id"][0])}
            case ("GET", attachment_id):
                return self._shown(attachment_id)
            case ("PUT", attachment_id):
                volume_id = self._cinder.volume_of(attachment_id)
                connector = body["attachment"]["connector"]
                self._cinder.connect(volume_id, attachment_id, connector)
                return self._shown(attachment_id)
            case ("POST", attachment_id, "action"):
                assert "os-complete" in body
                self._cinder.complete(attachment_id)
                return None
            case ("DELETE", attachment_id):
                volume_id = self._cinder.volume_of(attachment_id)
                self._cinder.detach(attachment_id)
                return {"attachments": self._listed(volume_id)}
        raise AssertionError(f"no answer to {method} {path} {body}")

    def _listed(self, volume_id: str) -> list[dict[str, str]]:
        reserved = self._cinder.reservations(volume_id)
        return [
            {"id": key, "status": "reserved" if key in reserved else "attached"}
            for key in self._cinder.attachments(volume_id)
        ]

    def _shown(self, attachment_id: str) -> dict[str, Any]:
        info = self._cinder.connection_info(attachment_id)
        return {"attachment": {"id": attachment_id, "connection_info": info}}


def _volume(volume: Volume) -> dict[str, Any]:
    seen = {
        "os-vol-host-attr:host": volume.pool,
        "os-vol-mig-status-attr:migstat": volume.migration,
    }
    return {
        **{key: value for key, value in seen.items() if value is not None},
        "id": volume.id,
        "name": volume.name,
        "status": volume.status,
        "size": volume.size_gib,
        "metadata": dict(volume.metadata),
        "volume_type": volume.volume_type,
        "encrypted": volume.encrypted,
        "multiattach": volume.is_shared,
        "availability_zone": volume.availability_zone,
        "attachments": [
            {"attachment_id": shown.id, **dataclasses.asdict(shown)}
            for shown in volume.attachments
        ],
        "os-vol-mig-status-attr:name_id": volume.name_id,
    }
