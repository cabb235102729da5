# SPDX-License-Identifier: Apache-2.0
"""What check makes of facts: one thing wrong, one finding."""

import dataclasses

import pytest

from glance_ontap_store.checks import clone_outcome
from glance_ontap_store.checks import finding
from glance_ontap_store.checks.clone_outcome import Outcome
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.cli import check
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import CinderStoreConfig
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import Host
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import Pool
from glance_ontap_store.survey.facts import Room
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.facts import StoreFacts
from glance_ontap_store.survey.facts import VolumeType
from glance_ontap_store.tests import builders

SILENT = Unknown(Reason.UNREACHABLE, "connection refused")
EARLIER = Unknown(Reason.EARLIER, "an earlier question failed")
TYPE = VolumeType(
    "t1", "ontap-fv1", True, {"volume_backend_name": "ontap", "pool_name": "a:/fv1"}
)
POOLS = tuple(
    Pool(f"h@ontap#a:/{name}", f"a:/{name}", "ontap", "NetApp", "nfs")
    for name in ("fv1", "fv2")
)
CINDER_USER = Login("u2", "p2", frozenset({"service", "admin"}))
CINDER = CinderConfig(
    allowed_direct_url_schemes=("cinder",),
    backends=(
        CinderBackend(
            "ontap",
            "cinder.volume.drivers.netapp.common.NetAppDriver",
            "ontap",
            "nfs",
            False,
        ),
    ),
    glance_user=CINDER_USER,
)


def settings(**changes):
    return builders.make_settings(ontap_volume_type="ontap-fv1", **changes)


def store(store_id="fv1", **changes):
    config = StoreConfig(store_id, settings())
    known = {
        "config": config,
        "login": Login("u1", "p1", frozenset({"member"})),
        "is_login_good": True,
        "endpoint": "http://cinder.example.com/v3",
        "microversion": (3, 71),
        "volume_types": (TYPE,),
        "quota": {
            "volumes": Room(-1, 5),
            "gigabytes": Room(1000, 100),
            "snapshots": Room(0, 0),
        },
    }
    return StoreFacts(**{**known, **changes})


def intact(**changes):
    stores = changes.pop("stores", (store(),))
    glance = changes.pop("glance", {})
    host = changes.pop("host", {})
    admin = changes.pop("admin", {})
    known = {
        "glance": GlanceConfig(
            **{
                "files": ("/etc/glance/glance-api.conf",),
                "directories": (),
                "stores": tuple(each.config for each in stores),
                "lock_path": "/locks",
                **glance,
            }
        ),
        "host": Host(
            **{
                "user": "glance",
                "is_root": False,
                "programs": {"mount.nfs": "/sbin/mount.nfs", "sudo": "/bin/sudo"},
                "packages": {"os-brick": "6.3.0"},
                "directories": {"/locks": None},
                "rootwrap": {"/etc/glance/rootwrap.conf": None},
                "sudo": True,
                **host,
            }
        ),
        "stores": stores,
        "admin": AdminFacts(
            **{
                "volume_types": (TYPE,),
                "encrypted": {"t1": False},
                "pools": POOLS,
                "covers": frozenset({"fv1"}),
                **admin,
            }
        ),
        "cinder": CINDER,
    }
    return Facts(**{**known, **changes})


def seen(facts):
    return [(each.severity.name, each.code) for each in check.judge(facts)]


def test_nothing_is_wrong_with_what_is_right():
    assert seen(intact()) == []


def with_pools(**changes):
    return {"pools": tuple(dataclasses.replace(each, **changes) for each in POOLS)}


def with_backend(**changes):
    (backend,) = CINDER.backends
    return dataclasses.replace(
        CINDER, backends=(dataclasses.replace(backend, **changes),)
    )


def of_projects(*roles, **changes):
    """A store whose image-volumes are their projects', with a user in *roles*."""
    config = StoreConfig("fv1", settings(ontap_image_volume_owner="project"))
    login = Login("u1", "p1", frozenset(roles))
    return {"stores": (store(config=config, login=login, **changes),)}


def test_a_store_of_projects_whose_user_has_both_roles():
    assert seen(intact(**of_projects("admin", "service"))) == []


@pytest.mark.parametrize(
    ("changes", "severity", "code"),
    [
        (of_projects("member", "service"), "ERROR", "role-missing"),
        (of_projects("admin"), "WARNING", "role-missing"),
        (
            of_projects(
                "admin",
                "service",
                volume_types=(dataclasses.replace(TYPE, is_public=False),),
            ),
            "WARNING",
            "volume-type-private",
        ),
    ],
)
def test_what_a_store_of_projects_needs(changes, severity, code):
    assert seen(intact(**changes)) == [(severity, code)]


WRONG = {
    "another vendor": (
        {"admin": with_pools(vendor="Open Source")},
        "volume-type-not-ontap",
    ),
    "a driver that names no vendor": (
        {"admin": with_pools(vendor=None)},
        "volume-type-not-ontap",
    ),
    "another protocol": (
        {"admin": with_pools(protocol="iscsi")},
        "volume-type-protocol",
    ),
    "a back end of cinder.conf": (
        {"cinder": with_backend(protocol="iscsi")},
        "volume-type-not-ontap",
    ),
    "old Cinder": ({"stores": (store(microversion=(3, 50)),)}, "cinder-too-old"),
    "full quota": (
        {"stores": (store(quota={"volumes": Room(5, 5)}),)},
        "quota",
    ),
    "more used than there is": (
        {"stores": (store(quota={"volumes": Room(5, 9)}),)},
        "quota",
    ),
    "full quota of the type": (
        {"stores": (store(quota={"gigabytes_ontap-fv1": Room(5, 5)}),)},
        "quota",
    ),
    "certificate": (
        {"stores": (store(login=Unknown(Reason.CERTIFICATE, "self-signed")),)},
        "certificate-refused",
    ),
    "sudo": ({"host": {"sudo": False}}, "sudo"),
    "rootwrap": ({"host": {"rootwrap": {"/r": "no filter"}}}, "rootwrap"),
    "program": ({"host": {"programs": {"mount.nfs": None}}}, "program-missing"),
    "package": ({"host": {"packages": {"os-brick": None}}}, "package-missing"),
    "upstream's mounts": (
        {
            "glance": {
                "cinder_stores": (
                    CinderStoreConfig("peer", "another", settings().mount_point_base),
                )
            }
        },
        "mount-base-shared",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_thing_wrong_is_one_error(case):
    changes, code = WRONG[case]
    assert seen(intact(**changes)) == [("ERROR", code)]


UNKNOWN = {
    "cinder.conf": {"cinder": Unknown(Reason.NOT_GIVEN, "not given")},
    "types": {"admin": {"volume_types": SILENT, "pools": SILENT, "encrypted": {}}},
    "pools": {"admin": {"pools": SILENT}},
    "encryption": {"admin": {"encrypted": {"t1": SILENT}}},
    "another cloud": {"admin": {"covers": frozenset({"fv2"})}},
    "quota": {"stores": (store(quota=SILENT),)},
    "microversion": {"stores": (store(microversion=SILENT),)},
    "sudo": {"host": {"sudo": SILENT}},
    "rootwrap": {"host": {"rootwrap": {"/r": SILENT}}},
    "helper command": {"glance": {"helper_command": "sudo privsep"}},
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_said_and_is_no_error(case):
    found = check.judge(intact(**UNKNOWN[case]))
    assert [each.code for each in found] == [finding.NOT_ASKED]
    assert found[0].severity is Severity.INFO
    assert found[0].problem.startswith("Unknown: ")
    assert finding.exit_code(found) == 0


def test_a_silent_keystone_is_one_finding_and_hides_no_other():
    deaf = store(
        login=SILENT,
        is_login_good=SILENT,
        endpoint=EARLIER,
        microversion=EARLIER,
        volume_types=EARLIER,
        quota=EARLIER,
    )
    facts = intact(stores=(deaf,), host={"programs": {"mount.nfs": None}})
    assert seen(facts) == [
        ("ERROR", "program-missing"),
        ("ERROR", "keystone-unreachable"),
    ]


def test_an_administrator_of_another_cloud_does_not_judge_a_type():
    """It may have a type of that name, which is not this one."""
    facts = intact(
        admin={"covers": frozenset({"fv2"}), "encrypted": {"t1": True}, "pools": ()}
    )
    assert seen(facts) == [("INFO", "not-asked")]


def test_a_quota_of_two_stores_is_said_once():
    full = {"volumes": Room(5, 5)}
    second = StoreConfig("fv2", builders.make_settings(ontap_volume_type="ontap-fv2"))
    stores = (
        store(quota=full),
        store(
            config=second,
            quota=full,
            volume_types=(TYPE, VolumeType("t2", "ontap-fv2", True)),
        ),
    )
    facts = intact(stores=stores)
    assert [each for each in seen(facts) if each[1] == "quota"] == [("ERROR", "quota")]


@pytest.mark.parametrize(
    ("left", "severity"), [(0, "ERROR"), (1, "WARNING"), (99, "WARNING"), (100, None)]
)
def test_when_gigabytes_are_few(left, severity):
    facts = intact(stores=(store(quota={"gigabytes": Room(100 + left, 100)}),))
    assert seen(facts) == ([(severity, "quota")] if severity else [])


def test_a_type_may_be_named_by_its_id():
    config = StoreConfig("fv1", builders.make_settings(ontap_volume_type="t1"))
    assert seen(intact(stores=(store(config=config),))) == []


def test_older_cinder_needs_no_user_where_locations_are_shown():
    """Then Cinder reads the location as the user who makes the volume."""
    facts = intact(
        cinder=dataclasses.replace(CINDER, glance_user=None),
        glance={"show_image_direct_url": True},
    )
    assert seen(facts) == [("WARNING", "locations-exposed")]


def test_the_exit_code_is_the_worst():
    note, warning, error = (Finding(each, "code", "fv1", "a", "b") for each in Severity)
    assert finding.exit_code([]) == 0
    assert finding.exit_code([note]) == 0
    assert finding.exit_code([note, warning]) == 1
    assert finding.exit_code([error, warning]) == 2
    assert finding.ordered([note, error, warning]) == [error, warning, note]


OUTCOME = Outcome("fv1", "ontap-fv1", True, True, "h@b#p1", "h@b#p1", False)


class TestPaths:
    def test_the_mark_means_a_clone(self):
        assert clone_outcome.judge(OUTCOME, CINDER).code == "deep-clone"

    def test_no_mark_means_a_download(self):
        outcome = dataclasses.replace(OUTCOME, has_mark=False)
        found = clone_outcome.judge(outcome, CINDER)
        assert found.code == "deep-download"
        assert found.severity is Severity.WARNING

    def test_wrong_data_is_an_error_whatever_the_path(self):
        outcome = dataclasses.replace(OUTCOME, is_same=False)
        found = clone_outcome.judge(outcome, CINDER)
        assert found.code == "deep-wrong-data"
        assert found.severity is Severity.ERROR

    @pytest.mark.parametrize(
        ("outcome", "cinder", "word"),
        [
            ({"is_encrypted": True}, CINDER, "encrypts"),
            ({"volume_pool": "h@b#p2"}, CINDER, "copy-image"),
            ({"volume_pool": None}, CINDER, "pools are not shown"),
            (
                {},
                dataclasses.replace(CINDER, allowed_direct_url_schemes=()),
                "allowed_direct_url_schemes",
            ),
            ({}, dataclasses.replace(CINDER, glance_user=None), "[glance]"),
            ({}, SILENT, "log of cinder-volume"),
        ],
    )
    def test_why_there_was_no_clone(self, outcome, cinder, word):
        known = dataclasses.replace(OUTCOME, has_mark=False, **outcome)
        assert word in clone_outcome.reason(known, cinder)
