# SPDX-License-Identifier: Apache-2.0
"""A plan is carried out, over the fakes."""

import dataclasses

import pytest

from glance_ontap_store.adoption import carrying_out
from glance_ontap_store.adoption.carrying_out import Carrier
from glance_ontap_store.adoption.carrying_out import Orders
from glance_ontap_store.adoption.carrying_out import Result
from glance_ontap_store.adoption.in_place import Adopter
from glance_ontap_store.adoption.plan import Step
from glance_ontap_store.adoption.plan import Way
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images.record import Record
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.images import FakeGlance

IMAGE = Image("image-1", size=builders.SIZE, owner="acme", stores=("old",))


class Survey:
    """Cinder, as a store's user sees it."""

    def __init__(self, cloud):
        self._cloud = cloud

    def volumes(self, name, metadata, all_tenants):
        found = self._cloud.cinder.find(name)
        return tuple(
            volume for volume in found if metadata.items() <= volume.metadata.items()
        )

    def volume(self, volume_id):
        return self._cloud.cinder.get(volume_id)


@pytest.fixture
def stop():
    return Stop()


@pytest.fixture
def carry_out(cloud, stop):
    def carry_out(glance, *steps, **orders):
        said = []
        adopter = Adopter(
            "fv1", cloud.waiting_volumes(), cloud.attacher(), stop, said.append
        )
        carrier = Carrier(
            glance,
            {"fv1": adopter},
            lambda store_id: Survey(cloud),
            cloud.clock,
            Orders(**orders),
            stop,
            said.append,
        )
        return list(carrier.carry_out(steps))

    return carry_out


def results(outcomes):
    return [outcome.result for outcome in outcomes]


def storing(cloud):
    """Returns what Glance does when it has copied: the store has the image."""

    def store(image_id, store_id):
        upload = builders.upload(announced=builders.SIZE, image_id=image_id)
        return cloud.lifecycle(store_id).store(upload).volume_id

    return store


def glance_of(cloud, *images):
    glance = FakeGlance(*images)
    glance.on_copied = storing(cloud)
    return glance


def stored(cloud, image=IMAGE):
    """The image with the digest of what a store writes of it."""
    found = cloud.lifecycle("fv1").store(builders.upload(announced=builders.SIZE))
    cloud.cinder.delete(found.volume_id)
    cloud.clock.sleep(60)
    return dataclasses.replace(image, hash_algo="sha256", hash_value=found.multihash)


def copying(image=IMAGE, way=Way.COPY):
    return Step(image.id, way, image, None, "old", "fv1")


class TestCopies:
    def test_an_image_is_copied_and_the_old_copy_stays(self, cloud, carry_out):
        glance = glance_of(cloud, IMAGE)
        assert results(carry_out(glance, copying())) == [Result.DONE]
        assert glance.shown["image-1"].stores == ("old", "fv1")
        assert not glance.removed

    @pytest.mark.parametrize("verify", [None, True])
    def test_the_old_copy_is_removed_after_the_digests_were_compared(
        self, cloud, carry_out, verify
    ):
        image = stored(cloud)
        glance = glance_of(cloud, image)
        found = carry_out(glance, copying(image), removes_old=True, verify=verify)
        assert results(found) == [Result.DONE]
        assert glance.removed == [("image-1", "old")]

    def test_the_old_copy_stays_if_the_digests_differ(self, cloud, carry_out):
        image = dataclasses.replace(stored(cloud), hash_value="another")
        glance = glance_of(cloud, image)
        (found,) = carry_out(glance, copying(image), removes_old=True)
        assert (found.result, glance.removed) == (Result.FAILED, [])
        assert "the old copy stays" in found.reason

    def test_the_old_copy_stays_if_the_bytes_are_not_the_image(self, cloud, carry_out):
        image = stored(cloud)
        glance = glance_of(cloud, image)
        carry_out(glance, copying(image))
        (volume,) = cloud.cinder.find("image-image-1")
        with open(cloud.cinder.path_of(volume.id), "r+b") as file:
            file.write(b"X")
        step = copying(glance.shown["image-1"], Way.REMOVE)
        (found,) = carry_out(glance, step, removes_old=True, verify=True)
        assert (found.result, glance.removed) == (Result.FAILED, [])

    def test_the_old_copy_stays_without_a_new_image_volume(self, carry_out):
        glance = FakeGlance(IMAGE)
        (found,) = carry_out(glance, copying(), removes_old=True)
        assert (found.result, glance.removed) == (Result.FAILED, [])
        assert "0 image-volumes" in found.reason

    def test_where_glance_tells_no_location_there_must_be_one_volume(
        self, cloud, carry_out
    ):
        image = stored(cloud)
        glance = glance_of(cloud, image)
        glance.tells_locations = False
        found = carry_out(glance, copying(image), removes_old=True)
        assert results(found) == [Result.DONE]
        storing(cloud)("image-1", "fv1")
        step = copying(glance.shown["image-1"], Way.REMOVE)
        (found,) = carry_out(glance, step, removes_old=True)
        assert "2 image-volumes" in found.reason

    def test_the_location_tells_which_of_two_volumes_is_the_images(
        self, cloud, carry_out
    ):
        image = stored(cloud)
        glance = glance_of(cloud, image)
        storing(cloud)("image-1", "fv1")
        found = carry_out(glance, copying(image), removes_old=True)
        assert results(found) == [Result.DONE]

    def test_a_copy_with_another_digest_fails_in_any_case(self, cloud, carry_out):
        image = dataclasses.replace(stored(cloud), hash_value="another")
        (found,) = carry_out(glance_of(cloud, image), copying(image))
        assert found.result is Result.FAILED

    def test_an_image_of_zero_bytes_has_no_volume(self, carry_out):
        empty = dataclasses.replace(IMAGE, size=0)
        glance = FakeGlance(empty)
        found = carry_out(glance, copying(empty), removes_old=True)
        assert results(found) == [Result.DONE]
        assert glance.removed == [("image-1", "old")]

    def test_a_copy_that_glance_gave_up_is_named_and_the_next_goes_on(
        self, cloud, carry_out
    ):
        second = dataclasses.replace(IMAGE, id="image-2")
        glance = glance_of(cloud, IMAGE, second)
        glance.failing.add("image-1")
        found = carry_out(glance, copying(), copying(second))
        assert results(found) == [Result.FAILED, Result.DONE]
        assert "log of glance-api" in found[0].reason
        assert carrying_out.exit_code(found) == 2

    def test_a_copy_that_was_begun_before_is_waited_for(self, cloud, carry_out):
        glance = glance_of(cloud, IMAGE)
        glance.begin_copy("image-1", "fv1")
        assert results(carry_out(glance, copying())) == [Result.DONE]
        assert glance.copies == ["image-1"]

    def test_an_outage_of_glance_does_not_end_the_wait(self, cloud, carry_out):
        glance = glance_of(cloud, IMAGE)
        glance.begin_copy("image-1", "fv1")
        step = copying(glance.shown["image-1"])
        before = glance.image
        answers = iter([before("image-1")])
        glance.silent["image-1"] = 5
        glance.image = lambda image_id: next(answers, None) or before(image_id)
        assert results(carry_out(glance, step)) == [Result.DONE]

    def test_an_image_that_is_deleted_meanwhile_fails(self, carry_out):
        glance = FakeGlance()
        assert results(carry_out(glance, copying())) == [Result.FAILED]

    def test_as_many_at_a_time_as_the_operator_says(self, cloud, carry_out):
        many = [dataclasses.replace(IMAGE, id=f"image-{n}") for n in range(9)]
        glance = glance_of(cloud, *many)
        glance.looks = 1
        found = carry_out(glance, *map(copying, many), parallel=4)
        assert results(found) == [Result.DONE] * 9
        assert [each.step.image_id for each in found] == [each.id for each in many]

    def test_after_an_interruption_the_rest_is_left(self, cloud, stop, carry_out):
        second = dataclasses.replace(IMAGE, id="image-2")
        glance = FakeGlance(IMAGE, second)
        store = storing(cloud)
        glance.on_copied = lambda *ids: stop.set() or store(*ids)
        found = carry_out(glance, copying(), copying(second))
        assert results(found) == [Result.DONE, Result.LEFT]
        assert glance.copies == ["image-1"]
        assert carrying_out.exit_code(found) == 1


class TestInPlace:
    @pytest.fixture
    def volume(self, cloud):
        """The image-volume of a store of ours, with upstream's metadata only."""
        stored = cloud.lifecycle("fv1").store(builders.upload(announced=builders.SIZE))
        keys = set(cloud.cinder.get(stored.volume_id).metadata)
        ours = {key for key in keys if key.startswith("ontap_")}
        cloud.cinder.drop_metadata(stored.volume_id, *ours)
        return cloud.cinder.get(stored.volume_id)

    @pytest.fixture
    def glance(self, cloud, volume):
        glance = FakeGlance(stored(cloud), enabled=("fv1",))
        glance.locations["image-1"] = [Place(f"cinder://old/{volume.id}", "old")]
        glance.owner_of = lambda volume_id: (
            Record.parse(cloud.cinder.get(volume_id).metadata).store
        )
        return glance

    def step(self, glance, volume, way=Way.IN_PLACE):
        return Step("image-1", way, glance.shown["image-1"], volume, "old", "fv1")

    @pytest.mark.parametrize("verify", [None, True, False])
    def test_glance_writes_the_location_anew(self, carry_out, glance, volume, verify):
        found = carry_out(glance, self.step(glance, volume), verify=verify)
        assert results(found) == [Result.DONE]
        assert glance.places("image-1") == (Place(f"cinder://fv1/{volume.id}", "fv1"),)
        assert not glance.removed

    def test_while_the_old_store_is_enabled_the_location_is_left(
        self, carry_out, glance, volume
    ):
        """Removing the old location would delete the volume."""
        glance.enabled.add("old")
        found = carry_out(glance, self.step(glance, volume))
        assert results(found) == [Result.LEFT]
        assert "take old out of enabled_backends" in found[0].reason
        assert not glance.removed
        glance.enabled.remove("old")
        found = carry_out(glance, self.step(glance, volume, Way.LOCATION))
        assert results(found) == [Result.DONE]

    def test_what_has_changed_since_the_plan_is_not_adopted(
        self, cloud, carry_out, glance, volume
    ):
        cloud.cinder.set_metadata(volume.id, {"image_size": "1"})
        (found,) = carry_out(glance, self.step(glance, volume))
        assert found.result is Result.FAILED
        assert "Glance says" in found.reason

    def test_a_volume_that_is_gone_fails(self, cloud, carry_out, glance, volume):
        cloud.cinder.delete(volume.id)
        cloud.clock.sleep(60)
        found = carry_out(glance, self.step(glance, volume))
        assert results(found) == [Result.FAILED]

    def test_a_volume_that_somebody_reads_is_left_for_the_next_run(
        self, cloud, carry_out, glance, volume
    ):
        reading = cloud.cinder.reserve(volume.id, "ro")
        step = dataclasses.replace(
            self.step(glance, volume), why_not="the volume is reserved", is_busy=True
        )
        (found,) = carry_out(glance, step)
        assert (found.result, glance.shown["image-1"].stores) == (Result.LEFT, ("old",))
        assert "the volume is reserved" in found.reason
        cloud.cinder.detach(reading)
        assert results(carry_out(glance, step)) == [Result.DONE]

    def test_a_refused_step_is_not_taken(self, cloud, carry_out, glance, volume):
        step = dataclasses.replace(self.step(glance, volume), why_not="no")
        (found,) = carry_out(glance, step)
        assert (found.result, found.reason) == (Result.REFUSED, "no")
        assert cloud.cinder.get(volume.id) == volume


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ([], 0),
        ([Result.PLANNED, Result.DONE], 0),
        ([Result.DONE, Result.REFUSED], 1),
        ([Result.LEFT], 1),
        ([Result.LEFT, Result.FAILED], 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst_result(made, code):
    outcomes = [carrying_out.Outcome(copying(), result) for result in made]
    assert carrying_out.exit_code(outcomes) == code


def test_a_preview_tells_what_would_be_done_and_what_not():
    refused = dataclasses.replace(copying(), why_not="no")
    found = carrying_out.preview([copying(), refused])
    assert results(found) == [Result.PLANNED, Result.REFUSED]
    assert [each.reason for each in found] == [None, "no"]


def test_helpers_are_started_for_the_stores_whose_volumes_are_attached():
    steps = [
        copying(),
        dataclasses.replace(copying(), target="fv2", why_not="no"),
        dataclasses.replace(copying(), target="fv3", way=Way.LOCATION),
        dataclasses.replace(copying(), target="fv4", way=Way.IN_PLACE),
    ]
    assert carrying_out.attached_by(steps, Orders()) == ["fv4"]
    assert carrying_out.attached_by(steps, Orders(verify=True)) == ["fv1", "fv4"]
