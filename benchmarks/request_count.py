# SPDX-License-Identifier: Apache-2.0
"""Count one user's requests in a service's request log, polls separately."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Count:
    """The number of *requests* that are not polls, and the number of *polls*."""

    requests: int
    polls: int


def count(entries: Iterable[dict[str, Any]], user: str) -> Count:
    """Count the requests of *user* in *entries* (see the lab's ``requestlog``).

    A poll is a GET with the same path and query as the user's request before it.
    The number of polls depends on the speed of Cinder.
    """
    requests = sorted(
        (entry for entry in entries if entry["user"] == user),
        key=lambda entry: float(entry["time"]),
    )
    polls = 0
    before = None
    for entry in requests:
        request = (entry["method"], entry["path"], entry["query"])
        if request == before and entry["method"] == "GET":
            polls += 1
        before = request
    return Count(len(requests) - polls, polls)
