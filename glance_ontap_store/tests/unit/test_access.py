# SPDX-License-Identifier: Apache-2.0
"""The decisions about access to an image-volume: one table for each."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import access
from glance_ontap_store.images.access import Verdict
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester

ACME = Requester("acme")
NOBODY = Requester(None)
ADMIN = Requester("admins", is_trusted=True)
GLANCE = Requester.from_context(None)


@pytest.mark.parametrize(
    ("record", "store_id", "is_of_store"),
    [
        (Record(image_id="i", store="fv1"), "fv1", True),
        (Record(owner="acme", store="fv1"), "fv1", True),
        (Record(image_id="i", store="fv2"), "fv1", False),
        (Record(image_id="i", store="fv1"), None, False),
        # Upstream's and Cinder's own name no store.
        (Record(image_id="i"), "fv1", True),
        (Record(owner="acme"), "fv1", True),
        (Record(image_id="i"), None, True),
        # Not an image's.
        (Record(), "fv1", False),
        (Record(store="fv1"), "fv1", False),
        (Record(size=5), "fv1", False),
    ],
)
def test_the_image_volumes_of_a_store(record, store_id, is_of_store):
    assert access.is_of_store(record, store_id) is is_of_store
    if is_of_store:
        access.check_is_of_store("v", record, store_id)
    else:
        with pytest.raises(errors.Refused, match="v is not an image-volume"):
            access.check_is_of_store("v", record, store_id)


@pytest.mark.parametrize(
    ("record", "requester", "may_name", "may_delete"),
    [
        (Record("i", "acme"), ACME, True, Verdict.YES),
        (Record("i", "globex"), ACME, False, Verdict.ASK_GLANCE),
        (Record(None, "globex"), ACME, False, Verdict.NO),
        (Record("i", None), ACME, False, Verdict.YES),
        (Record("i", "acme"), NOBODY, False, Verdict.ASK_GLANCE),
        (Record("i", "acme"), ADMIN, True, Verdict.YES),
        (Record(None, "globex"), ADMIN, True, Verdict.YES),
        (Record("i", "acme"), GLANCE, True, Verdict.YES),
    ],
)
def test_requesters(record, requester, may_name, may_delete):
    assert access.may_name(record, requester) is may_name
    assert access.may_delete(record, requester) is may_delete


@pytest.mark.parametrize(
    ("allowed", "owner", "takes"),
    [
        (set(), "acme", True),
        (set(), None, True),
        ({"acme"}, "acme", True),
        ({"acme"}, "globex", False),
        ({"acme"}, None, False),
    ],
)
def test_projects_whose_images_a_store_takes(allowed, owner, takes):
    if takes:
        access.check_accepts(allowed, "fv1", owner)
    else:
        with pytest.raises(errors.Refused, match=f"'fv1' does not take.*{owner}"):
            access.check_accepts(allowed, "fv1", owner)


@pytest.mark.parametrize(
    ("metadata", "volume_type", "claims"),
    [
        ({"ontap_store": "fv1", "ontap_state": "sealed"}, "any", True),
        ({"ontap_store": "fv1", "ontap_state": "filling"}, "any", True),
        ({"ontap_store": "fv2", "ontap_state": "sealed"}, "type-1", False),
        # A reader's clone, and what a later release or somebody made of it.
        ({"ontap_store": "fv1", "ontap_state": "reading"}, "type-1", False),
        ({"ontap_store": "fv1", "ontap_state": "copying"}, "type-1", False),
        ({"ontap_store": "fv1"}, "type-1", False),
        ({}, "type-1", False),
        # Cinder's own, before and after Glance has told it the image's id.
        ({"image_owner": "acme"}, "type-1", True),
        ({"image_owner": "acme", "glance_image_id": "x"}, "type-1", True),
        ({"image_owner": "acme"}, "type-2", False),
        ({"image_owner": "acme"}, None, False),
        # Upstream's cinder store.
        ({"image_owner": "acme", "image_size": "7"}, "type-1", False),
        ({"image_owner": "acme", "image_size": "x"}, "type-1", False),
        ({"glance_image_id": "x"}, "type-1", False),
    ],
)
def test_claims_of_a_store_with_a_volume_type(metadata, volume_type, claims):
    volume = Volume("id", "available", 1, metadata, volume_type)
    record = Record.parse(metadata)
    assert access.claims(volume, record, "fv1", "type-1") is claims


def test_a_store_without_a_volume_type_claims_nothing_of_cinder():
    metadata = {"image_owner": "acme"}
    volume = Volume("id", "available", 1, metadata, None)
    assert access.claims(volume, Record.parse(metadata), "fv1", None) is False
