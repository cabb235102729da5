# SPDX-License-Identifier: Apache-2.0
"""The way by which Cinder makes a volume, condition by condition."""

import dataclasses
import pathlib
import re

import pytest

from glance_ontap_store.cinder.api import Service
from glance_ontap_store.errors import Reason
from glance_ontap_store.placement import deciding
from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.placement.verdict import Path
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import LocationPolicy
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import placement
from glance_ontap_store.tests.fakes.placement import EXPORT_1
from glance_ontap_store.tests.fakes.placement import EXPORT_2
from glance_ontap_store.tests.fakes.placement import IMAGE
from glance_ontap_store.tests.fakes.placement import IMAGE_ID
from glance_ontap_store.tests.fakes.placement import INTERNAL
from glance_ontap_store.tests.fakes.placement import NEW
from glance_ontap_store.tests.fakes.placement import OLD
from glance_ontap_store.tests.fakes.placement import POOL_1
from glance_ontap_store.tests.fakes.placement import POOL_2
from glance_ontap_store.tests.fakes.placement import TYPE

CHECKOUT = pathlib.Path(__file__).parents[3]
GIB = 1024**3
NOT_TOLD = Unknown(Reason.NOT_GIVEN, "nobody told")
CACHE_FILE = f"img-cache-{IMAGE_ID}"


def decide(cloud=None, facts=None, **wanted):
    """The verdicts by pool; the default is a clone for certain on the first FlexVol."""
    found = deciding.decide(
        cloud or placement.cloud(),
        facts or placement.facts(placement.volume()),
        placement.request(**wanted),
    )
    return {each.pool: each for each in found}


def first(cloud=None, facts=None, **wanted):
    return decide(cloud, facts, **wanted)[POOL_1]


def image(**changes):
    changed = dataclasses.replace(IMAGE, **changes)
    return placement.facts(placement.volume(), image=changed)


def with_files(*names, export=EXPORT_1, size=GIB):
    """The cloud with more files on an export."""
    files = dict(placement.cloud().files)
    files[export] = {**files[export], **dict.fromkeys(names, size)}
    return placement.cloud(files=files)


def assert_download(found, code, *doubts):
    assert (found.path, found.code) == (Path.DOWNLOAD, code)
    assert found.doubts == doubts
    assert found.why
    assert found.remedy


def test_an_image_volume_in_the_pool_is_cloned():
    found = decide()
    assert found[POOL_1] == verdict.Verdict(POOL_1, Path.IMAGE_VOLUME)
    assert found[POOL_1].certainty == "certain"


def test_a_pool_without_an_image_volume_gains_from_a_replica():
    found = decide()[POOL_2]
    assert_download(found, Code.NO_IMAGE_VOLUME)
    assert found.gains
    assert found.remedy == (
        f"Run: openstack image import {IMAGE_ID} --method copy-image --store fv2"
    )


def test_where_the_array_makes_replicas_the_remedy_says_so():
    settings = dataclasses.replace(
        builders.make_settings(ontap_replica_volume_type="ontap"), store_id="fv2"
    )
    stores = (StoreConfig("fv1", None), StoreConfig("fv2", settings))
    cloud = placement.cloud(glance=placement.glance(stores=stores))
    remedy = decide(cloud)[POOL_2].remedy
    assert f"replicate POLICY --image {IMAGE_ID} --store fv2 --apply" in remedy
    assert remedy.endswith(
        f"Run: openstack image import {IMAGE_ID} --method copy-image --store fv2"
    )


@pytest.mark.parametrize(
    ("stores", "part"),
    [({}, "Make a store"), ({POOL_2: "fv1"}, "glance-ontap audit")],
)
def test_the_remedy_for_a_pool_depends_on_its_store(stores, part):
    found = decide(placement.cloud(stores=stores))[POOL_2]
    assert part in found.remedy


class TestBeforeAnyPath:
    @pytest.mark.parametrize(
        ("changes", "members", "code"),
        [
            ({"visibility": "private"}, (), Code.INVISIBLE),
            ({"visibility": "shared"}, (), Code.INVISIBLE),
            ({"visibility": "shared"}, ("globex",), None),
            ({"visibility": "community"}, (), None),
            ({"visibility": "public"}, (), None),
        ],
    )
    def test_a_project_that_does_not_see_the_image(self, changes, members, code):
        facts = dataclasses.replace(image(**changes), members=frozenset(members))
        found = first(facts=facts, project="globex")
        assert (found.path is Path.FAILURE) == (code is not None)
        assert found.code is code
        assert not code or "openstack image add project" in found.remedy

    def test_members_that_are_not_known_are_a_doubt(self):
        facts = dataclasses.replace(image(visibility="shared"), members=NOT_TOLD)
        found = first(facts=facts, project="globex")
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty.startswith("not known: the projects")

    @pytest.mark.parametrize("status", ["queued", "deactivated", "importing"])
    def test_an_image_that_is_not_active(self, status):
        found = decide(facts=image(status=status))
        assert {each.path for each in found.values()} == {Path.FAILURE}
        assert {each.code for each in found.values()} == {Code.NOT_ACTIVE}

    @pytest.mark.parametrize(
        "changes",
        [{"size": GIB + 1}, {"min_disk": 2}, {"virtual_size": GIB + 1}],
    )
    def test_a_volume_that_is_too_small(self, changes):
        found = first(facts=image(**changes), size_gib=1)
        assert (found.path, found.code) == (Path.FAILURE, Code.SIZE)
        assert "2 GiB" in found.remedy
        assert first(facts=image(**changes), size_gib=2).path is Path.IMAGE_VOLUME
        assert first(facts=image(**changes)).path is Path.IMAGE_VOLUME

    def test_a_type_that_allows_no_pool(self):
        kind = dataclasses.replace(TYPE, extra_specs={"pool_name": "gone"})
        found = decide(volume_type=kind)
        assert (found[None].path, found[None].code) == (Path.FAILURE, Code.NO_POOL)

    def test_a_failure_needs_no_pool(self):
        kind = dataclasses.replace(TYPE, extra_specs={"pool_name": "gone"})
        found = decide(facts=image(status="queued"), volume_type=kind)
        assert found[None].code is Code.NOT_ACTIVE

    def test_a_private_type_is_a_doubt(self):
        found = first(volume_type=dataclasses.replace(TYPE, is_public=False))
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == (
            "unless project acme has no access to volume type fast"
        )


class TestPools:
    @pytest.mark.parametrize(
        ("specs", "pools"),
        [
            ({}, {POOL_1, POOL_2}),
            ({"pool_name": EXPORT_2}, {POOL_2}),
            ({"volume_backend_name": "other"}, {None}),
            ({"RESKEY:availability_zones": "nova, az2"}, {POOL_1, POOL_2}),
            ({"RESKEY:availability_zones": "az2"}, {None}),
        ],
    )
    def test_the_type_chooses_the_pools(self, specs, pools):
        kind = dataclasses.replace(TYPE, extra_specs=specs)
        assert set(decide(volume_type=kind)) == pools

    def test_without_a_type_all_pools_count(self):
        assert set(decide(volume_type=None)) == {POOL_1, POOL_2}

    def test_more_that_the_type_asks_for_is_a_doubt(self):
        specs = {"netapp_dedup": "true", "multiattach": "<is> True", "x:y": "1"}
        found = first(volume_type=dataclasses.replace(TYPE, extra_specs=specs))
        assert found.certainty == (
            "unless the pool lacks netapp_dedup=true, which volume type fast asks for"
        )

    @pytest.mark.parametrize(
        "changes", [{"vendor": "LVM"}, {"protocol": "iscsi"}, {"protocol": None}]
    )
    def test_another_driver_has_no_cache_of_files(self, changes):
        """A SAN back end of NetApp too; its image-volumes are cloned all the same."""
        other = placement.pool(**changes)
        cloud = dataclasses.replace(with_files(CACHE_FILE), pools=(other,))
        assert first(cloud).path is Path.IMAGE_VOLUME


class TestLuns:
    """What differs from NFS; the rest of Cinder's way is the same."""

    def pools(self, protocol="iscsi"):
        return tuple(
            placement.pool(f"h@ontap#{name}", protocol=protocol)
            for name in ("fv1", "fv2")
        )

    def decide(self, *volumes, protocol="iscsi", backend=None, **wanted):
        """The verdicts by FlexVol; nobody looks at files."""
        volumes = volumes or (self.volume(),)
        config = placement.cinder(backends=(backend or placement.backend(),))
        cloud = placement.cloud(
            pools=self.pools(protocol),
            files={},
            cinder=wanted.pop("cinder", config),
            release=wanted.pop("release", 29),
            stores={"h@ontap#fv1": "fv1", "h@ontap#fv2": "fv2"},
            glance=wanted.pop("glance", placement.glance()),
        )
        found = decide(cloud, placement.facts(*volumes), **wanted)
        return found["h@ontap#fv1"], found["h@ontap#fv2"]

    def volume(self, volume_id=OLD, **changes):
        return placement.volume(volume_id, pool="h@ontap#fv1", **changes)

    @pytest.mark.parametrize("release", [24, 25, 26, 27, 28, 29])
    @pytest.mark.parametrize("protocol", ["iscsi", "fc", "nvme"])
    def test_the_pool_of_the_image_volume_makes_clones(self, protocol, release):
        shown = placement.glance(show_image_direct_url=True)
        here, there = self.decide(protocol=protocol, release=release, glance=shown)
        assert (here.path, here.certainty) == (Path.IMAGE_VOLUME, "certain")
        assert_download(there, Code.NO_IMAGE_VOLUME)
        assert there.gains

    def test_a_smaller_volume_is_a_download(self):
        here, _ = self.decide(self.volume(size_gib=2), size_gib=1)
        assert_download(here, Code.SHRINK)
        here, _ = self.decide(self.volume(size_gib=2), size_gib=3)
        assert here == verdict.Verdict("h@ontap#fv1", Path.IMAGE_VOLUME)

    @pytest.mark.parametrize(
        ("protocol", "changes", "certain"),
        [
            ("iscsi", {"backend": placement.backend(uses_zapi=True)}, False),
            ("fc", {"backend": placement.backend(uses_zapi=True)}, False),
            ("nvme", {"backend": placement.backend(uses_zapi=True)}, True),
            ("nfs", {"backend": placement.backend(uses_zapi=True)}, True),
        ],
    )
    def test_zapi_may_cut_a_lun(self, protocol, changes, certain):
        here, _ = self.decide(
            self.volume(size_gib=2), protocol=protocol, size_gib=1, **changes
        )
        assert (here.path, here.code) == (Path.DOWNLOAD, Code.SHRINK)
        assert any("ZAPI" in doubt for doubt in here.doubts) is not certain

    def test_without_cinder_conf_zapi_is_a_doubt(self):
        here, _ = self.decide(self.volume(size_gib=2), size_gib=1, cinder=NOT_TOLD)
        assert any("ZAPI" in doubt for doubt in here.doubts)

    @pytest.mark.parametrize("status", ["error", "error_deleting", "deleting"])
    def test_an_image_volume_that_is_broken_may_have_no_lun(self, status):
        here, _ = self.decide(self.volume(status=status))
        assert here.path is Path.IMAGE_VOLUME
        assert here.certainty == (
            f"unless the LUN of image-volume {OLD} is gone (status {status})"
        )

    def test_a_clone_with_its_space_reserved_has_a_note(self):
        reserving = placement.backend(reserves_space=True)
        here, there = self.decide(backend=reserving)
        assert "netapp_lun_space_reservation" in here.notes[0]
        assert there.notes == ()
        here, _ = self.decide(protocol="nvme", backend=reserving)
        assert here.notes == ()

    @pytest.mark.parametrize("protocol", ["iscsi", "fc", "nvme"])
    def test_the_array_makes_no_replica(self, protocol):
        settings = dataclasses.replace(
            builders.make_settings(ontap_replica_volume_type="ontap"), store_id="fv2"
        )
        stores = (StoreConfig("fv1", None), StoreConfig("fv2", settings))
        _, there = self.decide(
            protocol=protocol, glance=placement.glance(stores=stores)
        )
        assert there.remedy == (
            "The array makes replicas over NFS only, so let Glance copy the image. Run:"
            f" openstack image import {IMAGE_ID} --method copy-image --store fv2"
        )


class TestLocations:
    """Row 0 and 5d: what Cinder learns, by release and configuration."""

    def sees(self, release, **changes):
        """The way and its doubts, with Cinder's user token refused by Glance."""
        login = Login("cinder", "service", frozenset())
        config = placement.cinder(service_user=login)
        config = dataclasses.replace(config, **changes.pop("cinder", {}))
        cloud = placement.cloud(
            release=release, cinder=config, glance=placement.glance(**changes)
        )
        return first(cloud)

    @pytest.mark.parametrize("release", [24, 25, 26])
    def test_an_older_cinder_reads_direct_url_or_all_locations(self, release):
        hidden = self.sees(release)
        assert_download(hidden, Code.HIDDEN)
        assert "glance_api_servers" in hidden.remedy
        for shown in ("show_image_direct_url", "show_multiple_locations"):
            assert self.sees(release, **{shown: True}).path is Path.IMAGE_VOLUME

    @pytest.mark.parametrize("release", [27, 28, 29])
    def test_a_newer_cinder_that_is_refused_reads_direct_url(self, release):
        assert_download(self.sees(release), Code.HIDDEN)
        shown = self.sees(release, show_image_direct_url=True)
        assert shown.path is Path.IMAGE_VOLUME
        # Without direct_url it takes the keys of the image for locations.
        assert_download(self.sees(release, show_multiple_locations=True), Code.HIDDEN)

    @pytest.mark.parametrize(
        ("changes", "path"),
        [
            ({"service_user": Login("c", "p", frozenset({"service"}))}, True),
            ({"service_user": None}, False),
            ({"glance_user": Login("c", "p", frozenset({"admin"}))}, True),
            ({"glance_user": Login("c", "p", frozenset({"member"}))}, False),
            # It owns the image.
            ({"glance_user": Login("c", "acme", frozenset({"service"}))}, True),
        ],
    )
    def test_the_user_who_asks_for_locations(self, changes, path):
        found = self.sees(29, cinder=changes)
        assert found.path is (Path.IMAGE_VOLUME if path else Path.DOWNLOAD)
        assert found.certainty == "certain"

    @pytest.mark.parametrize(
        "changes",
        [
            {"glance_user": NOT_TOLD},
            {"service_user": NOT_TOLD},
            # Private images of others are hidden from it.
            {"glance_user": Login("c", "p", frozenset({"service"}))},
        ],
    )
    def test_a_user_who_cannot_ask_fails_the_volume(self, changes):
        found = self.sees(29, cinder=changes)
        assert (found.path, found.code) == (Path.FAILURE, Code.LOCATIONS_FAIL)
        assert found.remedy

    def test_a_policy_that_shows_locations_to_users(self):
        found = self.sees(29, location_policy=LocationPolicy(users=True))
        assert found.path is Path.IMAGE_VOLUME

    def test_a_policy_that_cannot_be_read_is_a_doubt(self):
        found = self.sees(29, location_policy=NOT_TOLD)
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: Glance's policy fetch_image_location"

    @pytest.mark.parametrize("release", [27, 29])
    def test_without_cinder_conf_the_answer_says_so(self, release):
        found = first(placement.cloud(cinder=NOT_TOLD, release=release))
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: cinder.conf"

    def test_without_the_release_the_answer_says_so(self):
        found = first(placement.cloud(release=None))
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: Cinder's release (--cinder-release)"
        shown = placement.glance(show_multiple_locations=True)
        found = first(placement.cloud(release=None, glance=shown))
        assert found.certainty == "certain"

    def two_places(self, **changes):
        """The image on both FlexVols."""
        other = placement.volume(NEW, pool=POOL_2)
        files = {EXPORT_1: {f"volume-{OLD}": 1}, EXPORT_2: {f"volume-{NEW}": 1}}
        cloud = placement.cloud(
            release=26,
            files=files,
            glance=placement.glance(**{"show_image_direct_url": True, **changes}),
        )
        return cloud, placement.facts(placement.volume(), other)

    def test_direct_url_is_one_location_only(self):
        cloud, facts = self.two_places()
        at = dataclasses.replace(IMAGE, direct_url=f"cinder://fv2/{NEW}")
        found = decide(cloud, dataclasses.replace(facts, image=at))
        assert found[POOL_2].path is Path.IMAGE_VOLUME
        assert_download(found[POOL_1], Code.NO_IMAGE_VOLUME)

    def test_direct_url_alone_is_enough_for_an_older_cinder(self):
        """Glance of 2024.1 has no location API that explain could ask."""
        cloud, facts = self.two_places()
        at = dataclasses.replace(IMAGE, direct_url=f"cinder://fv2/{NEW}")
        found = decide(cloud, dataclasses.replace(facts, image=at, locations=NOT_TOLD))
        assert found[POOL_2].path is Path.IMAGE_VOLUME
        assert found[POOL_2].certainty == "certain"
        assert_download(found[POOL_1], Code.NO_IMAGE_VOLUME)

    def test_a_direct_url_that_is_not_known_is_a_doubt(self):
        cloud, facts = self.two_places()
        for found in decide(cloud, facts).values():
            assert found.path is Path.IMAGE_VOLUME
            assert found.certainty == (
                "unless direct_url names another of its locations"
            )

    def test_all_locations_of_an_older_glance(self):
        cloud, facts = self.two_places(show_multiple_locations=True)
        found = decide(cloud, facts)
        assert {each.path for each in found.values()} == {Path.IMAGE_VOLUME}
        assert {each.certainty for each in found.values()} == {"certain"}

    def test_locations_that_are_not_known_are_a_doubt(self):
        facts = dataclasses.replace(
            placement.facts(placement.volume()), locations=NOT_TOLD
        )
        found = first(facts=facts)
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: the image's locations"

    def test_other_locations_name_no_volume(self):
        places = ("file:///var/lib/glance/a", "cinder://fv1/empty", "pending://x")
        facts = dataclasses.replace(
            placement.facts(placement.volume()),
            locations=tuple(map(ImageLocation, places)),
        )
        assert_download(first(facts=facts), Code.NO_IMAGE_VOLUME)


class TestImageVolume:
    """Rows 5a to 5g."""

    def test_the_scheme_is_not_allowed(self):
        config = placement.cinder(allowed_direct_url_schemes=())
        assert_download(first(placement.cloud(cinder=config)), Code.SCHEMES)

    def test_a_type_that_encrypts(self):
        cloud = with_files(CACHE_FILE)
        assert_download(first(cloud, encrypts=True), Code.ENCRYPTED)

    def test_an_encryption_that_is_not_known_is_a_doubt(self):
        found = first(encrypts=NOT_TOLD)
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: whether volume type fast encrypts"

    @pytest.mark.parametrize(
        "changes",
        [
            {"disk_format": "qcow2"},
            {"disk_format": "iso"},
            {"disk_format": "vmdk"},
            {"container_format": "ovf"},
        ],
    )
    def test_only_raw_images_in_bare_are_cloned(self, changes):
        assert_download(first(facts=image(**changes)), Code.FORMAT)

    def test_the_format_is_the_reason_whatever_cinder_conf_says(self):
        cloud = placement.cloud(cinder=NOT_TOLD, release=None)
        found = first(cloud, image(disk_format="qcow2"))
        assert_download(found, Code.FORMAT)

    def test_the_image_volume_of_another_owner(self):
        other = placement.volume(metadata={"image_owner": "globex"})
        facts = placement.facts(other, image=IMAGE)
        # The volume's project owns the image.
        assert first(facts=facts).path is Path.IMAGE_VOLUME
        public = dataclasses.replace(IMAGE, visibility="public")
        found = first(facts=placement.facts(other, image=public), project="initech")
        assert_download(found, Code.OWNER)
        assert found.remedy == (
            f"Run: openstack volume set --property image_owner=acme {OLD}"
        )
        ours = placement.volume(metadata={"ontap_store": "fv1"})
        found = first(facts=placement.facts(ours, image=public), project="initech")
        assert "audit --repair" in found.remedy

    def test_image_owner_lets_other_projects_clone(self):
        public = dataclasses.replace(IMAGE, visibility="public")
        facts = placement.facts(placement.volume(), image=public)
        assert first(facts=facts, project="initech").path is Path.IMAGE_VOLUME

    @pytest.mark.parametrize("status", ["in-use", "maintenance", "reserved"])
    def test_the_status_does_not_matter(self, status):
        facts = placement.facts(placement.volume(status=status))
        found = first(placement.cloud(files={}), facts)
        assert found.path is Path.IMAGE_VOLUME
        assert not any("status" in doubt for doubt in found.doubts)

    def test_a_volume_in_error_may_have_no_file(self):
        facts = placement.facts(placement.volume(status="error"))
        found = first(placement.cloud(files={}), facts)
        assert found.path is Path.IMAGE_VOLUME
        assert any("status error" in doubt for doubt in found.doubts)
        assert first(facts=facts).certainty == "certain"

    def test_a_file_that_is_gone(self):
        """Glance has the image in another store too."""
        facts = placement.facts(placement.volume())
        places = (*facts.locations, ImageLocation("file:///a"))
        facts = dataclasses.replace(facts, locations=places)
        cloud = placement.cloud(files={EXPORT_1: {}})
        assert_download(first(cloud, facts), Code.FILE_GONE)

    def test_glance_cannot_read_an_image_without_files_either(self):
        gone = placement.cloud(files={EXPORT_1: {}})
        for facts in (
            placement.facts(placement.volume()),
            placement.facts(placement.volume(), placement.volume(NEW)),
        ):
            found = first(gone, facts)
            assert (found.path, found.code) == (Path.FAILURE, Code.DATA_GONE)
        unknown = placement.cloud(files={EXPORT_1: NOT_TOLD})
        assert first(unknown, encrypts=True).path is Path.DOWNLOAD

    def test_a_migrated_volume_has_another_file(self):
        facts = placement.facts(placement.volume(name_id=NEW))
        cloud = placement.cloud(files={EXPORT_1: {f"volume-{NEW}": 1}})
        assert first(cloud, facts).path is Path.IMAGE_VOLUME

    def test_a_volume_smaller_than_the_image_volume(self):
        facts = placement.facts(placement.volume(size_gib=2))
        assert_download(first(facts=facts, size_gib=1), Code.SHRINK)
        assert first(facts=facts, size_gib=2).path is Path.IMAGE_VOLUME
        assert first(facts=facts, size_gib=3).path is Path.IMAGE_VOLUME

    def test_cinder_tries_the_newest_only(self):
        facts = placement.facts(placement.volume(), placement.volume(NEW))
        gone = placement.cloud(files={EXPORT_1: {f"volume-{OLD}": 1}})
        found = first(gone, facts)
        assert_download(found, Code.FILE_GONE)
        assert NEW in found.why
        gone = placement.cloud(files={EXPORT_1: {f"volume-{NEW}": 1}})
        assert first(gone, facts).path is Path.IMAGE_VOLUME

    def test_cinder_passes_over_those_of_other_owners(self):
        foreign = placement.volume(NEW, metadata={"image_owner": "globex"})
        public = dataclasses.replace(IMAGE, visibility="public")
        facts = placement.facts(placement.volume(), foreign, image=public)
        cloud = placement.cloud(files={EXPORT_1: {f"volume-{OLD}": 1}})
        assert first(cloud, facts, project="initech").path is Path.IMAGE_VOLUME
        # The owner of the image may clone both, and gets the newest.
        assert_download(first(cloud, facts), Code.FILE_GONE)

    @pytest.mark.parametrize("release", [26, 27])
    def test_an_older_cinder_takes_any_of_them(self, release):
        """Before 28 the database returns them in its own order."""
        facts = placement.facts(placement.volume(), placement.volume(NEW))
        shown = placement.glance(show_multiple_locations=True)
        for here, path in ((OLD, Path.DOWNLOAD), (NEW, Path.IMAGE_VOLUME)):
            files = {EXPORT_1: {f"volume-{here}": 1}}
            cloud = placement.cloud(files=files, release=release, glance=shown)
            found = first(cloud, facts)
            assert found.path is path
            assert (
                found.certainty
                == f"unless Cinder takes image-volume {OLD}, in no order"
            )
        both = placement.cloud(release=release, glance=shown)
        assert first(both, facts).certainty == "certain"

    def test_an_image_volume_that_is_not_known(self):
        facts = dataclasses.replace(
            placement.facts(placement.volume()), volumes={OLD: NOT_TOLD}
        )
        found = first(facts=facts)
        assert_download(found, Code.NO_IMAGE_VOLUME, f"not known: image-volume {OLD}")

    def test_an_image_volume_that_does_not_exist(self):
        facts = dataclasses.replace(
            placement.facts(placement.volume()), volumes={OLD: None}
        )
        found = first(facts=facts)
        assert (found.path, found.code) == (Path.FAILURE, Code.DATA_GONE)
        places = (*facts.locations, ImageLocation("file:///a"))
        facts = dataclasses.replace(facts, locations=places)
        assert_download(first(facts=facts), Code.NO_IMAGE_VOLUME)

    def test_a_flexvol_without_shared_blocks_left(self):
        full = placement.pool(shared_blocks_percent=100.0)
        found = first(placement.cloud(pools=(full,)))
        doubt = "unless ONTAP has freed shared blocks since"
        assert_download(found, Code.SHARED_BLOCKS, doubt)


class TestAcrossPools:
    def test_the_newest_image_volume_of_any_pool_is_taken(self):
        pools = (placement.pool(clones_across_pools=True),)
        far = placement.volume(NEW, pool="other@array#lun", size_gib=5)
        facts = placement.facts(placement.volume(), far)
        cloud = placement.cloud(pools=pools)
        assert_download(first(cloud, facts, size_gib=1), Code.SHRINK)
        assert first(cloud, facts, size_gib=5).path is Path.IMAGE_VOLUME

    @pytest.mark.parametrize(
        ("release", "path"),
        [
            (24, Path.DOWNLOAD),
            (25, Path.IMAGE_VOLUME),
            (26, Path.IMAGE_VOLUME),
            (27, Path.DOWNLOAD),
            (28, Path.IMAGE_VOLUME),
        ],
    )
    def test_some_releases_look_at_the_host_all_the_same(self, release, path):
        pools = (placement.pool(clones_across_pools=True),)
        shown = placement.glance(show_multiple_locations=True)
        cloud = placement.cloud(pools=pools, release=release, glance=shown)
        facts = placement.facts(placement.volume(pool=POOL_2))
        assert first(cloud, facts).path is path


class TestCluster:
    """The scheduler's pools have the name of the cluster, and volumes of a node."""

    SERVICES = (
        Service("node1@ontap", "nova", "big@ontap"),
        Service("node2@ontap", "nova", "big@ontap"),
    )
    POOL = f"big@ontap#{EXPORT_1}"

    def found(self, release, *nodes, services=SERVICES):
        cloud = placement.cloud(
            pools=(placement.pool(self.POOL),),
            services=services,
            release=release,
            glance=placement.glance(show_multiple_locations=True),
        )
        volumes = [
            placement.volume(volume_id, pool=self.POOL, host=f"{node}@ontap#{EXPORT_1}")
            for volume_id, node in zip((OLD, NEW), nodes, strict=False)
        ]
        return decide(cloud, placement.facts(*volumes))[self.POOL]

    @pytest.mark.parametrize("release", [28, 29])
    def test_any_node_clones(self, release):
        assert self.found(release, "node1").certainty == "certain"
        assert self.found(release, "node1").path is Path.IMAGE_VOLUME

    @pytest.mark.parametrize("release", [24, 26, 27])
    def test_an_older_node_clones_its_own_only(self, release):
        """Release 27 asks for the cluster and for the node."""
        found = self.found(release, "node1")
        doubt = "unless node1@ontap of the cluster makes the volume"
        assert_download(found, Code.OTHER_NODE, doubt)
        assert self.found(release, "node1", "node2").path is Path.IMAGE_VOLUME

    def test_a_cluster_of_one_node(self):
        found = self.found(26, "node1", services=self.SERVICES[:1])
        assert (found.path, found.certainty) == (Path.IMAGE_VOLUME, "certain")

    def test_without_the_release_it_is_a_doubt(self):
        found = self.found(None, "node1")
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "not known: Cinder's release (--cinder-release)"

    def test_the_image_volume_of_a_node_that_left_is_still_the_clusters(self):
        assert self.found(29, "node9").path is Path.IMAGE_VOLUME
        assert_download(self.found(26, "node9"), Code.OTHER_NODE)

    def test_a_volume_that_the_cluster_did_not_take_in_is_elsewhere(self):
        """Cinder leaves old volumes out of a cluster whose name changes."""
        here = f"node1@ontap#{EXPORT_1}"
        volume = placement.volume(OLD, pool=here, host=here)
        cloud = placement.cloud(
            pools=(placement.pool(self.POOL),),
            services=self.SERVICES,
            release=29,
            glance=placement.glance(show_multiple_locations=True),
        )
        found = decide(cloud, placement.facts(volume))[self.POOL]
        assert_download(found, Code.NO_IMAGE_VOLUME)


class TestFlexGroup:
    def found(self, **changes):
        pools = (placement.pool(is_flexgroup=True),)
        return first(placement.cloud(pools=pools, **changes))

    def test_it_depends_on_ontap(self):
        found = self.found()
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == "unless ONTAP is older than 9.14"

    def test_an_older_cinder_asks_less_of_ontap(self):
        shown = placement.glance(show_image_direct_url=True)
        found = self.found(release=26, glance=shown)
        assert found.certainty == "unless ONTAP is older than 9.9"

    def test_zapi_clones_no_files_there(self):
        config = placement.cinder(backends=(placement.backend(uses_zapi=True),))
        assert_download(self.found(cinder=config), Code.FLEXGROUP)

    def test_without_cinder_conf_it_depends_on_both(self):
        found = self.found(cinder=NOT_TOLD)
        assert "unless ONTAP is older than 9.14 or Cinder uses ZAPI" in found.doubts


class TestDriverCache:
    """Rows 2 to 4."""

    def test_it_is_first_even_where_an_image_volume_is(self):
        found = first(with_files(CACHE_FILE))
        assert (found.path, found.certainty) == (Path.DRIVER_CACHE, "certain")

    def test_it_serves_images_of_all_formats(self):
        found = first(with_files(CACHE_FILE), image(disk_format="qcow2"))
        assert found.path is Path.DRIVER_CACHE

    def test_without_a_look_at_the_files_it_is_a_doubt(self):
        doubt = f"unless {CACHE_FILE} is there (--files looks)"
        cloud = placement.cloud(files={EXPORT_1: NOT_TOLD})
        found = decide(cloud)
        assert found[POOL_1].path is Path.IMAGE_VOLUME
        assert found[POOL_1].doubts == (doubt,)
        assert_download(found[POOL_2], Code.NO_IMAGE_VOLUME, doubt)

    def test_a_copy_on_another_flexvol_does_not_help_with_rest(self):
        cloud = with_files(CACHE_FILE, export=EXPORT_2)
        assert first(cloud).certainty == "certain"

    def test_a_copy_on_another_flexvol_may_be_copied_with_zapi(self):
        config = placement.cinder(backends=(placement.backend(uses_zapi=True),))
        cloud = with_files(CACHE_FILE, export=EXPORT_2)
        found = first(dataclasses.replace(cloud, cinder=config))
        assert found.path is Path.IMAGE_VOLUME
        assert found.certainty == (
            f"unless the driver copies {CACHE_FILE} of {EXPORT_2} (ZAPI)"
        )
        unknown = first(dataclasses.replace(cloud, cinder=NOT_TOLD))
        assert unknown.certainty == "not known: cinder.conf"

    def test_a_copy_that_is_larger_than_the_volume_stops_all_clones(self):
        cloud = with_files(CACHE_FILE, size=2 * GIB)
        assert_download(first(cloud, size_gib=1), Code.CACHE_LARGER)
        assert first(cloud, size_gib=2).path is Path.DRIVER_CACHE

    def test_a_file_on_glances_own_share_is_a_doubt(self):
        facts = dataclasses.replace(
            placement.facts(placement.volume()),
            locations=(ImageLocation("file:///a", "nfs"),),
        )
        found = first(facts=facts)
        doubt = "unless Cinder mounts Glance's NFS share, and clones its file"
        assert_download(found, Code.NO_IMAGE_VOLUME, doubt)


class TestCinderCache:
    """Row 6."""

    CACHED = placement.volume(
        NEW,
        project_id=INTERNAL,
        pool=POOL_2,
        metadata={},
        created_at="2026-02-01T00:00:00.000000",
    )

    def found(self, cached=CACHED, is_on=True, project=INTERNAL, **changes):
        config = placement.cinder(
            backends=(placement.backend(caches_images=is_on),),
            internal_project=project,
        )
        facts = dataclasses.replace(
            placement.facts(placement.volume()), cached=(cached,)
        )
        cloud = placement.cloud(cinder=config)
        return decide(cloud, facts, **changes)[POOL_2]

    def test_an_entry_is_cloned(self):
        found = self.found()
        assert found.path is Path.CINDER_CACHE
        assert found.code is Code.NO_IMAGE_VOLUME
        assert (
            found.certainty == f"unless volume {NEW} is not in Cinder's cache any more"
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"is_on": False},
            {"project": None},
            {"project": "other"},
            {"encrypts": True},
            {"cached": dataclasses.replace(CACHED, pool=POOL_1)},
            # The image was changed later, by the registration of a replica for example.
            {"cached": dataclasses.replace(CACHED, created_at="2026-01-30T00:00:00")},
        ],
    )
    def test_otherwise_it_is_a_download(self, changes):
        found = self.found(**changes)
        assert (found.path, found.certainty) == (Path.DOWNLOAD, "certain")

    def test_without_cinder_conf_an_entry_is_a_doubt(self):
        facts = dataclasses.replace(
            placement.facts(placement.volume()), cached=(self.CACHED,)
        )
        found = decide(placement.cloud(cinder=NOT_TOLD), facts)[POOL_2]
        assert_download(found, Code.NO_IMAGE_VOLUME, "not known: cinder.conf")

    def test_volumes_that_are_not_known_are_a_doubt(self):
        config = placement.cinder(
            backends=(placement.backend(caches_images=True),),
            internal_project=INTERNAL,
        )
        facts = dataclasses.replace(
            placement.facts(placement.volume()), cached=NOT_TOLD
        )
        found = decide(placement.cloud(cinder=config), facts)[POOL_2]
        assert found.path is Path.DOWNLOAD
        assert found.certainty.startswith("not known: the volumes of Cinder's")


class TestBytesThatAreNotRaw:
    NOTED = placement.volume(
        metadata={"image_owner": "acme", "ontap_store": "fv1", "ontap_content": "qcow2"}
    )

    def test_a_download_fails_and_a_clone_is_no_better(self):
        found = decide(facts=placement.facts(self.NOTED))
        assert found[POOL_1].path is Path.IMAGE_VOLUME
        assert "qcow2" in found[POOL_1].notes[0]
        assert found[POOL_2].path is Path.FAILURE
        assert found[POOL_2].code is Code.NOT_RAW_BYTES

    def test_a_qcow2_image_is_converted(self):
        called = dataclasses.replace(IMAGE, disk_format="qcow2")
        found = decide(facts=placement.facts(self.NOTED, image=called))
        assert {each.path for each in found.values()} == {Path.DOWNLOAD}


def test_a_clone_of_a_signed_image_has_a_note():
    found = decide(facts=image(is_signed=True))
    assert "signature" in found[POOL_1].notes[0]
    assert found[POOL_2].notes == ()


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        ([Path.IMAGE_VOLUME, Path.DRIVER_CACHE, Path.CINDER_CACHE], 0),
        ([Path.IMAGE_VOLUME, Path.DOWNLOAD], 1),
        ([Path.FAILURE, Path.DOWNLOAD], 2),
        ([], 0),
    ],
)
def test_the_exit_code(paths, code):
    assert verdict.exit_code(verdict.Verdict(POOL_1, path) for path in paths) == code


# The reasons for which one of the caches is not used: another one is told.
OF_CACHES = {Code.NOT_CACHED, Code.CACHE_OFF, Code.CACHE_STALE}


def test_the_documentation_has_all_codes():
    page = CHECKOUT / "doc/source/admin/explain.rst"
    found = set(re.findall(r"^   \* - ``(\S+)``$", page.read_text("utf-8"), re.M))
    assert found - {"Code"} == {code.value for code in set(Code) - OF_CACHES}
