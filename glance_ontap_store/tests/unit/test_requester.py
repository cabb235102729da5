# SPDX-License-Identifier: Apache-2.0
import pytest

from glance_ontap_store.requester import Requester
from glance_ontap_store.tests.fakes.glance import Context


def parsed(**given):
    return Requester.from_context(Context(**given))


def test_no_context_means_glance_itself_and_is_trusted():
    found = Requester.from_context(None)
    assert found == Requester(is_trusted=True)


def test_a_context_without_a_project_is_not_trusted():
    assert parsed(project_id=None) == Requester()
    assert not Requester().is_trusted


def test_a_member_keeps_project_token_and_catalog():
    catalog = ({"type": "volumev3"},)
    found = parsed(project_id="acme", auth_token="t0ken", service_catalog=catalog)
    assert found.project_id == "acme"
    assert found.token == "t0ken"
    assert found.catalog == catalog
    assert not found.is_trusted


@pytest.mark.parametrize("given", [{"is_admin": True}, {"roles": ("service",)}])
def test_administrators_and_services_are_trusted(given):
    assert parsed(**given).is_trusted


def test_repr_shows_no_token():
    catalog = ({"type": "volumev3", "token": "t0ken"},)
    assert "t0ken" not in repr(parsed(auth_token="t0ken", service_catalog=catalog))
