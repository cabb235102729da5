# SPDX-License-Identifier: Apache-2.0
"""The plan for replicas, by values: what is made, kept, retired and refused."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import planning
from glance_ontap_store.replication.facts import ReplicaType
from glance_ontap_store.replication.planning import Scope
from glance_ontap_store.replication.policy import Match
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.tests.fakes import replicas
from glance_ontap_store.tests.fakes.replicas import copy
from glance_ontap_store.tests.fakes.replicas import days_ago
from glance_ontap_store.tests.fakes.replicas import facts
from glance_ontap_store.tests.fakes.replicas import half_made
from glance_ontap_store.tests.fakes.replicas import image
from glance_ontap_store.tests.fakes.replicas import policy
from glance_ontap_store.tests.fakes.replicas import pool
from glance_ontap_store.tests.fakes.replicas import replica
from glance_ontap_store.tests.fakes.replicas import target
from glance_ontap_store.tests.fakes.replicas import with_pools
from glance_ontap_store.tests.fakes.replicas import with_volume
from glance_ontap_store.units import GIB

IMAGE = image()
BOTH = image(stores=frozenset({"fv1", "fv2"}))
ORIGINAL = copy(IMAGE)
REPLICA = replica(IMAGE)
HERE = facts([IMAGE], ORIGINAL)
THERE = facts([BOTH], ORIGINAL, REPLICA)


def plan(found=HERE, wanted=None, **more):
    return planning.plan(wanted or policy(), found, **more)


def actions(steps):
    return {(each.store_id, each.action) for each in steps}


def second(found=HERE, wanted=None, **more):
    """The only step about the second store."""
    (step,) = (each for each in plan(found, wanted, **more) if each.store_id == "fv2")
    return step


def unwanted(*stores):
    """A policy that wants images in these stores alone, if in any."""
    return policy(rules=(Rule("rules[0]", Match(), stores),))


class TestMake:
    def test_a_replica_is_made_where_there_is_none(self):
        step = second()
        assert (step.action, step.image, step.source) == (
            *(Action.MAKE, IMAGE),
            "debian-in-fv1",
        )
        assert (step.pool, step.replica) == (replicas.pool_name(2), None)
        assert step.moved_bytes == 10 * GIB
        assert step.why == "rules[0] wants it here."
        assert actions(plan()) == {("fv1", Action.KEEP), ("fv2", Action.MAKE)}

    def test_the_verification_is_that_of_the_rule(self):
        rule = Rule("rules[0]", Match(), ("fv2",), verify=Verify.FULL)
        assert second(wanted=policy(rules=(rule,))).verify is Verify.FULL

    def test_the_measured_size_counts_where_it_is_known(self):
        measured = dataclasses.replace(HERE, occupied={"debian-in-fv1": 3 * GIB})
        assert second(measured).moved_bytes == 3 * GIB

    def test_an_image_that_no_rule_wants_has_no_step(self):
        assert plan(wanted=unwanted()) == []
        rule = Rule("rules[0]", Match(tags=("golden",)), ("fv2",))
        assert plan(wanted=policy(rules=(rule,))) == []

    @pytest.mark.parametrize("status", ["queued", "saving", "importing", "deleted"])
    def test_an_image_without_data_has_no_step(self, status):
        assert plan(facts([image(status=status, stores=frozenset())])) == []
        assert plan(facts([image(size=0)])) == []

    def test_an_image_that_cinder_does_not_clone_is_said_to_be_one(self):
        assert "qcow2" in second(facts([image(disk_format="qcow2")], ORIGINAL)).why

    def test_an_original_on_the_same_back_end_is_the_source(self):
        everywhere = image(stores=frozenset({"fv1", "fv2", "fv3"}))
        first = replica(everywhere, 1, days=900)
        found = facts(
            *([everywhere], first, copy(everywhere, 2, days=5)),
            targets=(target(1), target(2), target(4)),
            pools=(pool(1), pool(2), pool(4)),
        )
        steps = plan(found, unwanted("fv4"))
        (made,) = (each for each in steps if each.action is Action.MAKE)
        assert made.source == "debian-in-fv2"


class TestTimeToLive:
    def test_an_image_that_nobody_used_lately_gets_no_replica(self):
        assert actions(plan(wanted=policy(ttl_days=30))) == {("fv1", Action.KEEP)}

    def test_its_upload_and_its_volumes_are_uses(self):
        new = image(created_at=f"{days_ago(29):%Y-%m-%dT%H:%M:%SZ}")
        wanted = policy(ttl_days=30)
        assert second(facts([new], ORIGINAL), wanted).action is Action.MAKE
        uses = {(IMAGE.id, replicas.pool_name(2)): days_ago(29)}
        used = dataclasses.replace(HERE, uses=uses)
        assert second(used, wanted).action is Action.MAKE
        elsewhere = {(IMAGE.id, replicas.pool_name(1)): days_ago(1)}
        used = dataclasses.replace(HERE, uses=elsewhere)
        assert actions(plan(used, wanted)) == {("fv1", Action.KEEP)}

    def test_an_image_that_is_named_counts_as_used(self):
        for name in (IMAGE.id, IMAGE.name):
            scope = Scope(images=frozenset({name}))
            step = second(HERE, policy(ttl_days=30), scope=scope)
            assert step.action is Action.MAKE

    def test_a_replica_of_an_image_that_is_named_stays(self):
        found = facts([BOTH], ORIGINAL, replica(BOTH, days=99))
        scope = Scope(images=frozenset({BOTH.id}))
        assert second(found, policy(ttl_days=30), scope=scope).action is Action.KEEP

    @pytest.mark.parametrize(
        ("made", "used", "action"),
        [
            (31, None, Action.RETIRE),
            (29, None, Action.KEEP),
            (300, 29, Action.KEEP),
            (300, 31, Action.RETIRE),
        ],
    )
    def test_a_replica_that_is_not_used_goes(self, made, used, action):
        uses = {}
        if used:
            uses = {(BOTH.id, replicas.pool_name(2)): days_ago(used)}
        found = facts([BOTH], ORIGINAL, replica(BOTH, days=made), uses=uses)
        step = second(found, policy(ttl_days=30))
        assert step.action is action
        assert step.replica == "debian-in-fv2"
        if action is Action.RETIRE:
            assert "within 30 days" in step.why

    def test_an_original_never_goes(self):
        found = facts([BOTH], ORIGINAL, copy(BOTH, 2))
        assert actions(plan(found, policy(ttl_days=1))) == {
            ("fv1", Action.KEEP),
            ("fv2", Action.KEEP),
        }
        assert plan(found, unwanted()) == []

    def test_a_replica_of_unknown_age_stays(self):
        unknown = with_volume(REPLICA, created_at=None)
        found = facts([dataclasses.replace(BOTH, created_at=None)], ORIGINAL, unknown)
        step = second(found, policy(ttl_days=30))
        assert (step.action, step.why) == (Action.KEEP, "rules[0] wants it here.")


class TestRetire:
    def test_a_replica_that_no_rule_wants_goes(self):
        (step,) = plan(THERE, unwanted())
        assert (step.action, step.store_id, step.replica) == (
            *(Action.RETIRE, "fv2"),
            "debian-in-fv2",
        )
        assert step.why == "rules[0] does not want the image in store fv2."
        rule = Rule("rules[0]", Match(tags=("golden",)), ())
        (step,) = plan(THERE, policy(rules=(rule,)))
        assert step.why == "No rule matches the image."

    def test_the_last_location_stays(self):
        alone = image(stores=frozenset({"fv2"}))
        (step,) = plan(facts([alone], replica(alone)), unwanted())
        assert step.action is Action.KEEP
        assert "only copy" in step.why

    def test_one_of_two_replicas_stays_the_one_that_was_used_last(self):
        found = facts([BOTH], replica(BOTH, 1, days=9), replica(BOTH, 2, days=99))
        assert actions(plan(found, unwanted())) == {
            ("fv2", Action.RETIRE),
            ("fv1", Action.KEEP),
        }

    @pytest.mark.parametrize("status", ["error", "error_deleting"])
    def test_a_location_whose_volume_is_broken_is_not_a_copy(self, status):
        found = facts([BOTH], with_volume(ORIGINAL, status=status), REPLICA)
        (step,) = plan(found, unwanted())
        assert step.action is Action.KEEP
        found = facts([BOTH], REPLICA)
        assert plan(found, unwanted())[0].action is Action.KEEP

    @pytest.mark.parametrize(
        ("owner", "action"), [("acme", Action.RETIRE), ("globex", Action.KEEP)]
    )
    def test_in_a_project_of_users_only_the_owners_volume_is_one(self, owner, action):
        found = facts(
            [BOTH],
            with_volume(ORIGINAL, project_id=owner),
            REPLICA,
            targets=(target(1, project_id=None), target(2)),
        )
        assert plan(found, unwanted())[0].action is action

    def test_a_location_in_another_store_is_one(self):
        found = image(stores=frozenset({"disk", "fv2"}))
        (step,) = plan(facts([found], replica(found)), unwanted())
        assert step.action is Action.RETIRE

    def test_a_broken_replica_that_stays_is_told(self):
        found = facts([BOTH], ORIGINAL, with_volume(REPLICA, status="error"))
        step = second(found)
        assert (step.action, "is error in Cinder" in step.why) == (Action.REFUSE, True)


class TestFloor:
    def below(self, lack_gib, *copies, images=(), **changes):
        """The second FlexVol is *lack_gib* below its floor of 100 GiB."""
        found = facts(images or [BOTH], ORIGINAL, *copies, **changes)
        return with_pools(found, pool(1), pool(2, free_gib=100 - lack_gib))

    def test_a_replica_goes_where_space_is_short(self):
        step = second(self.below(1, REPLICA))
        assert step.action is Action.RETIRE
        assert step.why == (
            "FlexVol 192.0.2.1:/fv2 is 1.0 GiB below its floor of free space."
        )

    def test_only_as_many_as_are_needed_the_least_used_first(self):
        stores = frozenset({"fv1", "fv2"})
        names = ("a", "b", "c", "d")
        images = [image(name, stores=stores) for name in names]
        copies = [copy(each) for each in images]
        ages = (20, 40, 10, 30)
        copies += [
            replica(each, days=age) for each, age in zip(images, ages, strict=True)
        ]
        uses = {("id-of-b", replicas.pool_name(2)): days_ago(1)}
        found = with_pools(
            facts(images, *copies, uses=uses), pool(1), pool(2, free_gib=85)
        )
        retired = [
            each.image.name for each in plan(found) if each.action is Action.RETIRE
        ]
        assert retired == ["d", "a"]

    def test_what_goes_anyway_gives_its_space_first(self):
        old = image("old", stores=frozenset({"fv1", "fv2"}), tags=frozenset({"old"}))
        rules = (
            Rule("rules[0]", Match(tags=("old",)), ()),
            Rule("rules[1]", Match(), ("fv2",)),
        )
        copies = [copy(old), replica(old, days=1), replica(BOTH, days=99)]
        steps = plan(self.below(5, *copies, images=[BOTH, old]), policy(rules=rules))
        retired = [each.image.name for each in steps if each.action is Action.RETIRE]
        assert retired == ["old"]

    def test_those_for_ever_go_last(self):
        stores = frozenset({"fv1", "fv2"})
        golden = image("golden", stores=stores, tags=frozenset({"golden"}))
        plain = image("plain", stores=stores)
        rules = (
            Rule("rules[0]", Match(tags=("golden",)), ("fv2",)),
            Rule("rules[1]", Match(), ("fv2",), 300 * replicas.DAY_S),
        )
        copies = [copy(golden), copy(plain), replica(golden, days=200), replica(plain)]
        found = self.below(5, *copies, images=[golden, plain])
        steps = plan(found, policy(rules=rules))
        assert [each.image.name for each in steps if each.action is Action.RETIRE] == [
            "plain"
        ]

    def test_a_flexvol_of_unknown_space_is_not_below(self):
        found = with_pools(THERE, pool(1), pool(2, free_gib=None))
        assert second(found).action is Action.KEEP


class TestHalfMade:
    def test_it_is_gone_on_with(self):
        found = facts([IMAGE], ORIGINAL, half_made(IMAGE))
        step = second(found)
        assert (step.action, step.replica) == (Action.RESUME, "debian-in-fv2")
        assert (step.source, step.moved_bytes) == ("debian-in-fv1", 0)

    def test_one_that_was_not_moved_yet_needs_the_room(self):
        waiting = with_volume(half_made(IMAGE), pool=replicas.pool_name(1))
        found = facts([IMAGE], ORIGINAL, waiting)
        step = second(found)
        assert (step.action, step.moved_bytes) == (Action.RESUME, 10 * GIB)
        step = second(with_pools(found, pool(1), pool(2, free_gib=100)))
        assert (step.action, "are to stay free" in step.why) == (Action.REFUSE, True)

    def test_one_that_is_complete_is_registered(self):
        found = facts([IMAGE], ORIGINAL, REPLICA)
        step = second(found)
        assert step.action is Action.RESUME
        assert "Glance does not know" in step.why

    def test_one_with_another_digest_is_discarded(self):
        wrong = replica(IMAGE, hash_value="other")
        step = second(facts([IMAGE], ORIGINAL, wrong))
        assert (step.action, "digest" in step.why) == (Action.DISCARD, True)

    def test_the_oldest_of_several_stays(self):
        later = half_made(IMAGE, days=1, suffix="-later")
        found = facts([IMAGE], ORIGINAL, later, half_made(IMAGE, days=2))
        steps = [each for each in plan(found) if each.store_id == "fv2"]
        assert [(each.action, each.replica) for each in steps] == [
            (Action.DISCARD, "debian-in-fv2-later"),
            (Action.RESUME, "debian-in-fv2"),
        ]

    @pytest.mark.parametrize("half", [half_made(IMAGE), replica(IMAGE)])
    def test_one_that_no_rule_wants_is_discarded(self, half):
        (step,) = plan(facts([IMAGE], ORIGINAL, half), unwanted())
        assert (step.action, step.replica) == (Action.DISCARD, "debian-in-fv2")

    def test_one_beside_the_registered_one_is_discarded(self):
        half = half_made(BOTH, suffix="-2")
        steps = plan(facts([BOTH], ORIGINAL, REPLICA, half))
        assert [each.replica for each in steps if each.action is Action.DISCARD] == [
            "debian-in-fv2-2"
        ]

    def test_an_upload_that_no_location_names_is_left_to_sweep(self):
        step = second(facts([IMAGE], ORIGINAL, copy(IMAGE, 2)))
        assert step.action is Action.REFUSE
        assert "glance-ontap sweep" in step.why

    def test_an_image_that_is_not_active_is_left_alone(self):
        found = facts([image(status="deactivated")], ORIGINAL, half_made(IMAGE))
        step = second(found)
        assert (step.action, step.why[:24]) == (
            Action.REFUSE,
            "The image is deactivated",
        )


class TestRefresh:
    def test_the_owner_of_every_copy_is_the_images(self):
        given = dataclasses.replace(BOTH, owner="globex")
        steps = plan(facts([given], ORIGINAL, REPLICA))
        assert actions(steps) == {("fv1", Action.REFRESH), ("fv2", Action.REFRESH)}
        assert "Project globex owns the image" in steps[0].why

    def test_an_original_that_no_rule_wants_too(self):
        given = dataclasses.replace(IMAGE, owner="globex")
        assert actions(plan(facts([given], ORIGINAL), unwanted())) == {
            ("fv1", Action.REFRESH)
        }

    def test_but_not_one_that_goes(self):
        given = dataclasses.replace(BOTH, owner="globex")
        found = facts([given], copy(given), REPLICA)
        assert actions(plan(found, unwanted())) == {("fv2", Action.RETIRE)}

    def test_an_image_without_an_owner_names_nobody(self):
        given = dataclasses.replace(IMAGE, owner=None)
        assert actions(plan(facts([given], ORIGINAL))) == {
            ("fv1", Action.KEEP),
            ("fv2", Action.MAKE),
        }

    def test_alone_if_asked_for(self):
        given = dataclasses.replace(IMAGE, owner="globex")
        other = image("other")
        found = facts([given, other], ORIGINAL, copy(other))
        steps = plan(found, scope=Scope(is_refresh=True))
        assert actions(steps) == {("fv1", Action.REFRESH)}


class TestScope:
    def test_images_and_stores_may_be_named(self):
        other = image("other")
        found = facts([IMAGE, other], ORIGINAL, copy(other))
        steps = plan(found, scope=Scope(images=frozenset({"other"})))
        assert {each.image.name for each in steps} == {"other"}
        steps = plan(found, scope=Scope(stores=frozenset({"fv1"})))
        assert actions(steps) == {("fv1", Action.KEEP)}

    def test_the_room_is_for_what_is_named(self):
        images = [image(name) for name in "abc"]
        found = facts(images, *map(copy, images))
        found = with_pools(found, pool(1), pool(2, free_gib=115))
        scope = Scope(images=frozenset({"c"}))
        assert second(found, scope=scope).action is Action.MAKE
        made = [each.image.name for each in plan(found) if each.action is Action.MAKE]
        assert made == ["a"]


def with_target(**changes):
    return dataclasses.replace(HERE, targets=(target(1), target(2, **changes)))


def with_second_pool(**changes):
    return with_pools(HERE, pool(1), pool(2, **changes))


def with_type(kind=replicas.TYPE, **changes):
    replica_type = dataclasses.replace(ReplicaType("ontap", kind), **changes)
    return with_target(replica_type=replica_type)


def spec(**specs):
    return VolumeType("type-id", "ontap", True, specs)


def with_source(record=None, **changes):
    found = copy(IMAGE, **(record or {}))
    return facts([IMAGE], with_volume(found, **changes))


# What the array cannot copy, by the words of its reason.
REFUSED_BY_THE_ARRAY = {
    "keeps each image-volume in the project": with_target(project_id=None),
    "is a FlexGroup": with_second_pool(is_flexgroup=True),
    "FlexGroup, where": with_pools(HERE, pool(1, is_flexgroup=True), pool(2)),
    "replicated to another array": with_second_pool(is_replicated=True),
    "is NVMe": with_second_pool(protocol="NVMe"),
    "is iSCSI": with_second_pool(protocol="iSCSI"),
    "is FC": with_second_pool(protocol="FC"),
    "not of NetApp": with_second_pool(vendor="Other"),
    "as a cluster": dataclasses.replace(
        HERE, services=(Service("node-1@ontap", "nova", replicas.SERVICE),)
    ),
    "junction path /vol/fv2": with_second_pool(pool_name="192.0.2.1:/vol/fv2"),
    "has no ontap_replica_volume_type": with_target(replica_type=ReplicaType()),
    "Cinder has no volume type 'ontap'": with_type(None),
    "is private to other projects": with_type(is_visible=False),
    "encrypts on the host": with_type(encrypts=True),
    "does not tell whether volume type": with_type(
        encrypts=Unknown(Reason.FORBIDDEN, "HTTP 403")
    ),
    "is pinned to 192.0.2.1:/fv1": with_type(spec(pool_name="192.0.2.1:/fv1")),
    "is pinned to 192.0.2.1:/fv2": with_type(spec(pool_name="192.0.2.1:/fv2")),
    "is for back end other": with_type(spec(volume_backend_name="other")),
    "no sealed image-volume": facts([IMAGE]),
    "no digest is recorded": with_source(
        metadata={"glance_image_id": IMAGE.id, "image_owner": "acme"}
    ),
    "has no digest of the image": with_source({"hash_value": None}),
    "Glance has no digest": facts([image(hash_value=None)], ORIGINAL),
    "is not the image's": with_source({"hash_value": "other"}),
    "is encrypted": with_source(encrypted=True),
    "is backing-up": with_source(status="backing-up"),
    "is in project elsewhere": with_source(project_id="elsewhere"),
    "does not show the pool": with_source(pool=None),
    "on the same FlexVol": with_pools(HERE, pool(1), pool(1)),
    "same_cluster: [[h@other, h@ontap]]": dataclasses.replace(
        with_source(pool="h@other#192.0.2.1:/x"),
        pools=(pool(2), pool(1, name="h@other#192.0.2.1:/x")),
    ),
}
# What nobody copies there.
REFUSED = {
    "Cinder has no pool": with_target(pools=()),
    "leads to 2 FlexVols": with_target(pools=(pool(2), pool(3))),
    "The image is deactivated": facts([image(status="deactivated")], ORIGINAL),
    "does not take images of project acme": with_target(
        allowed_projects=frozenset({"globex"})
    ),
    "Glance is copying the image there": facts(
        [image(properties={"os_glance_importing_to_stores": "fv9,fv2"})], ORIGINAL
    ),
    "has 109.0 GiB free": with_second_pool(free_gib=109),
    "does not tell the free space": with_second_pool(free_gib=None),
}


class TestRefuse:
    @pytest.mark.parametrize("says", [*REFUSED, *REFUSED_BY_THE_ARRAY])
    def test_what_cannot_be_made_has_its_reason(self, says):
        step = second({**REFUSED, **REFUSED_BY_THE_ARRAY}[says])
        assert step.action is Action.REFUSE
        assert says in step.why
        assert step.why.endswith((".", "]", "sweep", "audit", "check", "ontap"))
        assert step.source is None

    @pytest.mark.parametrize("says", REFUSED)
    def test_glance_copies_none_of_them_either(self, says):
        step = second(REFUSED[says], by=By.COPY_IMAGE)
        assert (step.action, says in step.why) == (Action.REFUSE, True)

    @pytest.mark.parametrize("says", REFUSED_BY_THE_ARRAY)
    def test_glance_copies_what_the_array_does_not(self, says):
        step = second(REFUSED_BY_THE_ARRAY[says], by=By.COPY_IMAGE)
        # Of the image-volume that is marked as what it is a copy of.
        has_volume = step.source in ("debian-in-fv1", None)
        assert (step.action, has_volume) == (Action.MAKE, True)
        assert step.moved_bytes == 10 * GIB

    def test_an_image_volume_in_use_is_cloned(self):
        assert second(with_source(status="in-use")).action is Action.MAKE

    def test_a_type_with_both_flexvols_is_not_pinned(self):
        both = "<or> 192.0.2.1:/fv1 <or> 192.0.2.1:/fv2"
        assert second(with_type(spec(pool_name=both))).action is Action.MAKE
        other = "<or> 192.0.2.1:/fv2 <or> 192.0.2.1:/fv3"
        assert "is pinned to" in second(with_type(spec(pool_name=other))).why

    def test_back_ends_of_one_cluster_are_near(self):
        found = REFUSED_BY_THE_ARRAY["same_cluster: [[h@other, h@ontap]]"]
        wanted = policy(same_cluster=(frozenset({"h@other", "h@ontap"}),))
        assert second(found, wanted).action is Action.MAKE

    def test_another_copy_serves_where_the_first_cannot(self):
        everywhere = image(stores=frozenset({"fv1", "fv3"}))
        found = facts(
            [everywhere],
            copy(everywhere, hash_value="other"),
            replica(everywhere, 3),
            targets=(target(1), target(2), target(3)),
            pools=(pool(1), pool(2), pool(3)),
        )
        assert second(found).source == "debian-in-fv3"

    def test_a_location_without_a_volume_is_told(self):
        step = second(facts([BOTH], ORIGINAL))
        assert step.action is Action.REFUSE
        assert "glance-ontap audit" in step.why

    def test_services_that_are_not_known_are_no_cluster(self):
        unknown = Unknown(Reason.FORBIDDEN, "HTTP 403")
        found = dataclasses.replace(HERE, services=unknown)
        assert second(found).action is Action.MAKE


class TestRoom:
    def images(self, number, **changes):
        images = [image(f"i{each}") for each in range(number)]
        return facts(images, *map(copy, images), **changes)

    def made(self, found, wanted=None):
        steps = [each for each in plan(found, wanted) if each.store_id == "fv2"]
        refused = [each.why for each in steps if each.action is Action.REFUSE]
        return sum(each.action is Action.MAKE for each in steps), refused

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            # The floor is 100 GiB: 10 % of 1000.
            ({}, 2),
            ({"free_floor_gib": 115}, 1),
            ({"free_floor_percent": 0}, 12),
            ({"free_floor_percent": 5, "free_floor_gib": 99}, 2),
        ],
    )
    def test_the_floor_is_kept_by_the_plan_as_a_whole(self, limits, expected):
        found = with_pools(self.images(20), pool(1), pool(2, free_gib=125))
        count, refused = self.made(found, policy(**limits))
        assert (count, len(refused)) == (expected, 20 - expected)
        assert "free_floor_gib, free_floor_percent" in refused[0]

    def test_space_that_is_not_told_matters_only_with_a_floor(self):
        found = with_pools(self.images(1), pool(1), pool(2, free_gib=None))
        assert self.made(found, policy(free_floor_percent=0)) == (1, [])

    def test_replicas_take_only_their_part_of_a_flexvol(self):
        there = image("there", stores=frozenset({"fv1", "fv2"}))
        found = self.images(3)
        found = dataclasses.replace(
            found, copies=(*found.copies, copy(there), replica(there))
        )
        count, refused = self.made(found, policy(max_percent=2.5))
        assert (count, len(refused)) == (1, 2)
        assert "max_percent_of_flexvol" in refused[0]

    @pytest.mark.parametrize(
        ("quota", "option"),
        [
            ({"volumes": Room(50, 49)}, "--volumes 51 images-project"),
            ({"gigabytes": Room(100, 85)}, "--gigabytes 105 images-project"),
            (
                {"gigabytes_ontap": Room(10, 0), "gigabytes": Room(-1, 99)},
                "--volume-type ontap --gigabytes 20",
            ),
        ],
    )
    def test_a_quota_is_counted_over_the_plan(self, quota, option):
        found = self.images(2, quotas={replicas.PROJECT: quota})
        count, (reason,) = self.made(found)
        assert count == 1
        assert f"Run: openstack quota set {option}" in reason

    def test_quotas_that_are_not_known_refuse_nothing(self):
        unknown = Unknown(Reason.FORBIDDEN, "HTTP 403")
        found = self.images(2, quotas={replicas.PROJECT: unknown})
        assert self.made(found) == (2, [])

    def test_a_refusal_takes_no_room(self):
        quotas = {replicas.PROJECT: {"volumes": Room(1, 0)}}
        found = with_pools(
            self.images(2, quotas=quotas), pool(1), pool(2, free_gib=115)
        )
        count, (reason,) = self.made(found)
        assert count == 1
        assert "free" in reason


def test_what_gives_space_back_comes_first():
    given = image("given", owner="globex", tags=frozenset({"old"}))
    gone = image("gone", stores=frozenset({"fv1", "fv2"}), tags=frozenset({"old"}))
    half, new, bad = image("half"), image("new"), image("bad", hash_value=None)
    rules = (
        Rule("rules[0]", Match(tags=("old",)), ()),
        Rule("rules[1]", Match(), ("fv2",)),
    )
    found = facts(
        [given, gone, half, new, bad],
        copy(given, owner="acme"),
        *(copy(gone), replica(gone), half_made(gone, 1)),
        *(copy(half), half_made(half)),
        *(copy(new), copy(bad)),
    )
    steps = plan(found, policy(rules=rules))
    assert [each.action for each in steps] == [
        Action.RETIRE,
        Action.DISCARD,
        Action.REFRESH,
        Action.RESUME,
        Action.MAKE,
        Action.REFUSE,
    ]


# Any cloud of three stores, and any policy.

STORES = ("fv1", "fv2", "fv3")
CHANGES = {Action.MAKE, Action.RESUME, Action.REFRESH, Action.RETIRE, Action.DISCARD}


@st.composite
def clouds(draw, is_tidy=False):
    """A cloud; a tidy one has no replica half made or unregistered, and all space."""
    kinds = ["none", "none", "original", "replica", *([] if is_tidy else ["half"])]
    images, copies, uses = [], [], {}
    for name in draw(st.lists(st.sampled_from("abcd"), max_size=4, unique=True)):
        given = image(
            name,
            owner=draw(st.sampled_from(["acme", "globex", None])),
            status=draw(st.sampled_from(["active", "active", "deactivated"])),
            tags=draw(st.sets(st.sampled_from(["x", "y"]))),
            hash_value=draw(st.sampled_from(["right", "right", None])),
        )
        registered = set()
        for number in (1, 2, 3):
            kind = draw(st.sampled_from(kinds))
            if kind == "none":
                continue
            state = State.REPLICATING if kind == "half" else State.SEALED
            made = copy(
                given,
                number,
                draw(st.integers(0, 100)),
                owner="acme",
                state=state,
                replica_of=None if kind == "original" else "some-volume",
                hash_value=draw(st.sampled_from(["right", "right", "other"])),
            )
            status = draw(st.sampled_from(["available", "available", "error"]))
            copies.append(with_volume(made, status=status))
            if state is State.SEALED and (is_tidy or draw(st.booleans())):
                registered.add(f"fv{number}")
            if draw(st.booleans()):
                key = (given.id, replicas.pool_name(number))
                uses[key] = days_ago(draw(st.integers(0, 100)))
        if draw(st.booleans()):
            registered.add("disk")
        stores = frozenset(registered or {"disk"})
        images.append(dataclasses.replace(given, stores=stores))
    pools = [
        pool(each, free_gib=800 if is_tidy else draw(st.sampled_from([800, 95])))
        for each in (1, 2, 3)
    ]
    found = facts(images, *copies, uses=uses, targets=(target(1), target(2), target(3)))
    return with_pools(found, *pools)


@st.composite
def policies(draw):
    some = st.lists(st.sampled_from(STORES), unique=True).map(tuple)
    ttl = st.none() | st.integers(1, 100).map(lambda days: days * replicas.DAY_S)
    rules = (
        Rule("rules[0]", Match(tags=("x",)), draw(some), draw(ttl)),
        Rule("rules[1]", Match(), draw(some), draw(ttl)),
    )
    floor = draw(st.sampled_from([0, 10]))
    return policy(rules=rules, free_floor_percent=floor)


@given(clouds(), policies())
def test_no_original_goes_and_never_the_last_copy(found, wanted):
    originals = {each.volume.id for each in found.copies if each.is_original}
    good = {
        (each.record.image_id, each.store_id)
        for each in found.copies
        if each.is_whole and not each.volume.is_broken
    }
    steps = planning.plan(wanted, found)
    going = [each for each in steps if each.action in (Action.RETIRE, Action.DISCARD)]
    assert not {each.replica for each in going} & originals
    for given_image in found.images.values():
        retired = {
            each.store_id
            for each in steps
            if each.image.id == given_image.id and each.action is Action.RETIRE
        }
        assert retired <= given_image.stores
        left = given_image.stores - retired
        assert not retired or any(
            (given_image.id, store) in good or store == "disk" for store in left
        )
    discarded = {each.replica for each in steps if each.action is Action.DISCARD}
    unregistered = {
        each.volume.id
        for each in found.copies
        if not each.is_whole
        or each.store_id not in found.images[each.record.image_id].stores
    }
    assert discarded <= unregistered


@given(clouds(is_tidy=True), policies())
def test_a_plan_that_was_carried_out_leaves_nothing_to_change(found, wanted):
    """But for the last copy, which may go when there is another one."""
    steps = planning.plan(wanted, found)
    spared = {each.replica for each in steps if "only copy" in each.why}
    # Of one that gets another owner, only that is said.
    spared |= {each.replica for each in steps if each.action is Action.REFRESH}
    after = planning.plan(wanted, replicas.carried_out(found, steps))
    retired = {each.replica for each in after if each.action is Action.RETIRE}
    assert retired <= spared
    left = {each.action for each in after}
    assert left <= {Action.KEEP, Action.REFUSE, Action.RETIRE}


@given(clouds(), policies())
def test_runs_that_follow_one_another_come_to_an_end(found, wanted):
    for _ in range(8):
        steps = planning.plan(wanted, found)
        if not {each.action for each in steps} & CHANGES:
            break
        found = replicas.carried_out(found, steps)
    else:
        raise AssertionError(steps)


@given(clouds(), policies())
def test_each_copy_and_each_pair_has_one_step_with_a_reason(found, wanted):
    steps = planning.plan(wanted, found)
    about = [each.replica for each in steps if each.replica]
    assert len(about) == len(set(about))
    made = [(each.image.id, each.store_id) for each in steps if each.replica is None]
    assert len(made) == len(set(made))
    assert all(each.why for each in steps)
    assert all(
        each.source and each.pool for each in steps if each.action is Action.MAKE
    )
