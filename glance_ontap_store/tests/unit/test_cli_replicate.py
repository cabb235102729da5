# SPDX-License-Identifier: Apache-2.0
"""glance-ontap replicate over the HTTP of Keystone, Cinder and Glance."""

import csv
import datetime
import io
import json

import pytest

from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import GLANCE
from glance_ontap_store.tests.fakes.openstack_http import PROJECT_ID

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap,fv2:ontap,disk:file
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_mount_point_base = BASE
ontap_replica_volume_type = ontap
[fv1]
ontap_volume_type = ontap-fv1
[fv2]
ontap_volume_type = ontap-fv2
[disk]
filesystem_store_datadir = /images
"""
POLICY = """
defaults: {stores: [fv1, fv2], ttl: 30d, free_floor_gib: 5, verify: none}
rules:
  - match: {tag: golden}
    ttl: never
  - match: {name: debian*}
  - match: {}
    stores: []
"""
DEBIAN = "11111111-7c0b-4d26-8f6f-6d6f6f0b1a22"
GOLDEN = "22222222-7c0b-4d26-8f6f-6d6f6f0b1a22"
PLAIN = "33333333-7c0b-4d26-8f6f-6d6f6f0b1a22"
SOURCE_OF_PLAIN = "44444444-7c0b-4d26-8f6f-6d6f6f0b1a22"
POOLS = {name: f"h@ontap#192.0.2.1:/{name}" for name in ("fv1", "fv2")}
NOW = datetime.datetime.now(datetime.timezone.utc)
GIB = 1024**3


def days_ago(days):
    return f"{NOW - datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%S}"


def volume(volume_id, image_id, store, **metadata):
    return {
        **builders.VOLUME,
        "id": volume_id,
        "name": f"image-{image_id}",
        "size": 2,
        "volume_type": f"ontap-{store}",
        "created_at": f"{days_ago(60)}.000000",
        "os-vol-host-attr:host": POOLS[store],
        "os-vol-tenant-attr:tenant_id": PROJECT_ID,
        "os-vol-mig-status-attr:migstat": None,
        "metadata": {
            "glance_image_id": image_id,
            "image_owner": "acme",
            "image_size": str(2 * GIB),
            "ontap_store": store,
            "ontap_state": "sealed",
            "ontap_hash_algo": "sha512",
            "ontap_hash_value": "abc",
            **metadata,
        },
    }


def image(image_id, name, **changes):
    return {
        "id": image_id,
        "name": name,
        "owner": "acme",
        "status": "active",
        "size": 2 * GIB,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "private",
        "os_hash_algo": "sha512",
        "os_hash_value": "abc",
        "stores": "fv1",
        "tags": [],
        "created_at": f"{days_ago(10)}Z",
        **changes,
    }


@pytest.fixture
def cinder(requests_mock, monkeypatch):
    http = command.http(requests_mock, monkeypatch)
    http.roles |= {"boss": ("admin",), "glance": ("member",)}
    found = CinderHttp(http, "ontap-fv1", "ontap-fv2", "ontap")
    for number, name in enumerate(("fv1", "fv2")):
        export = f"192.0.2.1:/{name}"
        found.types[number]["extra_specs"] = {"pool_name": export}
        capabilities = {
            "pool_name": export,
            "volume_backend_name": "ontap",
            "vendor_name": "NetApp",
            "storage_protocol": "NFS",
            "netapp_is_flexgroup": "false",
            "total_capacity_gb": 100.0,
            "free_capacity_gb": 60.0,
        }
        found.pools.append({"name": POOLS[name], "capabilities": capabilities})
    found.types[2]["extra_specs"] = {"volume_backend_name": "ontap"}
    found.services = [{"host": "h@ontap", "zone": "nova", "binary": "cinder-volume"}]
    found.add(volume("source-of-debian", DEBIAN, "fv1"))
    found.add(volume(builders.VOLUME_ID, GOLDEN, "fv1"))
    found.add(volume(builders.OTHER_ID, GOLDEN, "fv2", ontap_replica_of="source"))
    found.add(volume(SOURCE_OF_PLAIN, PLAIN, "fv1"))
    found.http = http
    return found


@pytest.fixture
def glance(cinder):
    found = GlanceHttp(cinder.http, "fv1", "fv2", "disk")
    found.images[DEBIAN] = image(DEBIAN, "debian-12")
    found.images[GOLDEN] = image(GOLDEN, "golden", stores="fv1,fv2", tags=["golden"])
    found.images[PLAIN] = image(PLAIN, "plain")
    return found


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def run(cinder, glance, capsys, tmp_path, monkeypatch, policy):
    config = CONFIG.replace("BASE", str(tmp_path / "mnt"))
    found = command.runner("replicate", config, tmp_path, capsys, monkeypatch)
    return lambda *words, **named: found(str(policy), *words, **named)


def steps(out):
    """The rows of a plan as JSON, by the image's name and the store."""
    return {(row["Name"], row["Store"]): row for row in json.loads(out)}


class TestPlan:
    def test_a_row_for_each_step(self, run):
        code, out, err = run("-f", "json")
        found = steps(out)
        assert {key: row["Action"] for key, row in found.items()} == {
            ("debian-12", "fv1"): "keep",
            ("debian-12", "fv2"): "make",
            ("golden", "fv1"): "keep",
            ("golden", "fv2"): "keep",
        }
        assert found["debian-12", "fv2"] == {
            "Action": "make",
            "Image": DEBIAN,
            "Name": "debian-12",
            "Store": "fv2",
            "Size": 2 * GIB,
            "Moved": 2 * GIB,
            "Pool": POOLS["fv2"],
            "Source": "source-of-debian",
            "Replica": None,
            "Verify": "none",
            "Result": "planned",
            "Seconds": 0.0,
            "Why": "rules[1] wants it here.",
        }
        assert err.splitlines()[-1] == (
            "1 to make, 3 kept; the array copies at most 2.0 GiB. Nothing was changed:"
            " --apply."
        )
        assert code == 0

    def test_the_table_shows_what_is_to_change(self, run):
        code, out, _ = run()
        lines = [line.split("|")[1:-1] for line in out.splitlines() if "|" in line]
        head, row = ([cell.strip() for cell in line] for line in lines)
        assert head == ["Action", "Name", "Store", "Size", "Result", "Why"]
        assert row[:-1] == ["make", "debian-12", "fv2", "2.0 GiB", "planned"]
        assert row[-1] == "rules[1] wants it here."
        assert code == 0
        _, out, _ = run("--long", "-f", "table")
        assert out.count("| keep ") == 3

    def test_programs_may_have_csv(self, run):
        _, out, _ = run("-f", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["Moved"] for row in rows] == [str(2 * GIB), "0", "0", "0"]

    def test_a_refusal_is_the_exit_code(self, run, cinder):
        cinder.pools[1]["capabilities"]["netapp_is_flexgroup"] = "true"
        code, out, err = run("-f", "json")
        row = steps(out)["debian-12", "fv2"]
        assert (code, row["Action"], row["Result"]) == (1, "refuse", "refused")
        assert "is a FlexGroup" in row["Why"]
        assert "1 refused, 3 kept. Nothing was changed" in err

    def test_glance_copies_what_the_array_does_not(self, run, cinder):
        cinder.pools[1]["capabilities"]["netapp_is_flexgroup"] = "true"
        code, out, err = run("--by", "copy-image", "-f", "json")
        assert (code, steps(out)["debian-12", "fv2"]["Action"]) == (0, "make")
        assert "a host copies at most 2.0 GiB" in err

    def test_the_room_is_what_cinder_tells(self, run, cinder):
        cinder.pools[1]["capabilities"]["free_capacity_gb"] = 11.5
        _, out, _ = run("-f", "json")
        row = steps(out)["debian-12", "fv2"]
        assert row["Action"] == "refuse"
        assert "has 11.5 GiB free" in row["Why"]
        assert "10.0 GiB are to stay free" in row["Why"]

    def test_an_image_that_nobody_used_gets_none(self, run, glance, cinder):
        glance.images[DEBIAN]["created_at"] = f"{days_ago(90)}Z"
        _, out, _ = run("-f", "json")
        assert ("debian-12", "fv2") not in steps(out)
        cinder.add(
            {
                **volume("users", DEBIAN, "fv2"),
                "name": "data",
                "metadata": {},
                "created_at": f"{days_ago(3)}.000000",
                "volume_image_metadata": {"image_id": DEBIAN},
            }
        )
        _, out, _ = run("-f", "json")
        assert steps(out)["debian-12", "fv2"]["Action"] == "make"
        asked = [each.qs.get("created_at", [""])[0] for each in cinder.http.requests()]
        assert any(each.startswith("gte:20") for each in asked)

    def test_a_volume_that_a_user_describes_like_a_replica_is_none(self, run, cinder):
        spoofed = volume("spoofed", DEBIAN, "fv2", ontap_replica_of="source")
        cinder.add({**spoofed, "os-vol-tenant-attr:tenant_id": "globex"})
        _, out, _ = run("-f", "json")
        assert steps(out)["debian-12", "fv2"]["Action"] == "make"
        cinder.add({**spoofed, "os-vol-tenant-attr:tenant_id": PROJECT_ID})
        _, out, _ = run("-f", "json")
        assert steps(out)["debian-12", "fv2"]["Action"] == "resume"

    def test_images_and_a_store_may_be_named(self, run):
        _, out, _ = run("--image", "golden", "-f", "json")
        assert {name for name, _ in steps(out)} == {"golden"}
        _, out, _ = run("--image", DEBIAN, "--store", "fv1", "-f", "json")
        assert list(steps(out)) == [("debian-12", "fv1")]

    def test_the_refreshes_alone(self, run, glance):
        glance.images[PLAIN]["owner"] = "globex"
        _, out, err = run("--refresh", "-f", "json")
        assert list(steps(out)) == [("plain", "fv1")]
        assert "1 to refresh. Nothing was changed" in err

    def test_nothing_to_do_says_so(self, run, policy, cinder):
        policy.write_text("rules: [{match: {}, stores: []}]")
        del cinder.volumes[builders.OTHER_ID]
        code, out, err = run("-f", "json")
        assert (code, json.loads(out)) == (0, [])
        assert err.endswith("No rule wants a replica, and there is none.\n")

    def test_the_files_are_measured_if_asked_for(self, run):
        _, out, err = run("--files", "-f", "json")
        # Nothing can be mounted here.
        assert "could not be measured" in err
        assert steps(out)["debian-12", "fv2"]["Moved"] == 2 * GIB


def test_each_list_is_asked_for_once(run, cinder, glance):
    for number in range(50):
        key = f"{number:08}-7c0b-4d26-8f6f-6d6f6f0b1a22"
        glance.images[key] = image(key, f"debian-no-{number}")
        cinder.add(volume(f"source-{number}", key, "fv1"))
    before = len(cinder.http.mock.request_history)
    _, out, _ = run("-f", "json")
    assert len(steps(out)) == 104
    asked = cinder.http.mock.request_history[before:]
    to_services = [each for each in asked if AUTH_URL not in each.url]
    assert len(to_services) <= 15
    pages = [each for each in to_services if each.url.startswith(GLANCE)]
    assert len(pages) == 2


class TestPolicy:
    def test_a_right_policy_says_so_and_asks_nobody(self, run, cinder):
        code, out, err = run("--check-policy", cloud=None)
        assert (code, out.strip()) == (0, "")
        assert err == "The policy has no mistake. Rules: 3.\n"
        assert cinder.http.mock.request_history == []

    def test_all_mistakes_are_shown(self, run, policy):
        policy.write_text(
            "rules:\n  - {match: {visibility: publik}, stores: [fv1, fv9, disk]}\n"
        )
        for words in (["--check-policy"], []):
            code, out, err = run(*words)
            assert (code, out) == (3, "")
            assert "has 3 mistakes:" in err
            assert "line 2: rules[0].match.visibility: 'publik'" in err
            assert "line 2: rules[0].stores[1]: Glance has no store 'fv9'" in err
            assert "Store 'disk' is of type file" in err

    def test_without_glances_configuration_the_stores_are_not_looked_at(
        self, run, tmp_path
    ):
        (tmp_path / "glance-api.conf").unlink()
        code, _, err = run("--check-policy", cloud=None)
        assert code == 0
        assert "The ids of stores are not looked at" in err

    def test_a_file_that_cannot_be_read(self, run, policy):
        policy.unlink()
        code, _, err = run("--check-policy")
        assert code == 3
        assert "cannot be read" in err


class TestFailures:
    def test_without_a_cloud(self, run):
        code, out, err = run(cloud=None)
        assert (code, out) == (3, "")
        assert "--os-cloud" in err

    def test_only_an_administrator_knows_what_is_used(self, run, cinder, policy):
        cinder.http.roles["boss"] = ("service",)
        code, _, err = run()
        assert code == 3
        assert "ttl: never" in err
        policy.write_text(POLICY.replace("30d", "never"))
        assert run("-f", "json")[0] in (0, 1)

    def test_an_image_or_store_that_there_is_not(self, run):
        code, _, err = run("--image", "gentoo")
        assert (code, "Glance has no image gentoo" in err) == (3, True)
        code, _, err = run("--store", "fv9")
        assert (code, "has no store 'fv9'" in err) == (3, True)

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("/volumes/detail", "cannot be listed"),
            ("/scheduler-stats/get_pools", "scheduler_stats:get_pools"),
            ("/os-services", "volume_extension:services:index"),
            ("/types", "cannot be listed"),
        ],
    )
    def test_a_list_without_an_answer_ends_the_command(self, run, cinder, path, says):
        cinder.http.answer("GET", path, status_code=403, json={})
        code, out, err = run()
        assert (code, out) == (3, "")
        assert says in err

    @pytest.mark.parametrize(
        "words", [["--by", "hand"], ["--apply", "--check-policy"], ["--parallel", "2"]]
    )
    def test_arguments_that_make_no_sense(self, run, words):
        with pytest.raises(SystemExit):
            run(*words)


class TestApply:
    def test_owners_are_refreshed(self, run, glance, cinder):
        glance.images[PLAIN]["owner"] = "globex"
        glance.locations[PLAIN] = [f"cinder://fv1/{SOURCE_OF_PLAIN}"]
        code, out, err = run("--refresh", "--apply", "-f", "json")
        (row,) = json.loads(out)
        assert (code, row["Result"]) == (0, "done")
        metadata = cinder.volumes[SOURCE_OF_PLAIN]["metadata"]
        assert metadata["image_owner"] == "globex"
        assert err.splitlines()[-1] == "1 refreshed."
        code, out, _ = run("--refresh", "-f", "json")
        assert (code, json.loads(out)) == (0, [])

    def test_a_replica_is_retired(self, run, glance, cinder, policy):
        policy.write_text("rules: [{match: {}, stores: []}]")
        glance.locations[GOLDEN] = [
            f"cinder://fv1/{builders.VOLUME_ID}",
            f"cinder://fv2/{builders.OTHER_ID}",
        ]
        _, out, err = run("-f", "json")
        (row,) = json.loads(out)
        assert (row["Action"], row["Replica"]) == ("retire", builders.OTHER_ID)
        assert "1 to retire. Nothing was changed: --apply." in err
        assert glance.removed == []
        code, out, err = run("--apply", "-f", "json")
        (row,) = json.loads(out)
        assert (code, row["Result"]) == (0, "done"), row
        assert glance.removed == [("fv2", GOLDEN)]
        assert err.splitlines()[-1] == "1 retired."

    def test_what_is_refused_is_refused_then_too(self, run, cinder):
        cinder.pools[1]["capabilities"]["netapp_is_flexgroup"] = "true"
        code, out, err = run("--apply", "-f", "json")
        row = steps(out)["debian-12", "fv2"]
        assert (code, row["Result"]) == (1, "refused")
        assert row["Why"].count("is a FlexGroup") == 1
        assert err.splitlines()[-1] == "1 refused, 3 kept."
        assert cinder.changes == []
