# SPDX-License-Identifier: Apache-2.0
"""Glance is asked which images it calls raw."""

import pytest

from glance_ontap_store import identity
from glance_ontap_store.survey import glance
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import Http


@pytest.fixture
def http(requests_mock):
    found = Http(requests_mock)
    found.catalog_type = "image"
    return found


@pytest.fixture
def ask(http):
    settings = builders.make_settings()
    session = identity.session_for(settings)
    return lambda: glance.raw_images(session, settings)


def test_all_pages_and_hidden_images_are_read(http, ask, requests_mock):
    """The catalog of the fake ends in /v3; its path is not what matters here."""
    pages = {
        "os_hidden=false": {
            "images": [{"id": "a"}],
            "next": "/v2/images?marker=a",
        },
        "marker=a": {"images": [{"id": "b"}]},
        "os_hidden=true": {"images": [{"id": "c"}]},
    }

    def answer(request, context):
        (found,) = (page for key, page in pages.items() if key in request.query)
        return found

    requests_mock.get(f"{CINDER}/north/internal/v3/v2/images", json=answer)
    assert ask() == {"a", "b", "c"}


@pytest.mark.parametrize("answer", [{"json": {"pages": []}}, {"status_code": 503}])
def test_an_answer_that_makes_no_sense_is_unknown(http, ask, requests_mock, answer):
    requests_mock.get(f"{CINDER}/north/internal/v3/v2/images", **answer)
    assert isinstance(ask(), Unknown)
