# SPDX-License-Identifier: Apache-2.0
"""glance-ontap over Keystone's and Cinder's HTTP: what is asked, what is printed."""

import csv
import io
import json

import pytest

from glance_ontap_store.cli import main
from glance_ontap_store.cli.context import Context
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import Http

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap, fv2:ontap
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


@pytest.fixture
def http(requests_mock, monkeypatch):
    for name in ("OS_CLOUD", "OS_AUTH_URL"):
        monkeypatch.delenv(name, raising=False)
    return Http(requests_mock)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "glance-api.conf"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def run(http, config, capsys):
    def run(*arguments):
        code = main.main(["--config-file", config, *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def volume(number, store="fv1", **metadata):
    return {
        **builders.VOLUME,
        "id": f"volume-{number}",
        "volume_type": f"ontap-{store}",
        "metadata": {
            "glance_image_id": f"image-{number}",
            "image_owner": "acme",
            "image_size": "1000",
            "ontap_store": store,
            "ontap_state": "sealed",
            **metadata,
        },
    }


def inquiry():
    settings = builders.make_settings()
    return CinderSurvey(settings, keystone.session_of(settings))


def paged(http, *pages):
    """Cinder's list of volumes, in pages that follow one another."""
    base = f"{CINDER}/north/internal/v3/volumes/detail"
    for number, page in enumerate(pages):
        answer = {"volumes": page}
        if number + 1 < len(pages):
            answer["volumes_links"] = [
                {"rel": "next", "href": f"{base}?marker=m{number + 1}"}
            ]
        query = f"?marker=m{number}" if number else ""
        http.mock.get(f"{base}{query}", json=answer)


def test_thousands_come_in_pages(http):
    pages = [[volume(f"{n}-{m}") for m in range(1000)] for n in range(3)]
    paged(http, *pages)
    found = inquiry().volumes()
    assert len({each.id for each in found}) == 3000
    assert [each.qs.get("marker") for each in http.requests()] == [
        None,
        ["m1"],
        ["m2"],
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status_code": 401, "json": {}}, Reason.UNAUTHORIZED),
        ({"status_code": 403, "json": {}}, Reason.FORBIDDEN),
        ({"status_code": 404, "json": {"x": {"message": "No."}}}, Reason.MISSING),
        ({"status_code": 404, "text": "<html>"}, Reason.BROKEN),
        ({"status_code": 500, "text": "<html>"}, Reason.BROKEN),
        ({"status_code": 200, "text": "<html>"}, Reason.BROKEN),
        ({"status_code": 200, "json": {"other": 1}}, Reason.BROKEN),
    ],
)
def test_what_is_no_answer_is_unknown(http, answer, reason):
    http.answer("GET", "/volumes/detail", **answer)
    assert inquiry().volumes().reason is reason


def test_list_as_json(http, run):
    paged(http, [volume(1), volume(2, "fv2"), {**volume(3), "metadata": {}}])
    code, out, err = run("list", "-f", "json")
    assert code == 0
    first, second = json.loads(out)
    assert first == {
        "Image": "image-1",
        "Owner": "acme",
        "Store": "fv1",
        "Volume": "volume-1",
        "Pool": None,
        "Size GiB": 3,
        "Image Size": 1000,
        "State": "sealed",
        "Status": "available",
    }
    assert second["Store"] == "fv2"
    # Why there are no pools.
    assert "--os-cloud" in err
    # Both stores are of one project.
    assert len(http.requests()) == 1


def test_list_of_one_store(http, run):
    paged(http, [volume(1), volume(2, "fv2")])
    _, out, _ = run("list", "--store", "fv2", "-f", "value", "-c", "Image")
    assert out == "image-2\n"


def test_usage_as_csv_leaves_out_what_is_not_known(http, run):
    paged(http, [volume(1), volume(2), volume(3, "fv2", ontap_state="filling")])
    code, out, _ = run("usage", "-f", "csv")
    assert code == 0
    assert list(csv.reader(io.StringIO(out))) == [
        ["Store", "Images", "Image Size", "Volumes GiB", "Allocated"],
        ["fv1", "2", "2000", "6", ""],
        ["fv2", "1", "", "3", ""],
    ]


def test_usage_for_people(http, run):
    paged(http, [volume(1, image_size=str(3 * 1024**3 // 2))])
    _, out, _ = run("usage", "--by", "project")
    (row,) = (line for line in out.splitlines() if "acme" in line)
    assert [each.strip() for each in row.strip("|").split("|")] == [
        "acme",
        "1",
        "1.5 GiB",
        "3",
        "-",
    ]


@pytest.mark.parametrize("command", ["list", "usage"])
def test_a_list_that_is_not_whole_is_none(http, run, command):
    http.answer("GET", "/volumes/detail", status_code=500, text="no")
    code, out, err = run(command)
    assert code == 1
    assert out == ""
    assert "not known" in err
    assert "s3cret" not in err


def test_no_such_store(http, run):
    code, _, err = run("list", "--store", "fv7")
    assert code == 1
    assert "fv1, fv2" in err


def test_check_that_fails_itself_is_no_warning(run, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("s3cret is in here")

    monkeypatch.setattr("glance_ontap_store.survey.gather.gather", fail)
    code, out, err = run("check")
    assert code == 3
    assert out == ""
    assert "RuntimeError" in err
    assert "s3cret" not in err


def test_check_finds_a_silent_keystone_without_any_service(run, http, tmp_path):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=503)
    code, out, _ = run("check", "-f", "json")
    assert code == 2
    codes = {(each["Subject"], each["Code"]) for each in json.loads(out)}
    assert ("fv1", "keystone-unreachable") in codes
    assert ("fv2", "keystone-unreachable") in codes
    assert ("glance", "lock-path-unset") in codes


def test_lines_are_one_for_each_finding(run, http):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=503)
    _, out, _ = run("check")
    _, listed, _ = run("check", "-f", "json")
    assert len(out.splitlines()) == len(json.loads(listed))
    assert out.startswith("error")


CLOUDS = """
clouds:
  boss:
    auth:
      auth_url: http://keystone.example.com/v3
      username: boss
      password: p4ssword-of-boss
      project_name: admin
"""


def test_secrets_of_all_files_are_masked(config, tmp_path, monkeypatch):
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    (tmp_path / "cinder.conf").write_text("[glance]\npassword = p4ssword-of-cinder\n")
    found = Context((config,), (), "boss")
    assert found.glance.stores
    assert found.cloud is not None
    found.cinder_conf(str(tmp_path / "cinder.conf"))
    text = "s3cret p4ssword-of-cinder p4ssword-of-boss"
    assert found.masked(text) == "*** *** ***"
    assert "s3cret" not in repr(found)


def test_a_cloud_that_is_not_there_is_said(config, run, monkeypatch, tmp_path):
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    code, _, err = run("--os-cloud", "nobody", "list")
    assert code == 1
    assert "nobody" in err
