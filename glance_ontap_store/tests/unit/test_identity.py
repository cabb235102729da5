# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from glance_ontap_store import identity
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import openstack_http

URL = f"{openstack_http.CINDER}/v3/volumes"


@pytest.fixture
def settings():
    return builders.make_settings()


def sessions(*given):
    return [identity.session_for(settings).session for settings in given]


class TestConnections:
    def test_stores_share_connections_but_not_cookies(self, settings):
        other = dataclasses.replace(settings, store_id="other")
        one, two = sessions(settings, other)
        assert one.get_adapter(URL) is two.get_adapter(URL)
        assert one.cookies is not two.cookies

    def test_connections_stay_open_between_requests(self, settings):
        (one,) = sessions(settings)
        assert isinstance(one.get_adapter(URL), identity.session.TCPKeepAliveAdapter)

    @pytest.mark.parametrize("verify", [False, "/etc/ssl/lab.pem"])
    def test_stores_with_other_certificate_checks_share_no_connection(
        self, settings, verify
    ):
        other = dataclasses.replace(settings, verify=verify)
        one, two, three = sessions(settings, other, other)
        assert one.get_adapter(URL) is not two.get_adapter(URL)
        assert two.get_adapter(URL) is three.get_adapter(URL)
