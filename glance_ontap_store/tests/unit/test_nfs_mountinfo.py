# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from glance_ontap_store.attach.nfs import mountinfo
from glance_ontap_store.attach.nfs.mountinfo import Entry

# From a host with NFS 4.2, and the example of proc_pid_mountinfo(5).
NFS = (
    "412 28 0:53 / /var/lib/glance/ontap-mnt/fcbf rw,nosuid,nodev,noexec,relatime"
    " shared:229 - nfs4 192.0.2.1:/fv1 rw,vers=4.2,addr=192.0.2.1\n"
)
MANUAL = (
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
)
BLANKS = "7 1 0:9 / /a\\040b\\134c rw - tmpfs none\\011x rw\n"


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (
            NFS,
            Entry(412, "/", "/var/lib/glance/ontap-mnt/fcbf", "nfs4", "192.0.2.1:/fv1"),
        ),
        (MANUAL, Entry(36, "/mnt1", "/mnt2", "ext3", "/dev/root")),
        (BLANKS, Entry(7, "/", "/a b\\c", "tmpfs", "none\tx")),
    ],
)
def test_a_line_is_parsed(line, entry):
    assert mountinfo.parse(line) == entry


def test_the_identity_names_the_file_system_and_not_the_mount():
    first, second = mountinfo.parse(NFS), mountinfo.parse(NFS.replace("412", "9"))
    assert first.identity == second.identity == "nfs4 192.0.2.1:/fv1 /"


def test_the_kernels_own_table_is_read():
    proc = mountinfo.at("/proc")
    assert proc is not None
    assert proc.filesystem == "proc"
    fd = os.open("/proc", os.O_PATH)
    try:
        assert mountinfo.id_of(fd) == proc.mount_id
    finally:
        os.close(fd)


def test_a_plain_directory_is_not_a_mount(tmp_path):
    assert mountinfo.at(str(tmp_path)) is None
