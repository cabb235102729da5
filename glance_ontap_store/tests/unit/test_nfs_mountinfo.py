# SPDX-License-Identifier: Apache-2.0
import dataclasses
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


ROOT = [Entry(1, "/", "/", "ext4", "/dev/vda1")]
SHARED = Entry(2, "/", "/srv/share", "nfs4", "192.0.2.1:/share")


class TestShared:
    @pytest.mark.parametrize(
        "path", ["/srv/share", "/srv/share/glance", "/srv/share/a/b"]
    )
    @pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "ceph", "fuse.glusterfs"])
    def test_a_path_on_a_mount_of_several_hosts(self, path, kind):
        entry = dataclasses.replace(SHARED, filesystem=kind)
        assert mountinfo.shared(path, [*ROOT, entry]) == entry

    @pytest.mark.parametrize(
        "path", ["/", "/srv", "/srv/share2", "/var/lib/glance", "/srv/x/srv/share"]
    )
    def test_a_path_beside_it_is_local(self, path):
        assert mountinfo.shared(path, [*ROOT, SHARED]) is None

    def test_a_local_mount_on_it_is_local(self):
        local = Entry(3, "/", "/srv/share/local", "xfs", "/dev/vdb")
        assert mountinfo.shared("/srv/share/local/x", [*ROOT, SHARED, local]) is None

    def test_a_mount_that_covers_another_one_counts(self):
        local = Entry(3, "/", "/srv/share", "tmpfs", "none")
        assert mountinfo.shared("/srv/share", [*ROOT, SHARED, local]) is None
        assert mountinfo.shared("/srv/share", [*ROOT, local, SHARED]) == SHARED

    @pytest.mark.parametrize("is_absolute", [True, False])
    def test_symbolic_links_are_followed(self, tmp_path, is_absolute):
        place = tmp_path.resolve()
        entry = dataclasses.replace(SHARED, point=str(place / "share"))
        (place / "link").symlink_to(place / "share" if is_absolute else "share")
        (place / "second").symlink_to("link/below")
        for name in ("link", "second", "second/more"):
            assert mountinfo.shared(str(place / name), [*ROOT, entry]) == entry

    def test_nothing_on_the_mount_is_looked_at(self, tmp_path):
        """A link there, which would lead elsewhere, is not read."""
        place = tmp_path.resolve()
        (place / "share").mkdir()
        (place / "share" / "link").symlink_to("/elsewhere")
        entry = dataclasses.replace(SHARED, point=str(place / "share"))
        found = mountinfo.shared(str(place / "share" / "link"), [*ROOT, entry])
        assert found == entry

    def test_a_loop_of_links_ends(self, tmp_path):
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        assert mountinfo.shared(str(tmp_path / "a"), ROOT) is None
