# SPDX-License-Identifier: Apache-2.0
"""glance-ontap audit over the HTTP of Keystone, Cinder and Glance."""

import json

import pytest

from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap
[fv1]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_mount_point_base = BASE
ontap_volume_type = ontap-fv1
"""


@pytest.fixture
def http(requests_mock, monkeypatch):
    found = command.http(requests_mock, monkeypatch)
    found.roles["boss"] = ("admin",)
    return found


@pytest.fixture
def cinder(http):
    found = CinderHttp(http, "ontap-fv1")
    found.pools = [{"name": "h@b#p", "capabilities": {}}]
    return found


@pytest.fixture
def glance(http):
    return GlanceHttp(http, "fv1")


@pytest.fixture
def run(cinder, glance, capsys, tmp_path, monkeypatch):
    config = CONFIG.replace("BASE", str(tmp_path / "mnt"))
    return command.runner("audit", config, tmp_path, capsys, monkeypatch)


def image(number, **changes):
    return {
        "id": f"image-{number}",
        "owner": "acme",
        "status": "active",
        "size": 1000,
        "disk_format": "raw",
        "os_hash_algo": "sha512",
        "os_hash_value": "abc",
        "stores": "fv1",
        **changes,
    }


def volume(number, **metadata):
    return {
        **builders.VOLUME,
        "id": f"volume-{number}",
        "volume_type": "ontap-fv1",
        "os-vol-host-attr:host": "h@b#p",
        "metadata": {
            "glance_image_id": f"image-{number}",
            "image_owner": "acme",
            "image_size": "1000",
            "ontap_store": "fv1",
            "ontap_state": "sealed",
            "readonly": "True",
            **metadata,
        },
    }


@pytest.fixture
def cloud(cinder, glance):
    """A right image, one with two small defects, and one whose volume is gone."""
    cinder.add(volume(1))
    cinder.add(volume(2, image_owner="globex", readonly="False"))
    for number in (1, 2, 3):
        glance.images[f"image-{number}"] = image(number)


def found(out):
    return {(row["Image"], row["Code"]): row for row in json.loads(out)}


def test_a_list_of_defects_changes_nothing(run, cloud, cinder):
    code, out, err = run("-f", "json")
    assert code == 1
    assert set(found(out)) == {
        ("image-2", "wrong-owner"),
        ("image-2", "not-read-only"),
        ("image-3", "volume-gone"),
    }
    assert cinder.changes == []
    assert "Images in the stores: 2; defects: 3." in err


def test_repair_mends_owner_and_flag(run, cloud, cinder, glance):
    code, out, _ = run("--repair", "-f", "json")
    rows = found(out)
    assert rows["image-2", "wrong-owner"]["Remedy"] == "repaired"
    assert rows["image-2", "not-read-only"]["Remedy"] == "repaired"
    assert cinder.volumes["volume-2"]["metadata"]["image_owner"] == "acme"
    assert cinder.changes == [
        "POST /volumes/volume-2/metadata",
        "POST /volumes/volume-2/action",
    ]
    assert code == 1
    del glance.images["image-3"]
    assert run("--repair")[0] == 0


def test_a_repair_takes_the_owner_of_that_moment(run, cloud, cinder, glance):
    """The image was given away after the list."""

    class Given(dict):
        def __getitem__(self, key):
            return {**super().__getitem__(key), "owner": "initech"}

    glance.images = Given(glance.images)
    run("--repair")
    assert cinder.volumes["volume-2"]["metadata"]["image_owner"] == "initech"


def test_a_repair_that_fails_is_told(run, cloud, cinder, http):
    path = "/volumes/volume-2/metadata"
    http.answer("POST", path, status_code=403, json={"x": {"message": "No."}})
    code, out, _ = run("--repair", "-f", "json")
    assert found(out)["image-2", "wrong-owner"]["Remedy"].startswith("failed: ")
    assert code == 2


def test_the_location_finds_a_volume_without_the_images_id(run, cinder, glance):
    other = {**volume(7), "id": builders.OTHER_ID, "metadata": {"image_owner": "acme"}}
    cinder.add(other)
    glance.images["image-7"] = image(7)
    glance.locations["image-7"] = [f"cinder://fv1/{builders.OTHER_ID}"]
    assert run("-f", "json")[:2] == (0, "[]\n")


def test_pools_that_cinder_does_not_tell_are_said(run, cloud, http):
    http.answer("GET", "/scheduler-stats/get_pools", status_code=403, text="no")
    code, _, err = run()
    assert "Not looked at: pools" in err
    assert code == 2


def test_without_an_administrator_it_fails(run, cloud):
    code, out, err = run(cloud=None)
    assert (code, out) == (3, "")
    assert "--os-cloud" in err
