# SPDX-License-Identifier: Apache-2.0
"""glance-ontap explain over the HTTP of Keystone, Cinder and Glance."""

import csv
import io
import json

import pytest

from glance_ontap_store.cli import explain
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap,fv2:ontap
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_mount_point_base = BASE
[fv1]
ontap_volume_type = ontap-fv1
[fv2]
ontap_volume_type = ontap-fv2
"""
CINDER_CONF = f"""
[DEFAULT]
enabled_backends = ontap
allowed_direct_url_schemes = cinder
[glance]
auth_type = password
auth_url = {AUTH_URL}
username = cinder
password = p4ssword-of-cinder
project_name = service
user_domain_name = Default
project_domain_name = Default
[ontap]
volume_driver = cinder.volume.drivers.netapp.common.NetAppDriver
volume_backend_name = ontap
netapp_storage_protocol = nfs
netapp_use_legacy_client = false
"""
RAW = "11111111-7c0b-4d26-8f6f-6d6f6f0b1a22"
QCOW2 = "22222222-7c0b-4d26-8f6f-6d6f6f0b1a22"
QUEUED = "33333333-7c0b-4d26-8f6f-6d6f6f0b1a22"
POOLS = {name: f"h@ontap#192.0.2.1:/{name}" for name in ("fv1", "fv2")}


@pytest.fixture
def cinder(requests_mock, monkeypatch):
    http = command.http(requests_mock, monkeypatch)
    http.roles |= {"boss": ("admin",), "cinder": ("admin", "service")}
    found = CinderHttp(http, "ontap-fv1", "ontap-fv2", "fast", "secret")
    for number, name in enumerate(("fv1", "fv2")):
        found.types[number]["extra_specs"] = {"pool_name": f"192.0.2.1:/{name}"}
        capabilities = {
            "pool_name": f"192.0.2.1:/{name}",
            "vendor_name": "NetApp",
            "storage_protocol": "nfs",
        }
        found.pools.append({"name": POOLS[name], "capabilities": capabilities})
    found.services = [{"host": "h@ontap", "zone": "nova", "binary": "cinder-volume"}]
    found.encrypted.add("secret")
    found.default_type = "fast"
    found.add(
        {
            **builders.VOLUME,
            "name": f"image-{RAW}",
            "size": 1,
            "os-vol-host-attr:host": POOLS["fv1"],
            "metadata": {"ontap_store": "fv1", "image_owner": "acme"},
        }
    )
    found.http = http
    return found


def image(image_id, **changes):
    return {
        "id": image_id,
        "owner": "acme",
        "status": "active",
        "size": 1000,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "private",
        "stores": "fv1",
        **changes,
    }


@pytest.fixture
def glance(cinder):
    found = GlanceHttp(cinder.http, "fv1", "fv2")
    found.images[RAW] = image(RAW, name="debian")
    found.images[QCOW2] = image(QCOW2, disk_format="qcow2", name="arch")
    found.images[QUEUED] = image(QUEUED, status="queued", size=None)
    found.locations[RAW] = [f"cinder://fv1/{builders.VOLUME_ID}"]
    found.locations[QCOW2] = ["file:///x"]
    return found


@pytest.fixture
def run(cinder, glance, capsys, tmp_path, monkeypatch):
    config = CONFIG.replace("BASE", str(tmp_path / "mnt"))
    return command.runner("explain", config, tmp_path, capsys, monkeypatch)


@pytest.fixture
def known(run, tmp_path):
    """The command with cinder.conf and its release."""
    path = tmp_path / "cinder.conf"
    path.write_text(CINDER_CONF)
    given = ("--cinder-conf", str(path), "--cinder-release", "2026.2")
    return lambda *arguments, **named: run(*arguments, *given, **named)


def rows(out):
    return {row["Pool"]: row for row in json.loads(out)}


def test_an_answer_for_each_pool(known):
    code, out, err = known("debian", "-f", "json")
    found = rows(out)
    assert found[POOLS["fv1"]] == {
        "Pool": POOLS["fv1"],
        "Path": "image-volume clone",
        "Code": None,
        "Why": "",
        "Remedy": "",
        "Certainty": f"unless img-cache-{RAW} is there (--files looks)",
    }
    other = found[POOLS["fv2"]]
    assert (other["Path"], other["Code"]) == ("download", "no-image-volume")
    assert f"import {RAW} --method copy-image --store fv2" in other["Remedy"]
    assert code == 1
    assert "volume of 1 GiB of type fast in project acme" in err
    assert "clone 1, download 1; certain: 0 of 2." in err


def test_the_answer_for_people(known):
    code, out, _ = known("debian", "--volume-type", "ontap-fv1")
    assert out == (
        "192.0.2.1:/fv1  image-volume clone    Unless"
        f" img-cache-{RAW} is there (--files looks).\n"
    )
    assert code == 0


def test_an_encrypting_type_is_certain(known):
    code, out, err = known(RAW, "--volume-type", "secret", "-f", "csv")
    found = list(csv.DictReader(io.StringIO(out)))
    assert [row["Pool"] for row in found] == list(POOLS.values())
    assert {row["Code"] for row in found} == {"volume-type-encrypts"}
    assert {row["Certainty"] for row in found} == {"certain"}
    assert "certain: 2 of 2." in err
    assert code == 1


def test_a_request_that_fails(known):
    code, out, err = known(QUEUED, "-f", "json")
    assert {row["Code"] for row in json.loads(out)} == {"image-not-active"}
    assert code == 2
    assert "failure 2" in err
    code, out, _ = known("debian", "--project", "globex", "-f", "json")
    assert {row["Code"] for row in json.loads(out)} == {"image-invisible"}
    assert code == 2


def test_a_larger_volume_may_be_asked_for(known, glance):
    glance.images[RAW]["min_disk"] = 5
    assert known("debian", "--size", "4", "-f", "json")[0] == 2
    assert known("debian", "--size", "5", "-f", "json")[0] == 1


def test_facts_that_were_not_given_are_doubts(run):
    _, out, _ = run("debian", "-f", "json")
    certainty = rows(out)[POOLS["fv1"]]["Certainty"]
    assert "not known: cinder.conf" in certainty
    assert "not known: Cinder's release" in certainty


def test_a_clone_everywhere_is_a_success(known, cinder, glance):
    cinder.add(
        {
            **cinder.volumes[builders.VOLUME_ID],
            "id": builders.OTHER_ID,
            "os-vol-host-attr:host": POOLS["fv2"],
        }
    )
    glance.locations[RAW].append(f"cinder://fv2/{builders.OTHER_ID}")
    code, _, err = known("debian", "-f", "json")
    assert code == 0
    assert "clone 2; certain: 0 of 2." in err


class TestAll:
    def test_a_table_shows_who_gains_from_a_replica(self, known):
        code, out, err = known("--all")
        lines = [line.split() for line in out.splitlines() if line.startswith("|")]
        assert lines[0][1:-1:2] == ["Image", "Name", "192.0.2.1:/fv1", "192.0.2.1:/fv2"]
        table = {line[3]: line[5:-1:2] for line in lines[1:]}
        assert table == {
            "arch": ["download?", "download?"],
            "debian": ["clone?", "gains?"],
        }
        assert "2 images; 1 would gain from a replica: 192.0.2.1:/fv2 1." in err
        assert "gains: a download" in err
        assert code == 1

    def test_programs_get_a_row_for_each_image_and_pool(self, known):
        _, out, _ = known("--all", "-f", "json")
        found = json.loads(out)
        assert [(row["Name"], row["Gains"]) for row in found] == [
            ("arch", False),
            ("arch", False),
            ("debian", False),
            ("debian", True),
        ]
        assert {row["Pool"] for row in found} == set(POOLS.values())

    def test_a_project_and_a_type_may_be_asked_for(self, known):
        code, out, _ = known(
            *("--all", "--project", "globex", "--volume-type", "ontap-fv2"),
            *("-f", "json"),
        )
        assert {row["Path"] for row in json.loads(out)} == {"failure"}
        assert {row["Pool"] for row in json.loads(out)} == {POOLS["fv2"]}
        assert code == 2

    def test_a_failure_without_a_pool_fills_the_row(self, known, cinder):
        cinder.types[2]["extra_specs"] = {"pool_name": "gone"}
        code, out, _ = known("--all", "--volume-type", "fast")
        assert code == 2
        assert "Image" in out


class TestFailures:
    def test_without_an_administrator(self, run):
        code, out, err = run("debian", cloud=None)
        assert (code, out) == (3, "")
        assert "--os-cloud" in err

    def test_an_image_or_type_that_does_not_exist(self, run):
        code, _, err = run("gentoo")
        assert code == 3
        assert "Glance has no image 'gentoo'" in err
        code, _, err = run("debian", "--volume-type", "slow")
        assert code == 3
        assert "Cinder has no volume type 'slow'" in err

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["debian", "--all"],
            ["debian", "--size", "0"],
            ["debian", "--cinder-release", "Yoga"],
        ],
    )
    def test_arguments_that_make_no_sense(self, run, arguments):
        with pytest.raises(SystemExit):
            run(*arguments)

    def test_no_password_is_shown(self, known, requests_mock):
        requests_mock.post(
            f"{AUTH_URL}/auth/tokens", status_code=401, text="p4ssword-of-boss"
        )
        _, out, err = known("debian")
        assert "p4ssword" not in out + err


@pytest.mark.parametrize(
    ("pools", "short"),
    [
        (["h@a#1:/x", "h@a#1:/y"], ["1:/x", "1:/y"]),
        (["h@a#1:/x", "h@b#1:/x", "h@b#1:/y"], ["h@a#1:/x", "h@b#1:/x", "1:/y"]),
        (["h@a"], ["h@a"]),
    ],
)
def test_pools_are_called_by_the_part_that_differs(pools, short):
    assert list(explain.short_names(pools).values()) == short
