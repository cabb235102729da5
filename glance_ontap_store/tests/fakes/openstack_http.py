# SPDX-License-Identifier: Apache-2.0
"""The HTTP of Keystone and Cinder, for their clients."""

from collections.abc import Iterator
import contextlib
import re
from typing import Any
import urllib.parse

from keystoneauth1 import fixture
import requests_mock

AUTH_URL = "http://keystone.example.com/v3"
CINDER = "http://cinder.example.com"
GLANCE = "http://glance.example.com"
# The project of everybody who logs in.
PROJECT_ID = "5a1e9c3f0b7d4c6e8f2a9b1c3d5e7f90"
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def query_of(request: Any) -> dict[str, str]:
    """The query of a request, as it was sent: requests-mock has it in lower case."""
    query = urllib.parse.urlsplit(request.url).query
    return dict(urllib.parse.parse_qsl(query))


def request_catalog(**services: str) -> tuple[dict[str, Any], ...]:
    """A request's service catalog, as keystonemiddleware passes it on.

    *services*: service type -> URL, in addition to Cinder and Glance.
    """
    urls = {"volumev3": f"{CINDER}/REGION/internal/v3", "image": GLANCE, **services}
    return tuple(
        {
            "type": kind,
            "name": kind,
            "endpoints": [
                {
                    "region": region,
                    "internalURL": url.replace("REGION", region),
                    "publicURL": url.replace("REGION/internal", f"{region}/public"),
                }
                for region in ("north", "south")
            ],
        }
        for kind, url in urls.items()
    )


class Http:
    """Over requests-mock: a login for anybody, and a catalog with Cinder and Glance.

    A user's token has the user's name in it, so that a request shows its user. A
    request that the test does not answer fails the test.
    """

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        self.logins: list[dict[str, Any]] = []
        # The answers of `CinderHttp` and `GlanceHttp`, see `answered`.
        self.answers: list[tuple[str, int]] = []
        self.catalog_type = "volumev3"
        # User name -> roles.
        self.roles: dict[str, tuple[str, ...]] = {}
        mock.get(AUTH_URL, json=fixture.V3Discovery(AUTH_URL), status_code=200)
        mock.post(f"{AUTH_URL}/auth/tokens", json=self._login)

    def _login(self, request: Any, context: Any) -> dict[str, Any]:
        identity = request.json()["auth"]["identity"]
        self.logins.append(request.json()["auth"])
        if "application_credential" in identity["methods"]:
            login = identity["application_credential"]["id"]
        else:
            login = identity["password"]["user"]["name"]
        context.status_code = 201
        context.headers["X-Subject-Token"] = f"token-of-{login}"
        token = fixture.V3Token(user_name=login)
        token.set_project_scope(id=PROJECT_ID)
        for role in self.roles.get(login, ()):
            token.add_role(name=role)
        service = token.add_service(self.catalog_type, name="cinderv3")
        for region in ("north", "south"):
            service.add_standard_endpoints(
                public=f"{CINDER}/{region}/public/v3",
                internal=f"{CINDER}/{region}/internal/v3",
                admin=f"{CINDER}/{region}/admin/v3",
                region=region,
            )
        image = token.add_service("image", name="glance")
        image.add_endpoint("internal", GLANCE, region="north")
        return dict(token)

    def answer(self, method: str, path: str, *answers: Any, **answer: Any) -> Any:
        """Answer requests to Cinder; return a matcher that counts them."""
        url = f"{CINDER}/north/internal/v3{path}"
        if answers:
            return self.mock.register_uri(method, url, list(answers))
        return self.mock.register_uri(method, url, **answer)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around the making of an answer by `CinderHttp` or `GlanceHttp`."""
        yield

    def answered(self, request: Any, text: str) -> str:
        """Note an answer: the request without its ids, and the answer's bytes."""
        path = _IDS.sub("ID", urllib.parse.urlsplit(request.url).path)
        self.answers.append((f"{request.method} {path}", len(text)))
        return text

    def requests(self) -> list[Any]:
        """The requests to Cinder, in order."""
        return [sent for sent in self.mock.request_history if CINDER in sent.url]
