# SPDX-License-Identifier: Apache-2.0
"""A thousand image-volumes: the requests of commands, and those of an image's life.

Rows are copied in the databases of Cinder and Glance: no volume is created, and no
file, which would take half an hour.
"""

from collections import Counter
from collections.abc import Iterator
import contextlib
from pathlib import Path
import re
import sqlite3
import time
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab.polling import wait_until

COUNT = 1000
# The most that Cinder and Glance show at once.
PAGE = 1000
# The user of the lab's store fv1.
USER = "image-fv1"
POLICY = """
defaults: {stores: [fv1]}
rules:
  - match: {}
"""
LISTS = "GET /v3/volumes/detail"

pytestmark = pytest.mark.long


class Copies:
    """Copies of rows of a service's database; *ids* are those of the copies."""

    def __init__(self, lab: Any, service: str) -> None:
        path = Path(lab.facts["root"]) / "data" / f"{service}.sqlite"
        self._database = sqlite3.connect(path, timeout=60)
        self._database.row_factory = sqlite3.Row

    def add(
        self, table: str, column: str, source: str, changes: list[dict[str, str]]
    ) -> None:
        """Copy the rows whose *column* is *source*, once for each of *changes*.

        A text in a row that is a key of the changes is replaced by its value, and so
        is the part of a URL.
        """
        select = f"select * from {table} where {column} = ?"
        with self._database:
            found = self._database.execute(select, (source,)).fetchall()
            for row in map(dict, found):
                # Numbers of rows are given by the database.
                names = [
                    name
                    for name, value in row.items()
                    if not (name == "id" and isinstance(value, int))
                ]
                marks = ",".join("?" * len(names))
                insert = f"insert into {table} ({','.join(names)}) values ({marks})"
                self._database.executemany(
                    insert,
                    [[_changed(row[name], each) for name in names] for each in changes],
                )

    def remove(self, table: str, column: str, ids: list[str]) -> None:
        with self._database:
            self._database.executemany(
                f"delete from {table} where {column} = ?", [(each,) for each in ids]
            )

    def close(self) -> None:
        self._database.close()


def _changed(value: Any, changes: dict[str, str]) -> Any:
    if isinstance(value, str):
        for old, new in changes.items():
            value = value.replace(old, new)
    return value


TABLES = {
    "cinder": [
        ("volumes", "id"),
        ("volume_metadata", "volume_id"),
        ("volume_admin_metadata", "volume_id"),
    ],
    "glance": [
        ("images", "id"),
        ("image_locations", "image_id"),
        ("image_properties", "image_id"),
    ],
}


@contextlib.contextmanager
def thousand(lab: Any, image_id: str, volume_id: str) -> Iterator[None]:
    """A thousand images more, which are like this one and its image-volume."""
    changes = [
        {image_id: str(uuid.uuid4()), volume_id: str(uuid.uuid4())}
        for _ in range(COUNT)
    ]
    sources = {"cinder": volume_id, "glance": image_id}
    with contextlib.ExitStack() as stack:
        for service, source in sources.items():
            copies = Copies(lab, service)
            stack.callback(copies.close)
            ids = [each[source] for each in changes]
            for table, column in TABLES[service]:
                stack.callback(copies.remove, table, column, ids)
                copies.add(table, column, source, changes)
        yield


def shapes(requests: list[dict[str, Any]]) -> Counter[str]:
    return Counter(
        re.sub(r"[0-9a-f-]{32,36}", "ID", f"{each['method']} {each['path']}")
        for each in requests
    )


def lists_of(shown: int) -> int:
    """The requests for a list of so many: a full page may be the last one."""
    return shown // PAGE + 1


class Life:
    """The requests to Cinder of an image's upload, download and deletion."""

    def __init__(self, lab: Any, user: User) -> None:
        self._lab = lab
        self._user = user

    def asked(self) -> dict[str, int]:
        """Return the most bytes of an answer for each shape of request."""
        since = time.time()
        image = self._user.uploaded(Sized(MIB), "fv1")
        assert self._user.download(image.id).content == pattern.at(0, MIB)
        self._user.cloud.image.delete_image(image.id, ignore_missing=False)
        deleted = "DELETE /v3/volumes/ID"
        wait_until(
            lambda: deleted in shapes(self._requests(since)), f"{deleted} is logged"
        )
        found: dict[str, int] = {}
        for each in self._requests(since):
            (shape,) = shapes([each])
            found[shape] = max(found.get(shape, 0), each["response_bytes"])
        return found

    def _requests(self, since: float) -> list[dict[str, Any]]:
        # Lists by metadata are those of recovery, which is no part of it.
        return [
            each
            for each in self._lab.cinder_requests(since)
            if each["user"] == USER and "metadata" not in each["query"]
        ]


def test_a_thousand_image_volumes(
    lab: Any, admin: Any, user: User, tmp_path: Path
) -> None:
    operator = Operator(lab)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    life = Life(lab, user)
    before = life.asked()
    image = user.uploaded(Sized(MIB), "fv1")
    volume = images.image_volume(admin, image.id)
    stores = set(
        re.findall(r"(\w+):ontap\b", Path("/etc/glance/glance-api.conf").read_text())
    )

    def run(*words: str) -> tuple[Counter[str], str, str]:
        since = time.time()
        ended = operator.run("--os-cloud", "admin", *words)
        assert ended.returncode in (0, 1, 2), ended.stderr
        return shapes(lab.cinder_requests(since)), ended.stdout, ended.stderr

    with thousand(lab, image.id, volume.id):
        for words in (
            ("list", "-f", "csv"),
            ("usage",),
            ("sweep",),
            ("audit", "--store", "fv1"),
            ("replicate", str(policy)),
        ):
            asked, printed, said = run(*words)
            # A list of each project and store, with a page more for the thousand.
            assert asked[LISTS] <= 2 * len(stores) + 4, (words, asked)
            assert asked["GET /v3/volumes/ID"] < 20, (words, asked)
            assert "Listing volumes: 1000 so far ..." in said, words
            if words[0] == "list":
                assert len(printed.splitlines()) > COUNT
            if words[0] == "audit":
                # Their files are not there, but Cinder and Glance agree.
                assert "defects: 0" in said
        asked, printed, said = run("explain", "--all", "-f", "csv")
        assert asked[LISTS] == lists_of(COUNT + 1)
        assert "Asking for locations: 1000 of " in said
        after = life.asked()
    assert after.keys() == before.keys()
    for shape, size in before.items():
        # Times and ids have different lengths, and a thousand volumes would show.
        assert abs(after[shape] - size) < 1000, shape
