# SPDX-License-Identifier: Apache-2.0
from benchmarks import apicalls
from benchmarks.apicalls import Count


def entry(time, method, path, user="image-fv1", query=""):
    return {"time": time, "method": method, "path": path, "user": user, "query": query}


def test_polls_are_the_same_get_again():
    entries = [
        entry(1, "POST", "/volumes"),
        entry(2, "GET", "/volumes/a"),
        entry(3, "GET", "/volumes/a"),
        entry(4, "GET", "/volumes/a"),
        entry(5, "POST", "/attachments"),
        entry(6, "GET", "/volumes/a"),
    ]
    assert apicalls.count(entries, "image-fv1") == Count(4, 2)


def test_two_posts_are_two_requests():
    entries = [entry(1, "POST", "/volumes/a/action")] * 2
    assert apicalls.count(entries, "image-fv1") == Count(2, 0)


def test_the_log_is_in_the_order_of_the_answers():
    entries = [
        entry(3, "GET", "/volumes/a"),
        entry(1, "GET", "/volumes/a"),
        entry(2, "DELETE", "/volumes/a"),
    ]
    assert apicalls.count(entries, "image-fv1") == Count(3, 0)


def test_others_do_not_count():
    entries = [
        entry(1, "GET", "/volumes/a"),
        entry(2, "GET", "/volumes/a", user="alice"),
        entry(3, "GET", "/volumes/a", user=None),
        entry(4, "GET", "/volumes/a", query="x=1"),
    ]
    assert apicalls.count(entries, "image-fv1") == Count(2, 0)
