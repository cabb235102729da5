# SPDX-License-Identifier: Apache-2.0
import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
# The tests of the benchmarks are not part of what runs.
MODULES = [
    path for path in TOP.rglob("*.py") if "tests" not in path.relative_to(TOP).parts
]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_all_modules_are_looked_at() -> None:
    assert {"stores.py", "uploads.py", "__main__.py"} <= {
        module.name for module in MODULES
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_the_benchmarks_import_no_tests(path: Path) -> None:
    tests = {name for name in imported(path) if "tests" in name.split(".")}
    assert not tests
