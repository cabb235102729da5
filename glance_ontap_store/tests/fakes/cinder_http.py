# SPDX-License-Identifier: Apache-2.0
"""Cinder's and Glance's HTTP over values in memory, for commands that change them."""

import ast
from collections.abc import Callable
from collections.abc import Sequence
import json
import re
from typing import Any
import urllib.parse

import requests_mock

from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import GLANCE
from glance_ontap_store.tests.fakes.openstack_http import PROJECT_ID
from glance_ontap_store.tests.fakes.openstack_http import Http
from glance_ontap_store.tests.fakes.openstack_http import query_of

# The most that Cinder shows at once (osapi_max_limit), and Glance (api_limit_max).
_PAGE = 1000
_BASE = f"{CINDER}/north/internal/v3"


class CinderHttp:
    """Volumes and attachments as Cinder shows them, by id; tests may change them.

    A deletion is done at once. *changes* are the requests that change something, and
    *before_change* is called with each of them first.
    """

    def __init__(self, http: Http, *types: str) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}
        self.attachments: dict[str, dict[str, Any]] = {}
        self.types = [
            {"id": f"id-of-{name}", "name": name, "is_public": True} for name in types
        ]
        self.pools: list[dict[str, Any]] = []
        self.services: list[dict[str, Any]] = []
        # Names of types that encrypt; the default types of projects, by id; Cinder's.
        self.encrypted: set[str] = set()
        self.default_types: dict[str, str] = {}
        self.default_type = types[0]
        self.changes: list[str] = []
        self.before_change: Callable[[str], object] = lambda _what: None
        self._http = http
        self._mock = http.mock
        url = re.compile(re.escape(_BASE))
        self._mock.register_uri(requests_mock.ANY, url, text=self._answer)
        # cinderclient takes all before the version for the address.
        url = re.compile(rf"{re.escape(CINDER)}/north/internal/v3/default-types$")
        self._mock.get(url, text=self._defaults)

    def add(self, volume: dict[str, Any], *attachments: dict[str, Any]) -> None:
        """Add a volume. Its complete attachments are those with a ``device``."""
        self.volumes[volume["id"]] = volume
        for each in attachments:
            self.attachments[each["id"]] = {"volume_id": volume["id"], **each}

    def _answer(self, request: Any, context: Any) -> str:
        path = request.url.removeprefix(_BASE).partition("?")[0]
        if request.method != "GET":
            what = f"{request.method} {path}"
            self.before_change(what)
            self.changes.append(what)
        with self._http.answering():
            found = self._found(request, context, path.strip("/").split("/"))
            text = "" if found is None else json.dumps(found)
            return self._http.answered(request, text)

    def _defaults(self, _request: Any, _context: Any) -> str:
        found = [
            {"project_id": project, "volume_type_id": type_id}
            for project, type_id in self.default_types.items()
        ]
        return json.dumps({"default_types": found})

    def _found(self, request: Any, context: Any, path: list[str]) -> Any:
        match request.method, *path:
            case "GET", "types", "default":
                return {"volume_type": self._type(self.default_type)}
            case "GET", "types", type_id, "encryption":
                names = [each["name"] for each in self.types if each["id"] == type_id]
                is_encrypted = self.encrypted.issuperset(names)
                return {"provider": "luks"} if is_encrypted else {}
            case "GET", "os-services":
                return {"services": self.services}
            case "GET", "types":
                return {"volume_types": self.types}
            case "GET", "scheduler-stats", "get_pools":
                return {"pools": self.pools}
            case "GET", "volumes", "detail":
                return self._page_of_volumes(request)
            case "GET", "attachments":
                return {"attachments": self._listed(query_of(request))}
            case "GET", "snapshots":
                return {"snapshots": []}
            case "GET", "volumes", volume_id if volume_id in self.volumes:
                return {"volume": self._shown([self.volumes[volume_id]])[0]}
            case "DELETE", "volumes", volume_id if volume_id in self.volumes:
                return self._delete(context, volume_id)
            case "DELETE", "attachments", attachment_id:
                self.attachments.pop(attachment_id, None)
                return {"attachments": []}
            case "POST", "volumes", volume_id, "metadata":
                metadata = request.json()["metadata"]
                self.volumes[volume_id]["metadata"] |= metadata
                return {"metadata": metadata}
            case "POST", "volumes", volume_id, "action":
                (value,) = request.json()["os-update_readonly_flag"].values()
                self.volumes[volume_id]["metadata"]["readonly"] = str(value)
                context.status_code = 202
                return None
        context.status_code = 404
        return {"itemNotFound": {"code": 404, "message": f"No {path} here."}}

    def _type(self, name: str) -> dict[str, Any]:
        return next(each for each in self.types if each["name"] == name)

    def _page_of_volumes(self, request: Any) -> dict[str, Any]:
        query = query_of(request)
        page = _page(self._called(query), query)
        answer: dict[str, Any] = {"volumes": self._shown(page)}
        if len(page) == _limit(query):
            href = _next(request.url, page[-1]["id"])
            answer["volumes_links"] = [{"rel": "next", "href": href}]
        return answer

    def _called(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The volumes with the name, a part of it, project, or metadata wanted."""
        name, part = query.get("name", ""), query.get("name~", "")
        metadata = ast.literal_eval(query.get("metadata", "{}")).items()
        project = query.get("project_id")
        tenant = "os-vol-tenant-attr:tenant_id"
        return [
            each
            for each in self.volumes.values()
            if name in ("", each["name"])
            and part in (each["name"] or "")
            and metadata <= each["metadata"].items()
            and project in (None, each.get(tenant, PROJECT_ID))
        ]

    def _delete(self, context: Any, volume_id: str) -> Any:
        if any(each["volume_id"] == volume_id for each in self.attachments.values()):
            context.status_code = 400
            return {"badRequest": {"code": 400, "message": "It is attached."}}
        del self.volumes[volume_id]
        context.status_code = 202
        return None

    def _shown(self, volumes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        attached: dict[str, list[dict[str, Any]]] = {}
        for each in self.attachments.values():
            if each["status"] == "attached":
                shown = {"attachment_id": each["id"], "server_id": "", **each}
                attached.setdefault(each["volume_id"], []).append(shown)
        return [
            {**volume, "attachments": attached.get(volume["id"], [])}
            for volume in volumes
        ]

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if "status" in query:
            # Cinder has no column of that name, and answers with an empty list.
            return []
        columns = {"attach_status": "status", "volume_id": "volume_id"}
        wanted = {columns[key]: query[key] for key in columns if key in query}
        found = [
            {key: each.get(key) for key in ("id", "volume_id", "status", "instance")}
            for each in self.attachments.values()
            if all(str(each[key]) == text for key, text in wanted.items())
        ]
        return _page(found, query)


def _limit(query: dict[str, str]) -> int:
    return min(_PAGE, int(query.get("limit", _PAGE)))


def _page(
    found: Sequence[dict[str, Any]], query: dict[str, str]
) -> list[dict[str, Any]]:
    """The part of a list that a request is shown; an unknown marker has no part."""
    begin, marker = 0, query.get("marker")
    if marker is not None:
        ids = [each["id"] for each in found]
        begin = ids.index(marker) + 1 if marker in ids else len(ids)
    return list(found[begin : begin + _limit(query)])


def _next(url: str, marker: str) -> str:
    parts = urllib.parse.urlsplit(url)
    query = {**dict(urllib.parse.parse_qsl(parts.query)), "marker": marker}
    return parts._replace(query=urllib.parse.urlencode(query)).geturl()


class GlanceHttp:
    """The images that Glance shows to an administrator, by id, and its stores."""

    def __init__(self, http: Http, *stores: str) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.locations: dict[str, list[str]] = {}
        # Image id -> projects that it is shared with.
        self.members: dict[str, list[str]] = {}
        self.stores = stores
        # The users who are not shown any locations, by name.
        self.refused: set[str] = set()
        self._http = http
        # The stores and images of which a copy was removed.
        self.removed: list[tuple[str, str]] = []
        url = re.compile(re.escape(f"{GLANCE}/v2/"))
        http.mock.register_uri("GET", url, text=self._answer)
        url = re.compile(re.escape(f"{GLANCE}/v2/stores/"))
        http.mock.register_uri("DELETE", url, text=self._remove)

    def _remove(self, request: Any, context: Any) -> str:
        store, image_id = request.url.split("/")[-2:]
        stores = self.images[image_id]["stores"].split(",")
        left = ",".join(each for each in stores if each != store)
        self.images[image_id]["stores"] = left
        self.removed.append((store, image_id))
        context.status_code = 204
        return ""

    def _answer(self, request: Any, context: Any) -> str:
        with self._http.answering():
            found = self._found(request, context)
            text = found if isinstance(found, str) else json.dumps(found)
            return self._http.answered(request, text)

    def _found(self, request: Any, context: Any) -> Any:
        path = request.url.removeprefix(f"{GLANCE}/v2/").partition("?")[0].split("/")
        match path:
            case ["info", "stores"]:
                return {"stores": [{"id": name} for name in self.stores]}
            case ["images"]:
                return self._page_of_images(request)
            case ["images", image_id] if image_id in self.images:
                return self.images[image_id]
            case ["images", image_id, "members"] if image_id in self.members:
                members = self.members[image_id]
                return {"members": [{"member_id": each} for each in members]}
            case ["images", image_id, "locations"] if image_id in self.locations:
                user = request.headers["X-Auth-Token"].removeprefix("token-of-")
                if user in self.refused:
                    context.status_code = 403
                    return "<html>You are not authorized.</html>"
                return [_location(url) for url in self.locations[image_id]]
        context.status_code = 404
        return f"<html>No image found with ID {path[-1]}</html>"

    def _page_of_images(self, request: Any) -> dict[str, Any]:
        query = query_of(request)
        hidden, name = query["os_hidden"] == "true", query.get("name")
        found = [
            image
            for image in self.images.values()
            if image.get("os_hidden", False) is hidden
            and name in (None, image.get("name"))
        ]
        page = _page(found, query)
        answer: dict[str, Any] = {"images": page}
        if len(page) == _limit(query):
            following = _next(request.url, page[-1]["id"])
            answer["next"] = following.removeprefix(GLANCE)
        return answer


def _location(url: str) -> dict[str, Any]:
    """The location as Glance shows it: its metadata has the store, if it has one."""
    names = url.removeprefix("cinder://").split("/")
    metadata = {"store": names[0]} if url.startswith("cinder") and names[1:] else {}
    return {"url": url, "metadata": metadata}
