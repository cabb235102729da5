# SPDX-License-Identifier: Apache-2.0
"""The two documented ways by which Cinder reads the locations of an image."""

import enum
from typing import Any

from lab import glance
from lab import ini
from lab.client import Lab

_RESTARTED = ("glance", "cinder-api", "cinder-volume")


class Way(enum.Enum):
    """How Cinder shows Glance that it may read locations.

    TOKEN is this project's recommendation, and the lab's default: a line of Glance's
    policy accepts Cinder's service token. LOGIN is upstream's: a user with the role
    ``admin`` in ``[glance]`` of cinder.conf, and Glance's default policies.
    """

    TOKEN = "token"
    LOGIN = "login"


class Locations:
    """The way that the lab's services use now."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        # The library's type allows for identity v2 too.
        self._identity: Any = lab.cloud("admin").identity
        self._way = Way.TOKEN

    def use(self, way: Way) -> None:
        """Configure *way* and restart the services, unless they use it already."""
        if way is self._way:
            return
        login = ini.login(self._lab.cinder_config, "service_user")
        for name, value in login.items():
            kept = value if way is Way.LOGIN else None
            self._lab.set_cinder_option("glance", name, kept)
        self._set_role(login, is_admin=way is Way.LOGIN)
        policy = self._lab.glance_config.with_name("policy.yaml")
        if way is Way.LOGIN:
            policy.unlink()
        else:
            policy.write_text(glance.POLICY, "utf-8")
        for service in _RESTARTED:
            self._lab.restart(service)
        self._way = way

    def _set_role(self, login: dict[str, str], is_admin: bool) -> None:
        identity = self._identity
        change = (
            identity.assign_project_role_to_user
            if is_admin
            else identity.unassign_project_role_from_user
        )
        change(
            identity.find_project(login["project_name"], ignore_missing=False),
            identity.find_user(login["username"], ignore_missing=False),
            identity.find_role("admin", ignore_missing=False),
        )
