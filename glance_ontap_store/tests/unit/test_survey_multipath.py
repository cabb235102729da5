# SPDX-License-Identifier: Apache-2.0
"""What multipath does when all paths are lost, by what ``multipath -t`` prints."""

import pytest

from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import multipath
from glance_ontap_store.survey.answer import Unknown

# Of multipath-tools 0.9.4, with its own settings for some arrays.
PRINTED = """\
defaults {
\tverbosity 2
\tfeatures "0"
%(defaults)s}
blacklist {
\tdevnode "!^(sd[a-z]|dasd[a-z]|nvme[0-9])"
\tdevice {
\t\tvendor "SGI"
\t\tproduct "Universal Xport"
\t}
}
devices {
\tdevice {
\t\tvendor "NVME"
\t\tproduct "^NetApp ONTAP Controller"
\t\tno_path_retry 99
\t}
%(before)s\tdevice {
\t\tvendor "NETAPP"
\t\tproduct "LUN"
\t\tfeatures "2 pg_init_retries 50"
\t\tno_path_retry "queue"
\t}
\tdevice {
\t\tvendor "(NETAPP|LSI|ENGENIO)"
\t\tproduct "INF-01-00"
\t\tno_path_retry 30
\t}
%(after)s}
overrides {
%(overrides)s}
"""
NOTHING = dict.fromkeys(("defaults", "before", "after", "overrides"), "")


def device(product, setting):
    return (
        f'\tdevice {{\n\t\tvendor "NETAPP"\n\t\tproduct "{product}"\n'
        f"\t\t{setting}\n\t}}\n"
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "queue"),
        ({"defaults": "\tno_path_retry 12\n"}, "queue"),
        ({"overrides": "\tno_path_retry 12\n"}, "12"),
        ({"overrides": '\tno_path_retry "fail"\n'}, "fail"),
        ({"overrides": "\tprotocol {\n\t\tno_path_retry 5\n\t}\n"}, "queue"),
        ({"after": device("LUN.*", "no_path_retry 7")}, "7"),
        ({"before": device("LUN.*", "no_path_retry 7")}, "queue"),
        ({"after": device("LUN.*", "path_selector x")}, "queue"),
        ({"after": device("*", "no_path_retry 7")}, "queue"),
        (
            {
                "after": device("LUN", "no_path_retry 7"),
                "overrides": '\tno_path_retry "queue"\n',
            },
            "queue",
        ),
    ],
)
def test_the_setting_that_counts_is_found(changes, found):
    assert multipath.effective(PRINTED % {**NOTHING, **changes}) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("defaults {\n\tno_path_retry 3\n}\n", "3"),
        ("defaults {\n}\n", "fail"),
        ("}\n", "fail"),
    ],
)
def test_an_array_without_settings_of_its_own_has_the_defaults(text, found):
    assert multipath.effective(text) == found


@pytest.fixture
def program(tmp_path):
    def written(script):
        path = tmp_path / "multipath"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return written


def test_the_program_is_asked_for_its_configuration(program, tmp_path):
    (tmp_path / "printed").write_text(PRINTED % NOTHING)
    path = program(f'test "$*" = -t && cat {tmp_path}/printed')
    assert multipath.no_path_retry(path) == "queue"


def test_a_configuration_that_may_not_be_read_is_not_known(program):
    """As the program says it to a user who may not read its file."""
    path = program(
        "echo \"couldn't open configuration file '/etc/multipath.conf':"
        ' Permission denied" >&2; exit 1'
    )
    found = multipath.no_path_retry(path)
    assert isinstance(found, Unknown)
    assert found.reason is Reason.UNREADABLE
    assert "Permission denied" in found.text


def test_a_program_that_prints_something_else_is_not_believed(program):
    assert isinstance(multipath.no_path_retry(program("echo usage")), Unknown)


@pytest.mark.parametrize(
    ("path", "reason"), [(None, Reason.MISSING), ("/nowhere", Reason.BROKEN)]
)
def test_without_the_program_it_is_not_known(path, reason):
    found = multipath.no_path_retry(path)
    assert isinstance(found, Unknown)
    assert found.reason is reason
