# SPDX-License-Identifier: Apache-2.0
"""Rows and sums that list and usage show."""

import dataclasses

import pytest

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.survey import cinder
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey.inventory import Row
from glance_ontap_store.survey.inventory import Sum

IMAGE = Record(
    image_id="image-1", owner="acme", size=1000, store="fv1", state=State.SEALED
)


def volume(record=IMAGE, metadata=None, **changes):
    given = record.to_metadata() if metadata is None else metadata
    known = Volume(
        "v1",
        "available",
        2,
        given,
        "ontap-fv1",
        pool="h@b#a:/fv1",
        project_id="service",
    )
    return dataclasses.replace(known, **changes)


def row(*arguments, **changes):
    return inventory.row(volume(*arguments, **changes), "fv1", "ontap-fv1")


def test_a_sealed_volume():
    assert row() == Row(
        store="fv1",
        image_id="image-1",
        owner="acme",
        volume_id="v1",
        pool="h@b#a:/fv1",
        size_gib=2,
        image_size=1000,
        state="sealed",
        status="available",
        file="volume-v1",
    )


def test_an_upload_has_no_size_yet():
    filling = dataclasses.replace(IMAGE, state=State.FILLING, size=None)
    found = row(filling)
    assert (found.state, found.image_size) == ("filling", None)


def test_an_image_that_cinder_registered_is_as_long_as_its_volume():
    found = row(Record(image_id="image-1", owner="acme"))
    assert (found.state, found.image_size) == (inventory.BY_CINDER, 2 * units.GIB)


def test_a_temporary_clone_is_not_an_image():
    found = row(Record(store="fv1", state=State.READING))
    assert found.state == "reading"
    assert not found.is_image


@pytest.mark.parametrize("state", ["copying", None])
def test_a_volume_in_a_state_of_another_release_is_shown(state):
    metadata = {**IMAGE.to_metadata(), "ontap_state": state}
    found = row(metadata={k: v for k, v in metadata.items() if v})
    assert (found.state, found.image_size) == ("unknown", None)


def test_a_volume_whose_size_is_not_a_number_is_unreadable():
    found = row(metadata={**IMAGE.to_metadata(), "image_size": "large"})
    assert (found.state, found.image_size) == (inventory.UNREADABLE, None)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"purpose": "database"},
        dataclasses.replace(IMAGE, store="fv2").to_metadata(),
        {**dataclasses.replace(IMAGE, store="fv2").to_metadata(), "image_size": "x"},
        {"image_size": "x"},
        # Upstream's store writes a size.
        {"glance_image_id": "i", "image_owner": "acme", "image_size": "5"},
    ],
    ids=["bare", "a user's", "another store's", "broken", "odd", "upstream's"],
)
def test_a_volume_that_is_not_the_stores_has_no_row(metadata):
    assert row(metadata=metadata) is None


def some_row(**changes):
    return dataclasses.replace(row(), **changes)


def test_sums_by_project():
    rows = [
        some_row(),
        some_row(volume_id="v2", owner="globex"),
        some_row(volume_id="v3", image_size=24),
        some_row(volume_id="v4", state="reading", image_size=None),
    ]
    allocated = {"v1": 512, "v2": 1024, "v3": 512}
    assert inventory.summed(
        rows, "project", lambda one: allocated.get(one.volume_id)
    ) == [
        Sum("acme", 2, 1024, 4, 1024),
        Sum("globex", 1, 1000, 2, 1024),
    ]


def test_sums_tell_what_replicas_cost():
    rows = [
        some_row(),
        some_row(volume_id="v2", replica_of="v1"),
        some_row(volume_id="v3", replica_of="v1", state="replicating", image_size=None),
    ]
    allocated = {"v1": 512, "v2": 1024, "v3": 2048}
    (found,) = inventory.summed(rows, "store", lambda one: allocated[one.volume_id])
    assert found == Sum("fv1", 3, None, 6, 3584, 2, 4, 3072)


def test_one_unknown_makes_the_sum_unknown():
    rows = [some_row(), some_row(volume_id="v2", image_size=None)]
    (found,) = inventory.summed(rows, "store", lambda total: None)
    assert found == Sum("fv1", 2, None, 4, None)


def test_an_unknown_pool_comes_last():
    rows = [some_row(pool=None), some_row(pool="p2"), some_row(pool="p1")]
    found = inventory.summed(rows, "pool", lambda total: 0)
    assert [total.key for total in found] == ["p1", "p2", None]


def test_a_volume_in_two_lists_is_shown_once():
    first, other = volume(), volume(id="v2")
    assert list(cinder.distinct((first, other), (other,))) == [first, other]


def test_the_file_of_a_migrated_volume_is_called_differently():
    assert row(name_id="v9").file == "volume-v9"
