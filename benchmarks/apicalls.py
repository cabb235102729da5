# SPDX-License-Identifier: Apache-2.0
"""Requests of one operation in a service's request log, polls apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Count:
    """*requests* that are no polls, and *polls*."""

    requests: int
    polls: int


def count(entries: Iterable[dict[str, Any]], user: str) -> Count:
    """What *user* asked in *entries* (see the lab's ``requestlog``).

    A poll is a GET of the very same thing as the request before it: how many
    there are depends on how fast Cinder is.
    """
    mine = sorted(
        (entry for entry in entries if entry["user"] == user),
        key=lambda entry: float(entry["time"]),
    )
    polls = 0
    before = None
    for entry in mine:
        asked = (entry["method"], entry["path"], entry["query"])
        if asked == before and entry["method"] == "GET":
            polls += 1
        before = asked
    return Count(len(mine) - polls, polls)
