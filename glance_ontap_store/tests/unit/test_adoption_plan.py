# SPDX-License-Identifier: Apache-2.0
"""The decision which images are taken over, and how, by values."""

import dataclasses

import pytest

from glance_ontap_store.adoption import plan
from glance_ontap_store.adoption.plan import Target
from glance_ontap_store.adoption.plan import Way
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance import copying
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.units import GIB

ID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
POOL = "host@ontap#192.0.2.1:/fv1"
IMAGE = Image(
    "image-1",
    size=1000,
    owner="acme",
    disk_format="raw",
    hash_algo="sha512",
    hash_value="abc",
    stores=("old",),
)
UPSTREAMS = Record(image_id="image-1", owner="acme", size=1000)
OURS = dataclasses.replace(UPSTREAMS, store="fv1", state=State.SEALED)
CINDERS = Record(image_id="image-1", owner="acme")
PLACES = (Place(f"cinder://old/{ID}", "old"),)
FV1 = Target("fv1", frozenset({POOL}))
FV2 = Target("fv2", frozenset({"host@ontap#192.0.2.1:/fv2"}))


def volume(record=UPSTREAMS, **changes):
    known = {
        "id": ID,
        "status": "available",
        "size_gib": 1,
        "pool": POOL,
        "project_id": "images",
        "metadata": record.to_metadata(),
    }
    return Volume(**{**known, **changes})


def step(found=None, image=IMAGE, places=PLACES, targets=(FV1, FV2), seen_by=("fv1",)):
    return plan.in_place(found or volume(), image, places, targets, set(seen_by))


class TestInPlace:
    def test_an_image_of_upstream_goes_to_the_store_of_its_pool(self):
        made = step()
        assert (made.way, made.image_id) == (Way.IN_PLACE, "image-1")
        assert (made.source, made.target, made.why_not) == ("old", "fv1", None)

    def test_a_location_of_a_single_store_names_none(self):
        made = step(places=[Place(f"cinder://{ID}")])
        assert (made.source, made.target, made.why_not) == (None, "fv1", None)

    def test_an_image_that_cinder_registered_is_as_long_as_its_volume(self):
        image = dataclasses.replace(IMAGE, size=GIB)
        assert step(volume(CINDERS), image).why_not is None
        assert "1073741824 bytes" in step(volume(CINDERS), IMAGE).why_not

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"image": None}, "no such image"),
            ({"places": Unknown(Reason.FORBIDDEN, "HTTP 403")}, "HTTP 403"),
            ({"places": ()}, "no location"),
            ({"places": [Place(f"cinder://old/{OTHER}")]}, "no location"),
            ({"places": [Place("file:///images/1")]}, "no location"),
            ({"image": dataclasses.replace(IMAGE, status="queued")}, "is queued"),
            ({"image": dataclasses.replace(IMAGE, status="deactivated")}, "deactivat"),
            ({"image": dataclasses.replace(IMAGE, size=999)}, "Glance says 999"),
            ({"image": dataclasses.replace(IMAGE, size=None)}, "Glance says None"),
            ({"found": volume(status="in-use")}, "is in-use"),
            ({"found": volume(status="deleting")}, "is deleting"),
            ({"found": volume(status="error")}, "is error"),
            ({"found": volume(encrypted=True)}, "encrypted"),
            ({"found": volume(pool="host@other#x")}, "pool host@other#x"),
            ({"found": volume(pool=None)}, "administrator"),
            (
                {"targets": [FV1, dataclasses.replace(FV1, id="fv9")]},
                "any of fv1, fv9: choose with --store",
            ),
            ({"seen_by": ()}, "project images"),
            (
                {"targets": [dataclasses.replace(FV1, allowed_projects={"globex"})]},
                "does not take images of project acme",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_with_the_reason(self, changes, says):
        assert says in step(**changes).why_not

    @pytest.mark.parametrize("status", ["in-use", "reserved", "attaching"])
    def test_one_that_is_only_attached_is_looked_at_again(self, status):
        assert step(volume(status=status)).is_busy
        assert not step(volume(status=status), seen_by=()).is_busy
        assert not step(volume(status="error")).is_busy

    def test_a_size_that_is_no_number_is_refused(self):
        metadata = {**UPSTREAMS.to_metadata(), "image_size": "1e3"}
        assert "'1e3'" in step(volume(metadata=metadata)).why_not

    def test_an_image_longer_than_its_volume_is_refused(self):
        record = dataclasses.replace(UPSTREAMS, size=2 * GIB)
        image = dataclasses.replace(IMAGE, size=2 * GIB)
        assert f"has {GIB} bytes" in step(volume(record), image).why_not

    def test_a_sealed_volume_with_the_old_location_needs_the_location_only(self):
        made = step(volume(OURS))
        assert (made.way, made.source, made.target) == (Way.LOCATION, "old", "fv1")
        assert made.why_not is None

    def test_a_sealed_volume_that_no_location_names_is_left_alone(self):
        """Another process may be about to add it."""
        assert step(volume(OURS), places=()) is None


@pytest.mark.parametrize(
    ("record", "image", "expected"),
    [
        (UPSTREAMS, IMAGE, True),
        (UPSTREAMS, None, True),
        (CINDERS, IMAGE, True),
        (Record(), None, False),
        (OURS, IMAGE, True),
        (OURS, dataclasses.replace(IMAGE, stores=("fv1",)), False),
        (OURS, None, False),
        (dataclasses.replace(OURS, store="fv7"), IMAGE, False),
        (dataclasses.replace(OURS, state=State.FILLING), IMAGE, False),
        (dataclasses.replace(OURS, state=State.READING), IMAGE, False),
    ],
)
def test_the_volumes_that_are_looked_at(record, image, expected):
    assert plan.is_candidate(volume(record), image, {"fv1", "fv2"}) is expected


def pool(export, backend="ontap"):
    return Pool(f"host@{backend}#{export}", export, backend, "NetApp", "nfs")


@pytest.mark.parametrize(
    ("specs", "reached"),
    [
        ({"volume_backend_name": "a"}, {"host@a#1", "host@a#2"}),
        ({"volume_backend_name": "a", "pool_name": "2"}, {"host@a#2"}),
        ({}, {"host@a#1", "host@a#2", "host@b#1"}),
        ({"volume_backend_name": "c"}, set()),
    ],
)
def test_the_pools_of_a_store_are_those_of_its_volume_type(specs, reached):
    types = [VolumeType("id-1", "fast", True, specs)]
    pools = [pool("1", "a"), pool("2", "a"), pool("1", "b")]
    for spelling in ("fast", "id-1"):
        assert plan.target("fv1", spelling, set(), types, pools).pools == reached
    for spelling in (None, "slow"):
        assert plan.target("fv1", spelling, set(), types, pools).pools == set()


KINDS = {"old": "file", "web": "http", "fv1": "ontap"}


def copy(image=IMAGE, kind="file", found=FV1, is_named=False, removes_old=False):
    return plan.copy(image, KINDS, kind, found, is_named, removes_old)


class TestCopy:
    def test_an_image_of_the_old_stores_type_is_copied(self):
        made = copy()
        assert (made.way, made.source, made.target) == (Way.COPY, "old", "fv1")
        assert made.why_not is None

    def test_an_image_of_another_type_is_not_in_the_plan(self):
        assert copy(kind="http") is None
        assert copy(dataclasses.replace(IMAGE, stores=())) is None

    def test_a_copy_that_is_there_is_only_removed_and_only_if_asked_for(self):
        both = dataclasses.replace(IMAGE, stores=("old", "fv1"))
        assert copy(both) is None
        made = copy(both, removes_old=True)
        assert (made.way, made.source, made.why_not) == (Way.REMOVE, "old", None)

    def test_an_image_that_is_not_raw_must_be_named(self):
        qcow2 = dataclasses.replace(IMAGE, disk_format="qcow2")
        assert "clones raw images only" in copy(qcow2).why_not
        assert copy(qcow2, is_named=True).why_not is None

    def test_a_copy_that_was_begun_is_gone_on_with(self):
        coming = dataclasses.replace(IMAGE, is_importing=True, coming=("fv1",))
        assert copy(coming).why_not is None
        elsewhere = dataclasses.replace(coming, coming=("fv2",))
        assert "later" in copy(elsewhere).why_not

    def test_what_the_store_does_not_take_is_refused(self):
        assert "queued" in copy(dataclasses.replace(IMAGE, status="queued")).why_not
        only = dataclasses.replace(FV1, allowed_projects={"globex"})
        assert "project acme" in copy(found=only).why_not


@pytest.mark.parametrize(
    ("record", "image", "says"),
    [
        ({}, {}, None),
        ({"state": State.FILLING}, {}, "not sealed"),
        ({"image_id": "image-2"}, {}, "not sealed for this image"),
        ({"size": 999}, {}, "999 bytes"),
        ({}, {"hash_value": None}, "no multihash"),
        ({"hash_value": "abd"}, {}, "not the one that Glance has"),
        ({"hash_algo": "sha256"}, {}, "not the one that Glance has"),
        ({"hash_value": None}, {}, "not the one that Glance has"),
    ],
)
def test_the_old_copy_goes_only_if_the_new_one_is_the_image(record, image, says):
    sealed = dataclasses.replace(OURS, hash_algo="sha512", hash_value="abc")
    reason = copying.unverified(
        dataclasses.replace(IMAGE, **image), dataclasses.replace(sealed, **record)
    )
    assert reason is None if says is None else says in reason
