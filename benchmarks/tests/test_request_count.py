# SPDX-License-Identifier: Apache-2.0
from typing import Any

from benchmarks import request_count
from benchmarks.request_count import Count


def entry(
    time: float,
    method: str,
    path: str,
    user: str | None = "image-fv1",
    query: str = "",
) -> dict[str, Any]:
    return {"time": time, "method": method, "path": path, "user": user, "query": query}


def test_a_repeated_get_is_a_poll() -> None:
    entries = [
        entry(1, "POST", "/volumes"),
        entry(2, "GET", "/volumes/a"),
        entry(3, "GET", "/volumes/a"),
        entry(4, "GET", "/volumes/a"),
        entry(5, "POST", "/attachments"),
        entry(6, "GET", "/volumes/a"),
    ]
    assert request_count.count(entries, "image-fv1") == Count(4, 2)


def test_a_repeated_post_is_a_request() -> None:
    entries = [entry(1, "POST", "/volumes/a/action")] * 2
    assert request_count.count(entries, "image-fv1") == Count(2, 0)


def test_requests_are_counted_in_the_order_in_which_they_began() -> None:
    entries = [
        entry(3, "GET", "/volumes/a"),
        entry(1, "GET", "/volumes/a"),
        entry(2, "DELETE", "/volumes/a"),
    ]
    assert request_count.count(entries, "image-fv1") == Count(3, 0)


def test_requests_of_other_users_do_not_count() -> None:
    entries = [
        entry(1, "GET", "/volumes/a"),
        entry(2, "GET", "/volumes/a", user="alice"),
        entry(3, "GET", "/volumes/a", user=None),
        entry(4, "GET", "/volumes/a", query="x=1"),
    ]
    assert request_count.count(entries, "image-fv1") == Count(2, 0)
