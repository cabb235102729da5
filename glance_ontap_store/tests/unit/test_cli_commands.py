# SPDX-License-Identifier: Apache-2.0
"""glance-ontap over Keystone's and Cinder's HTTP: its requests and its output."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

from cliff import lister
from keystoneauth1 import fixture
import pytest
import requests

import glance_ontap_store
from glance_ontap_store.cli import main
from glance_ontap_store.cli.adopt import Adopt
from glance_ontap_store.cli.audit import Audit
from glance_ontap_store.cli.check import Check
from glance_ontap_store.cli.context import Context
from glance_ontap_store.cli.explain import Explain
from glance_ontap_store.cli.inventory_commands import List
from glance_ontap_store.cli.inventory_commands import Usage
from glance_ontap_store.cli.metrics import Metrics
from glance_ontap_store.cli.replicate import Replicate
from glance_ontap_store.cli.sweep import Sweep
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import CINDER
from glance_ontap_store.tests.fakes.openstack_http import GLANCE

CHECKOUT = pathlib.Path(glance_ontap_store.__file__).parent.parent
MAN_PAGE = CHECKOUT / "doc/source/admin/glance-ontap.rst"
TYPES = ("ontap-fv1", "ontap-fv2")
CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap, fv2:ontap
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_http_retries = 0
[fv1]
ontap_volume_type = ontap-fv1
[fv2]
ontap_volume_type = ontap-fv2
"""


@pytest.fixture
def http(requests_mock, monkeypatch):
    http = command.http(requests_mock, monkeypatch)
    types = [{"id": f"id-of-{name}", "name": name, "is_public": True} for name in TYPES]
    http.answer("GET", "/types", json={"volume_types": types})
    return http


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "glance-api.conf"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def run(http, config, capsys, tmp_path, monkeypatch):
    command.write_clouds(tmp_path, monkeypatch)

    def run(*arguments, changes=()):
        text = CONFIG
        for old, new in dict(changes).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "glance-api.conf").write_text(text)
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


def survey():
    settings = builders.make_settings()
    return CinderSurvey(settings, keystone.session_of(settings))


def paged(http, *pages):
    """Answer with Cinder's list of volumes, in pages that follow one another."""
    base = f"{CINDER}/north/internal/v3/volumes/detail"
    url = base
    for number, page in enumerate([*pages, []]):
        answer = {"volumes": page}
        http.mock.get(url, json=answer)
        if page:
            url = f"{base}?marker={page[-1]['id']}"
        if number + 1 < len(pages):
            answer["volumes_links"] = [{"rel": "next", "href": url}]


def test_thousands_of_volumes_come_in_pages(http):
    pages = [[volume(f"{n}-{m}") for m in range(1000)] for n in range(3)]
    paged(http, *pages)
    found = survey().volumes()
    assert len({one.id for one in found}) == 3000
    assert [each.qs.get("marker") for each in http.requests()] == [
        None,
        ["volume-0-999"],
        ["volume-1-999"],
        ["volume-2-999"],
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
def test_an_answer_that_makes_no_sense_is_unknown(http, answer, reason):
    http.answer("GET", "/volumes/detail", **answer)
    assert survey().volumes().reason is reason


def test_list_as_json(http, run):
    paged(http, [volume(1), volume(2, "fv2"), {**volume(3), "metadata": {}}])
    code, out, err = run("list", "-f", "json")
    assert code == 0
    first, second = json.loads(out)
    assert first == {
        "Image": "image-1",
        "Name": None,
        "Owner": "acme",
        "Store": "fv1",
        "Volume": "volume-1",
        "Pool": None,
        "Size GiB": 3,
        "Image Size": 1000,
        "Content": None,
        "State": "sealed",
        "Status": "available",
        "Replica Of": None,
    }
    assert second["Store"] == "fv2"
    # The reason why there are no pools.
    assert "--os-cloud" in err
    # Both stores are of one project, whose volumes and types are asked for once.
    assert len(http.requests()) == 2


def test_replicas_are_told_from_other_image_volumes(http, run):
    replica = volume(2, "fv2", ontap_replica_of="volume-1")
    half = volume(3, "fv2", ontap_replica_of="volume-1", ontap_state="replicating")
    paged(http, [volume(1), replica, half])
    _, out, _ = run("list", "-f", "json")
    assert [row["Replica Of"] for row in json.loads(out)] == [
        None,
        "volume-1",
        "volume-1",
    ]
    _, out, _ = run("list", "--state", "replicating", "-f", "value", "-c", "Volume")
    assert out == "volume-3\n"
    _, out, _ = run("usage", "-f", "json")
    first, second = json.loads(out)
    assert (first["Images"], first["Replicas"], first["Replicas GiB"]) == (1, 0, 0)
    assert (second["Images"], second["Replicas"], second["Replicas GiB"]) == (2, 2, 6)
    assert second["Replicas Allocated"] is None


def test_list_of_one_store(http, run):
    paged(http, [volume(1), volume(2, "fv2")])
    _, out, _ = run("list", "--store", "fv2", "-f", "value", "-c", "Image")
    assert out == "image-2\n"


def test_csv_quotes_no_numbers_and_unknown_is_empty(http, run):
    paged(http, [volume(1), volume(2), volume(3, "fv2", ontap_state="filling")])
    code, out, _ = run("usage", "-f", "csv")
    assert code == 0
    assert out.splitlines() == [
        '"Store","Images","Image Size","Volumes GiB","Allocated","Replicas",'
        '"Replicas GiB","Replicas Allocated"',
        '"fv1",2,2000,6,"",0,0,0',
        '"fv2",1,"",3,"",0,0,0',
    ]
    _, out, _ = run("list", "-f", "csv")
    rows = out.splitlines()
    assert rows[1] == (
        '"image-1","","acme","fv1","volume-1","",3,1000,"","sealed","available",""'
    )
    assert rows[3] == (
        '"image-3","","acme","fv2","volume-3","",3,"","","filling","available",""'
    )


def cells(out, word):
    """The cells of the only row of a table that has *word* in it."""
    (row,) = (line for line in out.splitlines() if word in line)
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_tables_show_sizes_with_units(http, run):
    paged(http, [volume(1, image_size=str(3 * 1024**3 // 2))])
    _, out, _ = run("usage", "--by", "project")
    assert cells(out, "acme")[:5] == ["acme", "1", "1.5 GiB", "3", "-"]
    assert cells(out, "acme")[5:] == ["0", "0", "0 B"]
    _, out, _ = run("list", "--long")
    assert cells(out, "acme")[6:8] == ["3", "1.5 GiB"]


def test_a_table_of_images_fits_a_terminal_unless_it_is_long(http, run):
    uuid = "f809afec-cdf7-47ad-8187-16f0f5249e33"
    paged(http, [{**volume(1, glance_image_id=uuid), "id": uuid}])
    _, out, _ = run("list")
    assert max(map(len, out.splitlines())) <= 100
    assert cells(out, uuid) == [uuid, "-", "fv1", "1000 B", "sealed", "available"]
    _, out, _ = run("list", "--long")
    assert cells(out, "acme")[4] == uuid
    # A column that is asked for is shown.
    _, out, _ = run("list", "-c", "Owner")
    assert cells(out, "acme") == ["acme"]


def test_unknown_values_are_empty_for_programs_that_read_words(http, run):
    paged(http, [volume(1, ontap_state="filling")])
    _, out, _ = run("list", "-f", "value", "-c", "Image Size", "-c", "State")
    assert out == " filling\n"


@pytest.fixture
def four(http):
    """Volumes of two projects, pools and states, as an administrator sees them."""
    hosts = ["h@b#lif:/fv1", "h@b#lif:/fv2"]
    found = [
        volume(1),
        volume(2, image_owner="globex"),
        volume(3, "fv2"),
        volume(4, "fv2", ontap_state="filling"),
    ]
    for number, each in enumerate(found):
        each["os-vol-host-attr:host"] = hosts[number // 2]
    paged(http, found)
    http.roles["boss"] = ("admin",)
    images = [{"id": "image-1", "name": "debian"}, {"id": "image-2", "name": None}]
    hidden = [{"id": "image-3", "name": "old"}]
    for flag, page in (("false", images), ("true", hidden)):
        url = f"{GLANCE}/v2/images?visibility=all&os_hidden={flag}"
        http.mock.get(url, json={"images": page})


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ("--image=image-2", "2"),
        ("--image=debian", "1"),
        ("--project=globex", "2"),
        ("--project=acme", "134"),
        ("--state=filling", "4"),
        ("--pool=h@b#lif:/fv2", "34"),
        ("--pool=lif:/fv1", "12"),
        ("--pool=/fv1", ""),
    ],
)
def test_a_filter_chooses_rows(four, run, chosen, numbers):
    code, out, err = run("--os-cloud=boss", "list", chosen, "-f", "value", "-c=Volume")
    assert (code, err) == (0, "")
    assert out.split() == [f"volume-{number}" for number in numbers]


def test_filters_add_up(four, run):
    arguments = ("list", "--project=acme", "--state=sealed", "-f=value", "-c=Volume")
    _, out, _ = run("--os-cloud=boss", *arguments)
    assert out.split() == ["volume-1", "volume-3"]


def test_names_of_images_come_from_glance(four, run):
    _, out, _ = run("--os-cloud=boss", "list", "-f", "json")
    names = {row["Image"]: row["Name"] for row in json.loads(out)}
    assert names == {
        "image-1": "debian",
        "image-2": None,
        "image-3": "old",
        "image-4": None,
    }


def test_a_list_without_glance_has_no_names(four, http, run):
    http.mock.get(f"{GLANCE}/v2/images", status_code=503)
    code, out, err = run("--os-cloud=boss", "list", "-f", "json")
    assert code == 0
    assert {row["Name"] for row in json.loads(out)} == {None}
    assert err.startswith("Glance does not tell the images' names: ")


@pytest.mark.parametrize("arguments", [[], ["--os-cloud", "boss"]])
def test_without_a_subcommand_the_help_is_printed(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("usage: ")
    assert "List the image-volumes" in printed


@pytest.mark.parametrize(
    "command", ["audit", "check", "explain", "list", "replicate", "sweep", "usage"]
)
def test_help_ends_with_examples(capsys, command):
    main.main([command, "--help"])
    _, found, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert found
    assert all(f" {command} " in line for line in examples.splitlines())


def test_a_keystone_that_is_down_is_told_in_one_short_line(http, run):
    error = requests.ConnectionError(
        "HTTPConnectionPool(host='keystone.example.com', port=80): Max retries exceeded"
        ' with url: /v3/auth/tokens (Caused by NewConnectionError("HTTPConnection('
        "host='keystone.example.com', port=80): Failed to establish a new connection:"
        ' [Errno 111] Connection refused"))'
    )
    http.mock.post(f"{AUTH_URL}/auth/tokens", exc=error)
    http.mock.get(AUTH_URL, exc=error)
    _, _, err = run("list")
    assert "[Errno 111] Connection refused" in err
    assert "Pool" not in err
    assert AUTH_URL in err


def registered_by_cinder(number, store="fv1"):
    """A volume as Cinder's own upload leaves it, which names no store."""
    metadata = {"glance_image_id": f"image-{number}", "image_owner": "acme"}
    return {**volume(number, store), "metadata": metadata}


BY_ID = {"ontap_volume_type = ontap-fv1": "ontap_volume_type = id-of-ontap-fv1"}


@pytest.mark.parametrize("changes", [{}, BY_ID], ids=["by name", "by id"])
def test_list_finds_images_of_cinder_by_name_or_id_of_the_volume_type(
    http, run, changes
):
    paged(http, [registered_by_cinder(1), registered_by_cinder(2, "fv2")])
    _, out, _ = run("list", "-f", "json", changes=changes)
    assert [(row["Image"], row["Store"], row["State"]) for row in json.loads(out)] == [
        ("image-1", "fv1", "by cinder"),
        ("image-2", "fv2", "by cinder"),
    ]
    _, out, _ = run("usage", "-f", "json", changes=changes)
    assert [(row["Store"], row["Images"]) for row in json.loads(out)] == [
        ("fv1", 1),
        ("fv2", 1),
    ]


class TestRoles:
    """Cinder refuses filters that only administrators may use."""

    @pytest.fixture(autouse=True)
    def volumes(self, http):
        def answer(request, context):
            who = request.headers["X-Auth-Token"].removeprefix("token-of-")
            if "admin" in http.roles.get(who, ()):
                host = {"os-vol-host-attr:host": "h@b#p"}
                return {"volumes": [{**volume(1), **host}]}
            if "project_id" in request.qs:
                context.status_code = 400
                return {"badRequest": {"message": "Invalid filters project_id"}}
            return {"volumes": [volume(1)]}

        http.answer("GET", "/volumes/detail", json=answer)
        http.mock.get(f"{GLANCE}/v2/images", json={"images": []})

    def listed(self, run, *arguments, changes=()):
        code, out, err = run(
            *arguments, "list", "--store=fv1", "-f", "json", changes=changes
        )
        assert code == 0, err
        (row,) = json.loads(out)
        return row["Pool"], "--os-cloud" in err

    def test_a_cloud_without_role_admin_lists_the_stores_own_project(self, run):
        assert self.listed(run, "--os-cloud", "boss") == (None, True)

    def test_a_cloud_with_role_admin_shows_pools(self, http, run):
        http.roles["boss"] = ("admin",)
        assert self.listed(run, "--os-cloud", "boss") == ("h@b#p", False)

    def test_a_store_of_projects_without_role_admin_lists_its_own_project(self, run):
        owner = "[fv1]\nontap_image_volume_owner = project"
        assert self.listed(run, changes={"[fv1]": owner}) == (None, True)

    def test_a_store_of_projects_with_role_admin_shows_pools(self, http, run):
        http.roles["glance"] = ("admin",)
        owner = "[fv1]\nontap_image_volume_owner = project"
        assert self.listed(run, changes={"[fv1]": owner}) == ("h@b#p", False)


@pytest.mark.parametrize("command", ["list", "usage"])
@pytest.mark.parametrize("path", ["/volumes/detail", "/types"])
def test_an_incomplete_list_is_an_error(http, run, command, path):
    paged(http, [volume(1)])
    http.answer("GET", path, status_code=500, text="no")
    code, out, err = run(command)
    assert code == 1
    assert out == ""
    assert "cannot be listed" in err
    assert "s3cret" not in err


def test_a_cloud_that_cannot_log_in_is_an_error(http, run):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=401)
    code, _, err = run("--os-cloud", "boss", "list")
    assert code == 1
    assert "The cloud's user cannot log in" in err


def test_an_unknown_store_names_the_known_ones(http, run):
    code, _, err = run("list", "--store", "fv7")
    assert code == 1
    assert "fv1, fv2" in err


def test_a_configuration_that_cannot_be_read_names_the_option(tmp_path, capsys):
    missing = str(tmp_path / "missing.conf")
    assert main.main(["--config-file", missing, "list"]) == 1
    assert f"cannot be read: Failed to find some config files: {missing}" in (
        said := capsys.readouterr().err
    )
    assert "--config-file FILE" in said


def test_a_check_that_fails_itself_has_its_own_exit_code(run, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("s3cret is in here")

    monkeypatch.setattr("glance_ontap_store.survey.gather.gather", fail)
    code, out, err = run("check")
    assert code == 3
    assert out == ""
    assert "RuntimeError" in err
    assert "s3cret" not in err


def test_check_finds_a_silent_keystone(run, http, tmp_path):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=503)
    code, out, _ = run("check", "-f", "json")
    assert code == 2
    codes = {(finding["Subject"], finding["Code"]) for finding in json.loads(out)}
    assert ("fv1", "keystone-unreachable") in codes
    assert ("fv2", "keystone-unreachable") in codes
    assert ("glance", "lock-path-unset") in codes


def test_check_prints_one_line_for_each_finding(run, http):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=503)
    _, out, _ = run("check")
    _, listed, _ = run("check", "-f", "json")
    assert len(out.splitlines()) == len(json.loads(listed))
    assert out.startswith("error")


def test_a_name_with_blanks_survives_in_the_proposed_command(run, http):
    def login(request, context):
        """Only the password is right."""
        is_scoped = isinstance(request.json()["auth"].get("scope"), dict)
        context.status_code = 401 if is_scoped else 201
        context.headers["X-Subject-Token"] = "token"
        return fixture.V3Token()

    http.mock.post(f"{AUTH_URL}/auth/tokens", json=login)
    name = "Ann's  images"
    changes = {"project_name = images": f"project_name = {name}"}
    _, out, _ = run("check", "-f", "json", changes=changes)
    found = next(row for row in json.loads(out) if row["Code"] == "role-missing")
    assert name in shlex.split(found["Remedy"].removeprefix("Run: "))


def test_secrets_of_all_files_are_masked(config, tmp_path, monkeypatch):
    command.write_clouds(tmp_path, monkeypatch)
    (tmp_path / "cinder.conf").write_text("[glance]\npassword = p4ssword-of-cinder\n")
    found = Context((config,), (), "boss")
    assert found.glance.stores
    assert found.cloud is not None
    found.cinder_conf(str(tmp_path / "cinder.conf"))
    text = "s3cret p4ssword-of-cinder p4ssword-of-boss"
    assert found.masked(text) == "*** *** ***"
    assert "s3cret" not in repr(found)


def test_an_unknown_cloud_is_named(run):
    code, _, err = run("--os-cloud", "nobody", "list")
    assert code == 1
    assert "nobody" in err


def started(script):
    """Start the command in a process of its own, after the Python code *script*."""
    code = f"{script}\nimport sys\nfrom glance_ontap_store.cli import main\n"
    return subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main.main(['--version']))"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "library", ["cliff", "jsonschema", "openstack", "oslo_policy", "yaml"]
)
def test_without_the_extra_one_line_says_what_to_install(library):
    ended = started(f"import sys; sys.modules[{library!r}] = None")
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("glance-ontap: the Python package ")
    assert line.endswith("pip install 'glance_ontap_store[cli]'")


INTERRUPTS = """
import os, signal
# A shell's background job ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "cliff":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def test_ctrl_c_while_the_command_starts_shows_no_traceback():
    ended = started(f"import sys{INTERRUPTS}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


CLIENTS = {"openstack", "keystoneauth1", "cinderclient"}


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        (["--help"], CLIENTS),
        (["list"], {"openstack", "oslo_policy"}),
        (["usage"], {"openstack", "oslo_policy"}),
    ],
    ids=["help", "list", "usage"],
)
def test_a_command_loads_no_library_before_it_needs_it(arguments, libraries, tmp_path):
    """They take most of the time that the command needs to start."""
    conf = tmp_path / "glance-api.conf"
    conf.write_text("[DEFAULT]\nenabled_backends = files:file\n")
    code = f"""
import sys
from glance_ontap_store.cli import main
try:
    main.main(["--config-file", {str(conf)!r}, *{arguments}])
except SystemExit:
    pass
print(sorted({libraries} & set(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


class Plain(lister.Lister):
    """A subcommand without options of its own."""

    def take_action(self, parsed_args):
        raise NotImplementedError


def options_of(command):
    parser = command(None, None).get_parser("glance-ontap")
    return {option for action in parser._actions for option in action.option_strings}


@pytest.mark.parametrize(
    "command", [Adopt, Audit, Check, Explain, List, Metrics, Replicate, Sweep, Usage]
)
def test_the_man_page_has_every_option(command):
    page = MAN_PAGE.read_text()
    _, found, section = page.partition(f"\n{command.__name__.lower()}\n---")
    assert found
    described = re.findall(
        r"^(--[a-z][a-z-]+)", section.partition("\n---")[0], re.MULTILINE
    )
    assert set(described) == options_of(command) - options_of(Plain)
