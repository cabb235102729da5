# SPDX-License-Identifier: Apache-2.0
"""The files for deployment tools: each can be parsed, and names only what exists."""

import configparser
import os
import pathlib
import re
import subprocess
import sys

from oslo_rootwrap import wrapper
import pytest
import yaml

from glance_ontap_store.cli.replicate import Replicate
from glance_ontap_store.opts import OPTIONS
from glance_ontap_store.settings import Settings

ROOT = pathlib.Path(__file__).parents[3]
RECIPES = ROOT / "doc/source/admin/deploy"
PLUGIN = ROOT / "devstack"
APACHE = RECIPES / "packages/glance-api-apache.conf"
SELINUX = RECIPES / "selinux/glance_ontap.te"
NAMES = {option.name for option in OPTIONS}
POLICY = "role:service or service_roles:service"


def parsed(text):
    """Return the text of a configuration file, with Kolla's templates as values."""
    # [DEFAULT] is a section like others in oslo.config.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.read_string(text)
    return parser


def sections_of_stores():
    """Return the options of each store in each recipe, by file and store."""
    found = {}
    kolla = parsed(
        (RECIPES / "kolla-ansible/config/glance/glance-api.conf").read_text()
    )
    k8s = yaml.safe_load((RECIPES / "openstack-k8s/controlplane.yaml").read_text())
    glance = k8s["spec"]["glance"]["template"]["customServiceConfig"]
    helm = yaml.safe_load((RECIPES / "openstack-helm/values.yaml").read_text())
    path = RECIPES / "openstack-ansible/user_variables_glance_ontap.yml"
    ansible = yaml.safe_load(path.read_text())
    stores = [ansible["glance_default_store"], *ansible["glance_additional_stores"]]
    for store in ("fv1", "fv2"):
        found["kolla-ansible", store] = dict(kolla[store])
        found["openstack-k8s", store] = dict(parsed(glance)[store])
        found["openstack-helm", store] = helm["conf"]["glance"][store]
        found["openstack-ansible", store] = next(
            each["config"] for each in stores if each["name"] == store
        )
    return found


def policies():
    helm = yaml.safe_load((RECIPES / "openstack-helm/values.yaml").read_text())
    path = RECIPES / "openstack-ansible/user_variables_glance_ontap.yml"
    yield helm["conf"]["policy"]
    yield yaml.safe_load(path.read_text())["glance_policy_overrides"]
    for name in ("kolla-ansible/config/glance", "openstack-k8s", "packages"):
        yield yaml.safe_load((RECIPES / name / "policy.yaml").read_text())


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(RECIPES)))
        for path in sorted([*RECIPES.rglob("*.yml"), *RECIPES.rglob("*.yaml")])
    ],
)
def test_yaml_can_be_parsed(path):
    assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(RECIPES)))
        for kind in ("*.conf", "*.ini", "*.service")
        for path in sorted(RECIPES.rglob(kind))
        if path != APACHE
    ],
)
def test_ini_can_be_parsed(path):
    assert parsed(path.read_text()).sections()


class TestStores:
    """The options of the stores."""

    @pytest.mark.parametrize("where", sections_of_stores(), ids="-".join)
    def test_every_option_exists(self, where):
        options = set(sections_of_stores()[where]) - {"store_description"}
        assert options <= NAMES

    @pytest.mark.parametrize("where", sections_of_stores(), ids="-".join)
    def test_the_options_are_complete(self, where):
        given = sections_of_stores()[where]
        values = {option.name: option.default for option in OPTIONS}
        values |= {name: value for name, value in given.items() if name in NAMES}
        # A template in place of a path or a URL has no meaning here.
        values["ontap_ca_certificates_file"] = None
        values["ontap_store_auth_address"] = "https://keystone.example.com/v3"
        settings = Settings.from_options(values, where[1])
        assert settings.volume_type == f"images-{where[1]}"

    def test_the_plugin_sets_only_options_that_exist(self):
        set_by_plugin = re.findall(
            r'iniset "\$GLANCE_API_CONF" "\$id" (ontap_\w+)',
            (PLUGIN / "plugin.sh").read_text(),
        )
        assert "ontap_volume_type" in set_by_plugin
        assert set(set_by_plugin) <= NAMES


def test_every_recipe_has_the_same_policy():
    found = list(policies())
    assert len(found) == 5
    assert all(policy == {"fetch_image_location": POLICY} for policy in found)
    assert POLICY in (PLUGIN / "plugin.sh").read_text()


def test_rootwrap_reads_the_configuration_and_the_filters():
    parser = configparser.RawConfigParser()
    parser.read(RECIPES / "packages/rootwrap.conf")
    config = wrapper.RootwrapConfig(parser)
    filters = wrapper.load_filters([str(ROOT / "etc/glance/rootwrap.d")])
    assert config.exec_dirs[0] == "/opt/glance/venv/bin"
    assert any(each.exec_path == "privsep-helper" for each in filters)


@pytest.mark.parametrize("name", ["plugin.sh", "settings", "override-defaults"])
def test_the_shell_can_parse_the_plugin(name):
    subprocess.run(["bash", "-n", PLUGIN / name], check=True)


def test_apache_reads_whole_blocks():
    text = APACHE.read_text().replace("\\\n", " ")
    opened = []
    for line in text.splitlines():
        if block := re.match(r"\s*<(/?)(\w+)", line):
            closes, name = block.groups()
            if closes:
                assert opened.pop() == name
            else:
                opened.append(name)
    assert opened == []
    assert re.search(r"^\s+LimitRequestBody 0$", text, re.MULTILINE)
    assert re.search(r"^\s+WSGIChunkedRequest On$", text, re.MULTILINE)


def test_the_selinux_module_requires_what_its_rules_name():
    text = re.sub(r"#.*", "", SELINUX.read_text())
    required, _, rules = text.partition("require {")[2].partition("\n}")
    types = set(re.findall(r"type (\w+);", required))
    classes = {
        name: set(names.split())
        for name, names in re.findall(r"class (\w+) \{? ?([\w ]+?) ?\}?;", required)
    }
    used: dict[str, set[str]] = {}
    for source, target, kind, names in re.findall(
        r"allow (\w+) (\w+):(\w+) \{? ?([\w ]+?) ?\}?;", rules
    ):
        assert source in types
        assert target in types | {"self"}
        used.setdefault(kind, set()).update(names.split())
    assert used == classes


class TestTimers:
    """The timers of ``glance-ontap replicate``."""

    SERVICE = ROOT / "etc/systemd/glance-ontap-replicate.service"
    TIMER = ROOT / "etc/systemd/glance-ontap-replicate.timer"
    CRON = ROOT / "etc/kubernetes/glance-ontap-replicate.yaml"

    def commands(self):
        """Return the commands of both, as lists of words."""
        job = yaml.safe_load(self.CRON.read_text())["spec"]["jobTemplate"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        script = container["command"][-1].replace("\\\n", " ")
        (line,) = re.findall(r"glance-ontap (.*) &", script)
        yield line.split()
        service = parsed(self.SERVICE.read_text())["Service"]
        yield service["ExecStart"].split()[1:]

    def test_both_run_a_command_that_exists(self):
        for words in self.commands():
            assert words[words.index("replicate") :][2:4] == [
                "--apply",
                "--image-endpoint",
            ]
            parser = Replicate(None, None).get_parser("replicate")
            given = parser.parse_args(words[words.index("replicate") + 1 :])
            assert given.apply
            assert given.policy.endswith("/ontap-replicas.yaml")

    def test_no_two_runs_at_once(self):
        assert parsed(self.TIMER.read_text())["Timer"]["OnUnitInactiveSec"]
        cron = yaml.safe_load(self.CRON.read_text())["spec"]
        assert cron["concurrencyPolicy"] == "Forbid"

    @pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (2, 1), (3, 1)])
    def test_the_job_fails_when_the_command_does(self, tmp_path, code, expected):
        assert self.job(tmp_path, f"sys.exit({code})").wait(30) == expected

    def test_the_job_passes_sigterm_on(self, tmp_path):
        job = self.job(
            tmp_path,
            "signal.signal(signal.SIGTERM, lambda *_: (print('ended'), sys.exit(1)));"
            " print('begun', flush=True); time.sleep(30); sys.exit(2)",
        )
        assert job.stdout.readline() == "begun\n"
        job.terminate()
        assert job.communicate(timeout=30)[0] == "ended\n"
        assert job.returncode == 0

    def job(self, directory, program):
        """Start the job's script, with a program in the command's place."""
        job = yaml.safe_load(self.CRON.read_text())["spec"]["jobTemplate"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        *shell, script = container["command"]
        command = directory / "glance-ontap"
        command.write_text(f"#!{sys.executable}\nimport signal, sys, time\n{program}\n")
        command.chmod(0o755)
        environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
        return subprocess.Popen(
            [*shell, script], env=environment, stdout=subprocess.PIPE, text=True
        )
