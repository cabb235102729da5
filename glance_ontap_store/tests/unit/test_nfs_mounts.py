# SPDX-License-Identifier: Apache-2.0
"""Mounts that go wrong. The behaviour without faults is in `conformance.mounts`."""

import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import mounts
from glance_ontap_store.attach.nfs.lockfiles import LockFiles
from glance_ontap_store.tests.forking import in_child

EXPORT = "192.0.2.1:/fv1"


def kill(path):
    """Make the file system that is mounted there stop answering."""
    os.unlink(path)
    os.symlink(path, path)


class TestGoingWrong:
    def test_a_failed_mount_can_be_tried_again(self, cloud):
        cloud.mounter.refuses = True
        with pytest.raises(errors.Broken, match="access denied"):
            cloud.mounts.use(EXPORT, "")
        cloud.mounter.refuses = False
        cloud.mounts.use(EXPORT, "").close()
        assert not cloud.mounter.mounted()

    def test_a_mount_that_did_not_happen_is_noticed(self, cloud):
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

    def test_an_export_that_stays_mounted_is_used_again(self, cloud, caplog):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()
        assert cloud.mounter.mounted()
        assert "stays mounted" in caplog.text
        cloud.mounter.keeps = False
        cloud.mounts.use(EXPORT, "").close()
        assert not cloud.mounter.mounted()

    def test_an_export_that_stays_mounted_is_not_reported_as_unmounted(self, cloud):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()
        assert cloud.mounts.unmount_unused() == []

    def test_an_export_unmounted_by_others_can_be_closed(self, cloud):
        mount = cloud.mounts.use(EXPORT, "")
        cloud.mounter.unmount(EXPORT)
        mount.close()
        cloud.mounts.use(EXPORT, "").close()

    def test_a_base_that_is_a_file_names_the_option(self, cloud, tmp_path):
        (tmp_path / "mnt").write_text("")
        with pytest.raises(errors.Misconfigured, match="ontap_mount_point_base"):
            cloud.mounts.use(EXPORT, "")

    def test_a_base_on_nfs_is_refused_and_not_touched(self, cloud):
        cloud.mounter.shared = "nfs4 192.0.2.1:/share /"
        with pytest.raises(errors.Misconfigured, match="other hosts share") as caught:
            cloud.mounts.use(EXPORT, "")
        assert "ontap_mount_point_base" in str(caught.value)
        assert not os.path.exists(cloud.base)

    def test_a_dead_mount_that_is_used_is_reported(self, cloud):
        """An NFS server that is gone: ESTALE, EIO; here a link to itself: ELOOP."""
        held = cloud.mounts.use(EXPORT, "")
        kill(held.path)
        with pytest.raises(errors.Broken, match="cannot be opened"):
            cloud.mounts.use(EXPORT, "")
        held.close()

    def test_an_unused_dead_mount_is_mounted_anew(self, cloud):
        cloud.mounter.keeps = True
        left = cloud.mounts.use(EXPORT, "")
        left.close()
        kill(left.path)
        cloud.mounter.keeps = False
        mount = cloud.mounts.use(EXPORT, "")
        assert os.path.samefile(mount.path, cloud.mounter.directory(EXPORT))
        mount.close()

    def test_a_mount_that_breaks_while_it_is_used_can_be_closed(self, cloud):
        mount = cloud.mounts.use(EXPORT, "")
        kill(mount.path)
        mount.close()
        mount.close()


class TestSomethingElseInPlace:
    def test_a_foreign_mount_is_neither_used_nor_unmounted(self, cloud, tmp_path):
        """Else images would be written to it, or it would vanish from the host."""
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        cloud.mounts.use(EXPORT, "").close()
        point = cloud.mounter.mount_point(EXPORT)
        os.rename(point, f"{point}.under")
        os.symlink(foreign, point)
        with pytest.raises(errors.Broken, match=r"did not mount for .* Unmount it"):
            cloud.mounts.use(EXPORT, "")
        assert cloud.mounts.unmount_unused() == []
        assert os.readlink(point) == str(foreign)

    def test_a_mount_that_became_a_foreign_one_stays(self, cloud, tmp_path, caplog):
        (tmp_path / "foreign").mkdir()
        mount = cloud.mounts.use(EXPORT, "")
        os.unlink(mount.path)
        os.symlink(tmp_path / "foreign", mount.path)
        with pytest.raises(errors.Broken, match="no longer the mount"):
            mount.open("volume-7", os.O_RDONLY)
        mount.close()
        assert "did not mount: it stays" in caplog.text
        assert os.readlink(mount.path) == str(tmp_path / "foreign")

    def test_a_deleted_users_file_does_not_take_the_mount_away(self, cloud):
        """The second user would find itself the only one, and unmount."""
        first = cloud.mounts.use(EXPORT, "")
        os.unlink(users_file(cloud))
        with pytest.raises(errors.Broken, match="Unmount it"):
            cloud.mounts.use(EXPORT, "")
        assert cloud.mounter.mounted()
        first.close()
        assert not cloud.mounter.mounted()

    @pytest.mark.parametrize("name", ["{export}.users", "mount-{export}"])
    def test_a_lock_file_that_is_a_symbolic_link_is_refused(
        self, cloud, tmp_path, name
    ):
        target = tmp_path / "target"
        locks = os.path.join(cloud.base, ".locks")
        os.makedirs(locks)
        name = name.format(export=EXPORT.replace("/", "%2F"))
        os.symlink(target, os.path.join(locks, name))
        with pytest.raises(errors.Misconfigured, match="must not be symbolic links"):
            cloud.mounts.use(EXPORT, "")
        assert not target.exists()
        assert not cloud.mounter.mounted()

    def test_a_lock_directory_that_is_a_symbolic_link_is_refused(self, cloud, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        os.makedirs(cloud.base)
        os.symlink(tmp_path / "elsewhere", os.path.join(cloud.base, ".locks"))
        with pytest.raises(errors.Misconfigured, match="must not be symbolic links"):
            cloud.mounts.use(EXPORT, "")
        assert os.listdir(tmp_path / "elsewhere") == []

    @pytest.mark.parametrize("is_mounted", [False, True])
    @pytest.mark.parametrize("name", ["{export}.users", "mount-{export}"])
    def test_a_lock_file_that_is_a_fifo_is_refused(self, cloud, name, is_mounted):
        self._replace(cloud, name, os.mkfifo)
        if is_mounted:
            cloud.mounter.mount(EXPORT, "")
        with pytest.raises(errors.Misconfigured, match="must be a regular file"):
            cloud.mounts.use(EXPORT, "")

    @pytest.mark.parametrize("name", ["{export}.users", "mount-{export}"])
    def test_a_lock_file_that_is_a_hard_link_is_not_written_to(
        self, cloud, name, tmp_path
    ):
        other = tmp_path / "other"
        other.write_text("precious")
        self._replace(cloud, name, lambda path: os.link(other, path))
        with pytest.raises(errors.Misconfigured, match="hard links"):
            cloud.mounts.use(EXPORT, "")
        assert other.read_text() == "precious"
        assert not cloud.mounter.mounted()

    @staticmethod
    def _replace(cloud, name, make):
        """Put another file in the place of the lock file."""
        cloud.mounts.use(EXPORT, "").close()
        name = name.format(export=EXPORT.replace("/", "%2F"))
        path = os.path.join(cloud.base, ".locks", name)
        os.unlink(path)
        make(path)

    def test_a_record_that_cannot_be_read_is_an_error_of_ours(self, cloud, monkeypatch):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()

        def fail(*_args):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "read", fail)
            with pytest.raises(errors.Broken, match=r"users cannot be read.*Input"):
                cloud.mounts.use(EXPORT, "")

    def test_a_lock_of_another_program_does_not_hang(self, cloud):
        cloud.mounts.use(EXPORT, "").close()
        fd = os.open(users_file(cloud), os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(errors.Broken, match=r"Another program .*holds a lock"):
            cloud.mounts.use(EXPORT, "")
        os.close(fd)
        cloud.mounts.use(EXPORT, "").close()


def users_file(cloud):
    return os.path.join(cloud.base, ".locks", EXPORT.replace("/", "%2F") + ".users")


class TestInterrupted:
    @pytest.fixture
    def half_mounted(self, cloud):
        """A worker died between mount(8) and its record of the mount."""
        source = """
import os, signal
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.tests.fakes.mounter import FakeMounter

class Dying(FakeMounter):
    def mount(self, export, options):
        super().mount(export, options)
        os.kill(os.getpid(), signal.SIGKILL)

Mounts({base!r}, Dying({base!r}, {root!r})).use({export!r}, "")
"""
        source = source.format(base=cloud.base, root=cloud.root, export=EXPORT)
        subprocess.run([sys.executable, "-c", source])
        assert cloud.mounter.mounted()

    def test_an_incomplete_mount_is_mounted_anew(self, cloud, half_mounted):
        with contextlib.closing(cloud.mounts.use(EXPORT, "vers=3")):
            assert cloud.mounter.options == {EXPORT: "vers=3"}
        assert not cloud.mounter.mounted()

    def test_an_incomplete_mount_is_cleaned_up(self, cloud, half_mounted):
        assert cloud.mounts.unmount_unused() == [EXPORT]

    def test_an_incomplete_mount_that_stays_is_not_used(self, cloud, half_mounted):
        cloud.mounter.keeps = True
        with pytest.raises(errors.Broken, match="not completely mounted"):
            cloud.mounts.use(EXPORT, "")


class TestReleases:
    def close_of(self, monkeypatch, suffix):
        """Let close(2) of the file that ends in *suffix* fail."""
        real_close = os.close

        def close(fd):
            is_it = os.readlink(f"/proc/self/fd/{fd}").endswith(suffix)
            real_close(fd)
            if is_it:
                raise OSError(errno.EIO, "close failed")

        monkeypatch.setattr(os, "close", close)

    FILES = pytest.mark.parametrize("suffix", [".users", "mount-192.0.2.1:%2Ffv1"])

    @FILES
    def test_a_lock_file_that_fails_to_close_is_an_error_of_ours(
        self, cloud, monkeypatch, suffix
    ):
        mount = cloud.mounts.use(EXPORT, "")
        self.close_of(monkeypatch, suffix)
        with pytest.raises(errors.Broken, match="close failed"):
            mount.close()
        assert not cloud.mounter.mounted()

    @FILES
    def test_a_lock_file_that_fails_to_close_keeps_the_earlier_error(
        self, cloud, monkeypatch, suffix
    ):
        cloud.mounter.refuses = True
        self.close_of(monkeypatch, suffix)
        with pytest.raises(
            errors.Broken, match="cannot be mounted: access denied"
        ) as caught:
            cloud.mounts.use(EXPORT, "")
        assert "close failed" in errors.describe(caught.value)

    def test_the_directory_of_the_mount_fails_to_close(self, cloud, monkeypatch):
        with contextlib.closing(cloud.mounts.use(EXPORT, "")) as mount:
            with monkeypatch.context() as patched:
                self.close_of(patched, cloud.mounter.directory(EXPORT))
                with pytest.raises(FileNotFoundError) as caught:
                    mount.open("missing", os.O_RDONLY)
        assert "close failed" in errors.describe(caught.value)

    def test_a_forked_process_does_not_release_its_parents(self, cloud):
        """Both have the same lock: to unlock it in one would do so in the other."""
        mount = cloud.mounts.use(EXPORT, "")
        assert in_child(mount.close) == "None"
        assert cloud.mounter.mounted()
        assert mounts.Mounts(cloud.base, cloud.mounter).unmount_unused() == []
        mount.close()
        assert not cloud.mounter.mounted()

    def test_a_failed_use_unmounts_what_it_mounted(self, cloud, monkeypatch):
        def broken(*_args):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        monkeypatch.setattr(cloud.mounter, "open_root", broken)
        with pytest.raises(errors.Broken, match="Stale file handle"):
            cloud.mounts.use(EXPORT, "")
        assert not cloud.mounter.mounted()


class TestCleaningUp:
    OTHER = "192.0.2.1:/fv2"

    @pytest.fixture
    def left(self, cloud):
        """A mount that a dead worker left."""
        cloud.mounter.keeps = True
        mounts.Mounts(cloud.base, cloud.mounter).use(self.OTHER, "").close()
        cloud.mounter.keeps = False
        assert cloud.mounter.mounted()

    def test_making_the_mounts_touches_nothing(self, cloud, left):
        before = threading.active_count()
        made = mounts.Mounts(cloud.base, cloud.mounter)
        assert made.cleaning is None
        assert threading.active_count() == before
        assert cloud.mounter.mounted()

    def test_without_left_mounts_there_is_no_thread(self, cloud):
        cloud.mounts.use(EXPORT, "").close()
        cloud.mounts.use(self.OTHER, "").close()
        assert cloud.mounts.cleaning is None

    def test_every_process_cleans_up_at_its_first_use(self, cloud, left):
        """A server may load the store first and fork its workers then."""
        with contextlib.closing(cloud.mounts.use(EXPORT, "")):
            cloud.mounts.cleaning.join()
        assert not cloud.mounter.mounted()
        self.leave_again(cloud)
        cloud.mounts.use(EXPORT, "").close()
        assert len(cloud.mounter.mounted()) == 1, "this process has cleaned up already"
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                cloud.mounts.use(EXPORT, "").close()
                cloud.mounts.cleaning.join()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert not cloud.mounter.mounted()

    def leave_again(self, cloud):
        cloud.mounter.keeps = True
        cloud.mounts.use(self.OTHER, "").close()
        cloud.mounter.keeps = False

    def test_an_unmount_that_hangs_hinders_no_other_export(
        self, cloud, left, monkeypatch
    ):
        """The server of the left mount is gone, and umount(2) waits for it."""
        goes_on, hangs = threading.Event(), threading.Event()
        real = cloud.mounter.unmount

        def unmount(export):
            if export == self.OTHER:
                hangs.set()
                goes_on.wait()
            real(export)

        monkeypatch.setattr(cloud.mounter, "unmount", unmount)
        for _time in range(2):
            with contextlib.closing(cloud.mounts.use(EXPORT, "")):
                hangs.wait()
        goes_on.set()
        cloud.mounts.cleaning.join()
        assert not cloud.mounter.mounted()

    def test_a_failure_is_only_logged(self, cloud, left, caplog):
        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "")
        cloud.mounts.cleaning.join()
        assert "target is busy" in caplog.text


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
        files = LockFiles(cloud.base)
        files.prepare()
        for export in ("nas:/a_b", "nas:/a/b"):
            files.users(export).close()
        assert files.exports() == ["nas:/a/b", "nas:/a_b"]

    def test_the_lock_files_are_not_below_a_mount_point(self, cloud):
        with contextlib.closing(cloud.mounts.use(EXPORT, "")) as mount:
            assert os.path.basename(mount.path) != ".locks"
            assert os.listdir(os.path.join(cloud.base, ".locks"))

    def test_a_record_is_replaced_by_a_shorter_one(self, cloud):
        files = LockFiles(cloud.base)
        files.prepare()
        with contextlib.closing(files.users(EXPORT)) as users:
            for text in ("", "nfs4 192.0.2.1:/fv1 /", "x" * 5000, "\udcff", "nfs /"):
                users.record(text)
                assert users.is_recorded(text)
            assert not users.is_recorded("nfs4 192.0.2.1:/fv1 /")


# Another worker, in the middle of its mount until it is told to go on.
_SLOW_WORKER = """
import sys
from glance_ontap_store.attach.nfs import mounts
from glance_ontap_store.attach.nfs.lockfiles import LockFiles
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


# A process that holds a lock file until it is told to end.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def held_by_another_process(path):
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        yield other.pid
        other.communicate("\n")


class TestALockThatStaysHeld:
    """Its process waits for a server, say, in mount(8) or umount(2)."""

    @pytest.fixture
    def impatient(self, cloud):
        cloud.mounts.use(EXPORT, "").close()
        return mounts.Mounts(cloud.base, cloud.mounter, patience_s=0.1)

    def test_the_wait_for_a_mount_has_an_end_that_names_lock_and_holder(
        self, cloud, impatient
    ):
        guard = os.path.join(cloud.base, ".locks", "mount-192.0.2.1:%2Ffv1")
        with held_by_another_process(guard) as pid:
            with pytest.raises(errors.Broken) as caught:
                impatient.use(EXPORT, "")
            assert f"process {pid} (python" in str(caught.value)
            assert guard in str(caught.value)
            impatient.use("192.0.2.1:/fv2", "").close()
        impatient.use(EXPORT, "").close()

    def test_a_thread_of_this_process_counts_too(self, cloud, impatient):
        files = LockFiles(cloud.base)
        with files.guarded(EXPORT), pytest.raises(errors.Broken) as caught:
            impatient.use(EXPORT, "")
        assert f"process {os.getpid()} " in str(caught.value)

    def test_a_user_who_cannot_unmount_in_time_is_no_user_any_more(
        self, cloud, impatient
    ):
        mount = impatient.use(EXPORT, "")
        with LockFiles(cloud.base).guarded(EXPORT):
            with pytest.raises(errors.Broken, match="is not available"):
                mount.close()
        assert cloud.mounter.mounted()
        assert impatient.unmount_unused() == [EXPORT]

    def test_the_holder_of_a_users_file_is_named(self, cloud, impatient):
        with held_by_another_process(users_file(cloud)) as pid:
            with pytest.raises(errors.Broken, match=f"process {pid} "):
                impatient.use(EXPORT, "")


class TestAServerThatDoesNotAnswer:
    """A hard mount whose server is away: open(2) and stat(2) wait for it."""

    @pytest.fixture
    def silent(self, cloud, monkeypatch):
        """The export does not answer until the event is set."""
        answers, real = threading.Event(), cloud.mounter.open_root

        def open_root(export):
            if export == EXPORT:
                answers.wait()
            return real(export)

        cloud.mounter.keeps = True
        cloud.mounts.use(EXPORT, "").close()
        monkeypatch.setattr(cloud.mounter, "open_root", open_root)
        yield answers
        answers.set()

    @pytest.fixture
    def impatient(self, cloud):
        return mounts.Mounts(cloud.base, cloud.mounter, patience_s=0.5)

    def test_its_users_get_an_error_and_others_go_on(self, impatient, silent):
        for _time in range(2):
            with pytest.raises(errors.Broken, match=r"does not answer|not answered"):
                impatient.use(EXPORT, "")
            impatient.use("192.0.2.1:/fv2", "").close()

    def test_it_is_used_again_once_it_answers(self, cloud, impatient, silent, caplog):
        with pytest.raises(errors.Broken):
            impatient.use(EXPORT, "")
        silent.set()
        while "answers again" not in caplog.text:
            time.sleep(0.01)
        impatient.use(EXPORT, "").close()

    def test_a_file_on_it_cannot_be_opened(self, cloud, impatient, monkeypatch):
        answers, real = threading.Event(), os.stat

        def stat(path, **options):
            if path == "volume-1":
                answers.wait()
            return real(path, **options)

        with contextlib.closing(impatient.use(EXPORT, "")) as mount:
            with open(os.path.join(mount.path, "volume-1"), "w"):
                pass
            before = len(os.listdir("/proc/self/fd"))
            monkeypatch.setattr(os, "stat", stat)
            with pytest.raises(errors.Broken, match=r"volume-1 .* has not answered"):
                mount.open("volume-1", os.O_RDONLY)
            answers.set()
            while len(os.listdir("/proc/self/fd")) > before:
                pass
        assert not cloud.mounter.mounted()


class TestTwoProcesses:
    def test_one_process_mounts_while_the_other_waits(self, cloud):
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
