# SPDX-License-Identifier: Apache-2.0
"""The files for deployment tools: each can be parsed, and names only what exists."""

import configparser
import pathlib
import re
import subprocess

from oslo_rootwrap import wrapper
import pytest
import yaml

from glance_ontap_store.opts import OPTIONS
from glance_ontap_store.settings import Settings

ROOT = pathlib.Path(__file__).parents[3]
RECIPES = ROOT / "doc/source/admin/deploy"
PLUGIN = ROOT / "devstack"
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
