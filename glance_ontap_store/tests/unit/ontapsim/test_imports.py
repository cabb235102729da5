# SPDX-License-Identifier: Apache-2.0
"""Driver and simulator know nothing of each other, else they share a mistake."""

import ast
from pathlib import Path

import glance_ontap_store

PACKAGE = Path(glance_ontap_store.__file__).parent
SIMULATOR = PACKAGE.parent / "lab" / "ontapsim"


def imports_of(path):
    """Yield each dotted name that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_simulator_imports_nothing_else_of_the_project():
    paths = list(SIMULATOR.glob("*.py"))
    assert paths
    for path in paths:
        for name in imports_of(path):
            own = name.startswith("lab.ontapsim")
            foreign = name.partition(".")[0] in ("lab", "glance_ontap_store")
            assert own or not foreign, f"{path.name} imports {name}"


def test_the_driver_imports_nothing_of_the_tests():
    for path in PACKAGE.rglob("*.py"):
        if PACKAGE / "tests" in path.parents:
            continue
        for name in imports_of(path):
            top = name.partition(".")[0]
            assert top != "lab", path
            assert not name.startswith("glance_ontap_store.tests"), path
