# SPDX-License-Identifier: Apache-2.0
import socket
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import brick
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.brick import Brick


class TestConnector:
    def test_making_the_host_starts_nothing(self):
        """A server may load the store first and fork its workers then."""
        before = threading.active_count()
        Brick("/etc/glance/rootwrap.conf")
        assert threading.active_count() == before
        assert privilege.context.channel is None

    def test_the_connector_is_asked_for_once(self, monkeypatch):
        asked = []

        def properties(helper, address, *args, **kwargs):
            asked.append((helper, address, kwargs["host"]))
            return {"host": kwargs["host"]}

        monkeypatch.setattr(brick.connector, "get_connector_properties", properties)
        host = Brick("/etc/glance/rootwrap.conf")
        assert host.connector == host.connector == {"host": socket.gethostname()}
        ((helper, address, _name),) = asked
        assert helper == "sudo glance-rootwrap /etc/glance/rootwrap.conf"
        assert address

    def test_a_failure_names_rootwraps_configuration(self, monkeypatch):
        def properties(*args, **kwargs):
            raise RuntimeError("sudo: a password is required")

        monkeypatch.setattr(brick.connector, "get_connector_properties", properties)
        host = Brick("/opt/rootwrap.conf")
        with pytest.raises(errors.Broken, match="/opt/rootwrap"):
            _ = host.connector

    def test_a_host_that_cannot_resolve_its_name_has_the_loopback_address(
        self, monkeypatch
    ):
        def unknown(*args):
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        assert brick._address_of("glance-1") == "127.0.0.1"
