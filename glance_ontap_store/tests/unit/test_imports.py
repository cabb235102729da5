# SPDX-License-Identifier: Apache-2.0
"""The import rules of doc/source/contributor/design.rst, checked in the sources."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

import glance_ontap_store

ROOT = pathlib.Path(glance_ontap_store.__file__).parent
PACKAGE = "glance_ontap_store"

# From top to bottom. A layer imports only from layers below it.
LAYERS = [
    {"cli"},
    {
        "store",
        "checks",
        "adoption",
        "auditing",
        "leftovers",
        "placement",
        "replication",
    },
    {"glance"},
    {"backend", "survey"},
    {"recovery"},
    {"images"},
    {"attach", "transfer"},
    {"cinder"},
    {"identity", "liveness"},
    {
        *("location", "settings", "units", "requester", "opts", "undo"),
        *("nfs_options", "stopping"),
    },
    {"telemetry"},
    {"errors"},
]
# Third-party library -> the only modules that import it.
ONLY_IMPORTERS = {
    "cinderclient": {"cinder.client", "cinder.translate"},
    "os_brick": {"attach.block.brick", "attach.brick", "attach.nfs.mounter"},
    "oslo_privsep": {"attach.ownership", "attach.privilege", "opts"},
    "keystoneauth1": {
        "adoption.gathering",
        "backend",
        "identity",
        "images.owners",
        "replication.gathering",
        "checks.deep",
        "cinder.client",
        "cinder.translate",
        "glance.client",
        "survey.cinder",
        "survey.gather",
        "survey.gather_placement",
        "survey.gather_remains",
        "survey.glance",
        "survey.keystone",
        "survey.listing",
    },
    "requests": {"identity"},
    "urllib3": {"identity"},
    "tenacity": {"cinder.patience"},
    # Loaded for the first upload, if it is there. Glance needs it itself.
    "cryptography": {"transfer.md5"},
    # Loaded only if the option is set, and by the command that shows metrics.
    "prometheus_client": {
        "telemetry.exposition",
        "telemetry.prometheus",
        "telemetry.slots",
    },
    "glance_store": {"store", "location", "errors"},
    "oslo_config": {
        "opts",
        "attach.brick",
        "attach.privilege",
        "survey.configuration",
        "survey.location_policy",
        "survey.process_setup",
    },
    # Only the command uses these. Glance does not load them.
    "cliff": {
        "cli.application",
        "cli.formatter",
        "cli.inventory_commands",
        "cli.report",
    },
    "openstack": {"cli.context", "checks.deep", "checks.deep_cloud"},
    "jsonschema": {"replication.policy_mistakes"},
    "yaml": {"replication.policy_file", "replication.policy_mistakes"},
    "oslo_rootwrap": {"survey.host"},
    "oslo_policy": {"survey.location_policy"},
}

# An interface, which both its users and its providers may import.
INTERFACES = ("transfer.device.",)


def production():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "tests":
            yield ".".join(parts).removesuffix(".__init__"), path


@functools.cache
def imported(path):
    """Dotted names of all imports of a module, at any place in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


MODULES = dict(production())


def own(name):
    """Yield the modules of this package that module *name* imports."""
    for module in imported(MODULES[name]):
        if module.startswith(f"{PACKAGE}."):
            yield module.removeprefix(f"{PACKAGE}.")


def layer_of(name):
    part = name.partition(".")[0]
    (found,) = (index for index, layer in enumerate(LAYERS) if part in layer)
    return found


def test_the_modules_are_found():
    assert {"store", "cinder.client", "attach.brick", "transfer.stream"} <= set(MODULES)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
class TestModule:
    def test_belongs_to_one_layer(self, name):
        layer_of(name)

    def test_imports_only_from_its_layer_and_below(self, name):
        upwards = [other for other in own(name) if layer_of(other) < layer_of(name)]
        assert not upwards

    def test_does_not_import_tests(self, name):
        assert not [other for other in own(name) if other.startswith("tests")]

    @pytest.mark.parametrize("library", ONLY_IMPORTERS)
    def test_does_not_import_a_library_of_other_modules(self, name, library):
        if name not in ONLY_IMPORTERS[library]:
            tops = {module.partition(".")[0] for module in imported(MODULES[name])}
            assert library not in tops

    def test_has_a_docstring(self, name):
        docstring = ast.get_docstring(ast.parse(MODULES[name].read_text()))
        assert docstring
        assert docstring.splitlines()[0].strip()


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_listed_importers_import_the_library(library):
    """A renamed module would otherwise stay in the table."""
    for name in ONLY_IMPORTERS[library]:
        tops = {module.partition(".")[0] for module in imported(MODULES[name])}
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
def test_some_parts_never_import_each_other(part, never):
    for name in MODULES:
        if name.partition(".")[0] == part:
            known = {
                module for module in own(name) if not module.startswith(INTERFACES)
            }
            assert not {module.partition(".")[0] for module in known} & never


# Checks judge facts and send no requests, so that tests can give them any facts.
EXERCISES = {"checks.deep", "checks.deep_cloud", "checks.deep_replicas"}
JUDGES = [
    name for name in MODULES if name.startswith("checks.") and name not in EXERCISES
]
VALUES = {"survey.facts", "survey.answer", "survey.inventory"}


@pytest.mark.parametrize("name", JUDGES)
def test_checks_send_no_requests(name):
    asked = {module for module in own(name) if module.startswith("survey.")}
    assert {".".join(module.split(".")[:2]) for module in asked} <= VALUES


def test_the_store_does_not_load_the_command():
    commands = {
        "cli",
        "checks",
        "auditing",
        "leftovers",
        "glance",
        "survey",
        "placement",
        "replication",
    }
    seen, waiting = set(), ["store"]
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in seen:
            seen.add(name)
            waiting += [
                part
                for module in own(name)
                for part in (module, module.rpartition(".")[0])
            ]
    assert "images.lifecycle" in seen
    assert not [module for module in seen if module.split(".")[0] in commands]


def test_the_store_does_not_load_the_library_of_metrics():
    """It is imported inside of a function, when the option is set."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import glance_ontap_store.store;"
            " print('prometheus_client' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "False"


def test_simulator_and_driver_do_not_import_each_other():
    """They would otherwise share their misunderstandings of ONTAP."""
    simulator = ROOT.parent / "lab" / "ontapsim"
    assert list(simulator.glob("*.py"))
    for path in simulator.rglob("*.py"):
        for module in imported(path):
            if module.startswith(f"{PACKAGE}."):
                raise AssertionError(f"{path.name} imports {module}")
