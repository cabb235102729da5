# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from benchmarks import disk
from benchmarks.disk import Disk
from benchmarks.disk import Kept

SHARED = Kept("shared", 3)


def test_images_that_cases_share_count_once_and_what_passes_at_its_most() -> None:
    cases = [
        Disk((SHARED,), 5),
        Disk((SHARED, Kept("another", 1)), 2),
        Disk(passing=4),
    ]
    assert disk.needed_gib(cases, 1) == disk.LAB_GIB + 3 + 1 + 5


def test_a_trial_run_needs_little_room() -> None:
    assert disk.needed_gib([Disk((SHARED,), 7)], 0.1) == disk.LAB_GIB + 1


def test_a_directory_with_room_lacks_nothing(tmp_path: Path) -> None:
    assert disk.lack(0, tmp_path) == ""


def test_what_is_missing_is_told_with_the_remedy(tmp_path: Path) -> None:
    text = disk.lack(1e9, tmp_path)
    assert str(tmp_path) in text
    assert "the run needs 1000000000.0 GiB" in text
    assert "GiB are missing" in text
    assert "TMPDIR" in text
