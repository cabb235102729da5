# SPDX-License-Identifier: Apache-2.0
"""The requests of stores to Cinder, as Cinder's log shows them."""

import time
from typing import Any

from lab.polling import wait_until

# The requests of an attachment, up to its use. A device's length is compared with the
# size that the volume was shown with before.
ATTACHING = ("reserve", "connect", "complete")


class Requests:
    """The requests to Cinder since its creation or the last question, as words.

    Lists of volumes are left out: no upload, download or deletion asks for one, but
    the recovery in a glance-api does, at any time after another one was killed.
    """

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self._since = time.time()

    def new(self, *last: str) -> list[str]:
        """Return them when *last* are logged in this order, which is after answers."""

        def logged() -> list[str]:
            words = self._words()
            rest = iter(words)
            return words if all(word in rest for word in last) else []

        found: list[str] = wait_until(
            logged, f"there are requests to {', '.join(last)}"
        )
        self._since = time.time()
        return found

    def _words(self) -> list[str]:
        found = self._lab.cinder_requests(self._since)
        found.sort(key=lambda each: each["time"])
        return [_word(request) for request in found if _is_of_a_store(request)]


def _is_of_a_store(request: dict[str, Any]) -> bool:
    is_list = request["path"].endswith("/volumes/detail")
    return (request["user"] or "").startswith("image-") and not is_list


def _word(request: dict[str, Any]) -> str:
    """Return a word for the request; the log does not show the action on a volume."""
    method, parts = request["method"], request["path"].strip("/").split("/")
    kind = tuple("<id>" if len(part) >= 32 else part for part in parts[1:])
    if kind[:1] == ("<id>",):  # the project, in upstream's URLs
        kind = kind[1:]
    return {
        ("POST", "volumes"): "create",
        ("GET", "volumes", "<id>"): "show",
        ("DELETE", "volumes", "<id>"): "delete",
        ("POST", "volumes", "<id>", "action"): "act",
        ("POST", "volumes", "<id>", "metadata"): "set metadata",
        ("POST", "attachments"): "reserve",
        ("PUT", "attachments", "<id>"): "connect",
        ("POST", "attachments", "<id>", "action"): "complete",
        ("DELETE", "attachments", "<id>"): "detach",
    }.get((method, *kind), f"{method} {'/'.join(kind)}")
