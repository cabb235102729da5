# SPDX-License-Identifier: Apache-2.0
"""The simulator's application over plain directories, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.test import TestResponse

from lab.ontapsim.faults import FaultTable
from lab.ontapsim.flexvol import DirectoryFlexVol
from lab.ontapsim.requestlog import RequestLog
from lab.ontapsim.server import make_wsgi
from lab.ontapsim.state import Array
from lab.ontapsim.state import Svm
from lab.ontapsim.state import User

GIB = 1 << 30
USERS = tuple(
    User(name, f"pw-{name}", role)
    for name, role in (
        ("cinder", "admin"),
        ("viewer", "readonly"),
        ("svmadmin", "vsadmin"),
        ("nobody", "none"),
    )
)


class Api:
    """Sends requests as a client would, with the raw URL as it stands."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.faults = FaultTable()
        self.log = RequestLog()
        self._client = Client(make_wsgi(array, self.faults, self.log))

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        user: str = "cinder",
        svm: str | None = None,
        password: str | None = None,
    ) -> TestResponse:
        login = (user, password or f"pw-{user}")
        headers = {"X-Dot-SVM-Name": svm} if svm else {}
        return self._client.open(
            path, method=method, json=body, auth=login, headers=headers
        )

    def get(self, path: str, **options: Any) -> Any:
        """GET that must succeed."""
        answer = self("GET", path, **options)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.json

    def job(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send what starts a job, wait for its end and return the job."""
        answer = self(method, path, body, **options)
        assert answer.status_code == 202, answer.get_data(as_text=True)
        assert answer.json is not None
        link = answer.json["job"]["_links"]["self"]["href"]
        self.array.jobs.wait(link.rpartition("/")[2], 60)
        return self.get(link)

    def uuid(self, name: str) -> str:
        """Return the uuid of a FlexVol."""
        found = self.get(f"/api/storage/volumes?name={name}")["records"]
        return str(found[0]["uuid"])

    def directory(self, name: str) -> Path:
        """Return the directory of a FlexVol."""
        return next(v.directory for v in self.array.volumes() if v.name == name)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    def make(svm: str, name: str, size_bytes: int) -> DirectoryFlexVol:
        return DirectoryFlexVol(tmp_path / "flexvols" / svm, name, size_bytes)

    with Array([Svm("svm1"), Svm("svm2", "127.0.0.2")], USERS, make) as array:
        array.add_volume("svm1", "fv1", GIB, "/fv1")
        array.add_volume("svm1", "fv2", GIB, "/fv2")
        array.add_volume("svm2", "other", GIB, "/other")
        yield Api(array)
