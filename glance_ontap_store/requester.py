# SPDX-License-Identifier: Apache-2.0
"""The user of a request to Glance, parsed once from the request's context."""

from collections.abc import Sequence
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Requester:
    """The user of one request to Glance.

    *token* and *catalog* come from keystonemiddleware; a task that Glance runs for
    itself has neither. *is_trusted* is true for administrators and services, which
    act for other projects.
    """

    project_id: str | None = None
    is_trusted: bool = False
    token: str | None = dataclasses.field(default=None, repr=False)
    catalog: Sequence[dict[str, Any]] = dataclasses.field(default=(), repr=False)

    @classmethod
    def from_context(cls, context: Any) -> "Requester":
        """Return the user of a ``glance.context.RequestContext``.

        Without a context, Glance acts for itself and is trusted.
        """
        if context is None:
            return cls(is_trusted=True)
        roles = getattr(context, "roles", None) or ()
        return cls(
            project_id=getattr(context, "project_id", None),
            is_trusted=bool(getattr(context, "is_admin", False)) or "service" in roles,
            token=getattr(context, "auth_token", None),
            catalog=tuple(getattr(context, "service_catalog", None) or ()),
        )
