# SPDX-License-Identifier: Apache-2.0
"""The judges of check: one thing wrong is one finding, with a remedy that fits."""

import contextlib
import dataclasses
from pathlib import Path
import re
import subprocess
import sys

from keystoneauth1 import exceptions as keystone_errors
from openstack import exceptions as sdk_errors
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.transport import Access
from glance_ontap_store.checks import clone_outcome
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import deep_replicas
from glance_ontap_store.checks import file_rights
from glance_ontap_store.checks import finding
from glance_ontap_store.checks import glance
from glance_ontap_store.checks import judging
from glance_ontap_store.checks.clone_outcome import Outcome
from glance_ontap_store.checks.clone_outcome import Place
from glance_ontap_store.checks.deep import Trial
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Room
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.replication import rights
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import AdminFacts
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import CinderStoreConfig
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import HostFacts
from glance_ontap_store.survey.facts import LocationPolicy
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.facts import StoreFacts
from glance_ontap_store.survey.inventory import Row
from glance_ontap_store.tests import builders

ROOT = Path(__file__).parents[3]
SILENT = Unknown(Reason.UNREACHABLE, "connection refused")
EARLIER = Unknown(Reason.EARLIER, "an earlier question failed")
TYPE = VolumeType(
    "t1", "ontap-fv1", True, {"volume_backend_name": "ontap", "pool_name": "a:/fv1"}
)
PRIVATE = dataclasses.replace(TYPE, is_public=False)
POOLS = tuple(
    Pool(f"h@ontap#a:/{name}", f"a:/{name}", "ontap", "NetApp", "nfs")
    for name in ("fv1", "fv2")
)
# The cinder-volume that reports the pools.
SERVICES = (Service("h@ontap", "nova"),)
ROW = Row(
    store="fv1",
    image_id="i1",
    owner="acme",
    volume_id="v1",
    pool=POOLS[0].name,
    size_gib=1,
    image_size=1,
    state="sealed",
    status="available",
    file="volume-v1",
    content="raw",
)
CINDER_USER = Login("u2", "p2", frozenset({"service"}))
ADMIN_USER = Login("u2", "p2", frozenset({"service", "admin"}))
VOUCHED = LocationPolicy(vouched=True, file="/etc/glance/policy.yaml")
CINDER = CinderConfig(
    allowed_direct_url_schemes=("cinder",),
    backends=(
        CinderBackend(
            "ontap",
            "cinder.volume.drivers.netapp.common.NetAppDriver",
            "ontap",
            "nfs",
            False,
            secure_operations="false",
            secure_permissions="false",
        ),
    ),
    glance_user=None,
    service_user=CINDER_USER,
)
HERE = Place("h@b#p1", "h@b#p1")
OUTCOME = Outcome("fv1", "ontap-fv1", True, True, HERE, HERE, False)


def settings(**changes):
    return builders.make_settings(**{"ontap_volume_type": "ontap-fv1", **changes})


def store(store_id="fv1", options=None, **changes):
    known = {
        "config": StoreConfig(store_id, settings(**(options or {}))),
        "login": Login("u1", "p1", frozenset({"member"})),
        "is_password_right": True,
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


def silent_store(login, is_password_right=EARLIER, **changes):
    """A store that cannot log in, so that nothing else could be asked."""
    unknown = dict.fromkeys(
        ("endpoint", "microversion", "volume_types", "quota"), EARLIER
    )
    return store(
        login=login, is_password_right=is_password_right, **{**unknown, **changes}
    )


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
                "stores": tuple(store.config for store in stores),
                "lock_path": "/locks",
                "location_policy": VOUCHED,
                **glance,
            }
        ),
        "host": HostFacts(
            **{
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
                "services": SERVICES,
                "rows": (ROW,),
                "raw_images": frozenset(),
                "covers": frozenset({"fv1"}),
                **admin,
            }
        ),
        "cinder": CINDER,
        "cinder_release": 29,
    }
    return Facts(**{**known, **changes})


def seen(facts):
    return [(found.severity.name, found.code) for found in judging.judge(facts)]


def test_an_intact_setup_has_no_findings():
    assert seen(intact()) == []


def with_pools(**changes):
    return {"pools": tuple(dataclasses.replace(pool, **changes) for pool in POOLS)}


def with_type(**extra_specs):
    specs = {**TYPE.extra_specs, **extra_specs}
    kept = {name: value for name, value in specs.items() if value is not None}
    return {"volume_types": (dataclasses.replace(TYPE, extra_specs=kept),)}


def with_backend(**changes):
    (backend,) = CINDER.backends
    return dataclasses.replace(
        CINDER, backends=(dataclasses.replace(backend, **changes),)
    )


MULTIPATH = {"ontap_use_multipath": True}


def with_luns(protocol="iscsi", options=None, space_allocation="<is> True", **changes):
    """A store of a block protocol, and a host that is set up for it."""
    pools = with_pools(protocol=protocol, is_thick=changes.pop("is_thick", False))
    types = with_type(**{"netapp:space_allocation": space_allocation})
    glance = {"brick_lock_path": "/b/", **changes.pop("glance", {})}
    host = {
        "block_names": frozenset({"iscsi", "fc", "nvme"}),
        "has_multipathd": True,
        "no_path_retry": "12",
        **changes.pop("host", {}),
    }
    return {
        "admin": {**pools, **types},
        "glance": glance,
        "host": host,
        "stores": (store(options=options),),
        **changes,
    }


def with_row(**changes):
    return {"rows": (dataclasses.replace(ROW, **changes),)}


def in_zones(*zones):
    """One cinder-volume in each zone; the first has the pools."""
    others = enumerate(zones[1:])
    return {
        "services": (
            Service("h@ontap", zones[0]),
            *(Service(f"h{number}@other", zone) for number, zone in others),
        )
    }


def wrongly_called_raw(content, *image_ids):
    rows = [
        dataclasses.replace(ROW, image_id=image_id, content=content)
        for image_id in image_ids
    ]
    return {"rows": tuple(rows), "raw_images": frozenset(image_ids)}


def with_cinder(**changes):
    return {"cinder": dataclasses.replace(CINDER, **changes)}


def with_roles(*roles):
    return {"stores": (store(login=Login("u1", "p1", frozenset(roles))),)}


def with_quota(**quota):
    return {"stores": (store(quota=quota),)}


def upstream(name="old", volume_type="another", base="/elsewhere"):
    return {"glance": {"cinder_stores": (CinderStoreConfig(name, volume_type, base),)}}


def of_projects(*roles, options=None, **changes):
    """A store whose image-volumes belong to projects, with a user in *roles*."""
    options = {"ontap_image_volume_owner": "project", **(options or {})}
    login = Login("u1", "p1", frozenset(roles))
    return {"stores": (store(options=options, login=login, **changes),)}


def second_store(**options):
    return store(
        "fv2",
        options={"ontap_volume_type": "ontap-fv2", **options},
        volume_types=(TYPE, VolumeType("t2", "ontap-fv2", True)),
    )


def two_stores(**options):
    return {
        "stores": (store(), second_store(**options)),
        "admin": {"covers": frozenset({"fv1", "fv2"})},
    }


NO_ADMIN = {
    "volume_types": SILENT,
    "pools": SILENT,
    "services": SILENT,
    "rows": SILENT,
    "raw_images": SILENT,
    "encrypted": {},
}
ONLY_IN_CINDER_CONF = {
    "admin": NO_ADMIN,
    "cinder": with_backend(protocol="iser"),
}

OF_REPLICAS = VolumeType("t9", "replica", True, {"volume_backend_name": "ontap"})


def with_replica_type(own=True, encrypts=False, **changes):
    """A store whose replicas have a type; *own*: the store may use it."""
    kind = dataclasses.replace(OF_REPLICAS, **changes)
    options = {"ontap_replica_volume_type": "replica"}
    return {
        "stores": (store(options=options, volume_types=(TYPE, *([kind] * own))),),
        "admin": {"volume_types": (TYPE, kind), "encrypted": {"t9": encrypts}},
    }


# Changes to an intact setup, and the code, severity and remedy of the one finding.
WRONG = [
    (
        {"glance": {"stores": ()}, "stores": ()},
        ("no-store", "ERROR"),
        "Set enabled_backends = NAME:ontap in [DEFAULT]",
    ),
    (
        {"glance": {"stores": (StoreConfig("fv1", None, ("x is wrong",)),)}},
        ("bad-options", "ERROR"),
        "Correct [fv1] or [backend_defaults] in glance-api.conf",
    ),
    (
        {"glance": {"lock_path": None}},
        ("lock-path-unset", "ERROR"),
        "/var/lib/glance/lock",
    ),
    (
        {"host": {"directories": {"/locks": "it is a file"}}},
        ("lock-path-unusable", "ERROR"),
        "Create it for Glance's user",
    ),
    (
        {"glance": {"show_image_direct_url": True}, "cinder_release": None},
        ("locations-exposed", "WARNING"),
        "Set it to false if Cinder is 2025.2 or later.",
    ),
    (
        upstream(name="fv10"),
        ("store-id-prefix", "WARNING"),
        "Rename one of them",
    ),
    (
        two_stores(ontap_volume_type="ontap-fv1"),
        ("same-volume-type", "WARNING"),
        "Give each store its own volume type",
    ),
    (
        two_stores(ontap_volume_type="t1"),
        ("same-volume-type", "WARNING"),
        "Give each store its own volume type",
    ),
    (
        upstream(volume_type="ontap-fv1"),
        ("same-volume-type", "INFO"),
        "Give store 'old' its own volume type.",
    ),
    (
        upstream(volume_type="t1"),
        ("same-volume-type", "INFO"),
        "Give store 'old' its own volume type.",
    ),
    (
        {"host": {"directories": {settings().mount_point_base: "it is a file"}}},
        ("mount-base-unusable", "ERROR"),
        "Create it for Glance's user",
    ),
    (
        upstream(base=settings().mount_point_base),
        ("mount-base-shared", "ERROR"),
        "Set another ontap_mount_point_base.",
    ),
    (
        two_stores(ontap_mount_point_base="/elsewhere"),
        ("mount-base-differs", "WARNING"),
        "Set ontap_mount_point_base only in [backend_defaults].",
    ),
    (
        {"host": {"programs": {"mount.nfs": None}}},
        ("program-missing", "ERROR"),
        "Install nfs-common",
    ),
    (
        {"host": {"packages": {"os-brick": None}}},
        ("package-missing", "ERROR"),
        "pip install os-brick",
    ),
    (
        {"host": {"rootwrap": {"/r": "no filter"}}},
        ("rootwrap", "ERROR"),
        "glance_ontap_store.filters",
    ),
    ({"host": {"sudo": False}}, ("sudo", "ERROR"), "sudoers"),
    (
        {"stores": (silent_store(SILENT),)},
        ("keystone-unreachable", "ERROR"),
        "Check ontap_store_auth_address",
    ),
    (
        {"stores": (silent_store(Unknown(Reason.CERTIFICATE, "self-signed")),)},
        ("certificate-refused", "ERROR"),
        "ontap_ca_certificates_file",
    ),
    (
        {"stores": (silent_store(Unknown(Reason.UNAUTHORIZED, "HTTP 401"), False),)},
        ("credentials-refused", "ERROR"),
        "Correct ontap_store_user_name",
    ),
    (
        {"stores": (silent_store(Unknown(Reason.UNAUTHORIZED, "HTTP 401"), True),)},
        ("role-missing", "ERROR"),
        "Run: openstack role add --user glance --project images member",
    ),
    (
        with_roles("reader"),
        ("role-missing", "ERROR"),
        "Run: openstack role add --user glance --project images member",
    ),
    (
        of_projects("member", "service"),
        ("role-missing", "ERROR"),
        "Run: openstack role add --user glance --project images admin",
    ),
    (
        of_projects("admin"),
        ("role-missing", "WARNING"),
        "Run: openstack role add --user glance --project images service",
    ),
    (
        {"stores": (silent_store(store().login, True, endpoint=SILENT),)},
        ("cinder-endpoint", "ERROR"),
        "Correct ontap_catalog_info",
    ),
    (
        {"stores": (store(volume_types=SILENT, microversion=SILENT, quota=EARLIER),)},
        ("cinder-unreachable", "ERROR"),
        "Check the endpoint in Keystone's catalog",
    ),
    (
        {"stores": (store(microversion=(3, 50)),)},
        ("cinder-too-old", "ERROR"),
        "Upgrade Cinder.",
    ),
    (
        {"stores": (store(options={"ontap_volume_type": None}),)},
        ("volume-type-unset", "WARNING"),
        "pinned to one FlexVol",
    ),
    (
        {"stores": (store(options={"ontap_volume_type": "gold"}),)},
        ("volume-type-missing", "ERROR"),
        "Create it, or change ontap_volume_type.",
    ),
    (
        {"stores": (store(volume_types=()),)},
        ("volume-type-private", "ERROR"),
        "Run: openstack volume type set --project p1 ontap-fv1",
    ),
    (
        of_projects("admin", "service", volume_types=(PRIVATE,)),
        ("volume-type-private", "WARNING"),
        "run for every project that uploads:"
        " openstack volume type set --project PROJECT ontap-fv1",
    ),
    (
        of_projects(
            *("admin", "service"),
            options={"ontap_allowed_projects": ["acme", "bolt"]},
            volume_types=(PRIVATE,),
        ),
        ("volume-type-private", "WARNING"),
        "Run: openstack volume type set --project acme ontap-fv1 &&"
        " openstack volume type set --project bolt ontap-fv1",
    ),
    (
        {"admin": {"encrypted": {"t1": True}}},
        ("volume-type-encrypted", "ERROR"),
        "Use a type without encryption",
    ),
    (
        {"admin": with_type(volume_backend_name="lvm")},
        ("volume-type-backend", "ERROR"),
        "Correct the property of the type",
    ),
    (
        {"admin": with_pools(vendor="Open Source")},
        ("volume-type-not-ontap", "ERROR"),
        "Set volume_backend_name of the type to a NetApp back end.",
    ),
    (
        {"admin": with_pools(vendor=None)},
        ("volume-type-not-ontap", "ERROR"),
        "Set volume_backend_name of the type to a NetApp back end.",
    ),
    (
        {"cinder": with_backend(protocol="iser")},
        ("volume-type-not-ontap", "ERROR"),
        "Set volume_backend_name of the type to a NetApp back end.",
    ),
    (
        {"admin": with_pools(protocol="iser")},
        ("volume-type-protocol", "ERROR"),
        "Set volume_backend_name of the type to a NetApp back end with one of these.",
    ),
    (
        {"admin": with_type(pool_name="a:/fv9")},
        ("volume-type-pool", "ERROR"),
        "Pin it to one of these FlexVols. Run, for example:"
        " openstack volume type set --property pool_name=a:/fv1 ontap-fv1",
    ),
    (
        {"admin": {**with_type(pool_name="a:/fv9"), "pools": POOLS[1:], "rows": ()}},
        ("volume-type-pool", "ERROR"),
        "Run: openstack volume type set --property pool_name=a:/fv2 ontap-fv1",
    ),
    (
        {"admin": with_type(pool_name=None)},
        ("volume-type-unpinned", "WARNING"),
        "Pin it to one of these FlexVols. Run, for example:"
        " openstack volume type set --property pool_name=a:/fv1 ontap-fv1",
    ),
    (
        with_quota(volumes=Room(5, 5)),
        ("quota", "ERROR"),
        "Run: openstack quota set --volumes 25 p1",
    ),
    (
        with_quota(volumes=Room(5, 9)),
        ("quota", "ERROR"),
        "Run: openstack quota set --volumes 29 p1",
    ),
    (
        with_quota(gigabytes=Room(120, 50)),
        ("quota", "WARNING"),
        "Run: openstack quota set --gigabytes 250 p1",
    ),
    (
        with_quota(**{"gigabytes_ontap-fv1": Room(50, 50)}),
        ("quota", "ERROR"),
        "Run: openstack quota set --volume-type ontap-fv1 --gigabytes 250 p1",
    ),
    (
        with_quota(**{"volumes_ontap-fv1": Room(50, 45)}),
        ("quota", "WARNING"),
        "Run: openstack quota set --volume-type ontap-fv1 --volumes 65 p1",
    ),
    (
        {"cinder": Unknown(Reason.UNREADABLE, "/c.conf: no such file")},
        ("cinder-conf-unreadable", "ERROR"),
        "Give another file",
    ),
    (
        with_cinder(allowed_direct_url_schemes=()),
        ("direct-url-schemes", "ERROR"),
        "Set allowed_direct_url_schemes = cinder in [DEFAULT]",
    ),
    (
        {"glance": {"location_policy": LocationPolicy()}},
        ("location-policy", "ERROR"),
        'Put the line "fetch_image_location": "role:service or service_roles:service"'
        " into /etc/glance/policy.yaml.",
    ),
    (
        {"glance": {"location_policy": LocationPolicy(file="/etc/glance/own.yaml")}},
        ("location-policy", "ERROR"),
        "into /etc/glance/own.yaml.",
    ),
    (
        {"glance": {"location_policy": LocationPolicy(True, True, "/p.yaml")}},
        ("locations-exposed", "WARNING"),
        "into /p.yaml. It shows locations to services alone.",
    ),
    (
        with_cinder(service_user=None),
        ("service-user", "ERROR"),
        "Set send_service_user_token = true",
    ),
    (
        with_cinder(service_user=SILENT),
        ("service-user", "ERROR"),
        "Correct auth_url, username, password",
    ),
    (
        with_cinder(service_user=Login("u2", "p2", frozenset({"admin"}))),
        ("glance-user-role", "ERROR"),
        "Run: openstack role add --user u2 --project p2 service",
    ),
    (
        with_cinder(glance_user=SILENT),
        ("glance-user", "ERROR"),
        "Correct auth_url, username, password",
    ),
    (
        {"cinder": with_backend(qcow2=True)},
        ("qcow2-volumes", "ERROR"),
        "Set it to false and restart cinder-volume.",
    ),
    (
        {"host": {"shared": {settings().mount_point_base: "nfs4 a:/x /"}}},
        ("mount-base-not-local", "ERROR"),
        "Set it to a directory on a disk of this host.",
    ),
    (
        {"glance": {"has_image_cache": True}},
        ("image-cache", "INFO"),
        "Set flavor = keystone",
    ),
    (
        {"admin": with_pools(is_flexgroup=True)},
        ("flexgroup", "WARNING"),
        "Use a FlexVol for images.",
    ),
    (
        {"admin": with_pools(shared_blocks_percent=90.0)},
        ("shared-blocks", "WARNING"),
        "Put new images on another FlexVol",
    ),
    (
        with_luns(host={"block_names": frozenset()}),
        ("block-host-name", "ERROR"),
        "Install open-iscsi or iscsi-initiator-utils",
    ),
    (
        with_luns("nvme", glance={"brick_lock_path": None}),
        ("brick-lock-path", "WARNING"),
        "Set it to one directory",
    ),
    (
        with_luns(host={"brick_lock_paths": {"nova-compute (/n.conf)": "/n"}}),
        ("brick-lock-path", "WARNING"),
        "Set lock_path in [os_brick] to one directory in the configuration of both",
    ),
    (
        with_luns(
            glance={"brick_lock_path": None},
            host={"brick_lock_paths": {"cinder-volume (/c.conf)": None}},
        ),
        ("brick-lock-path", "WARNING"),
        "where both may write",
    ),
    (
        with_luns("fc", MULTIPATH, host={"has_multipathd": False}),
        ("multipathd", "ERROR"),
        "Start multipathd",
    ),
    (
        with_luns("fc", MULTIPATH, host={"no_path_retry": "queue"}),
        ("no-path-retry", "WARNING"),
        "Set no_path_retry 12 in the section overrides of /etc/multipath.conf",
    ),
    (
        with_luns(cinder=with_backend(reserves_space=True)),
        ("lun-space-reservation", "WARNING"),
        "Set it to disabled and restart cinder-volume.",
    ),
    (
        with_luns(cinder=dataclasses.replace(CINDER, backends=()), is_thick=True),
        ("lun-space-reservation", "WARNING"),
        "Set it to disabled and restart cinder-volume.",
    ),
    (
        with_luns(space_allocation=None, cinder_release=28),
        ("lun-space-allocation", "WARNING"),
        "netapp:space_allocation=<is> true",
    ),
    (
        with_luns(space_allocation="true"),
        ("lun-space-allocation", "WARNING"),
        "Run: openstack volume type set --property"
        " 'netapp:space_allocation=<is> true' ontap-fv1",
    ),
    (
        {"admin": with_pools(is_replicated=True)},
        ("replication", "INFO"),
        "Plan the failover with the LIF's address",
    ),
    (
        {"admin": {"volume_types": (dataclasses.replace(TYPE, qos_specs_id="q1"),)}},
        ("volume-type-qos", "WARNING"),
        "Use a type without QoS for the store.",
    ),
    (
        {"admin": with_type(**{"netapp:qos_policy_group": "slow"})},
        ("volume-type-qos", "WARNING"),
        "Use a type without QoS for the store.",
    ),
    (
        {"admin": with_row(pool="h@ontap#old:/fv1")},
        ("pool-gone", "WARNING"),
        "Check that cinder-volume of that back end runs",
    ),
    (
        {"admin": in_zones("az2")},
        ("availability-zone", "ERROR"),
        "Set ontap_availability_zone = az2.",
    ),
    (
        {"stores": (store(options={"ontap_availability_zone": "az2"}),)},
        ("availability-zone", "ERROR"),
        "Set ontap_availability_zone = nova.",
    ),
    (
        {"admin": with_type(**{"RESKEY:availability_zones": "az2, az3"})},
        ("availability-zone", "ERROR"),
        "Set ontap_availability_zone = nova.",
    ),
    (
        {"admin": wrongly_called_raw("qcow2", "i1")},
        ("disk-format", "WARNING"),
        "upload it with --disk-format qcow2",
    ),
    (
        {"admin": wrongly_called_raw("iso", "i1")},
        ("disk-format", "WARNING"),
        "upload it with --disk-format iso",
    ),
    (
        {"cinder_release": 26},
        ("locations-hidden", "ERROR"),
        "Set show_image_direct_url = true on a glance-api that only services can",
    ),
    (
        {"cinder": with_backend(uses_zapi=True)},
        ("legacy-client", "WARNING"),
        "Set it to false and restart cinder-volume.",
    ),
    (
        {"cinder": with_backend(is_sparse=False)},
        ("thick-volumes", "INFO"),
        "unless you want thick volumes",
    ),
    (
        {"cinder": with_backend(mount_options="vers=3,nolock")},
        ("mount-options", "WARNING"),
        "Set ontap_nfs_mount_options = vers=3,nolock",
    ),
    (
        {
            "cinder": with_backend(mount_options="vers=4.1"),
            "stores": (store(options={"ontap_nfs_mount_options": "vers=3"}),),
        },
        ("mount-options", "WARNING"),
        "Set ontap_nfs_mount_options = vers=4.1",
    ),
    (
        {"cinder": with_backend(is_cloning_uploads=True)},
        ("internal-tenant", "WARNING"),
        "cinder_internal_tenant_project_id = p1",
    ),
    (
        {"cinder": with_backend(is_cloning_uploads=True, is_internal=True)},
        ("internal-tenant", "WARNING"),
        "cinder_internal_tenant_project_id = p1",
    ),
    (
        {
            "cinder": dataclasses.replace(
                with_backend(is_cloning_uploads=True, is_internal=True),
                internal_project="another",
            )
        },
        ("internal-tenant", "WARNING"),
        "cinder_internal_tenant_project_id = p1",
    ),
    (
        {"cinder": with_backend(secure_operations="true", secure_permissions="true")},
        ("secure-nfs", "INFO"),
        "As Glance's user, run glance-ontap check --deep",
    ),
    (
        {"cinder": with_backend(secure_operations="auto", secure_permissions="auto")},
        ("secure-nfs", "INFO"),
        "As Glance's user, run glance-ontap check --deep",
    ),
    (
        {"cinder": with_backend(secure_permissions="true")},
        ("secure-nfs", "WARNING"),
        "Set both options to true, or both to false",
    ),
    (
        {"stores": (store(options={"ontap_replica_volume_type": "nobody"}),)},
        ("replica-type-missing", "ERROR"),
        "Create it, or change ontap_replica_volume_type.",
    ),
    (
        {
            **with_luns("nvme"),
            "stores": with_replica_type()["stores"],
            "admin": {
                **with_luns("nvme")["admin"],
                "volume_types": with_replica_type()["admin"]["volume_types"],
            },
        },
        ("replica-type-protocol", "INFO"),
        "glance-ontap replicate --by copy-image",
    ),
    (
        with_replica_type(own=False, is_public=False),
        ("replica-type-private", "ERROR"),
        "Run: openstack volume type set --project p1 replica",
    ),
    (
        with_replica_type(encrypts=True),
        ("replica-type-encrypted", "ERROR"),
        "Use a type without encryption",
    ),
    (
        with_replica_type(extra_specs={"pool_name": "a:/fv1"}),
        ("replica-type-pinned", "ERROR"),
        "Run: openstack volume type unset --property pool_name replica",
    ),
    (
        with_replica_type(extra_specs={"pool_name": "<or> a:/fv2 <or> a:/fv3"}),
        ("replica-type-pinned", "ERROR"),
        "Run: openstack volume type unset --property pool_name replica",
    ),
    (
        with_replica_type(extra_specs={"volume_backend_name": "gold"}),
        ("replica-type-backend", "ERROR"),
        "Set volume_backend_name of the type to that of the store's type.",
    ),
]


@pytest.mark.parametrize(
    ("changes", "expected", "remedy"),
    WRONG,
    ids=[f"{number}-{case[1][0]}" for number, case in enumerate(WRONG)],
)
def test_one_thing_wrong_is_one_finding_with_its_remedy(changes, expected, remedy):
    (found,) = judging.judge(intact(**changes))
    assert (found.code, found.severity.name) == expected
    assert remedy in found.remedy
    assert found.remedy.count("PROJECT") == remedy.count("PROJECT")


def test_an_application_credential_without_a_role_must_be_replaced():
    """Its roles are those that its user had when it was created."""
    options = {
        "ontap_store_user_name": None,
        "ontap_store_password": None,
        "ontap_store_application_credential_id": "abc",
        "ontap_store_application_credential_secret": "s3cret",
    }
    reader = store(options=options, login=Login("u1", "p1", frozenset({"reader"})))
    (found,) = judging.judge(intact(stores=(reader,)))
    assert found.code == "role-missing"
    assert "Create another application credential" in found.remedy
    assert found.remedy.endswith("openstack role add --user u1 --project p1 member")


def test_a_remedy_names_other_domains_than_the_default():
    options = {
        "ontap_store_user_domain_name": "Acme Inc",
        "ontap_store_project_domain_name": "Services",
    }
    login = Login("u1", "p1", frozenset({"reader"}))
    (found,) = judging.judge(intact(stores=(store(options=options, login=login),)))
    assert found.remedy == (
        "Run: openstack role add --user glance --user-domain 'Acme Inc'"
        " --project images --project-domain Services member"
    )


def test_a_full_quota_names_the_project_and_its_use():
    (found,) = judging.judge(intact(**with_quota(gigabytes=Room(50, 50))))
    assert found.problem == (
        "Project 'images' has used 50 of its 50 GiB Cinder quota (gigabytes)."
    )


def test_a_quota_remedy_leaves_no_finding():
    """The limit that it proposes is enough."""
    (found,) = judging.judge(intact(**with_quota(gigabytes=Room(50, 50))))
    limit = int(found.remedy.split()[-2])
    assert seen(intact(**with_quota(gigabytes=Room(limit, 50)))) == []


def test_a_pin_prefers_a_flexvol_that_no_other_type_has():
    other = VolumeType("t2", "gold", True, {"pool_name": "a:/fv1"})
    admin = with_type(pool_name=None)
    admin["volume_types"] += (other,)
    (found,) = judging.judge(intact(admin=admin))
    assert found.remedy.endswith("--property pool_name=a:/fv2 ontap-fv1")


def test_a_store_of_projects_whose_user_has_both_roles_is_fine():
    assert seen(intact(**of_projects("admin", "service"))) == []


UNKNOWN = {
    "cinder.conf": {"cinder": Unknown(Reason.NOT_GIVEN, "not given")},
    "types": {"admin": NO_ADMIN},
    "services": {"admin": {"services": SILENT}},
    "image-volumes": {"admin": {"rows": SILENT, "raw_images": EARLIER}},
    "raw images": {"admin": {"raw_images": SILENT}},
    "release": {"cinder_release": None},
    "pools": {"admin": {"pools": SILENT}},
    "encryption": {"admin": {"encrypted": {"t1": SILENT}}},
    "encryption of replicas": with_replica_type(encrypts=SILENT),
    "another cloud": {"admin": {"covers": frozenset({"fv2"})}},
    "quota": {"stores": (store(quota=SILENT),)},
    "microversion": {"stores": (store(microversion=SILENT),)},
    "sudo": {"host": {"sudo": SILENT}},
    "rootwrap": {"host": {"rootwrap": {"/r": SILENT}}},
    "helper command": {"glance": {"helper_command": "sudo privsep"}},
    "multipath": with_luns("iscsi", MULTIPATH, host={"no_path_retry": SILENT}),
    "locks of Nova": with_luns(host={"brick_lock_paths": {"nova-compute": SILENT}}),
    "reservation of LUNs": with_luns(cinder=dataclasses.replace(CINDER, backends=())),
    "space allocation of LUNs": with_luns(space_allocation=None),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unanswered_question_is_a_note(case):
    (found,) = judging.judge(intact(**UNKNOWN[case]))
    assert (found.code, found.severity) == (codes.NOT_ASKED.name, Severity.INFO)
    assert found.problem.startswith("Not checked: ")
    assert finding.exit_code([found]) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"admin": with_type(**{"RESKEY:availability_zones": "az2, nova"})},
        {
            "admin": in_zones("az2"),
            "stores": (store(options={"ontap_availability_zone": "az2"}),),
        },
        {
            "admin": {
                "services": (Service("n1@ontap", "nova", "h@ontap"),),
            }
        },
        {"admin": in_zones("az2"), **with_cinder(zone="az2")},
        with_replica_type(),
        with_replica_type(extra_specs={"pool_name": "<or> a:/fv1 <or> a:/fv2"}),
        with_replica_type(extra_specs={}),
        {"admin": in_zones("nova", "az2")},
        {"admin": with_pools(shared_blocks_percent=89.0)},
        {"admin": with_row(pool=None)},
        {"admin": with_row(pool="old", state="reading")},
        {"admin": wrongly_called_raw("luks", "i1")},
        {"admin": wrongly_called_raw(None, "i1")},
        {"admin": with_row(content="qcow2")},
        {"cinder": with_backend(mount_options="vers=4.1")},
        {"cinder": with_backend(mount_options="hard,nconnect=8")},
        {
            "cinder": with_backend(mount_options="vers=3"),
            "stores": (store(options={"ontap_nfs_mount_options": "v3"}),),
        },
        {
            "cinder": dataclasses.replace(
                with_backend(is_cloning_uploads=True, is_internal=True),
                internal_project="p1",
            )
        },
        with_luns("iscsi", MULTIPATH),
        with_luns("iscsi", host={"no_path_retry": "queue", "has_multipathd": False}),
        with_luns("nvme", MULTIPATH, host={"no_path_retry": "queue"}),
        with_luns("nvme", cinder=with_backend(reserves_space=True)),
        with_luns("nvme", space_allocation="<is> false"),
        with_luns(host={"programs": {"mount.nfs": None}}),
        with_luns(host={"brick_lock_paths": {"nova-compute": "/b"}}),
        with_luns(
            glance={"brick_lock_path": None},
            host={"brick_lock_paths": {"cinder-volume": "/locks"}},
        ),
        {"cinder": with_backend(reserves_space=True)},
        {"host": {"brick_lock_paths": {"nova-compute": "/n"}}},
    ],
)
def test_a_setup_that_works_has_no_findings(changes):
    assert seen(intact(**changes)) == []


@pytest.mark.parametrize("missing", ["pools", "volume_types", "store"])
def test_mount_nfs_is_needed_unless_all_volumes_are_known_to_be_luns(missing):
    changes = with_luns(host={"programs": {"mount.nfs": None}})
    if missing == "store":
        changes["stores"] = (
            *changes["stores"],
            store("fv9", {"ontap_volume_type": "no"}),
        )
    else:
        changes["admin"] = {**changes["admin"], missing: SILENT}
    assert ("ERROR", "program-missing") in seen(intact(**changes))


# The release of Cinder, and the severity of a cluster of cinder-volumes then.
CLUSTER = {26: "WARNING", 27: "WARNING", 28: None, None: "INFO"}


def in_a_cluster(release):
    return intact(
        admin={"services": (Service("n1@ontap", "nova", "h@ontap"),)},
        cinder_release=release,
        glance={"show_image_direct_url": True},
    )


@pytest.mark.parametrize("release", CLUSTER)
def test_a_cluster_matters_before_2026_1(release):
    severities = [
        severity
        for severity, code in seen(in_a_cluster(release))
        if code == "cinder-cluster"
    ]
    assert severities == ([CLUSTER[release]] if CLUSTER[release] else [])


def test_without_cinder_conf_several_zones_are_a_question():
    unknown = Unknown(Reason.NOT_GIVEN, "not given")
    found = judging.judge(intact(admin=in_zones("az2", "az3"), cinder=unknown))
    assert {finding.code for finding in found} == {"not-asked"}
    assert any("zone = az2" in finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("release", "text"),
    [(29, "Set it to false: Cinder does not need it"), (26, "Cinder before 2025.2")],
)
def test_shown_locations_are_judged_by_cinders_release(release, text):
    facts = intact(glance={"show_image_direct_url": True}, cinder_release=release)
    (found,) = judging.judge(facts)
    assert found.code == "locations-exposed"
    assert found.remedy.startswith(text)


def test_many_images_are_one_finding():
    ids = [f"i{number}" for number in range(10)]
    (found,) = judging.judge(intact(admin=wrongly_called_raw("vmdk", *ids)))
    assert "i0, i1, i2 and 7 more" in found.problem


def test_image_volumes_of_a_pool_are_counted():
    gone = [dataclasses.replace(ROW, pool=f"h@b#{name}") for name in "aab"]
    found = judging.judge(intact(admin={"rows": (ROW, *gone)}))
    assert [finding.problem.split(", which")[0] for finding in found] == [
        "2 image-volumes are in pool h@b#a",
        "1 image-volumes are in pool h@b#b",
    ]


def test_no_ontap_back_end_is_found_without_an_administrator():
    assert ("ERROR", "no-ontap-backend") in seen(intact(**ONLY_IN_CINDER_CONF))


def test_a_silent_keystone_is_one_finding_and_hides_no_other():
    facts = intact(
        stores=(silent_store(SILENT, SILENT),), host={"programs": {"mount.nfs": None}}
    )
    assert seen(facts) == [
        ("ERROR", "program-missing"),
        ("ERROR", "keystone-unreachable"),
    ]


def test_an_administrator_of_another_cloud_does_not_judge_a_type():
    """That cloud may have a type of the same name, which is another type."""
    facts = intact(
        admin={"covers": frozenset({"fv2"}), "encrypted": {"t1": True}, "pools": ()}
    )
    assert seen(facts) == [("INFO", "not-asked")]


def test_a_quota_of_two_stores_is_reported_once():
    full = {"volumes": Room(5, 5)}
    first, second = store(quota=full), dataclasses.replace(second_store(), quota=full)
    found = seen(intact(stores=(first, second)))
    assert [code for _, code in found if code == "quota"] == ["quota"]


@pytest.mark.parametrize(
    ("left", "severity"), [(0, "ERROR"), (1, "WARNING"), (99, "WARNING"), (100, None)]
)
def test_few_gigabytes_left(left, severity):
    facts = intact(**with_quota(gigabytes=Room(100 + left, 100)))
    assert seen(facts) == ([(severity, "quota")] if severity else [])


def test_the_quota_of_the_type_of_replicas_is_checked():
    changes = with_replica_type()
    (of_replicas,) = changes["stores"]
    full = dataclasses.replace(
        of_replicas, quota={**of_replicas.quota, "gigabytes_replica": Room(10, 10)}
    )
    (found,) = judging.judge(intact(**{**changes, "stores": (full,)}))
    assert (found.code, found.severity) == ("quota", Severity.ERROR)
    assert "--volume-type replica" in found.remedy


class TestReplicasInDeep:
    """What the cloud's user may not do."""

    FORBIDDEN = Unknown(Reason.FORBIDDEN, "HTTP 403")
    SHOWN = Volume("v", "available", 1, {}, pool="h@b#p", migration="")
    TYPE = VolumeType("t", "replica", False, {"volume_backend_name": "b"})
    BARE = VolumeType("t", "replica", False)

    def lacking(
        self,
        pools=(),
        services=(),
        types=(TYPE,),
        encrypts=False,
        shown=SHOWN,
        migrates=True,
        is_admin=False,
    ):
        class Asked:
            def pools(self):
                return pools

            def services(self):
                return services

            def volume_types(self):
                return types

            def encrypts(self, type_id):
                assert type_id == "t"
                return encrypts

            def volume(self, volume_id):
                assert volume_id == "v"
                return shown

            def migrate(self, volume_id, pool):
                assert (volume_id, pool) == ("v", deep_replicas.NOWHERE)
                if not migrates:
                    raise errors.Refused("HTTP 403.")
                raise errors.ImageVolumeInUse("No available service (HTTP 400).")

        trial = deep_replicas.Trial("fv1", "replica", "v", is_admin)
        return list(deep_replicas.rights_of(trial, Asked(), Asked()))

    @pytest.mark.parametrize("is_admin", [False, True])
    def test_one_who_may_all_lacks_none(self, is_admin):
        assert self.lacking(is_admin=is_admin) == []

    def test_an_administrator_sees_types_that_have_no_properties(self):
        assert self.lacking(types=(self.BARE,), is_admin=True) == []

    def test_a_type_that_there_is_not_is_left_to_the_other_checks(self):
        other = dataclasses.replace(self.TYPE, name="other")
        assert self.lacking(types=(other,), encrypts=self.FORBIDDEN) == []

    @pytest.mark.parametrize(
        ("lacks", "line"),
        [
            ({"pools": FORBIDDEN}, rights.POOLS),
            ({"services": FORBIDDEN}, rights.SERVICES),
            ({"types": (BARE,)}, rights.SPECS),
            ({"encrypts": FORBIDDEN}, rights.ENCRYPTION),
            ({"shown": dataclasses.replace(SHOWN, pool=None)}, rights.HOST),
            ({"shown": dataclasses.replace(SHOWN, migration=None)}, rights.MIGRATION),
            ({"migrates": False}, rights.MIGRATE),
            ({"shown": Unknown(Reason.MISSING, "HTTP 404")}, "project of the store"),
        ],
    )
    def test_one_that_is_lacking_is_named(self, lacks, line):
        (found,) = self.lacking(**lacks)
        assert found.code == "replica-rights"
        assert line in found.problem

    def test_all_that_are_lacking_are_named_at_once(self):
        nothing = dataclasses.replace(self.SHOWN, pool=None, migration=None)
        all_found = self.lacking(
            *(self.FORBIDDEN, self.FORBIDDEN, (self.BARE,), self.FORBIDDEN),
            *(nothing, False),
        )
        assert len(all_found) == len(rights.LINES)
        for line, found in zip(rights.LINES, all_found, strict=True):
            assert line in found.problem

    @pytest.mark.parametrize(
        ("status", "code"),
        [(400, None), (403, "replica-locations"), (404, "not-asked")],
    )
    def test_a_refused_location_is_found(self, status, code):
        found = deep_replicas.locations("fv1", "http://x", status)
        assert [each.code for each in found] == ([code] if code else [])


def test_a_type_given_by_its_id_is_fine():
    assert seen(intact(stores=(store(options={"ontap_volume_type": "t1"}),))) == []


def test_the_quota_of_a_type_given_by_its_id_is_checked():
    full = store(
        options={"ontap_volume_type": "t1"},
        quota={"volumes_ontap-fv1": Room(5, 5)},
    )
    assert seen(intact(stores=(full,))) == [("ERROR", "quota")]


def test_older_cinder_needs_no_user_if_locations_are_shown():
    """Then Cinder reads the location as the user who makes the volume."""
    facts = intact(
        **with_cinder(service_user=None),
        glance={"show_image_direct_url": True, "location_policy": LocationPolicy()},
    )
    assert seen(facts) == [("WARNING", "locations-exposed")]


def test_older_cinder_is_not_told_about_a_policy_that_it_does_not_use():
    facts = intact(glance={"location_policy": LocationPolicy()})
    older = dataclasses.replace(facts, cinder_release=26)
    assert seen(older) == [("ERROR", "locations-hidden")]


class TestCredentialsForGlance:
    """The other documented way: cinder.conf has a user in ``[glance]``."""

    @pytest.mark.parametrize("policy", [LocationPolicy(), VOUCHED])
    def test_are_right_with_any_policy(self, policy):
        found = judging.judge(
            intact(
                **with_cinder(glance_user=ADMIN_USER, service_user=None),
                glance={"location_policy": policy},
            )
        )
        (note,) = found
        assert (note.code, note.severity) == ("glance-user-logins", Severity.INFO)
        assert ("Put the line" in note.remedy) is not policy.vouched
        assert note.remedy.endswith("user does not need the role admin then.")

    @pytest.mark.parametrize("role", ["service", "admin"])
    def test_need_both_roles(self, role):
        user = Login("u2", "p2", ADMIN_USER.roles - {role})
        found = judging.judge(intact(**with_cinder(glance_user=user)))
        (wrong,) = [each for each in found if each.severity is not Severity.INFO]
        assert (wrong.code, wrong.severity) == ("glance-user-role", Severity.ERROR)
        assert wrong.remedy == f"Run: openstack role add --user u2 --project p2 {role}"


def test_a_policy_file_that_cannot_be_read_is_not_taken_as_right():
    unreadable = Unknown(Reason.UNREADABLE, "/etc/glance/policy.yaml: denied")
    (note,) = judging.judge(intact(glance={"location_policy": unreadable}))
    assert note.code == "not-asked"
    assert "/etc/glance/policy.yaml: denied" in note.problem


def test_the_exit_code_is_that_of_the_worst_finding():
    note, warning, error = (
        Finding(severity, "code", "fv1", "a", "b") for severity in Severity
    )
    assert finding.exit_code([]) == 0
    assert finding.exit_code([note]) == 0
    assert finding.exit_code([note, warning]) == 1
    assert finding.exit_code([error, warning]) == 2
    assert finding.ordered([note, error, warning]) == [error, warning, note]


class TestFileRights:
    """Files of Cinder's user 64061, opened by user 64062."""

    def opened(self, mode=0o660, through_helper=False, user=64062):
        access = Access(64061, 64060, mode, through_helper)
        return file_rights.opened("fv1", access, user)

    def test_the_helper_opened_the_file(self):
        found = self.opened(through_helper=True)
        assert (found.severity.name, found.code) == ("INFO", "file-access")
        assert "user 64062 may not open them, and the helper" in found.problem
        assert "group 64060" in found.remedy

    def test_the_group_opened_the_file(self):
        found = self.opened()
        assert "mode 0660 (user 64061, group 64060)" in found.problem
        assert "user 64062 may open them" in found.problem
        assert found.remedy == ""

    def test_everybody_may_open_the_file(self):
        assert "every user may open" in self.opened(mode=0o666).problem

    def test_what_root_may_open_says_nothing_about_glance(self):
        found = self.opened(user=0)
        assert "says nothing about Glance's user" in found.problem
        assert found.remedy == "Run the command as Glance's user."

    def test_nobody_opened_the_file(self):
        error = errors.WriteDenied("neither A nor B")
        found = file_rights.denied("fv1", "Storing a small image", error)
        assert (found.severity.name, found.code) == ("ERROR", "file-denied")
        assert found.problem == "Storing a small image: neither A nor B"


class TestCloneOutcome:
    def test_the_mark_means_a_clone(self):
        assert clone_outcome.judge(OUTCOME, CINDER).code == "deep-clone"

    def test_no_mark_means_a_download(self):
        outcome = dataclasses.replace(OUTCOME, has_mark=False)
        found = clone_outcome.judge(outcome, CINDER)
        assert (found.code, found.severity) == ("deep-download", Severity.WARNING)

    def test_wrong_data_is_an_error_even_in_a_clone(self):
        outcome = dataclasses.replace(OUTCOME, is_same=False)
        found = clone_outcome.judge(outcome, CINDER)
        assert (found.code, found.severity) == ("deep-wrong-data", Severity.ERROR)

    @pytest.mark.parametrize(
        ("outcome", "cinder", "word"),
        [
            ({"is_encrypted": True}, CINDER, "without encryption"),
            ({"volume_at": Place("h@b#p2", "h@b#p2")}, CINDER, "copy-image"),
            ({"volume_at": Place("h@b#p1", "n2@b#p1")}, CINDER, "one node for each"),
            ({"volume_at": Place()}, CINDER, "pools are not shown"),
            (
                {},
                dataclasses.replace(CINDER, allowed_direct_url_schemes=()),
                "allowed_direct_url_schemes",
            ),
            ({}, dataclasses.replace(CINDER, service_user=None), "Locations"),
            ({}, SILENT, "log of cinder-volume"),
        ],
    )
    def test_the_reason_of_a_download(self, outcome, cinder, word):
        known = dataclasses.replace(OUTCOME, has_mark=False, **outcome)
        assert word in clone_outcome.reason(known, cinder)


def removed_in_vain(error=None, reason=None):
    """A trial whose volume could not be removed, and what it said."""
    said = []
    trial = Trial(settings(), intact(), None, None, said.append)

    def remove():
        raise reason or errors.Broken("Cinder is down")

    expected = pytest.raises(type(error)) if error else contextlib.nullcontext()
    with expected, trial.removing("volume", "v1", remove):
        if error:
            raise error
    return trial.found, said


@pytest.mark.parametrize("error", [None, errors.NoSpace("full"), KeyboardInterrupt()])
def test_a_volume_that_cannot_be_removed_is_a_finding(error):
    (found,), (said,) = removed_in_vain(error)
    assert found.code == "deep-left-behind"
    assert found.remedy == "Run: openstack volume delete v1"
    assert "Cinder is down" in said


def test_a_lost_connection_at_the_end_does_not_hide_what_is_left():
    """openstacksdk raises it as it came from keystoneauth."""
    lost = keystone_errors.ConnectFailure("Cinder is down")
    (found,), (said,) = removed_in_vain(reason=lost)
    assert found.code == "deep-left-behind"
    assert "Cinder is down" in said


@pytest.mark.parametrize(
    "error",
    [keystone_errors.ConnectFailure("no route"), sdk_errors.SDKException("no route")],
)
def test_a_lost_connection_of_a_trial_is_a_finding(monkeypatch, error):
    def fail(_trial):
        raise error

    monkeypatch.setattr(Trial, "_start_helpers", fail)
    (found,) = Trial(settings(), intact(), None, None, lambda _text: None).run()
    assert found.code == "deep-failed"
    assert "no route" in found.problem


class TestRegistry:
    def test_a_judge_gets_the_values_that_it_needs(self):
        judges, got = Judges(), []

        @judges.per_store("settings", "login", "facts.admin.pools")
        def judge(*given):
            got.append(given)
            yield from ()

        facts = intact()
        assert list(judges.findings(facts)) == []
        (one,) = facts.stores
        assert got == [(one, one.settings, one.login, POOLS)]

    @pytest.mark.parametrize(
        "changes",
        [
            {"stores": (silent_store(SILENT),)},
            {"stores": (store(config=StoreConfig("fv1", None, ("wrong",))),)},
            {"admin": {"pools": SILENT}},
        ],
        ids=["unknown", "none", "another unknown"],
    )
    def test_a_judge_without_all_its_facts_is_skipped(self, changes):
        judges = Judges()

        @judges.per_store("settings", "login", "facts.admin.pools")
        def judge(*_given):
            raise AssertionError("called")

        assert list(judges.findings(intact(**changes))) == []

    def test_an_unregistered_severity_is_refused(self):
        with pytest.raises(ValueError, match="never of severity INFO"):
            codes.QUOTA("fv1", "problem", "remedy", Severity.INFO)


# Codes that only the real thing produces, with the modules that test it.
ON_THE_LAB = {
    "deep-stored": "functional/test_check_deep.py",
    "deep-failed": "functional/test_check_deep.py",
}


def produced():
    """Code and severity of all findings that the tests above make."""
    unknown = [case for facts in UNKNOWN.values() for case in seen(intact(**facts))]
    wrong = [case for changes, *_ in WRONG for case in seen(intact(**changes))]
    outcomes = [
        clone_outcome.judge(dataclasses.replace(OUTCOME, **changes), CINDER)
        for changes in ({}, {"has_mark": False}, {"is_same": False})
    ]
    others = [
        *outcomes,
        *removed_in_vain()[0],
        file_rights.opened("fv1", Access(64061, 64060, 0o660, False), 64062),
        *TestReplicasInDeep().lacking(migrates=False),
        *deep_replicas.locations("fv1", "http://x", 403),
        file_rights.denied("fv1", "Storing", errors.WriteDenied("neither")),
        glance.unreadable(errors.Misconfigured("no such file")),
    ]
    return {
        *unknown,
        *wrong,
        *seen(intact(**ONLY_IN_CINDER_CONF)),
        *(case for release in CLUSTER for case in seen(in_a_cluster(release))),
        *seen(intact(**with_cinder(glance_user=ADMIN_USER))),
        *((found.severity.name, found.code) for found in others),
    }


def test_every_code_and_severity_is_produced_by_a_test():
    registered = {
        (severity.name, code.name)
        for code in codes.registered()
        for severity in code.severities
        if code.name not in ON_THE_LAB
    }
    assert produced() == registered


@pytest.mark.parametrize("code", ON_THE_LAB)
def test_the_lab_produces_the_other_codes(code):
    tests = ROOT / "glance_ontap_store" / "tests" / ON_THE_LAB[code]
    assert f'"{code}"' in tests.read_text("utf-8")


def test_the_findings_without_a_case_in_the_lab_are_named():
    page = (ROOT / "doc/source/contributor/tests.rst").read_text("utf-8")
    text = " ".join(page.split())
    named = text.partition("without a case in the lab:")[2].partition(".")[0]
    functional = ROOT / "glance_ontap_store/tests/functional"
    cases = "".join(path.read_text("utf-8") for path in functional.glob("*.py"))
    missing = {
        code.name for code in codes.registered() if f'"{code.name}"' not in cases
    }
    assert set(re.findall(r"``([a-z-]+)``", named)) == missing


def test_the_documented_codes_are_the_registered_ones():
    """`python -m glance_ontap_store.checks` prints the table of the page."""
    page = (ROOT / "doc/source/admin/commands.rst").read_text("utf-8")
    assert codes.table() in page


def test_the_table_of_codes_is_printed():
    printed = subprocess.run(
        [sys.executable, "-m", "glance_ontap_store.checks"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert printed == codes.table()


def test_findings_are_made_only_through_the_registry():
    """A code that is typed by hand could differ from the documented one."""
    package = ROOT / "glance_ontap_store"
    makers = {
        path.name
        for part in ("checks", "cli")
        for path in (package / part).glob("*.py")
        if re.search(r"(?<!class )\bFinding\(", path.read_text("utf-8"))
    }
    assert makers == {"codes.py"}
