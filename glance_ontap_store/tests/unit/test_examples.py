# SPDX-License-Identifier: Apache-2.0
"""The stores that the README and the pages for operators configure."""

import pathlib

from docutils import core
from docutils import nodes
from oslo_config import cfg
import pytest

from glance_ontap_store import opts
from glance_ontap_store.settings import Settings

CHECKOUT = pathlib.Path(__file__).parents[3]
PAGES = CHECKOUT / "doc/source/admin"
EXAMPLES = PAGES / "examples"


def stores(text, path):
    """Return the settings of each store of type ontap in this configuration."""
    path.write_text(text, "utf-8")
    sections = {}
    cfg.ConfigParser(str(path), sections).parse()
    (enabled,) = sections["DEFAULT"]["enabled_backends"]
    pairs = dict(word.strip().split(":") for word in enabled.split(","))
    found = {}
    for store in (name for name, kind in pairs.items() if kind == "ontap"):
        known = {option.name for option in opts.OPTIONS} | {"store_description"}
        assert set(sections[store]) <= known
        conf = cfg.ConfigOpts()
        conf.register_opts(opts.OPTIONS, group=store)
        conf([], default_config_files=[str(path)])
        values = {option.name: conf[store][option.name] for option in opts.OPTIONS}
        found[store] = Settings.from_options(values, store)
    return found


def blocks(page, language):
    """Return the literal blocks of *language* in a page."""
    document = core.publish_doctree(
        page.read_text("utf-8"), settings_overrides={"report_level": 5}
    )
    return [
        node.astext()
        for node in document.findall(nodes.literal_block)
        if language in node["classes"]
    ]


def test_the_examples_stores_have_right_options(tmp_path):
    text = (EXAMPLES / "glance-api.conf").read_text("utf-8")
    found = stores(text, tmp_path / "example.conf")
    assert [(name, found[name].volume_type) for name in found] == [
        ("fv1", "images-fv1"),
        ("fv2", "images-fv2"),
    ]


def test_the_readme_has_the_examples_stores(tmp_path):
    example = stores(
        (EXAMPLES / "glance-api.conf").read_text("utf-8"), tmp_path / "example.conf"
    )
    (readme,) = (
        block for block in blocks(CHECKOUT / "README.rst", "ini") if ":ontap" in block
    )
    assert stores(readme, tmp_path / "readme.conf") == example


@pytest.mark.parametrize("page", [CHECKOUT / "README.rst", PAGES / "locations.rst"])
def test_the_page_has_the_examples_policy(page):
    *_, rule = (EXAMPLES / "glance-policy.yaml").read_text("utf-8").splitlines()
    assert rule in blocks(page, "yaml")


def test_cinders_example_has_every_line_of_the_readme():
    """Except comments, and groups that the back end needs beside them."""
    (readme,) = (
        block
        for block in blocks(CHECKOUT / "README.rst", "ini")
        if "allowed_direct_url_schemes" in block
    )
    example = (EXAMPLES / "cinder.conf").read_text("utf-8").splitlines()
    lines = [line for line in readme.splitlines() if line and line[0] != "#"]
    assert len(lines) >= 3
    assert [line for line in lines if line not in example] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_page_shows_each_example(path):
    shown = f".. literalinclude:: examples/{path.name}\n"
    assert any(shown in page.read_text("utf-8") for page in PAGES.glob("*.rst"))
