# SPDX-License-Identifier: Apache-2.0
"""What a Glance host installs, and the sdist, built from a copy of this checkout."""

from email import parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import glance_ontap_store

CHECKOUT = pathlib.Path(glance_ontap_store.__file__).parent.parent
BUILD = """
import sys
from setuptools import build_meta
target = sys.argv[1]
build_meta.build_sdist(target)
build_meta.build_wheel(target)
"""
DATA = "glance_ontap_store-0.1.0.data/data"
INFO = "glance_ontap_store-0.1.0.dist-info"


def files_of_git():
    """The files of the checkout, whoever owns it."""
    command = ["git", "-c", "safe.directory=*", "ls-files"]
    listed = subprocess.run(
        command, cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.splitlines() if (CHECKOUT / name).exists()}


def test_ci_runs_the_tests_that_the_readme_names():
    def command(name):
        text = " ".join((CHECKOUT / name).read_text().split())
        (found,) = re.findall(r"tools/tox\.py -e\s(pep8,docs[\w.,-]*)", text)
        return found

    assert command(".ci/run") == command("README.rst") == command("CONTRIBUTING.rst")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory of the sdist and the wheel."""
    # A copy, because setuptools leaves build directories in the source tree.
    source = tmp_path_factory.mktemp("source")
    for name in files_of_git():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, source / name)
    target = tmp_path_factory.mktemp("target")
    subprocess.run(
        [sys.executable, "-c", BUILD, target],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    return target


@pytest.fixture
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture
def metadata(wheel):
    return parser.Parser().parsestr(wheel.read(f"{INFO}/METADATA").decode())


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
        f"{DATA}/etc/glance/glance-ontap-store.conf.sample",
        f"{DATA}/etc/glance/ontap-replicas.yaml",
        f"{DATA}/etc/glance/rootwrap.d/glance_ontap_store.filters",
        f"{DATA}/share/bash-completion/completions/glance-ontap",
        f"{DATA}/share/man/man1/glance-ontap.1",
    }


def test_the_sdist_holds_all_of_git_but_its_own_ci(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as opened:
        members = {member.name for member in opened if member.isfile()}
    names = {name.partition("/")[2] for name in members}
    generated = {
        name for name in names if name.startswith("glance_ontap_store.egg-info/")
    }
    assert names - generated - {"PKG-INFO", "setup.cfg"} == {
        name for name in files_of_git() if not name.startswith(".ci/")
    }


def required(path):
    for line in (CHECKOUT / path).read_text().splitlines():
        requirement, _, _ = line.partition("#")
        if requirement.strip():
            yield requirement.strip()


def test_the_wheel_requires_what_glance_needs_and_offers_the_rest_as_extras(
    metadata,
):
    store = list(required("requirements.txt"))
    command = list(required("cli-requirements.txt"))
    metrics = list(required("metrics-requirements.txt"))
    assert store
    assert command
    assert metrics
    assert metadata.get_all("Requires-Dist") == [
        *store,
        *(f'{requirement}; extra == "cli"' for requirement in command),
        *(f'{requirement}; extra == "metrics"' for requirement in metrics),
    ]


def test_the_metadata_say_what_an_index_shows(metadata):
    assert metadata["Version"] == "0.1.0"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/x-rst"
    assert metadata.get_payload() == (CHECKOUT / "README.rst").read_text()
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert set(urls) == {"Glance", "Cinder's NetApp drivers"}
    classifiers = metadata.get_all("Classifier")
    assert any(line.startswith("Development Status ::") for line in classifiers)
    floor = metadata["Requires-Python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {floor}" in classifiers


def test_the_wheel_registers_the_driver_and_the_command(wheel):
    entry_points = wheel.read(f"{INFO}/entry_points.txt")
    assert b"ontap = glance_ontap_store.store:Store" in entry_points
    assert b"glance-ontap = glance_ontap_store.cli.main:main" in entry_points


def test_the_man_page_is_built(wheel):
    page = wheel.read(f"{DATA}/share/man/man1/glance-ontap.1").decode()
    assert page.startswith('.\\" Man page')
    assert re.search(r'^\.TH "glance\\?-ontap" "1"', page, re.MULTILINE)
    assert "look after Glance" in page


def test_completion_is_that_of_the_command():
    """bash-completion sources the file when the command is first completed."""
    file = CHECKOUT / "share/bash-completion/completions/glance-ontap"
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    completed = subprocess.run(
        ["bash", "-c", f"source {file} && complete -p glance-ontap && declare -f"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-F _glance_ontap glance-ontap" in completed.stdout
    for command in ("check", "list", "usage"):
        assert f"cmds_{command}=" in completed.stdout


def test_pre_commit_pins_the_ruff_of_the_constraints():
    pinned = re.compile(r"ruff==[\d.]+")
    (expected,) = pinned.findall((CHECKOUT / "lab-constraints.txt").read_text())
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text()
    assert set(pinned.findall(hooks)) == {expected}
