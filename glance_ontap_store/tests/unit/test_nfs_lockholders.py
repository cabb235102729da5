# SPDX-License-Identifier: Apache-2.0
import fcntl
import os

from glance_ontap_store.attach.nfs import lockholders

DEVICE = os.makedev(0xFE, 0x10)
LINES = [
    "1: POSIX  ADVISORY  READ 392 fe:10:77 128 128",
    "2: FLOCK  ADVISORY  WRITE 580 fe:10:77 0 EOF",
    "2: -> FLOCK  ADVISORY  WRITE 581 fe:10:77 0 EOF",
    "3: FLOCK  ADVISORY  READ 582 fe:10:777 0 EOF",
    "4: FLOCK  ADVISORY  READ 583 fe:11:77 0 EOF",
    "5: FLOCK  ADVISORY  READ 101 fe:10:78 0 EOF",
    "6: FLOCK  ADVISORY  READ 100 fe:10:78 0 EOF",
    "7: FLOCK",
]


def test_the_process_that_holds_the_lock_is_found():
    assert lockholders.holders(LINES, DEVICE, 77) == [580]


def test_all_that_share_a_lock_are_found():
    assert lockholders.holders(LINES, DEVICE, 78) == [100, 101]


def test_a_lock_that_nobody_holds_has_no_holders():
    assert lockholders.holders(LINES, DEVICE, 79) == []


def test_this_process_is_named(tmp_path):
    with open(tmp_path / "lock", "w") as file:
        assert "does not name" in lockholders.of(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX)
        assert f"process {os.getpid()} (" in lockholders.of(file.fileno())
