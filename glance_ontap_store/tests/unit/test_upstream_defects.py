# SPDX-License-Identifier: Apache-2.0
"""Every known defect of upstream's cinder store has tests that are named for it.

This module lists the defects and their tests. The tests are in the modules with the
fixtures they need; the functional tests repeat them against real services.
"""

import pathlib
import re

import pytest

from glance_ontap_store import tests

DEFECTS = {
    "unknown size: reopened with wb at each GiB, all earlier data become zeros": [
        "test_upstream_unknown_size_keeps_what_was_written_before",
    ],
    "known size: the file ends shorter than the Cinder size": [
        "test_upstream_file_is_as_long_as_its_volume",
    ],
    "one Keystone session for all stores of a process": [
        "test_upstream_two_stores_use_both_users",
        "test_upstream_two_stores_of_one_process_use_both_users",
    ],
    "each worker unmounts at start the mounts that a sibling may be using": [
        "test_upstream_the_mount_of_a_sibling_stays",
    ],
    "a left-over directory blocks the mount": [
        "test_upstream_left_over_directory_is_mounted_on",
    ],
    "attach at the first next()": [
        "test_upstream_get_attaches_before_the_first_read",
    ],
    "short device data ends the stream silently": [
        "test_upstream_short_device_data_is_an_error",
        "test_upstream_short_device_data_raises",
    ],
    "size 0 on any error": [
        "test_upstream_size_of_an_unreachable_volume_is_an_error",
    ],
    "404 turned into BackendException": [
        "test_upstream_missing_volume_is_not_found",
    ],
    "left behind: the attachment when the refetch fails": [
        "test_upstream_a_failed_refetch_leaves_no_attachment",
    ],
    "left behind: the volume when it goes to error": [
        "test_upstream_a_volume_that_goes_to_error_is_deleted",
    ],
    "left behind: the full volume when the last metadata step fails": [
        "test_upstream_a_failed_last_step_leaves_no_full_volume",
    ],
    "two readers of one image need a multiattach type": [
        "test_upstream_two_readers_need_no_multiattach_type",
    ],
    "growth by 1 GiB, with a detachment, extension and attachment every time": [
        "test_upstream_growth_over_a_gib_attaches_and_extends_once",
    ],
    "any volume of its type is taken for the store's image": [
        "test_upstream_rewriting_finds_the_store_that_wrote_the_volume",
    ],
}


def defined():
    root = pathlib.Path(tests.__file__).parent
    for part in ("unit", "conformance"):
        for path in (root / part).rglob("*.py"):
            yield from re.findall(
                r"^ *def (test_upstream_\w+)\(", path.read_text(), re.MULTILINE
            )


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_defect_has_its_tests(defect):
    missing = set(DEFECTS[defect]) - set(defined())
    assert not missing


def test_every_test_of_a_defect_is_listed():
    listed = {name for names in DEFECTS.values() for name in names}
    assert set(defined()) == listed
