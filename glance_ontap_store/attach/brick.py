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

# The parts of a connector by which an array knows a host: of iSCSI, FC and NVMe.
_NAMES = ("initiator", "wwpns", "nqn")


class Brick:
    """This host, as Cinder knows it. It is asked once, since it does not change.

    *use_multipath* and *enforce_multipath* as of the options of these names.
    """

    def __init__(
        self,
        rootwrap_config: str,
        use_multipath: bool = False,
        enforce_multipath: bool = False,
    ) -> None:
        self._rootwrap_config = rootwrap_config
        self._use_multipath = use_multipath
        self._enforce_multipath = enforce_multipath
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
                root_helper,
                _address_of(host),
                self._use_multipath,
                self._enforce_multipath,
                host=host,
            )
        except Exception as error:  # os-brick and privsep raise errors of any class
            raise errors.Broken(
                f"os-brick cannot tell what this host can connect to: {error}. Check"
                f" {self._rootwrap_config}, its filters and sudo for Glance's user."
                f"{self._hint}"
            ) from error
        return found

    @property
    def _hint(self) -> str:
        if not self._enforce_multipath:
            return ""
        return " With ontap_enforce_multipath, multipathd must run."

    def forget(self) -> None:
        """Ask anew at the next use, if an array could not know this host by a name.

        The name of the initiator may have been given after Glance was started.
        """
        found = self.__dict__.get("connector")
        if found is not None and not any(found.get(name) for name in _NAMES):
            # Where functools.cached_property keeps it.
            self.__dict__.pop("connector", None)


def _address_of(host: str) -> str:
    for family in (socket.AF_INET6, socket.AF_INET):
        try:
            return str(socket.getaddrinfo(host, None, family)[0][4][0])
        except socket.gaierror:
            continue
    # A host that cannot resolve its own name; NFS does not need the address.
    return "127.0.0.1"
