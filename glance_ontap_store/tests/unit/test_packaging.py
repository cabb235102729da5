# SPDX-License-Identifier: Apache-2.0
"""The wheel that a Glance host installs, built from a copy of this checkout."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import glance_ontap_store

CHECKOUT = pathlib.Path(glance_ontap_store.__file__).parent.parent
BUILD = "import sys; from pbr import build; build.build_wheel(sys.argv[1])"
FILES = [
    "LICENSE",
    "README.rst",
    "pyproject.toml",
    "requirements.txt",
    "setup.cfg",
    "setup.py",
]
TREES = ["etc", "glance_ontap_store", "lab"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # A copy, because setuptools leaves build directories in the source tree.
    source = tmp_path_factory.mktemp("source")
    for name in FILES:
        shutil.copy(CHECKOUT / name, source)
    for name in TREES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, source / name, ignore=ignore)
    # pbr lists all files of git like this, and the copy is not a git repository.
    (source / "MANIFEST.in").write_text("graft glance_ontap_store\ngraft lab\n")
    target = tmp_path_factory.mktemp("target")
    # The copy has no git history from which pbr could take the version.
    environment = {**os.environ, "PBR_VERSION": "1.2.3"}
    subprocess.run(
        [sys.executable, "-c", BUILD, target],
        cwd=source,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def product_files():
    package = CHECKOUT / "glance_ontap_store"
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] != "tests":
            yield str(path.relative_to(CHECKOUT))


def test_the_wheel_holds_exactly_the_product(wheel):
    packaged = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packaged == {
        *product_files(),
        "glance_ontap_store/py.typed",
        "glance_ontap_store-1.2.3.data/data/etc/glance/rootwrap.d"
        "/glance_ontap_store.filters",
    }


def test_the_wheel_names_the_required_libraries(wheel):
    metadata = wheel.read("glance_ontap_store-1.2.3.dist-info/METADATA").decode()
    required = [
        line.split(">=")[0]
        for line in (CHECKOUT / "requirements.txt").read_text().splitlines()
    ]
    assert required
    for name in required:
        assert f"Requires-Dist: {name}>=" in metadata


def test_the_wheel_registers_the_driver_and_the_command(wheel):
    entry_points = wheel.read("glance_ontap_store-1.2.3.dist-info/entry_points.txt")
    assert b"ontap = glance_ontap_store.store:Store" in entry_points
    assert b"glance-ontap = glance_ontap_store.cli.main:main" in entry_points


def test_pre_commit_pins_the_ruff_of_the_constraints():
    pinned = re.compile(r"ruff==[\d.]+")
    (expected,) = pinned.findall((CHECKOUT / "lab-constraints.txt").read_text())
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text()
    assert set(pinned.findall(hooks)) == {expected}
