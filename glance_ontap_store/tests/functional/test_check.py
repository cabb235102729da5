# SPDX-License-Identifier: Apache-2.0
"""glance-ontap check, with the lab broken in one way at a time."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import importlib.metadata
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import preflight
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Changes
from glance_ontap_store.tests.functional.preflight import Operator
from lab import ini
from lab import stores
from lab.polling import wait_until

pytestmark = pytest.mark.shared

STORES = ("fv1", "fv2", "fv3", "own")


@pytest.fixture
def operator(lab: Any) -> Operator:
    return Operator(lab)


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_an_intact_lab_has_neither_errors_nor_warnings(
    operator: Operator,
) -> None:
    code, found = operator.findings(
        "--cinder-conf", CINDER_CONF, "--cinder-release", "2026.2"
    )
    assert preflight.wrong(found) == []
    assert code == 0
    # Glance's user does not exist in the lab, which the command notes.
    assert [finding["Code"] for finding in found if finding["Subject"] == "host"] == [
        "not-asked"
    ]


# Changes that break glance-api.conf, and severity, code and subject of the findings.
GLANCE: dict[str, tuple[Changes, list[tuple[str, str, str]]]] = {
    "lock path unset": (
        {"oslo_concurrency": {"lock_path": None}},
        [("error", "lock-path-unset", "glance")],
    ),
    "lock path on a file": (
        {"oslo_concurrency": {"lock_path": "/etc/hostname/locks"}},
        [("error", "lock-path-unusable", "glance")],
    ),
    "Keystone elsewhere": (
        {"fv1": {"ontap_store_auth_address": "http://127.0.0.1:1/v3"}},
        [("error", "keystone-unreachable", "fv1")],
    ),
    "not a Keystone": (
        {"fv1": {"ontap_store_auth_address": "http://127.0.0.1:{cinder}/nothing"}},
        [("error", "keystone-unreachable", "fv1")],
    ),
    "wrong password": (
        {"fv2": {"ontap_store_password": "something-else"}},
        [("error", "credentials-refused", "fv2")],
    ),
    "wrong application credential": (
        {
            "fv1": {
                "ontap_store_user_name": None,
                "ontap_store_password": None,
                "ontap_store_application_credential_id": "0123456789abcdef",
                "ontap_store_application_credential_secret": "something-else",
            }
        },
        [("error", "credentials-refused", "fv1")],
    ),
    "project without a role": (
        {"fv1": {"ontap_store_project_name": "acme"}},
        [("error", "role-missing", "fv1")],
    ),
    "volumes of projects by a user that is no administrator": (
        {"fv1": {"ontap_image_volume_owner": "project"}},
        [("error", "role-missing", "fv1")],
    ),
    "wrong region": (
        {"fv1": {"ontap_os_region_name": "Atlantis"}},
        [("error", "cinder-endpoint", "fv1")],
    ),
    "wrong service type": (
        {"fv1": {"ontap_catalog_info": "volume9::internalURL"}},
        [("error", "cinder-endpoint", "fv1")],
    ),
    "no such volume type": (
        {"fv1": {"ontap_volume_type": "nobody-made-it"}},
        [("error", "volume-type-missing", "fv1")],
    ),
    "no such type of replicas": (
        {"fv1": {"ontap_replica_volume_type": "nobody-made-it"}},
        [("error", "replica-type-missing", "fv1")],
    ),
    "no volume type": (
        {"fv1": {"ontap_volume_type": None}},
        [("warning", "volume-type-unset", "fv1")],
    ),
    "volume type without a pool": (
        {"fv1": {"ontap_volume_type": "ontap"}},
        [("warning", "volume-type-unpinned", "fv1")],
    ),
    "one volume type for two stores": (
        {"fv3": {"ontap_volume_type": "ontap-fv2"}},
        [("warning", "same-volume-type", "fv3")],
    ),
    "one volume type for two stores, by its id and its name": (
        {"fv3": {"ontap_volume_type": "{id of ontap-fv2}"}},
        [("warning", "same-volume-type", "fv3")],
    ),
    "locations can be set": (
        {"DEFAULT": {"show_multiple_locations": "true"}},
        [("warning", "locations-exposed", "glance")],
    ),
    "locations are shown": (
        {"DEFAULT": {"show_image_direct_url": "true"}},
        [("warning", "locations-exposed", "glance")],
    ),
    "a policy that does not accept Cinder's service token": (
        {"oslo_policy": {"policy_file": "nowhere.yaml"}},
        [("error", "location-policy", "cinder")],
    ),
    "mount point below a file": (
        {store: {"ontap_mount_point_base": "/etc/hostname/mnt"} for store in STORES},
        [("error", "mount-base-unusable", "fv1, fv2, fv3, own")],
    ),
    "mount points of upstream's store": (
        {
            "DEFAULT": {"enabled_backends": "fv1:ontap,old:cinder"},
            "fv1": {"ontap_mount_point_base": "/var/lib/one"},
            "old": {"cinder_mount_point_base": "/var/lib/one"},
        },
        [("error", "mount-base-shared", "fv1")],
    ),
    "mount points that differ": (
        {"fv2": {"ontap_mount_point_base": "/var/lib/another"}},
        [("warning", "mount-base-differs", "host")],
    ),
    "catalog without its parts": (
        {"fv1": {"ontap_catalog_info": "volumev3"}},
        [("error", "bad-options", "fv1")],
    ),
    "a word for a number": (
        {"fv1": {"ontap_api_timeout": "soon"}},
        [("error", "bad-options", "fv1")],
    ),
    "no rootwrap.conf": (
        {store: {"ontap_rootwrap_config": "/etc/nowhere.conf"} for store in STORES},
        [("error", "rootwrap", "host")],
    ),
    "an availability zone without the pool": (
        {"fv1": {"ontap_availability_zone": "az9"}},
        [("error", "availability-zone", "fv1")],
    ),
    "a mount option that is not one of NFS": (
        {"fv1": {"ontap_nfs_mount_options": "vers=3,bind"}},
        [("error", "bad-options", "fv1")],
    ),
    "no store": (
        {"DEFAULT": {"enabled_backends": "file:file"}},
        [("error", "no-store", "glance")],
    ),
}


@pytest.mark.parametrize("case", sampling.one_of(6, GLANCE))
def test_a_mistake_in_glance_conf_is_found(
    lab: Any, operator: Operator, admin: Any, case: str
) -> None:
    changes, expected = GLANCE[case]
    known = {
        "{cinder}": lab.facts["urls"]["cinder"].split(":")[2].partition("/")[0],
        "{id of ontap-fv2}": admin.block_storage.find_type("ontap-fv2").id,
    }

    def filled(value: str | None) -> str | None:
        for name, known_value in known.items():
            value = value and value.replace(name, known_value)
        return value

    filled_in = {
        group: {name: filled(value) for name, value in options.items()}
        for group, options in changes.items()
    }
    with operator.changed(filled_in) as config:
        code, found = operator.findings("--cinder-conf", CINDER_CONF, config=config)
    assert preflight.wrong(found) == expected
    assert code == {"error": 2, "warning": 1}[expected[0][0]]
    assert all(finding["Remedy"] for finding in found)


def test_a_store_id_that_is_a_prefix_of_another_is_found(operator: Operator) -> None:
    text = Path("/etc/glance/glance-api.conf").read_text("utf-8")
    renamed = text.replace("fv3:ontap", "fv10:ontap").replace("[fv3]", "[fv10]")
    with operator.copied(renamed) as config:
        _, found = operator.findings("--cinder-conf", CINDER_CONF, config=config)
    assert preflight.wrong(found) == [("warning", "store-id-prefix", "fv1")]


# Changes that break cinder.conf, and the findings.
CINDER: dict[str, tuple[Changes, list[tuple[str, str, str]]]] = {
    "no schemes": (
        {"DEFAULT": {"allowed_direct_url_schemes": None}},
        [("error", "direct-url-schemes", "cinder")],
    ),
    "no service token": (
        {"service_user": {"send_service_user_token": None}},
        [("error", "service-user", "cinder")],
    ),
    "wrong password of the service user": (
        {"service_user": {"password": "something-else"}},
        [("error", "service-user", "cinder")],
    ),
    "Keystone elsewhere for the service user": (
        {"service_user": {"auth_url": "http://127.0.0.1:1/v3"}},
        [("error", "service-user", "cinder")],
    ),
    "qcow2": (
        {"ontap": {"nfs_qcow2_volumes": "true"}},
        [("error", "qcow2-volumes", "cinder")],
    ),
    "another driver": (
        {"ontap": {"volume_driver": "cinder.volume.drivers.lvm.LVMVolumeDriver"}},
        [("error", "volume-type-not-ontap", store) for store in STORES],
    ),
}


# Changes of cinder.conf with which images work, but not as well as they could.
WORSE: dict[str, tuple[Changes, list[tuple[str, str, str]]]] = {
    "ZAPI": (
        {"ontap": {"netapp_use_legacy_client": None}},
        [("warning", "legacy-client", "cinder")],
    ),
    "NFS 3 in Cinder alone": (
        {"ontap": {"nfs_mount_options": "vers=3,nolock"}},
        [("warning", "mount-options", store) for store in STORES],
    ),
    "files of root that only Cinder's group may open": (
        {
            "ontap": {
                "nas_secure_file_permissions": "true",
                "nas_secure_file_operations": "false",
            }
        },
        [("warning", "secure-nfs", "cinder")],
    ),
    "images of volumes without the internal tenant": (
        {"ontap": {"image_upload_use_cinder_backend": "true"}},
        [("warning", "internal-tenant", "cinder")],
    ),
}


@pytest.mark.parametrize("case", sampling.one_of(4, WORSE))
def test_a_setting_in_cinder_conf_that_makes_images_worse(
    operator: Operator, case: str
) -> None:
    changes, expected = WORSE[case]
    with operator.changed(changes, "cinder") as cinder_conf:
        code, found = operator.findings("--cinder-conf", cinder_conf)
    assert preflight.wrong(found) == expected
    assert code == 1


@pytest.mark.parametrize(
    ("service", "changes", "code"),
    [
        ("glance", {"paste_deploy": {"flavor": "keystone+caching"}}, "image-cache"),
        ("cinder", {"ontap": {"nfs_sparsed_volumes": "false"}}, "thick-volumes"),
    ],
)
def test_a_setting_that_costs_something_is_noted(
    operator: Operator, service: str, changes: Changes, code: str
) -> None:
    with operator.changed(changes, service) as path:
        if service == "glance":
            ended, found = operator.findings("--cinder-conf", CINDER_CONF, config=path)
        else:
            ended, found = operator.findings("--cinder-conf", path)
    assert ended == 0
    assert code in {finding["Code"] for finding in found}


def test_a_mount_base_on_a_file_system_of_several_hosts_is_found(
    operator: Operator, undo: contextlib.ExitStack, tmp_path: Path
) -> None:
    """It is not asked either: nobody serves this GlusterFS."""
    fuse = os.open("/dev/fuse", os.O_RDWR)
    undo.callback(os.close, fuse)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    subprocess.run(
        ["mount", "-i", "-t", "fuse.glusterfs", "-o", options, "server:/v", tmp_path],
        pass_fds=[fuse],
        check=True,
    )
    undo.callback(subprocess.run, ["umount", "--lazy", tmp_path], check=True)
    base = str(tmp_path / "mnt")
    changes = {store: {"ontap_mount_point_base": base} for store in STORES}
    with operator.changed(changes) as config:
        code, found = operator.findings(config=config)
    assert preflight.wrong(found) == [
        ("error", "mount-base-not-local", ", ".join(STORES))
    ]
    assert code == 2


# What Cinder says of a pool, and the findings of each store.
POOLS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a FlexGroup": ({"netapp_is_flexgroup": "true"}, "warning", "flexgroup"),
    "iSER": ({"storage_protocol": "iSER"}, "error", "volume-type-protocol"),
    "shared blocks": ({"netapp_dedupe_used_percent": 95.0}, "warning", "shared-blocks"),
    "replicated": ({"replication_enabled": True}, "info", "replication"),
}


@pytest.mark.exclusive
def test_what_cinder_says_of_its_pools_is_found(
    lab: Any, operator: Operator, admin: Any
) -> None:
    """cinder-volume adds to its report what the array does not have."""
    added = {k: v for said, _, _ in POOLS.values() for k, v in said.items()}
    capabilities = {"ontap": {"extra_capabilities": json.dumps(added)}}
    with direct.cinder_options(lab, capabilities):
        wait_until(lambda: reported(admin, added), "Cinder reports its pools")
        code, found = operator.findings()
    for _, severity, expected in POOLS.values():
        subjects = {
            finding["Subject"]
            for finding in found
            if (finding["Severity"], finding["Code"]) == (severity, expected)
        }
        assert subjects == set(STORES), expected
    assert code == 2
    wait_until(lambda: not reported(admin, added), "Cinder reports its own pools")


def reported(admin: Any, properties: dict[str, Any]) -> bool:
    """Whether Cinder's scheduler has these properties of every pool."""
    pools = admin.block_storage.get("/scheduler-stats/get_pools?detail=true").json()
    return all(
        properties.items() <= pool["capabilities"].items() for pool in pools["pools"]
    )


@pytest.mark.long
@pytest.mark.exclusive
def test_images_in_a_pool_that_is_gone_are_found(
    lab: Any, operator: Operator, admin: Any, user: Any, tmp_path: Path
) -> None:
    image = user.image()
    assert user.put(image, b"content", "fv3").status_code == 204
    shares = tmp_path / "nfs_shares"
    shares.write_text("127.0.0.1:/fv1\n127.0.0.1:/fv2\n", encoding="utf-8")

    def pools() -> set[str]:
        answer = admin.block_storage.get("/scheduler-stats/get_pools").json()
        return {pool["name"].rpartition("/")[2] for pool in answer["pools"]}

    with direct.cinder_options(lab, {"ontap": {"nfs_shares_config": str(shares)}}):
        wait_until(lambda: "fv3" not in pools(), "the pool is gone")
        _, found = operator.findings()
    assert sorted(preflight.wrong(found)) == [
        ("error", "volume-type-pool", "fv3"),
        ("warning", "pool-gone", "fv3"),
    ]
    (gone,) = (finding for finding in found if finding["Code"] == "pool-gone")
    assert " pool lab@ontap#127.0.0.1:/fv3," in gone["Problem"]
    wait_until(lambda: "fv3" in pools(), "the pool is back")


def test_hidden_locations_are_judged_by_cinders_release(operator: Operator) -> None:
    given = ("--cinder-conf", CINDER_CONF)
    code, found = operator.findings(*given, "--cinder-release", "2025.1")
    assert preflight.wrong(found) == [("error", "locations-hidden", "cinder")]
    assert code == 2
    code, found = operator.findings(*given)
    assert preflight.wrong(found) == []
    assert any("release of Cinder" in finding["Problem"] for finding in found)


def test_an_unknown_release_is_refused(operator: Operator) -> None:
    ended = operator.run("check", "--cinder-release", "zed")
    assert ended.returncode == 2
    assert "'zed' is not a release" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.exclusive
def test_a_qcow2_file_that_is_called_raw_is_found(
    operator: Operator, user: Any, admin: Any
) -> None:
    image = user.image()
    assert user.put(image, disk_formats.qcow2(), "fv1").status_code == 204
    volume = images.image_volume(admin, image.id)
    assert volume.metadata["ontap_content"] == "qcow2"
    code, found = operator.findings()
    assert preflight.wrong(found) == [("warning", "disk-format", "fv1")]
    (problem,) = (
        finding["Problem"] for finding in found if finding["Code"] == "disk-format"
    )
    assert image.id in problem
    assert code == 1


def test_without_an_administrator_cinder_conf_tells_what_the_back_ends_are(
    operator: Operator,
) -> None:
    changes, _ = CINDER["another driver"]
    with operator.changed(changes, "cinder") as cinder_conf:
        _, found = operator.findings("--cinder-conf", cinder_conf, cloud=None)
    assert preflight.wrong(found) == [("error", "no-ontap-backend", "cinder")]


@pytest.mark.parametrize("case", sampling.one_of(6, CINDER))
def test_a_mistake_in_cinder_conf_is_found(operator: Operator, case: str) -> None:
    changes, expected = CINDER[case]
    with operator.changed(changes, "cinder") as cinder_conf:
        code, found = operator.findings("--cinder-conf", cinder_conf)
    assert preflight.wrong(found) == expected
    assert code == 2


def test_a_missing_cinder_conf_is_an_error(operator: Operator) -> None:
    code, found = operator.findings("--cinder-conf", "/etc/cinder/nowhere.conf")
    assert preflight.wrong(found) == [("error", "cinder-conf-unreadable", "cinder")]
    assert code == 2


def test_a_missing_glance_conf_is_an_error(operator: Operator) -> None:
    code, found = operator.findings(config="/etc/glance/nowhere.conf")
    assert preflight.wrong(found) == [("error", "config-unreadable", "glance")]
    assert code == 2


@pytest.mark.parametrize(
    "mistake", [{"password": "something-else"}, {"auth_url": "http://127.0.0.1:1/v3"}]
)
def test_a_mistake_in_the_credentials_for_glance_is_found(
    lab: Any, operator: Operator, mistake: dict[str, str]
) -> None:
    login = ini.login(lab.cinder_config, "service_user")
    with operator.changed({"glance": {**login, **mistake}}, "cinder") as cinder_conf:
        code, found = operator.findings("--cinder-conf", cinder_conf)
    assert preflight.wrong(found) == [("error", "glance-user", "cinder")]
    assert code == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("group", "role", "has"),
    [
        ("service_user", "service", "reader"),
        pytest.param("glance", "service", "admin", marks=pytest.mark.long),
        pytest.param("glance", "admin", "service", marks=pytest.mark.long),
    ],
)
def test_the_remedy_gives_cinders_user_the_missing_role(
    lab: Any,
    operator: Operator,
    admin: Any,
    undo: contextlib.ExitStack,
    group: str,
    role: str,
    has: str,
) -> None:
    name, password = user_with(admin, undo, has)
    login = ini.login(lab.cinder_config, "service_user")
    changes = {group: {**login, "username": name, "password": password}}
    with operator.changed(changes, "cinder") as cinder_conf:
        _, found = operator.findings("--cinder-conf", cinder_conf)
        assert preflight.wrong(found) == [("error", "glance-user-role", "cinder")]
        operator.remedied(found, "glance-user-role")
        _, found = operator.findings("--cinder-conf", cinder_conf)
        assert preflight.wrong(found) == []
        notes = {finding["Code"] for finding in found}
        assert ("glance-user-logins" in notes) == (group == "glance")


def user_with(admin: Any, undo: contextlib.ExitStack, role: str) -> tuple[str, str]:
    """A new user with one role in project service: name and password."""
    name, password = f"check-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    user = admin.identity.create_user(name=name, password=password, domain_id="default")
    undo.callback(admin.identity.delete_user, user)
    project = admin.identity.find_project("service")
    admin.identity.assign_project_role_to_user(
        project, user, admin.identity.find_role(role)
    )
    return name, password


@pytest.mark.long
def test_the_remedy_gives_the_stores_user_the_missing_role(
    operator: Operator, admin: Any, undo: contextlib.ExitStack
) -> None:
    name, password = user_with(admin, undo, "reader")
    changes = {"fv1": {"ontap_store_user_name": name, "ontap_store_password": password}}
    with operator.changed(changes) as config:
        _, found = operator.findings(config=config)
        assert preflight.wrong(found) == [("error", "role-missing", "fv1")]
        operator.remedied(found, "role-missing")
        _, found = operator.findings(config=config)
        assert preflight.wrong(found) == []


def test_a_cinder_that_does_not_answer_is_found(
    operator: Operator, admin: Any, undo: contextlib.ExitStack
) -> None:
    service = admin.identity.create_service(name="elsewhere", type="volume-elsewhere")
    undo.callback(admin.identity.delete_service, service)
    admin.identity.create_endpoint(
        service_id=service.id,
        interface="internal",
        url="http://127.0.0.1:1/v3",
        region_id="RegionOne",
    )
    changes = {"fv2": {"ontap_catalog_info": "volume-elsewhere::internalURL"}}
    with operator.changed(changes) as config:
        _, found = operator.findings(config=config)
    assert preflight.wrong(found) == [("error", "cinder-unreachable", "fv2")]


def new_type(admin: Any, undo: contextlib.ExitStack, **attributes: Any) -> Any:
    """A type that is pinned to fv1, unless *attributes* say something else."""
    specs = {"pool_name": "127.0.0.1:/fv1", **attributes.pop("extra_specs", {})}
    return loose_type(admin, undo, extra_specs=specs, **attributes)


def loose_type(admin: Any, undo: contextlib.ExitStack, **attributes: Any) -> Any:
    """A type for all pools of the back end, unless *attributes* say something else."""
    specs = {"volume_backend_name": "ontap", **attributes.pop("extra_specs", {})}
    made = admin.block_storage.create_type(
        name=f"check-{uuid.uuid4().hex[:8]}", extra_specs=specs, **attributes
    )
    undo.callback(admin.block_storage.delete_type, made)
    return made


def encrypted(admin: Any, undo: contextlib.ExitStack, make: Any = new_type) -> Any:
    made = make(admin, undo)
    admin.block_storage.create_type_encryption(
        made, provider="luks", control_location="front-end", cipher="aes-xts-plain64"
    )
    return made


def slowed(admin: Any, undo: contextlib.ExitStack) -> Any:
    """A volume type with a QoS spec."""
    made = new_type(admin, undo)
    spec = admin.block_storage.post(
        "/qos-specs", json={"qos_specs": {"name": made.name, "maxBPS": "1000000"}}
    ).json()["qos_specs"]["id"]
    undo.callback(admin.block_storage.delete, f"/qos-specs/{spec}?force=True")
    path = f"/qos-specs/{spec}/associate?vol_type_id={made.id}"
    assert admin.block_storage.get(path).status_code == 202
    return made


def test_a_volume_type_with_qos_is_found(
    operator: Operator, admin: Any, undo: contextlib.ExitStack
) -> None:
    made = slowed(admin, undo)
    with operator.changed({"fv1": {"ontap_volume_type": made.name}}) as config:
        code, found = operator.findings(config=config)
    assert preflight.wrong(found) == [("warning", "volume-type-qos", "fv1")]
    assert code == 1


TYPES: dict[str, Callable[[Any, contextlib.ExitStack], Any]] = {
    "volume-type-private": lambda admin, undo: new_type(admin, undo, is_public=False),
    "volume-type-encrypted": encrypted,
    "volume-type-pool": lambda admin, undo: new_type(
        admin, undo, extra_specs={"pool_name": "127.0.0.1:/fv9"}
    ),
    "volume-type-backend": lambda admin, undo: new_type(
        admin, undo, extra_specs={"volume_backend_name": "lvm"}
    ),
}


@pytest.mark.parametrize("code", sampling.one_of(2, TYPES))
def test_an_unsuitable_volume_type_is_found(
    operator: Operator, admin: Any, undo: contextlib.ExitStack, code: str
) -> None:
    made = TYPES[code](admin, undo)
    with operator.changed({"fv1": {"ontap_volume_type": made.name}}) as config:
        _, found = operator.findings(config=config)
        assert preflight.wrong(found) == [("error", code, "fv1")]
        # Without an administrator it is not checked, and the command says so.
        _, found = operator.findings(config=config, cloud=None)
    seen = preflight.wrong(found)
    assert seen == (
        [("error", "volume-type-missing", "fv1")]
        if code == "volume-type-private"
        else []
    )
    assert any("of the volume types" in finding["Problem"] for finding in found)


OF_REPLICAS: dict[str, Callable[[Any, contextlib.ExitStack], Any]] = {
    "replica-type-private": lambda admin, undo: loose_type(
        admin, undo, is_public=False
    ),
    "replica-type-encrypted": lambda admin, undo: encrypted(admin, undo, loose_type),
    "replica-type-pinned": TYPES["volume-type-pool"],
    "replica-type-backend": lambda admin, undo: loose_type(
        admin, undo, extra_specs={"volume_backend_name": "lvm"}
    ),
}


@pytest.mark.parametrize("code", sampling.one_of(3, OF_REPLICAS))
def test_an_unsuitable_type_of_replicas_is_found(
    operator: Operator, admin: Any, undo: contextlib.ExitStack, code: str
) -> None:
    made = OF_REPLICAS[code](admin, undo)
    with operator.changed({"fv1": {"ontap_replica_volume_type": made.name}}) as config:
        _, found = operator.findings(config=config)
    assert preflight.wrong(found) == [("error", code, "fv1")]


@pytest.mark.exclusive
@pytest.mark.parametrize(
    ("values", "severity"),
    [
        (lambda used: {"volumes": used["volumes"]}, "error"),
        (lambda used: {"volumes": used["volumes"] + 9}, "warning"),
        (lambda used: {"gigabytes": used["gigabytes"] + 99}, "warning"),
    ],
    ids=["no volume", "few volumes", "few gigabytes"],
)
def test_a_small_quota_is_found(
    operator: Operator, admin: Any, values: Any, severity: str
) -> None:
    project = direct.owner("fv1").current_project_id
    with direct.quota(admin, project, **values(direct.used(admin, project))):
        # One project's quota is one finding, though three stores use it.
        code, found = operator.findings()
        assert preflight.wrong(found) == [(severity, "quota", "fv1")]
        assert code == {"error": 2, "warning": 1}[severity]


@pytest.mark.exclusive
@pytest.mark.parametrize("volume_type", sampling.one_of(2, ["ontap-fv1", "its id"]))
@pytest.mark.parametrize("name", ["gigabytes_ontap-fv1", "volumes"])
def test_the_remedy_of_a_full_quota_raises_that_quota_alone(
    operator: Operator, admin: Any, name: str, volume_type: str
) -> None:
    project = direct.owner("fv1").current_project_id
    if volume_type == "its id":
        volume_type = admin.block_storage.find_type("ontap-fv1").id
    used = direct.used(admin, project)[name]
    changes: Changes = {"fv1": {"ontap_volume_type": volume_type}}
    with operator.changed(changes) as config:
        with direct.quota(admin, project, **{name: used}):
            _, found = operator.findings(config=config)
            assert preflight.wrong(found) == [("error", "quota", "fv1")]
            before = quotas(admin, project)
            operator.remedied(found, "quota")
            after = quotas(admin, project)
            assert set(after.items()) - set(before.items()) == {(name, after[name])}
            assert after[name] > used
            _, found = operator.findings(config=config)
            assert preflight.wrong(found) == []


def quotas(admin: Any, project: str) -> dict[str, int]:
    shown = admin.block_storage.get(f"/os-quota-sets/{project}").json()
    return {k: v for k, v in shown["quota_set"].items() if k != "id"}


def test_a_missing_mount_nfs_is_found(operator: Operator) -> None:
    hidden = preflight.hiding("/usr/sbin/mount.nfs")
    _, found = operator.findings(before=hidden)
    assert preflight.wrong(found) == [("error", "program-missing", "host")]
    assert "nfs-common" in next(
        finding["Remedy"] for finding in found if finding["Code"] == "program-missing"
    )


def test_a_missing_os_brick_is_found(
    operator: Operator, undo: contextlib.ExitStack
) -> None:
    os.makedirs("/var/empty-dir", exist_ok=True)
    undo.callback(os.rmdir, "/var/empty-dir")
    files = importlib.metadata.distribution("os-brick").locate_file("")
    found_at = [
        str(path)
        for path in Path(str(files)).iterdir()
        if path.name == "os_brick" or path.name.startswith("os_brick-")
    ]
    assert len(found_at) == 2, found_at
    _, found = operator.findings(before=preflight.hiding(*found_at))
    assert preflight.wrong(found) == [("error", "package-missing", "host")]


def test_a_rootwrap_that_does_not_find_the_helper_is_reported(
    operator: Operator, undo: contextlib.ExitStack
) -> None:
    text = Path("/etc/glance/rootwrap.conf").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("exec_dirs")]
    path = undo.enter_context(
        operator.copied("\n".join([*lines, "exec_dirs=/sbin", ""]))
    )
    changes = {store: {"ontap_rootwrap_config": path} for store in STORES}
    with operator.changed(changes) as config:
        _, found = operator.findings(config=config)
    assert preflight.wrong(found) == [("error", "rootwrap", "host")]


def test_credentials_without_role_admin_are_reported(operator: Operator) -> None:
    _, found = operator.findings(cloud="alice")
    assert preflight.wrong(found) == []
    assert any("lack role admin" in finding["Problem"] for finding in found)


def test_one_thing_broken_hides_no_other(operator: Operator) -> None:
    changes: Changes = {
        "oslo_concurrency": {"lock_path": None},
        "fv1": {"ontap_store_auth_address": "http://127.0.0.1:1/v3"},
        "fv2": {"ontap_volume_type": "nobody-made-it"},
        "fv3": {"ontap_api_timeout": "soon"},
    }
    schemes = {"DEFAULT": {"allowed_direct_url_schemes": None}}
    with operator.changed(changes) as config:
        with operator.changed(schemes, "cinder") as cinder_conf:
            code, found = operator.findings("--cinder-conf", cinder_conf, config=config)
    assert sorted(preflight.wrong(found)) == [
        ("error", "bad-options", "fv3"),
        ("error", "direct-url-schemes", "cinder"),
        ("error", "keystone-unreachable", "fv1"),
        ("error", "lock-path-unset", "glance"),
        ("error", "volume-type-missing", "fv2"),
    ]
    assert code == 2


def test_no_secret_is_printed(operator: Operator) -> None:
    """Not even if a password is in the place of another option."""
    secret = stores.option("fv1", "ontap_store_password")
    changes: Changes = {
        "fv1": {"ontap_store_user_name": secret},
        "fv2": {"ontap_store_auth_address": f"http://127.0.0.1:1/{secret}"},
        "fv3": {"ontap_volume_type": secret},
    }
    with operator.changed(changes) as config:
        for arguments in (
            ("check", "--cinder-conf", CINDER_CONF),
            ("check", "-f", "json"),
            ("list", "--store", "fv2"),
            ("--debug", "usage", "--store", "fv1"),
        ):
            ended = operator.run(*arguments, config=config)
            assert ended.returncode != 0
            assert secret not in ended.stdout + ended.stderr, arguments


def test_the_program_belongs_to_the_environment(operator: Operator) -> None:
    assert Path(preflight.PROGRAM).parent == Path(sys.executable).parent
    assert operator.run("check", "--help").returncode == 0
