# SPDX-License-Identifier: Apache-2.0
"""Cinder's and Glance's HTTP over values in memory, for commands that change them."""

from collections.abc import Callable
import json
import re
from typing import Any

import requests_mock

from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import GLANCE
from glance_ontap_store.tests.fakes.openstack_http import Http

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
        found = self._found(request, context, path.strip("/").split("/"))
        return "" if found is None else json.dumps(found)

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
                shown = map(self._shown, self._called(request.qs))
                return {"volumes": [] if "marker" in request.qs else list(shown)}
            case "GET", "attachments":
                return {"attachments": self._listed(request.qs)}
            case "GET", "snapshots":
                return {"snapshots": []}
            case "GET", "volumes", volume_id if volume_id in self.volumes:
                return {"volume": self._shown(self.volumes[volume_id])}
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

    def _called(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        """The volumes with the name, or a part of it, that is asked for."""
        name, part = query.get("name", [""])[0], query.get("name~", [""])[0]
        return [
            each
            for each in self.volumes.values()
            if name in ("", each["name"]) and part in (each["name"] or "")
        ]

    def _delete(self, context: Any, volume_id: str) -> Any:
        if any(each["volume_id"] == volume_id for each in self.attachments.values()):
            context.status_code = 400
            return {"badRequest": {"code": 400, "message": "It is attached."}}
        del self.volumes[volume_id]
        context.status_code = 202
        return None

    def _shown(self, volume: dict[str, Any]) -> dict[str, Any]:
        attached = [
            {"attachment_id": each["id"], "server_id": "", **each}
            for each in self.attachments.values()
            if each["volume_id"] == volume["id"] and each["status"] == "attached"
        ]
        return {**volume, "attachments": attached}

    def _listed(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        if "marker" in query:
            return []
        if "status" in query:
            # Cinder has no column of that name, and answers with an empty list.
            return []
        columns = {"attach_status": "status", "volume_id": "volume_id"}
        wanted = {columns[key]: query[key][0] for key in columns if key in query}
        return [
            {key: each.get(key) for key in ("id", "volume_id", "status", "instance")}
            for each in self.attachments.values()
            if all(str(each[key]).lower() == text for key, text in wanted.items())
        ]


class GlanceHttp:
    """The images that Glance shows to an administrator, by id, and its stores."""

    def __init__(self, http: Http, *stores: str) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.locations: dict[str, list[str]] = {}
        # Image id -> projects that it is shared with.
        self.members: dict[str, list[str]] = {}
        self.stores = stores
        url = re.compile(re.escape(f"{GLANCE}/v2/"))
        http.mock.register_uri("GET", url, text=self._answer)

    def _answer(self, request: Any, context: Any) -> str:
        path = request.url.removeprefix(f"{GLANCE}/v2/").partition("?")[0].split("/")
        match path:
            case ["info", "stores"]:
                return json.dumps({"stores": [{"id": name} for name in self.stores]})
            case ["images"]:
                hidden = request.qs["os_hidden"] == ["true"]
                names = request.qs.get("name")
                return json.dumps(
                    {
                        "images": [
                            image
                            for image in self.images.values()
                            if image.get("os_hidden", False) is hidden
                            and (names is None or image.get("name") in names)
                        ]
                    }
                )
            case ["images", image_id] if image_id in self.images:
                return json.dumps(self.images[image_id])
            case ["images", image_id, "members"] if image_id in self.members:
                members = self.members[image_id]
                found = [{"member_id": each} for each in members]
                return json.dumps({"members": found})
            case ["images", image_id, "locations"] if image_id in self.locations:
                urls = self.locations[image_id]
                return json.dumps([{"url": url, "metadata": {}} for url in urls])
        context.status_code = 404
        return f"<html>No image found with ID {path[-1]}</html>"
