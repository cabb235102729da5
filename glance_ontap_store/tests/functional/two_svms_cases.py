# SPDX-License-Identifier: Apache-2.0
"""A store for each SVM: what they give, and what they keep from each other.

``python -m lab run --broker --svms 2 pytest FILE`` runs them; so does
``test_two_svms.py``, in a lab of its own. The last class has the facts about Cinder's
migration that replicas rest on (doc/source/contributor/facts.rst).
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path
from typing import Any

from glance_store import exceptions
import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.migrations import FV1
from glance_ontap_store.tests.functional.migrations import FV2
from glance_ontap_store.tests.functional.migrations import GOLD
from glance_ontap_store.tests.functional.migrations import GROUP
from glance_ontap_store.tests.functional.migrations import OLD_GOLD
from glance_ontap_store.tests.functional.migrations import OTHER_FV2
from glance_ontap_store.tests.functional.migrations import S2A
from glance_ontap_store.tests.functional.migrations import Case
from glance_ontap_store.tests.functional.migrations import Migrating
from glance_ontap_store.tests.functional.migrations import Outcome
from glance_ontap_store.tests.functional.migrations import Sources
from glance_ontap_store.tests.functional.migrations import file_of
from glance_ontap_store.tests.functional.migrations import shares_with
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.replicating import Replicating
from lab import cinder
from lab import glance
from lab import stores
from lab import svms
from lab.polling import wait_until

POOLS = dict(svms.SECOND.types)


def clones_by_svm(lab: Any) -> list[str]:
    """Return the SVM of each file clone that Cinder has asked for."""
    return [
        request["svm"]
        for request in lab.ontap_requests()
        if request["method"] == "POST" and request["path"].endswith("/file/clone")
    ]


class TestTheLab:
    def test_each_back_end_has_the_pools_of_its_svm(self, admin: Any) -> None:
        answer = admin.block_storage.get("/scheduler-stats/get_pools?detail=True")
        pools = {each["name"]: each["capabilities"] for each in answer.json()["pools"]}
        assert pools.keys() == cinder.expected_pools((svms.FIRST, svms.SECOND))
        assert {
            name
            for name, pool in pools.items()
            if pool["netapp_is_flexgroup"] == "true"
        } == {GROUP}


class TestStores:
    @pytest.mark.parametrize("store", ["s2a", "s2gold", "s2group"])
    def test_an_image_is_stored_and_cloned_in_its_svm(
        self, lab: Any, admin: Any, user: User, store: str
    ) -> None:
        """Also where the junction path is not the name, and on a FlexGroup."""
        image = user.uploaded(Sized(4 * MIB), store)
        share = svms.SECOND.share(POOLS[store])
        assert shares_with(lab, images.image_volume(admin, image.id).id) == [share]
        before = clones_by_svm(lab)
        volume = user.volume(image_id=image.id, volume_type=f"ontap-{store}")
        assert shares_with(lab, volume.id) == [share]
        path = file_of(lab, share, volume.id)
        assert pattern.first_difference(path, 4 * MIB) is None
        assert clones_by_svm(lab) == [*before, "svm2"]
        assert images.data_reads(lab, image.id) == []


class Hers:
    """Alice's images in both SVMs, and their image-volumes, by store."""

    sizes = {"fv1": MIB, "fv2": 3 * MIB, "s2a": MIB, "s2fv2": 2 * MIB}

    def __init__(self, admin: Any, user: User) -> None:
        self.images = {
            store: user.uploaded(Sized(size), store)
            for store, size in self.sizes.items()
        }
        self.volumes = {
            store: images.image_volume(admin, image.id).id
            for store, image in self.images.items()
        }
        # The store to ask, and the store whose image-volume is asked for.
        self.crossed = [
            ("s2a", "fv1"),
            ("s2fv2", "fv2"),
            ("fv1", "s2a"),
            ("fv2", "s2fv2"),
            ("s2a", "s2fv2"),
        ]


@pytest.fixture(scope="class")
def hers(admin: Any, alice: Any) -> Iterator[Hers]:
    user = User(alice)
    yield Hers(admin, user)
    user.clean()


class TestIsolation:
    """The stores' users are in one project, so Cinder shows each all image-volumes."""

    def test_a_store_refuses_the_image_volumes_of_the_other_svm(
        self, lab: Any, hers: Hers
    ) -> None:
        context = direct.context("alice")
        for asked, owner in hers.crossed:
            store = stores.make_store(lab, asked)
            volume_id = hers.volumes[owner]
            location = direct.at(asked, volume_id)
            for action in (store.get, store.get_size, store.delete):
                with pytest.raises((exceptions.Forbidden, exceptions.NotFound)):
                    action(location, context=context)
            assert not store.is_image_associated_with_store(context, volume_id)
        for owner, volume_id in hers.volumes.items():
            store = stores.make_store(lab, owner)
            assert store.is_image_associated_with_store(context, volume_id)
            size = store.get_size(direct.at(owner, volume_id), context=context)
            assert size == hers.sizes[owner]

    def test_a_location_in_the_other_svm_is_refused(
        self, lab: Any, bob: Any, user: User, other: User, hers: Hers
    ) -> None:
        """To bob in any store, with the same words; to alice in the wrong store.

        The option stays: no other test here asks for locations.
        """
        lab.set_glance_option("DEFAULT", "show_multiple_locations", True)
        lab.restart("glance")
        image = other.image()
        words = set()
        for asked, owner in [*hers.crossed, *((each, each) for each in hers.volumes)]:
            for named in {asked, owner}:
                url = f"cinder://{named}/{hers.volumes[owner]}"
                answer = patch(bob, image.id, asked, url)
                words.add((answer.status_code, answer.text.replace(url, "URL")))
            url = f"cinder://{asked}/{hers.volumes[owner]}"
            again = patch(user.cloud, hers.images[owner].id, asked, url)
            assert again.status_code == 400
        assert {code for code, _text in words} == {400}
        assert len(words) == 1, words
        assert not bob.image.get(f"/images/{image.id}").json()["locations"]
        for owner, hers_there in hers.images.items():
            assert user.stores(hers_there.id) == [owner]

    def test_her_volumes_are_out_of_bobs_reach_in_each_svm(
        self, bob: Any, hers: Hers
    ) -> None:
        for store, volume_id in hers.volumes.items():
            assert bob.block_storage.get(f"/volumes/{volume_id}").status_code == 404
            for kind in (f"ontap-{store}", "any"):
                body = {"size": 1, "source_volid": volume_id, "volume_type": kind}
                answer = bob.block_storage.post("/volumes", json={"volume": body})
                assert answer.status_code == 404, answer.text

    @pytest.mark.parametrize(
        ("store", "kind", "share"),
        [
            ("fv2", "ontap-s2fv2", "127.0.0.2:/fv2"),
            ("s2fv2", "ontap-fv2", "127.0.0.1:/fv2"),
        ],
    )
    def test_a_volume_in_the_other_svm_is_a_download_and_never_a_clone(
        self, lab: Any, admin: Any, bob: Any, other: User, hers: Hers, store: str,
        kind: str, share: str,
    ) -> None:  # fmt: skip
        """Even on the FlexVol of the same name and path."""
        image = hers.images[store]
        images.make_visible(admin, bob, image.id, "public")
        before = clones_by_svm(lab)
        volume = other.volume(image_id=image.id, volume_type=kind)
        assert shares_with(lab, volume.id) == [share]
        path = file_of(lab, share, volume.id)
        assert pattern.first_difference(path, hers.sizes[store]) is None
        assert images.data_reads(lab, image.id) == [hers.sizes[store]]
        # The driver keeps the download as the base of later clones, in its own SVM.
        svm = "svm2" if store == "fv2" else "svm1"
        assert set(clones_by_svm(lab)[len(before) :]) <= {svm}

    def test_two_exports_of_one_path_are_not_confused(
        self, lab: Any, user: User, hers: Hers
    ) -> None:
        """Glance has both mounted while it reads both images."""
        assert shares_with(lab, hers.volumes["fv2"]) == ["127.0.0.1:/fv2"]
        assert shares_with(lab, hers.volumes["s2fv2"]) == ["127.0.0.2:/fv2"]
        streams = {
            store: user.download(hers.images[store].id) for store in ("fv2", "s2fv2")
        }
        for store, stream in streams.items():
            assert stream.raw.read() == pattern.at(0, hers.sizes[store])
        user.cloud.image.delete_image(hers.images["fv2"].id)
        wait_until(
            lambda: not shares_with(lab, hers.volumes["fv2"]), "the file is deleted"
        )
        assert shares_with(lab, hers.volumes["s2fv2"]) == ["127.0.0.2:/fv2"]


def patch(cloud: Any, image_id: str, store: str, url: str) -> Any:
    """Add a location; return Glance's answer."""
    location = {"url": url, "metadata": {"store": store}}
    return cloud.image.patch(
        f"/images/{image_id}",
        json=[{"op": "add", "path": "/locations/-", "value": location}],
        headers=images.JSON_PATCH,
    )


@pytest.mark.long
class TestReplicate:
    """``glance-ontap replicate``, where the array does not copy as Cinder thinks."""

    # To a path that is another FlexVol's name, to a FlexGroup, and to another SVM.
    POLICY = """
        defaults: {ttl: never, free_floor_percent: 0}
        rules: [{match: {name: astray}, stores: [s2fv2, s2gold, s2group, fv2]}]
    """
    TYPE = {"ontap_replica_volume_type": "ontap2"}

    @pytest.fixture
    def command(self, lab: Any, tmp_path: Path) -> Iterator[Replicating]:
        policy = tmp_path / "policy.yaml"
        policy.write_text(self.POLICY, "utf-8")
        lab.start(glance.LOCATIONS)
        yield Replicating(lab, policy)
        lab.stop(glance.LOCATIONS)

    def test_a_file_that_went_astray_is_told_and_the_rest_is_made_or_refused(
        self, lab: Any, admin: Any, user: User, command: Replicating
    ) -> None:
        image = user.uploaded(Sized(2 * MIB), "s2a", name="astray")
        stores = ("s2a", "s2fv2", "s2gold", "s2group")

        def applied(config: str) -> dict[str, dict[str, Any]]:
            arguments = ("--apply", "--image", image.id)
            code, rows, _said = command.run(*arguments, config=config)
            assert code == 2
            return {row["Store"]: row for row in rows}

        with command.operator.changed(dict.fromkeys(stores, self.TYPE)) as config:
            first = applied(config)
            assert {key: row["Result"] for key, row in first.items()} == {
                "s2fv2": "done",
                "s2gold": "failed",
                "s2group": "refused",
                "fv2": "refused",
            }
            assert "is a FlexGroup" in first["s2group"]["Why"]
            assert "same_cluster: [[lab@ontap2, lab@ontap]]" in first["fv2"]["Why"]
            (astray,) = replicas(admin, image.id, "s2gold")
            assert shares_with(lab, astray.id) == [svms.SECOND.share("/old/gold")]
            assert f"volume-{astray.id}" in first["s2gold"]["Why"]
            # Nothing more is copied there, and the image does not have it.
            again = applied(config)
            assert again["s2gold"]["Action"] == "resume"
            assert [each.id for each in replicas(admin, image.id, "s2gold")] == [
                astray.id
            ]
            assert sorted(user.stores(image.id)) == ["s2a", "s2fv2"]
        # As the message says.
        for share in shares_with(lab, astray.id):
            file_of(lab, share, astray.id).unlink()
        admin.block_storage.delete_volume(astray.id)
        volume = user.volume(image_id=image.id, volume_type="ontap-s2fv2")
        assert shares_with(lab, volume.id) == [svms.SECOND.share("/fv2")]
        assert images.data_reads(lab, image.id) == []


def replicas(admin: Any, image_id: str, store: str) -> list[Any]:
    """Return the image-volumes of an image in a store."""
    found = images.image_volumes(admin, image_id)
    return [each for each in found if each.metadata["ontap_store"] == store]


# Cinder's own migration

FULL = {"action": "job_failed", "cause": "full", "after_bytes": 16 * MIB}
FAILING = {"action": "job_failed", "after_bytes": 16 * MIB}
HANGING = {"action": "job_stuck", "after_bytes": 16 * MIB}
CASES = {
    "same SVM": Case("ontap-fv1", "ontap", FV2),
    "a pinned type": Case("ontap-fv1", "ontap-fv1", FV2),
    "the target becomes full": Case("ontap-fv1", "ontap", FV2, FULL),
    "the copy fails": Case("ontap-fv1", "ontap", FV2, FAILING),
    "the copy hangs": Case("ontap-s2a", "ontap2", OTHER_FV2, HANGING),
    "to a path that is no FlexVol's name": Case("ontap-s2a", "ontap2", OLD_GOLD),
    "to a path that is another FlexVol's name": Case("ontap-s2a", "ontap2", GOLD),
    "from a path that is another FlexVol's name": Case("ontap-s2gold", "ontap2", S2A),
    "to a FlexGroup": Case("ontap-s2a", "ontap2", GROUP),
    "from a FlexGroup": Case("ontap-s2group", "ontap2", S2A),
    "to another back end": Case("ontap-fv1", "ontap", S2A),
    "to another SVM": Case("any", "any", S2A),
    "to another SVM, to a name that the first has": Case("any", "any", OTHER_FV2),
}


def failed(source: str) -> Outcome:
    """Return the outcome of a failure that leaves the volume where it is."""
    files = frozenset({source})
    return Outcome("error", "available", source, None, files, files)


def moved(target: str, really: str) -> Outcome:
    """Return the outcome of a success, with the file on the pool *really*."""
    files = frozenset({really})
    return Outcome("success", "available", target, None, files, files)


EXPECTED = {
    "same SVM": moved(FV2, FV2),
    "a pinned type": failed(FV1),
    "the target becomes full": failed(FV1),
    "the copy fails": failed(FV1),
    "the copy hangs": failed(S2A),
    "to a path that is no FlexVol's name": failed(S2A),
    "to a path that is another FlexVol's name": moved(GOLD, OLD_GOLD),
    "from a path that is another FlexVol's name": failed(GOLD),
    "to a FlexGroup": failed(S2A),
    "from a FlexGroup": failed(GROUP),
    "to another back end": failed(FV1),
    "to another SVM": failed(FV1),
    "to another SVM, to a name that the first has": moved(OTHER_FV2, FV2),
}


@pytest.fixture(scope="module", autouse=True)
def migrating(lab: Any, admin: Any) -> Iterator[dict[str, Migrating]]:
    """The migrations of all cases, which run beside the other tests."""
    operator = User(admin)
    sources = Sources(lab, operator)
    begun: dict[str, Migrating] = {}

    def remove_files() -> None:
        for each in begun.values():
            each.remove_files()

    with contextlib.ExitStack() as undo:
        undo.callback(remove_files)
        undo.callback(operator.clean)
        for name, case in CASES.items():
            begun[name] = Migrating(lab, operator, sources, case)
        for each in begun.values():
            if fault := each.fault():
                undo.enter_context(lab.fault(**fault))
            assert each.start() == 202
        yield begun


class TestMigration:
    """``os-migrate_volume`` with ``force_host_copy`` and ``lock_volume`` false."""

    @pytest.mark.parametrize("case", CASES)
    def test_what_is_left(self, migrating: dict[str, Migrating], case: str) -> None:
        assert migrating[case].ended() == EXPECTED[case]

    def test_a_peering_of_the_svms_is_left(self, lab: Any) -> None:
        posted = [
            request["status"]
            for request in lab.ontap_requests()
            if request["method"] == "POST" and request["path"].endswith("/svm/peers")
        ]
        assert posted == [202]

    def test_a_restart_of_cinder_volume_leaves_it_migrating(
        self, lab: Any, admin: Any, operator: User
    ) -> None:
        """The array copies on, and nobody deletes the copy."""
        case = Case("ontap-fv1", "ontap", FV2, HANGING)
        volume = Migrating(lab, operator, Sources(lab, operator), case)
        with lab.fault(**volume.fault()):
            assert volume.start() == 202
            wait_until(lambda: FV2 in volume.outcome().files, "the copy has begun")
            lab.kill("cinder-volume")
            lab.start("cinder-volume")
        both = frozenset({FV1, FV2})
        wait_until(lambda: volume.outcome().whole == both, "the copy is whole")
        found = volume.outcome()
        assert found == Outcome("migrating", "available", FV1, None, both, both)
        storage = operator.cloud.block_storage
        refused = storage.delete(f"/volumes/{volume.id}")
        assert refused.status_code == 400, refused.text
        answer = storage.post(
            f"/volumes/{volume.id}/action",
            json={"os-reset_status": {"migration_status": "none"}},
        )
        assert answer.status_code == 202, answer.text
        storage.delete_volume(volume.id)
        storage.wait_for_delete(storage.get_volume(volume.id))
        assert volume.files() == {FV2}
        volume.remove_files()

    def test_a_clone_that_the_node_refuses_is_in_error(
        self, lab: Any, operator: User
    ) -> None:
        source = operator.volume(volume_type="ontap-fv1")
        with lab.fault(action="job_failed", cause="split_load", path="/file/clone$"):
            clone = operator.volume(
                wait=False, source_volid=source.id, volume_type="ontap"
            )
            status = wait_until(
                lambda: settled(operator.cloud, clone.id), "the clone has failed"
            )
        assert status == "error"
        assert shares_with(lab, clone.id) == []


def settled(cloud: Any, volume_id: str) -> str | None:
    status = cloud.block_storage.get_volume(volume_id).status
    return None if status == "creating" else str(status)
