# SPDX-License-Identifier: Apache-2.0
"""The import rules of doc/source/contributor/design.rst, read from the sources."""

import ast
import pathlib

import pytest

import glance_ontap_store

ROOT = pathlib.Path(glance_ontap_store.__file__).parent
PACKAGE = "glance_ontap_store"

# From the top down; a layer imports those after it, never those before.
LAYERS = [
    {"cli"},
    {"store", "checks", "placement", "recovery"},
    {"backend", "survey"},
    {"images"},
    {"attach", "transfer"},
    {"cinder"},
    {"identity"},
    {"location", "settings", "units", "requester", "opts", "undo"},
    {"errors"},
]
# Third-party client -> the only modules that import it.
ONLY_IMPORTERS = {
    "cinderclient": {"cinder.client", "cinder.translate"},
    "os_brick": {"attach.brick", "attach.nfs.mounter"},
    "oslo_privsep": {"attach.privilege"},
    "keystoneauth1": {
        "backend",
        "identity",
        "images.owners",
        "cinder.client",
        "cinder.translate",
        "survey.cinder",
        "survey.gather",
        "survey.keystone",
        "survey.listing",
    },
    "requests": {"identity"},
    "glance_store": {"store", "location", "errors"},
    "oslo_config": {
        "opts",
        "attach.brick",
        "survey.configuration",
        "survey.process_setup",
    },
    # For operators: what Glance runs does without.
    "cliff": {"cli.main", "cli.check", "cli.inventory_commands", "cli.formatter"},
    "openstack": {"cli.context", "checks.deep", "checks.deep_cloud"},
    "oslo_rootwrap": {"survey.host"},
}

# What one part asks for and another provides: both may import it.
INTERFACES = ("transfer.device.",)


def production():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "tests":
            yield ".".join(parts).removesuffix(".__init__"), path


def imported(path):
    """Dotted names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield each.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            for each in node.names:
                yield f"{node.module}.{each.name}"


MODULES = dict(production())


def own(name):
    """The parts of this package that module *name* imports."""
    for each in imported(MODULES[name]):
        if each.startswith(f"{PACKAGE}."):
            yield each.removeprefix(f"{PACKAGE}.")


def layer_of(name):
    part = name.partition(".")[0]
    (found,) = (index for index, layer in enumerate(LAYERS) if part in layer)
    return found


def test_every_module_is_looked_at():
    assert {"store", "cinder.client", "attach.brick", "transfer.stream"} <= set(MODULES)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
class TestEachModule:
    def test_it_has_a_layer(self, name):
        layer_of(name)

    def test_it_imports_downwards(self, name):
        upwards = [other for other in own(name) if layer_of(other) < layer_of(name)]
        assert not upwards

    def test_it_imports_no_test(self, name):
        assert not [other for other in own(name) if other.startswith("tests")]

    @pytest.mark.parametrize("library", ONLY_IMPORTERS)
    def test_each_library_has_its_importers(self, name, library):
        if name not in ONLY_IMPORTERS[library]:
            tops = {each.partition(".")[0] for each in imported(MODULES[name])}
            assert library not in tops

    def test_its_first_line_says_what_it_is_for(self, name):
        docstring = ast.get_docstring(ast.parse(MODULES[name].read_text()))
        assert docstring
        assert docstring.splitlines()[0].strip()


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_the_importers_do_import(library):
    """Else the table above would hold whatever is renamed."""
    for name in ONLY_IMPORTERS[library]:
        tops = {each.partition(".")[0] for each in imported(MODULES[name])}
        assert library in tops


@pytest.mark.parametrize(
    ("part", "never"),
    [
        ("transfer", {"cinder", "attach"}),
        ("cinder", {"attach", "transfer"}),
        ("attach", {"transfer"}),
        ("identity", {"cinder", "attach", "transfer"}),
    ],
)
def test_parts_of_one_layer_that_do_not_know_each_other(part, never):
    for name in MODULES:
        if name.partition(".")[0] == part:
            known = {each for each in own(name) if not each.startswith(INTERFACES)}
            assert not {each.partition(".")[0] for each in known} & never


# Judges decide about facts and send no requests, so that any facts can be tried.
EXERCISES = {"checks.deep", "checks.deep_cloud"}
JUDGES = [
    name for name in MODULES if name.startswith("checks.") and name not in EXERCISES
]
VALUES = {"survey.facts", "survey.answer"}


@pytest.mark.parametrize("name", JUDGES)
def test_judges_send_no_requests(name):
    asked = {each for each in own(name) if each.startswith("survey.")}
    assert {".".join(each.split(".")[:2]) for each in asked} <= VALUES


def test_glance_does_not_load_the_command():
    commands = {"cli", "checks", "survey", "placement"}
    seen, waiting = set(), ["store"]
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in seen:
            seen.add(name)
            waiting += [
                part for each in own(name) for part in (each, each.rpartition(".")[0])
            ]
    assert "images.lifecycle" in seen
    assert not [each for each in seen if each.split(".")[0] in commands]


def test_simulator_and_driver_do_not_import_each_other():
    """Else both would share one misunderstanding of ONTAP."""
    simulator = ROOT.parent / "lab" / "ontapsim"
    assert list(simulator.glob("*.py"))
    for path in simulator.rglob("*.py"):
        for each in imported(path):
            if each.startswith(f"{PACKAGE}."):
                raise AssertionError(f"{path.name} imports {each}")
