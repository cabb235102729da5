# SPDX-License-Identifier: Apache-2.0
from importlib import metadata
import re

from oslo_config import cfg
from oslo_config import generator
import pytest

from glance_ontap_store import opts
from glance_ontap_store.store import Store


@pytest.mark.parametrize("option", opts.OPTIONS, ids=lambda option: option.name)
class TestEachOption:
    def test_its_name_has_the_prefix(self, option):
        assert option.name.startswith("ontap_")

    def test_it_says_what_it_changes(self, option):
        assert len(option.help.split()) >= 3
        assert option.help.strip().endswith((".", ")."))

    def test_what_is_secret_is_masked(self, option):
        assert option.secret == bool(re.search("password|secret", option.name))

    def test_a_time_says_its_unit(self, option):
        if re.search("timeout|wait", option.name):
            assert "Seconds" in option.help
            assert option.type.min is not None

    def test_options_named_in_a_help_exist(self, option):
        named = set(re.findall(r"``(ontap_\w+)``", option.help))
        assert named <= {each.name for each in opts.OPTIONS}


def test_names_are_unique():
    names = [option.name for option in opts.OPTIONS]
    assert len(set(names)) == len(names)


def test_defaults_have_the_type_that_they_claim():
    conf = cfg.ConfigOpts()
    conf.register_opts(opts.OPTIONS, group="fv1")
    conf([])
    for option in opts.OPTIONS:
        assert conf.fv1[option.name] == option.default


def test_oslo_config_generator_prints_every_option(tmp_path):
    path = tmp_path / "sample.conf"
    generator.main(["--namespace", "glance_ontap_store", "--output-file", str(path)])
    sample = path.read_text()
    assert "[ontap]" in sample
    for option in opts.OPTIONS:
        assert re.search(rf"^#{option.name} =( |$)", sample, re.MULTILINE)


def test_glance_finds_the_driver():
    (found,) = metadata.entry_points(group="glance_store.drivers", name="ontap")
    assert found.load() is Store


def test_the_generator_of_glance_lists_the_options():
    (found,) = metadata.entry_points(
        group="oslo.config.opts", name="glance.multi_store"
    )
    listed = dict(found.load()())
    assert {option.name for option in opts.OPTIONS} <= {
        option.name for option in listed["ontap"]
    }
