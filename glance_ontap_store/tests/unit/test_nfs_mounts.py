# SPDX-License-Identifier: Apache-2.0
"""Mounts that go wrong; what goes well is in `conformance.mounts`."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import mounts

EXPORT = "192.0.2.1:/fv1"


def kill(path):
    """Let what is mounted there not answer any more."""
    os.unlink(path)
    os.symlink(path, path)


class TestGoingWrong:
    def test_mount_fails(self, cloud):
        cloud.mounter.refuses = True
        with pytest.raises(errors.Broken, match="access denied"):
            cloud.mounts.use(EXPORT, "")
        cloud.mounter.refuses = False
        cloud.mounts.use(EXPORT, "").close()
        assert not cloud.mounter.mounted()

    def test_mount_says_that_it_did_what_it_did_not(self, cloud):
        """Then an image would be written to the host's own disk."""
        cloud.mounter.lies = True
        with pytest.raises(errors.Broken, match="is not mounted"):
            cloud.mounts.use(EXPORT, "")

    def test_a_failed_mount_leaves_no_file_descriptor(self, cloud):
        cloud.mounter.refuses = True
        before = len(os.listdir("/proc/self/fd"))
        for _time in range(3):
            with pytest.raises(errors.Broken):
                cloud.mounts.use(EXPORT, "")
        assert len(os.listdir("/proc/self/fd")) == before

    def test_what_cannot_be_unmounted_is_used_again(self, cloud, caplog):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()
        assert cloud.mounter.mounted()
        assert "stays mounted" in caplog.text
        cloud.mounter.keeps = False
        cloud.mounts.use(EXPORT, "").close()
        assert not cloud.mounter.mounted()

    def test_what_cannot_be_unmounted_is_not_told_as_unmounted(self, cloud):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()
        assert cloud.mounts.unmount_unused() == []

    def test_closing_after_an_unmount_behind_the_back(self, cloud):
        mount = cloud.mounts.use(EXPORT, "")
        cloud.mounter.unmount(EXPORT)
        mount.close()
        cloud.mounts.use(EXPORT, "").close()

    def test_the_base_is_a_file(self, cloud, tmp_path):
        (tmp_path / "mnt").write_text("")
        with pytest.raises(errors.Misconfigured, match="ontap_mount_point_base"):
            cloud.mounts.use(EXPORT, "")

    def test_a_dead_mount_that_is_used_is_told(self, cloud):
        """An NFS server that is gone: ESTALE, EIO; here a link to itself: ELOOP."""
        held = cloud.mounts.use(EXPORT, "")
        kill(held.path)
        with pytest.raises(errors.Broken, match="cannot be looked at"):
            cloud.mounts.use(EXPORT, "")
        held.close()

    def test_a_dead_mount_that_nobody_uses_is_mounted_anew(self, cloud):
        cloud.mounter.keeps = True
        left = cloud.mounts.use(EXPORT, "")
        left.close()
        kill(left.path)
        cloud.mounter.keeps = False
        mount = cloud.mounts.use(EXPORT, "")
        assert os.path.samefile(mount.path, cloud.mounter.directory(EXPORT))
        mount.close()

    def test_a_mount_that_breaks_while_it_is_used_can_be_let_go(self, cloud):
        mount = cloud.mounts.use(EXPORT, "")
        kill(mount.path)
        mount.close()
        mount.close()


class TestLockFiles:
    @pytest.mark.parametrize(
        "export",
        ["192.0.2.1:/fv1", "[2001:db8::1]:/a/b", "nas:/100%", "nas:/%2F", "nas:/a b"],
    )
    def test_an_export_is_found_again_by_its_lock_file(self, cloud, export):
        cloud.mounter.keeps = True
        cloud.mounts.use(export, "").close()
        cloud.mounter.keeps = False
        assert cloud.mounts.unmount_unused() == [export]

    def test_two_exports_do_not_share_a_lock(self, cloud):
        """``nas:/a_b`` and ``nas:/a/b``: one may be held while the other is used."""
        names = {mounts._users_name(each) for each in ("nas:/a_b", "nas:/a/b")}
        assert len(names) == 2

    def test_nothing_is_mounted_in_the_way_of_the_locks(self, cloud):
        with_dot = cloud.mounts.use(EXPORT, "")
        assert os.path.basename(with_dot.path) != ".locks"
        assert os.listdir(os.path.join(cloud.base, ".locks"))
        with_dot.close()


# Another worker, in the middle of its mount until it is told to go on.
_SLOW_WORKER = """
import sys
from glance_ontap_store.attach.nfs import mounts
from glance_ontap_store.tests.fakes import mounter

class Slow(mounter.FakeMounter):
    def mount(self, export, options):
        print("mounting", flush=True)
        sys.stdin.readline()
        super().mount(export, options)

mount = mounts.Mounts({base!r}, Slow({base!r}, {root!r})).use({export!r}, "")
print("mounted", flush=True)
sys.stdin.readline()
mount.close()
"""


class TestTwoProcesses:
    def test_one_mounts_while_the_other_waits(self, cloud):
        """Both find nothing mounted; the fake refuses to mount twice."""
        source = _SLOW_WORKER.format(base=cloud.base, root=cloud.root, export=EXPORT)
        got = []
        ours = threading.Thread(
            target=lambda: got.append(cloud.mounts.use(EXPORT, "")), daemon=True
        )
        with subprocess.Popen(
            [sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout.readline() == "mounting\n"
            ours.start()
            # Go on only once ours is at the lock, or past it without one.
            while ours.is_alive() and not self.is_at_the_lock(cloud.base):
                pass
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "mounted\n"
            ours.join()
            (mount,) = got
            other.communicate("\n")
        assert cloud.mounter.mounted()
        mount.close()
        assert not cloud.mounter.mounted()

    @staticmethod
    def is_at_the_lock(base):
        locks = os.path.join(base, ".locks", "mount-")
        for fd in pathlib.Path("/proc/self/fd").iterdir():
            try:
                if os.readlink(fd).startswith(locks):
                    return True
            except OSError:
                continue
        return False
