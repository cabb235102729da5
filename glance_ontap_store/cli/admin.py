# SPDX-License-Identifier: Apache-2.0
"""Whose credentials the operator gives: clouds.yaml and OS_*, by openstacksdk."""

import os

import openstack
from openstack import connection
from openstack import exceptions

from glance_ontap_store import errors


def connect(name: str | None) -> connection.Connection | None:
    """The cloud *name* of clouds.yaml, else that of the environment's OS_*.

    None when neither is given: a clouds.yaml that happens to lie about is not a
    wish to use it. Nobody is asked anything yet.

    :raises errors.Misconfigured: there is no such cloud
    """
    if name is None and not (
        os.environ.get("OS_CLOUD") or os.environ.get("OS_AUTH_URL")
    ):
        return None
    try:
        return openstack.connect(cloud=name)
    except exceptions.ConfigException as error:
        raise errors.Misconfigured(f"clouds.yaml or OS_*: {error}") from error


def secrets_of(cloud: connection.Connection) -> list[str]:
    """Passwords and the like among the cloud's credentials."""
    auth: dict[str, object] = cloud.config.config.get("auth") or {}
    return [
        str(value)
        for name, value in auth.items()
        if value and name.endswith(("password", "secret", "token", "passcode"))
    ]
