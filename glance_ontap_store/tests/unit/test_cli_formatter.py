# SPDX-License-Identifier: Apache-2.0
"""The output of findings: whole lines for programs, folded ones on a terminal."""

import io

import pytest

from glance_ontap_store.cli.formatter import LinesFormatter

COLUMNS = ("Severity", "Subject", "Code", "Problem", "Remedy")
ROWS = [
    ("error", "fv1", "quota", "The quota is full. " * 9, "Raise it."),
    ("info", "cinder", "deep-clone", "It was cloned.", ""),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def emitted(stream, columns=COLUMNS, rows=ROWS):
    LinesFormatter().emit_list(columns, rows, stream, None)
    return stream.getvalue().splitlines()


def test_each_finding_has_one_line():
    first, second = emitted(io.StringIO())
    assert first.startswith("error  fv1     quota       The quota is full.")
    assert first.endswith("Raise it.")
    assert second == "info   cinder  deep-clone  It was cloned."


def test_lines_fit_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = emitted(Terminal())
    assert lines[0] == "error  fv1     quota"
    assert max(map(len, lines)) <= 60
    assert "    Raise it." in lines
    assert lines[-1] == "    It was cloned."


def test_a_terminal_shows_commands_that_can_be_pasted(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    command = f"openstack role add --user {'u' * 32} --project {'p' * 32} member"
    rows = [("error", "fv1", "role-missing", "Bad.", f"As an admin, run: {command}")]
    lines = emitted(Terminal(), rows=rows)
    assert lines[-2:] == ["    As an admin, run:", f"        {command}"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_findings_print_nothing(stream):
    assert emitted(stream(), rows=[]) == []


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_only_the_chosen_columns_are_printed(stream):
    rows = [("error", "quota"), ("info", "deep-clone")]
    lines = emitted(stream(), ("Severity", "Code"), rows)
    assert [line.split() for line in lines] == [list(row) for row in rows]
