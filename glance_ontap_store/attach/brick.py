# SPDX-License-Identifier: Apache-2.0
"""The connector of this host, as os-brick finds it."""

from collections.abc import Mapping
import functools
import socket
from typing import Any

import os_brick
from os_brick.initiator import connector
from oslo_config import cfg

from glance_ontap_store import errors
from glance_ontap_store.attach import privilege


class Brick:
    """This host, as Cinder knows it. It is asked once, since it does not change."""

    def __init__(self, rootwrap_config: str) -> None:
        self._rootwrap_config = rootwrap_config
        # Upstream's cinder store may call this too; a second call changes nothing.
        os_brick.setup(cfg.CONF)
        privilege.init(rootwrap_config)

    @functools.cached_property
    def connector(self) -> Mapping[str, Any]:
        """Return the connector of this host for an attachment.

        :raises errors.Broken: the helper that runs as root does not start
        """
        host = socket.gethostname()
        root_helper = privilege.root_helper(self._rootwrap_config)
        try:
            found: Mapping[str, Any] = connector.get_connector_properties(
                root_helper, _address_of(host), False, False, host=host
            )
        except Exception as error:  # os-brick and privsep raise errors of any class
            raise errors.Broken(
                f"os-brick cannot tell what this host can connect to: {error}. Check"
                f" {self._rootwrap_config}, its filters and sudo for Glance's user."
            ) from error
        return found


def _address_of(host: str) -> str:
    for family in (socket.AF_INET6, socket.AF_INET):
        try:
            return str(socket.getaddrinfo(host, None, family)[0][4][0])
        except socket.gaierror:
            continue
    # A host that cannot resolve its own name; NFS does not need the address.
    return "127.0.0.1"
