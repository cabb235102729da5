# SPDX-License-Identifier: Apache-2.0
from importlib import metadata
import pathlib
import re

from oslo_config import cfg
from oslo_config import generator
import pytest

import glance_ontap_store
from glance_ontap_store import opts
from glance_ontap_store.attach import privilege
from glance_ontap_store.store import Store

CHECKOUT = pathlib.Path(glance_ontap_store.__file__).parent.parent


@pytest.mark.parametrize("option", opts.OPTIONS, ids=lambda option: option.name)
class TestEachOption:
    def test_the_name_starts_with_ontap(self, option):
        assert option.name.startswith("ontap_")

    def test_the_help_is_sentences_without_line_breaks(self, option):
        """oslo-config-generator would keep a line break when it wraps the text."""
        assert len(option.help.split()) >= 3
        assert "\n" not in option.help
        assert option.help.strip().endswith((".", ")."))

    def test_exactly_passwords_and_secrets_are_masked(self, option):
        assert option.secret == bool(re.search("password|secret", option.name))

    def test_a_time_names_its_unit_and_has_a_minimum(self, option):
        if re.search("timeout|wait", option.name):
            assert "Seconds" in option.help
            assert option.type.min is not None

    def test_options_that_the_help_names_exist(self, option):
        named = set(re.findall(r"``(ontap_\w+)``", option.help))
        assert named <= {other.name for other in opts.OPTIONS}


def test_names_are_unique():
    names = [option.name for option in opts.OPTIONS]
    assert len(set(names)) == len(names)


def test_defaults_have_the_type_of_their_option():
    conf = cfg.ConfigOpts()
    conf.register_opts(opts.OPTIONS, group="fv1")
    conf([])
    for option in opts.OPTIONS:
        assert conf.fv1[option.name] == option.default


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """What ``tox -e genconfig`` writes."""
    path = tmp_path_factory.mktemp("sample") / "sample.conf"
    recipe = CHECKOUT / "etc/oslo-config-generator/glance-ontap-store.conf"
    generator.main(["--config-file", str(recipe), "--output-file", str(path)])
    return path.read_text()


def test_oslo_config_generator_prints_every_option(generated):
    for option in opts.OPTIONS:
        assert re.search(rf"^#{option.name} =( |$)", generated, re.MULTILINE)


def test_the_sample_is_current(generated):
    """The helper's options are not compared: oslo.privsep adds some at times."""
    kept = (CHECKOUT / "etc/glance/glance-ontap-store.conf.sample").read_text()
    own, found, helper = kept.partition("[privsep_ontap]")
    assert found
    assert "#helper_command =" in helper
    is_current = own == generated.partition("[privsep_ontap]")[0]
    assert is_current, "run: tox -e genconfig"


def test_the_helper_reads_the_group_that_the_sample_shows():
    assert privilege.context.cfg_section in dict(opts.list_opts())


def test_glance_finds_the_driver():
    (found,) = metadata.entry_points(group="glance_store.drivers", name="ontap")
    assert found.load() is Store


def test_glances_sample_configuration_lists_the_options():
    (found,) = metadata.entry_points(
        group="oslo.config.opts", name="glance.multi_store"
    )
    listed = dict(found.load()())
    assert {option.name for option in opts.OPTIONS} <= {
        option.name for option in listed["ontap"]
    }
