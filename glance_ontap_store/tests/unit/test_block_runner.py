# SPDX-License-Identifier: Apache-2.0
"""The functional tests that run with LUNs and namespaces, and those that do not."""

import ast
from pathlib import Path
import re

import pytest

from glance_ontap_store.tests.functional import block
from lab import san
from lab.layout import CHECKOUT

FUNCTIONAL = Path(block.__file__).parent


@pytest.mark.parametrize(
    ("given", "protocols", "rest"),
    [
        ([], list(san.PROTOCOLS), []),
        (["-k", "fc"], list(san.PROTOCOLS), ["-k", "fc"]),
        (["nvme"], ["nvme"], []),
        (["fc", "iscsi", "--long", "nvme"], ["fc", "iscsi"], ["--long", "nvme"]),
    ],
)
def test_the_protocols_come_first(given, protocols, rest):
    assert block.split(given) == (protocols, rest)


def test_every_protocol_has_modules_that_exist():
    for protocol in san.PROTOCOLS:
        paths = [word for word in block.command(protocol, []) if word.endswith(".py")]
        assert paths
        assert all(Path(path).is_file() for path in paths)
    assert set(block.SOME) < set(block.ALL)
    assert len(set(block.ALL)) == len(block.ALL)


def test_chosen_tests_take_the_place_of_the_modules():
    words = block.command("iscsi", ["-x", "test_images.py::test_known_size"])
    assert [word for word in words if ".py" in word] == [
        "test_images.py::test_known_size"
    ]
    assert "--protocol" in words
    assert words[words.index("--protocol") + 1] == "iscsi"


def left_out():
    """Return the tests and classes that are marked ``nfs_only``, with their reasons."""
    for path in sorted(FUNCTIONAL.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for each in getattr(node, "decorator_list", ()):
                found = re.fullmatch(
                    r"pytest\.mark\.nfs_only\((.*)\)", ast.unparse(each), re.DOTALL
                )
                if found:
                    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
                    yield path.stem, node.name, ast.literal_eval(found[1])


def test_the_page_names_each_test_that_is_left_out_and_why():
    page = (CHECKOUT / "doc/source/contributor/tests.rst").read_text("utf-8")
    words = " ".join(page.split())
    found = list(left_out())
    assert found
    for module, name, reason in found:
        assert f"``{module}``: ``{name}``: {reason}." in words
    assert words.count("``: ``") == len(found)
