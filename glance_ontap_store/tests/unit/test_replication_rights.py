# SPDX-License-Identifier: Apache-2.0
"""What the user of a replication may not, and which line of a policy permits it."""

import dataclasses
from pathlib import Path

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.replication import rights
from glance_ontap_store.survey.answer import Unknown

PAGE = Path(__file__).parents[3] / "doc/source/admin/replicas.rst"
VOLUME = Volume("v", "available", 1, {}, pool="h@b#p", migration="")


def test_an_answer_is_returned():
    assert rights.known(("a",), "pools", rights.POOLS) == ("a",)


def test_a_question_that_is_forbidden_names_the_line():
    forbidden = Unknown(Reason.FORBIDDEN, "HTTP 403")
    with pytest.raises(errors.Refused, match=rights.POOLS):
        rights.known(forbidden, "pools", rights.POOLS)


def test_another_failure_is_none_of_rights():
    silent = Unknown(Reason.UNREACHABLE, "connection refused")
    with pytest.raises(errors.Broken, match="connection refused") as caught:
        rights.known(silent, "pools", rights.POOLS)
    assert rights.POOLS not in str(caught.value)


@pytest.mark.parametrize(
    ("hidden", "line"), [("pool", rights.HOST), ("migration", rights.MIGRATION)]
)
def test_a_volume_that_is_not_shown_whole_names_the_line(hidden, line):
    rights.check_shown([VOLUME])
    with pytest.raises(errors.Refused, match=line):
        rights.check_shown([VOLUME, dataclasses.replace(VOLUME, **{hidden: None})])


@pytest.mark.parametrize("name", ["volume_backend_name", "pool_name"])
def test_one_type_that_shows_its_back_end_is_enough(name):
    bare = VolumeType("1", "bare", True)
    rights.check_specs([bare, VolumeType("2", "ontap", True, {name: "x"})])


@pytest.mark.parametrize("specs", [{}, {"multiattach": "<is> True"}])
def test_types_without_their_back_ends_name_the_line(specs):
    with pytest.raises(errors.Refused, match=rights.SPECS):
        rights.check_specs([VolumeType("1", "ontap", True, specs)])


def test_the_page_has_every_rule():
    page = PAGE.read_text("utf-8")
    for line in rights.LINES:
        assert f"``{line}``" in page, line
