# SPDX-License-Identifier: Apache-2.0
import pytest

from glance_ontap_store.requester import Requester
from glance_ontap_store.tests.fakes.glance import Context


def parsed(**given):
    return Requester.from_context(Context(**given))


def test_glance_itself():
    found = Requester.from_context(None)
    assert found == Requester(is_trusted=True)


def test_nobody():
    assert parsed(project_id=None) == Requester()
    assert not Requester().is_trusted


def test_a_member():
    catalog = ({"type": "volumev3"},)
    found = parsed(project_id="acme", auth_token="t0ken", service_catalog=catalog)
    assert found.project_id == "acme"
    assert found.token == "t0ken"
    assert found.catalog == catalog
    assert not found.is_trusted


@pytest.mark.parametrize("given", [{"is_admin": True}, {"roles": ("service",)}])
def test_who_acts_for_others(given):
    assert parsed(**given).is_trusted


def test_no_token_in_what_is_printed():
    catalog = ({"type": "volumev3", "token": "t0ken"},)
    assert "t0ken" not in repr(parsed(auth_token="t0ken", service_catalog=catalog))
