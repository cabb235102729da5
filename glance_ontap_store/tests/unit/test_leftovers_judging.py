# SPDX-License-Identifier: Apache-2.0
"""What counts as left over, by values: no service is asked."""

import dataclasses
import datetime

import pytest

from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.errors import Reason
from glance_ontap_store.leftovers import judging
from glance_ontap_store.leftovers.leftover import Kind
from glance_ontap_store.leftovers.leftover import Limits
from glance_ontap_store.leftovers.leftover import Verdict
from glance_ontap_store.leftovers.leftover import spoken
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.survey import remains
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.survey.remains import CacheFile
from glance_ontap_store.survey.remains import DeadProcess
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Hold
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StaleMount
from glance_ontap_store.survey.remains import StoreRemains

NOW = datetime.datetime(2026, 5, 4, 12, tzinfo=datetime.timezone.utc)
MARKS = {
    fate: Mark(
        "00000000-0000-0000-0000-000000000000",
        f"0000000{number}-0000-0000-0000-000000000000",
    )
    for number, fate in enumerate(Fate)
}
FATES = {mark: fate for fate, mark in MARKS.items()}
IMAGE_ID = "5f8b3e1c-7c0b-4d26-8f6f-6d6f6f0b1a22"
VOLUME_ID = "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11"
GONE = Unknown(Reason.FORBIDDEN, "no")


def ago(hours):
    return (NOW - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def held(state="filling", fate=Fate.DEAD, *, hours=5, holds=(), store="fv1", **changes):
    """A volume that a process with this fate made, or changed, *hours* ago."""
    metadata = {
        "glance_image_id": IMAGE_ID,
        "image_owner": "acme",
        "image_size": "1000",
        "ontap_hash_algo": "sha512",
        "ontap_hash_value": "abc",
        "ontap_store": store,
        "ontap_state": state,
        "ontap_writer": "glance-1",
        "ontap_started": ago(hours),
        "ontap_write_id": "w1",
    }
    if fate is not None:
        metadata["ontap_lock"] = str(MARKS[fate])
    time = ago(hours).removesuffix("Z")
    volume = Volume(
        **{
            "id": VOLUME_ID,
            "status": "available",
            "size_gib": 3,
            "metadata": metadata,
            "created_at": time,
            "updated_at": time,
            **changes,
        }
    )
    return Held(volume, tuple(holds))


def hold(fate=Fate.DEAD, **changes):
    values = {
        "id": "attachment-1",
        "volume_id": VOLUME_ID,
        "status": "attached",
        "mark": None if fate is None else MARKS[fate],
        "host": "glance-2",
        "since": NOW - datetime.timedelta(hours=5),
    }
    return Hold(**{**values, **changes})


def facts(*volumes, images=(), seen_twice=(), at_glance=True, **changes):
    store = StoreRemains("fv1", volumes, frozenset(seen_twice), at_glance)
    values = {
        "now": NOW,
        "stores": (store,),
        "fates": FATES,
        "images": images
        if isinstance(images, Unknown)
        else {image.id: image for image in images},
    }
    return Remains(**{**values, **changes})


def judged(known, **limits):
    return [
        (each.kind, each.verdict) for each in judging.judge(known, Limits(**limits))
    ]


def only(known, **limits):
    (found,) = judging.judge(known, Limits(**limits))
    return found


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("filling", Kind.FILLING),
        ("reading", Kind.READING),
        ("replicating", Kind.REPLICATING),
    ],
)
@pytest.mark.parametrize(
    ("fate", "older_than", "verdict"),
    [
        (Fate.LIVE, None, None),
        (Fate.LIVE, 1, None),
        (Fate.DEAD, None, Verdict.DEAD),
        (Fate.ELSEWHERE, None, Verdict.UNPROVEN),
        (Fate.ELSEWHERE, 4 * 3600, Verdict.DEAD),
        (Fate.ELSEWHERE, 6 * 3600, Verdict.UNPROVEN),
        (Fate.UNKNOWN, None, Verdict.UNPROVEN),
        (Fate.UNKNOWN, 4 * 3600, Verdict.DEAD),
        # A release that wrote no lock made it.
        (None, None, Verdict.UNPROVEN),
        (None, 4 * 3600, Verdict.DEAD),
    ],
)
def test_an_unfinished_volume_is_left_if_its_process_is_dead_or_it_is_old(
    state, kind, fate, older_than, verdict
):
    left = held(state, fate, migration="")
    found = judged(facts(left), older_than=older_than)
    assert found == ([] if verdict is None else [(kind, verdict)])


@pytest.mark.parametrize(
    ("changes", "keep"),
    [
        ({"migration": None}, "--os-cloud"),
        ({"migration": "migrating"}, "Cinder moves it"),
        ({"migration": "starting"}, "Cinder moves it"),
        ({"migration": "", "status": "maintenance"}, "maintenance"),
    ],
)
@pytest.mark.parametrize("fate", [Fate.DEAD, Fate.ELSEWHERE])
def test_a_replica_that_cinder_may_be_moving_is_never_touched(changes, keep, fate):
    found = only(facts(held("replicating", fate, **changes)), older_than=1)
    assert found.verdict is Verdict.KEPT
    assert keep in found.action
    assert "glance-ontap replicate" in found.why


@pytest.mark.parametrize("migration", ["", "error", "success"])
def test_a_replica_that_rests_is_left_whether_or_not_its_image_exists(migration):
    left = held("replicating", migration=migration)
    for images in ([], [Image(IMAGE_ID)]):
        assert judged(facts(left, images=images)) == [(Kind.REPLICATING, Verdict.DEAD)]


def test_a_sealed_replica_of_an_image_is_left_to_replicate():
    """Only its location is missing."""
    assert judged(facts(held("sealed"), images=[Image(IMAGE_ID)])) == []
    assert judged(facts(held("sealed"))) == [(Kind.ORPHAN, Verdict.DEAD)]


def test_a_leftover_says_who_left_it_and_when():
    found = only(facts(held(fate=Fate.ELSEWHERE)))
    assert found.why == (
        "Host glance-1 made it 5 h ago; its process cannot be looked at from here."
    )
    assert found.action == "none without --older-than"
    assert (found.store, found.image_id, found.size_gib) == ("fv1", IMAGE_ID, 3)
    assert found.since == NOW - datetime.timedelta(hours=5)


def test_a_volume_of_a_dead_process_that_a_live_one_attached_is_not_left():
    assert judged(facts(held(holds=[hold(Fate.LIVE)]))) == []


def test_a_volume_that_a_server_uses_is_kept():
    server = hold(None, instance="server-1")
    found = only(facts(held(holds=[server])), older_than=1)
    assert found.verdict is Verdict.KEPT
    assert "server-1" in found.why


def test_attachments_of_an_unfinished_volume_go_with_it():
    assert judged(facts(held(holds=[hold()]))) == [(Kind.FILLING, Verdict.DEAD)]


@pytest.mark.parametrize(
    "volume",
    [
        held(store="fv2"),
        held("sealed", store="fv2"),
        held("copying"),
        held(status="deleting"),
        held(metadata={"image_owner": "acme", "glance_image_id": "x"}),
        held(metadata={}),
    ],
    ids=["fv2", "sealed fv2", "newer", "deleting", "upstream", "plain"],
)
def test_volumes_of_others_are_not_looked_at(volume):
    assert judged(facts(volume), older_than=0, guard=0) == []


def test_a_volume_without_a_time_is_kept():
    volume = held(fate=Fate.ELSEWHERE, created_at=None)
    metadata = {**volume.volume.metadata, "ontap_started": "yesterday"}
    changed = dataclasses.replace(volume.volume, metadata=metadata)
    found = only(facts(Held(changed)), older_than=0)
    assert found.verdict is Verdict.KEPT


class TestOrphan:
    """Sealed image-volumes, and the images that Glance has."""

    @pytest.mark.parametrize("fate", [*Fate, None])
    def test_a_volume_whose_image_exists_is_never_touched(self, fate):
        known = facts(held("sealed", fate, hours=9000), images=[Image(IMAGE_ID)])
        assert judged(known, older_than=0, guard=0) == []

    @pytest.mark.parametrize(
        ("fate", "hours", "verdict"),
        [
            # The writer cannot register it any more.
            (Fate.DEAD, 0.1, Verdict.DEAD),
            # It may just be about to.
            (Fate.LIVE, 0.1, Verdict.KEPT),
            (Fate.ELSEWHERE, 0.1, Verdict.KEPT),
            (None, 0.1, Verdict.KEPT),
            # Copies go on after their image is deleted, and nobody crashed.
            (Fate.LIVE, 2, Verdict.DEAD),
            (Fate.ELSEWHERE, 2, Verdict.DEAD),
            (None, 2, Verdict.DEAD),
        ],
    )
    def test_without_an_image_it_is_left_after_a_while(self, fate, hours, verdict):
        known = facts(held("sealed", fate, hours=hours))
        assert judged(known) == [(Kind.ORPHAN, verdict)]

    def test_the_last_change_counts_and_not_the_begin_of_the_upload(self):
        volume = held("sealed", Fate.LIVE, hours=30)
        changed = dataclasses.replace(
            volume.volume, updated_at=ago(0.5).removesuffix("Z")
        )
        found = only(facts(Held(changed)))
        assert found.verdict is Verdict.KEPT
        assert "--guard" in found.action

    @pytest.mark.parametrize("limits", [{}, {"older_than": 0, "guard": 0}])
    def test_without_glance_none_is_left(self, limits):
        known = facts(held("sealed", hours=9000), images=GONE)
        assert judged(known, **limits) == []

    @pytest.mark.parametrize(
        ("at_glance", "words"),
        [(False, "no store 'fv1'"), (GONE, "does not tell its stores")],
    )
    def test_a_glance_without_the_store_is_not_believed(self, at_glance, words):
        found = only(facts(held("sealed"), at_glance=at_glance))
        assert found.verdict is Verdict.KEPT
        assert words in found.action

    def test_more_than_the_limit_are_kept(self):
        volumes = [held("sealed", id=f"volume-{number}") for number in range(3)]
        dead = (Kind.ORPHAN, Verdict.DEAD)
        assert judged(facts(*volumes), most_orphans=3) == [dead] * 3
        found = judging.judge(facts(*volumes), Limits(most_orphans=2))
        assert {each.verdict for each in found} == {Verdict.KEPT}
        assert "--max-orphans" in found[0].action

    def test_late_deletion_by_glance_is_left_to_its_scrubber(self):
        found = only(facts(held("sealed"), delays_deletion=True))
        assert found.verdict is Verdict.KEPT
        assert "scrubber" in found.action

    URL = (f"cinder://fv1/{VOLUME_ID}",)

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            ({"size": 1000, "locations": (ImageLocation(*URL),)}, Verdict.KEPT),
            (
                {"size": 1000, "locations": (ImageLocation("cinder://fv1/empty"),)},
                Verdict.DEAD,
            ),
            # Its locations are not shown, but it cannot be these bytes.
            ({"size": 1001}, Verdict.DEAD),
            ({"size": 1000, "hash_algo": "sha512", "hash_value": "x"}, Verdict.DEAD),
            # It could.
            ({"size": 1000}, Verdict.KEPT),
            ({"size": 1000, "hash_algo": "sha512", "hash_value": "abc"}, Verdict.KEPT),
        ],
    )
    def test_another_image_that_uses_the_volume_keeps_it(self, changes, verdict):
        known = facts(held("sealed"), images=[Image("other", **changes)])
        assert judged(known) == [(Kind.ORPHAN, verdict)]

    @pytest.mark.parametrize(
        ("answer", "verdict"),
        [(URL, Verdict.KEPT), ((), Verdict.DEAD), (GONE, Verdict.KEPT)],
    )
    def test_locations_that_were_asked_for_count(self, answer, verdict):
        images = [Image("other", size=1000)]
        known = facts(held("sealed"), images=images, urls={"other": answer})
        assert judged(known) == [(Kind.ORPHAN, verdict)]

    def test_only_images_that_may_use_a_volume_without_an_image_are_asked_for(self):
        images = [Image("same", size=1000), Image("other", size=7)]
        known = facts(held("sealed"), held("filling"), images=images)
        assert [image.id for image in remains.rivals(known)] == ["same"]
        known = facts(held("sealed"), images=[*images, Image(IMAGE_ID)])
        assert not list(remains.rivals(known))

    def test_attachments_of_the_dead_go_first(self):
        known = facts(held("sealed", holds=[hold()]))
        assert judged(known) == [
            (Kind.ATTACHMENT, Verdict.DEAD),
            (Kind.ORPHAN, Verdict.DEAD),
        ]

    def test_one_that_is_read_is_kept(self):
        known = facts(held("sealed", holds=[hold(Fate.LIVE)]))
        assert judged(known) == [(Kind.ORPHAN, Verdict.KEPT)]


class TestAttachment:
    """Attachments of an image-volume whose image exists."""

    IMAGES = (Image(IMAGE_ID),)

    def judged(self, *holds, volume=None, seen_twice=(), **limits):
        volume = volume or held("sealed")
        known = facts(
            dataclasses.replace(volume, holds=holds),
            images=self.IMAGES,
            seen_twice=seen_twice,
        )
        return judged(known, **limits)

    @pytest.mark.parametrize(
        ("fate", "older_than", "verdict"),
        [
            (Fate.LIVE, 0, None),
            (Fate.DEAD, None, Verdict.DEAD),
            (Fate.ELSEWHERE, None, Verdict.UNPROVEN),
            (Fate.ELSEWHERE, 4 * 3600, Verdict.DEAD),
            (Fate.ELSEWHERE, 6 * 3600, Verdict.UNPROVEN),
            (Fate.UNKNOWN, None, Verdict.UNPROVEN),
            (None, None, Verdict.UNPROVEN),
            (None, 4 * 3600, Verdict.DEAD),
        ],
    )
    @pytest.mark.parametrize("status", ["attached", "attaching"])
    def test_it_is_left_if_its_reader_is_dead_or_it_is_old(
        self, fate, older_than, verdict, status
    ):
        found = self.judged(hold(fate, status=status), older_than=older_than)
        assert found == ([] if verdict is None else [(Kind.ATTACHMENT, verdict)])

    def test_a_reservation_that_stays_has_no_reader(self):
        reserved = hold(None, status="reserved", since=None)
        assert self.judged(reserved) == []
        assert self.judged(reserved, older_than=0) == []
        dead = [(Kind.ATTACHMENT, Verdict.DEAD)]
        assert self.judged(reserved, seen_twice=["attachment-1"]) == dead

    def test_a_reservation_of_a_live_process_is_used(self):
        reserved = hold(Fate.LIVE, status="reserved")
        assert self.judged(reserved, seen_twice=["attachment-1"]) == []

    def test_a_server_keeps_its_attachment(self):
        assert self.judged(hold(None, instance="server-1"), older_than=0) == []

    @pytest.mark.parametrize(
        "volume",
        [
            held("sealed", store="fv2"),
            held(metadata={"image_owner": "acme", "glance_image_id": IMAGE_ID}),
        ],
    )
    def test_of_others_volumes_only_marked_attachments_are_ours(self, volume):
        assert self.judged(hold(None), volume=volume, older_than=0) == []
        dead = [(Kind.ATTACHMENT, Verdict.DEAD)]
        assert self.judged(hold(), volume=volume) == dead


def test_two_stores_of_a_project_show_an_attachment_once():
    volume = held(metadata={"image_owner": "acme"}, holds=[hold()])
    stores = tuple(StoreRemains(name, (volume,)) for name in ("fv1", "fv2"))
    known = facts(images=(), stores=stores)
    assert judged(known) == [(Kind.ATTACHMENT, Verdict.DEAD)]


def test_mounts_and_lock_files_of_this_host():
    known = facts(
        mounts=(StaleMount("192.0.2.10:/fv1", "/mnt/x", "/mnt"),),
        processes=(DeadProcess("t1", "/mnt", 0), DeadProcess("t2", "/mnt", 2)),
    )
    found = judging.judge(known, Limits())
    assert [(each.kind, each.id, each.verdict) for each in found] == [
        (Kind.MOUNT, "192.0.2.10:/fv1", Verdict.DEAD),
        (Kind.PROCESS, "t1", Verdict.DEAD),
        (Kind.PROCESS, "t2", Verdict.DEAD),
    ]
    assert found[2].why.endswith("It held 2 things, some perhaps still.")


class TestCaches:
    """Copies that Cinder and its driver keep: they are reported only."""

    def volume(self, **changes):
        values = {"id": "v", "status": "available", "size_gib": 1, "project_id": "p"}
        return Volume(**{**values, "name": f"image-{IMAGE_ID}", **changes})

    def file(self):
        return CacheFile("192.0.2.10:/fv1", f"img-cache-{IMAGE_ID}", 1000, NOW)

    def test_those_of_deleted_images_are_reported_and_never_removed(self):
        known = facts(cache_volumes=(self.volume(),), cache_files=(self.file(),))
        assert judged(known, older_than=0, guard=0) == [
            (Kind.CACHE_VOLUME, Verdict.KEPT),
            (Kind.CACHE_FILE, Verdict.KEPT),
        ]

    def test_those_of_images_that_exist_are_not(self):
        known = facts(
            cache_volumes=(self.volume(),),
            cache_files=(self.file(),),
            images=[Image(IMAGE_ID)],
        )
        assert judged(known) == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"metadata": {"image_owner": "acme"}},
            {"metadata": {"ontap_state": "sealed"}},
            {"name": "image-of-my-disk"},
            {"name": None},
        ],
    )
    def test_other_volumes_are_no_cache(self, changes):
        assert judged(facts(cache_volumes=(self.volume(**changes),))) == []

    def test_without_glance_none_is_known(self):
        known = facts(
            cache_volumes=(self.volume(),), cache_files=(self.file(),), images=GONE
        )
        assert judged(known) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200000, "2 d")],
)
def test_durations_in_words(seconds, words):
    assert spoken(seconds) == words
