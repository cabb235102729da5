# SPDX-License-Identifier: Apache-2.0
"""glance-ontap adopt over Keystone's, Cinder's and Glance's HTTP."""

import csv
import io
import json

import pytest

from glance_ontap_store.cli import main
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import GLANCE

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap, fv2:ontap, old:cinder, disk:file
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
[fv1]
ontap_volume_type = ontap-fv1
[fv2]
ontap_volume_type = ontap-fv2
"""
VOLUME_ID = builders.VOLUME_ID
VOLUME = {
    **builders.VOLUME,
    "size": 1,
    "os-vol-host-attr:host": "h@ontap#lif:/fv1",
    "os-vol-tenant-attr:tenant_id": "images-project",
    "metadata": {
        "glance_image_id": "image-1",
        "image_owner": "acme",
        "image_size": "1000",
    },
}
IMAGES = [
    {
        "id": "image-1",
        "name": "debian",
        "status": "active",
        "size": 1000,
        "owner": "acme",
        "disk_format": "raw",
        "stores": "old",
    },
    {
        "id": "image-2",
        "name": "ubuntu",
        "status": "active",
        "size": 2048,
        "owner": "acme",
        "disk_format": "raw",
        "stores": "disk",
    },
]
IN_PLACE = {
    "Image": "image-1",
    "Name": "debian",
    "Size": 1000,
    "From": "old",
    "To": "fv1",
    "Way": "in place",
    "Volume": VOLUME_ID,
    "Result": "planned",
    "Reason": None,
}


@pytest.fixture
def http(requests_mock, monkeypatch):
    http = command.http(requests_mock, monkeypatch)
    types = [
        {
            "id": f"id-of-{name}",
            "name": f"ontap-{name}",
            "is_public": True,
            "extra_specs": {
                "volume_backend_name": "ontap",
                "pool_name": f"lif:/{name}",
            },
        }
        for name in ("fv1", "fv2")
    ]
    pools = [
        {
            "name": f"h@ontap#lif:/{name}",
            "capabilities": {
                "pool_name": f"lif:/{name}",
                "volume_backend_name": "ontap",
            },
        }
        for name in ("fv1", "fv2")
    ]
    http.answer("GET", "/types", json={"volume_types": types})
    http.answer("GET", "/scheduler-stats/get_pools", json={"pools": pools})
    http.answer("GET", "/volumes/detail", json={"volumes": [VOLUME]})
    http.answer("GET", f"/volumes/{VOLUME_ID}", json={"volume": VOLUME})

    def listed(request, context):
        return {"images": IMAGES if "os_hidden=false" in request.query else []}

    requests_mock.get(f"{GLANCE}/v2/images", json=listed)
    requests_mock.get(
        f"{GLANCE}/v2/images/image-1/locations",
        json=[{"url": f"cinder://old/{VOLUME_ID}", "metadata": {"store": "old"}}],
    )
    return http


@pytest.fixture
def run(http, capsys, tmp_path, monkeypatch):
    command.write_clouds(tmp_path, monkeypatch)
    (tmp_path / "glance-api.conf").write_text(CONFIG)

    def run(*arguments, cloud="--os-cloud=boss"):
        words = ["--config-file", str(tmp_path / "glance-api.conf")]
        code = main.main([*words, *([cloud] if cloud else []), "adopt", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_plan_of_upstreams_images_is_shown_and_nothing_changed(http, run):
    code, out, err = run("-f", "json")
    assert (code, json.loads(out)) == (0, [IN_PLACE])
    assert err == "1 planned. Nothing was changed: --apply.\n"
    changing = [r for r in http.mock.request_history if r.method not in ("GET", "HEAD")]
    assert {request.path for request in changing} == {"/v3/auth/tokens"}


def test_locations_are_asked_for_with_the_service_token_of_the_store(http, run):
    run("-f", "json")
    (asked,) = (r for r in http.mock.request_history if r.path.endswith("/locations"))
    assert asked.headers["X-Auth-Token"] == "token-of-boss"
    assert asked.headers["X-Service-Token"] == "token-of-glance"


def test_a_table_has_few_columns_and_the_long_one_all(run):
    _, out, _ = run()
    assert "| image-1 | debian | 1000 B | old  | fv1 | in place | planned |" in out
    _, out, _ = run("--long")
    assert VOLUME_ID in out


def test_csv_has_numbers_and_empty_cells(run):
    _, out, _ = run("-f", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["Size"], row["Reason"]) == ("1000", "")


def test_locations_that_glance_does_not_tell_are_a_reason(http, run):
    http.mock.get(f"{GLANCE}/v2/images/image-1/locations", status_code=403)
    http.mock.get(f"{GLANCE}/v2/images/image-1", json=IMAGES[0])
    code, out, _err = run("-f", "json")
    (row,) = json.loads(out)
    assert (code, row["Result"]) == (1, "refused")
    assert "fetch_image_location" in row["Reason"]


@pytest.mark.parametrize(
    "shown",
    [
        {"direct_url": f"cinder://old/{VOLUME_ID}"},
        {"locations": [{"url": f"cinder://old/{VOLUME_ID}", "metadata": {}}]},
    ],
)
def test_locations_that_an_older_glance_shows_do_too(http, run, shown):
    http.mock.get(f"{GLANCE}/v2/images/image-1/locations", status_code=404)
    http.mock.get(f"{GLANCE}/v2/images/image-1", json={**IMAGES[0], **shown})
    code, out, _ = run("-f", "json")
    assert code == 0
    assert json.loads(out) == [{**IN_PLACE, "From": None}]


def test_a_volume_that_the_stores_user_does_not_see_is_refused(http, run):
    http.answer("GET", f"/volumes/{VOLUME_ID}", status_code=404, json={})
    code, out, err = run("-f", "json")
    assert code == 1
    assert "images-project" in json.loads(out)[0]["Reason"]
    assert "images-project" not in err


def test_the_short_table_has_its_reasons_beside_it(http, run):
    http.answer("GET", f"/volumes/{VOLUME_ID}", status_code=404, json={})
    _, out, err = run()
    assert "Reason" not in out
    assert "image-1: refused: " in err
    assert "images-project" in err


def test_copies_need_one_store(run):
    code, out, err = run("--from", "file")
    assert (code, out) == (3, "")
    assert "fv1, fv2: choose with --store ID" in err
    code, out, _ = run("--from", "file", "--store", "fv2", "-f", "json")
    (row,) = json.loads(out)
    assert (code, row["Image"], row["Way"]) == (0, "image-2", "copy")
    assert (row["From"], row["To"], row["Volume"]) == ("disk", "fv2", None)


BOTH = {
    **IMAGES[1],
    "stores": "disk,fv2",
    "os_hash_algo": "sha512",
    "os_hash_value": "abc",
}


@pytest.mark.parametrize(("made", "code"), [("abc", 0), ("abd", 2)])
def test_an_old_copy_is_removed_if_the_digests_are_the_same(http, run, made, code):
    http.mock.get(f"{GLANCE}/v2/images", json={"images": [BOTH]})
    http.mock.get(f"{GLANCE}/v2/images/image-2", json=BOTH)
    url = f"cinder://fv2/{VOLUME_ID}"
    http.mock.get(
        f"{GLANCE}/v2/images/image-2/locations",
        json=[{"url": url, "metadata": {"store": "fv2"}}],
    )
    removal = http.mock.delete(f"{GLANCE}/v2/stores/disk/image-2", status_code=204)
    metadata = {
        "glance_image_id": "image-2",
        "image_size": "2048",
        "ontap_store": "fv2",
        "ontap_state": "sealed",
        "ontap_hash_algo": "sha512",
        "ontap_hash_value": made,
    }
    shown = {"volume": {**VOLUME, "metadata": metadata}}
    http.answer("GET", f"/volumes/{VOLUME_ID}", json=shown)
    words = ("--from", "file", "--store", "fv2", "--remove-old", "-f", "json")
    found, out, err = run(*words, "--apply")
    assert (found, removal.call_count) == (code, 1 - code // 2)
    (row,) = json.loads(out)
    assert row["Way"] == "remove old"
    assert err.startswith("image-2: remove old ...\n")
    assert ("old copy stays" in (row["Reason"] or "")) is bool(code)


@pytest.mark.parametrize(
    ("named", "found"),
    [(["debian"], 1), (["image-1"], 1), (["ubuntu"], 0), (["ubuntu", "debian"], 1)],
)
def test_images_are_chosen_by_id_or_name(run, named, found):
    words = [word for name in named for word in ("--image", name)]
    code, out, _ = run(*words, "-f", "json")
    assert (code, len(json.loads(out))) == (0, found)


def test_nothing_to_do_says_so(run):
    code, out, err = run("--from", "rbd", "--store", "fv1", "-f", "json")
    assert (code, json.loads(out)) == (0, [])
    assert err == "No image is to be taken over.\n"


def test_another_glance_api_can_be_named(http, run):
    http.mock.get("http://inner/v2/images", json={"images": []})
    code, out, _ = run("--image-endpoint", "http://inner/v2", "-f", "json")
    assert (code, len(json.loads(out))) == (1, 1)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/volumes/detail", "No list of volumes"),
        ("/scheduler-stats/get_pools", "No list of pools"),
        ("/types", "No list of volume types"),
    ],
)
def test_a_question_without_an_answer_ends_the_command(http, run, path, says):
    http.answer("GET", path, status_code=403, json={})
    code, out, err = run()
    assert (code, out) == (3, "")
    assert says in err


def test_only_an_administrator_may(run):
    code, _, err = run(cloud=None)
    assert code == 3
    assert "--os-cloud" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--parallel", "0"],
        ["--parallel", "9"],
        ["--from", "ontap"],
        ["--verify", "--trust-glance"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(run, words):
    with pytest.raises(SystemExit):
        run(*words)
