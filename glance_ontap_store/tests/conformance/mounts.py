# SPDX-License-Identifier: Apache-2.0
"""The behaviour of every `attach.nfs.mount.Mounter`, and of `Mounts` over them."""

from collections.abc import Iterator
import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.mount import Mounter
from glance_ontap_store.attach.nfs.mounts import Mounts

# Runs in another process: uses an export, says so, and stops using it when told.
_OTHER_PROCESS = """
import sys
from glance_ontap_store.attach.nfs import mounts
{imports}
shared = mounts.Mounts({base!r}, {mounter})
mount = shared.use({export!r}, "")
print("held", flush=True)
sys.stdin.readline()
mount.close()
print("closed", flush=True)
"""


class _Place:
    """The place where the tests mount, and the way to see what is mounted."""

    @pytest.fixture
    def base(self) -> str:
        """Return an absolute path, which need not exist yet."""
        raise NotImplementedError

    @pytest.fixture
    def export(self) -> str:
        """Return an export that can be mounted and written to."""
        raise NotImplementedError

    @pytest.fixture
    def other_export(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def mounter(self, base: str) -> Mounter:
        raise NotImplementedError

    def is_mounted(self, mounter: Mounter, export: str) -> bool:
        """Return what the kernel says, or what stands for it."""
        raise NotImplementedError


class MounterContract(_Place):
    def test_an_export_is_mounted_and_unmounted(self, mounter, export):
        assert not self.is_mounted(mounter, export)
        mounter.mount(export, "")
        assert self.is_mounted(mounter, export)
        mounter.unmount(export)
        assert not self.is_mounted(mounter, export)

    def test_a_base_on_a_disk_of_the_host_is_not_shared(self, mounter):
        assert mounter.shared_base() is None

    def test_the_mount_point_is_under_the_base_and_the_same_each_time(
        self, mounter, base, export, other_export
    ):
        point = mounter.mount_point(export)
        assert os.path.dirname(point) == base
        assert mounter.mount_point(export) == point
        assert mounter.mount_point(other_export) != point

    def test_files_lie_on_another_file_system(self, mounter, base, export):
        mounter.mount(export, "")
        try:
            device = os.stat(mounter.mount_point(export)).st_dev
            assert device != os.stat(base).st_dev
            root = mounter.open_root(export)
            assert os.fstat(root).st_dev == device
            os.close(root)
        finally:
            mounter.unmount(export)

    def test_the_file_system_is_known_while_it_is_mounted(
        self, mounter, export, other_export
    ):
        assert mounter.filesystem(export) is None
        mounter.mount(export, "")
        first = mounter.filesystem(export)
        mounter.mount(other_export, "")
        other = mounter.filesystem(other_export)
        mounter.unmount(export)
        assert mounter.filesystem(export) is None
        mounter.mount(export, "")
        again = mounter.filesystem(export)
        mounter.unmount(export)
        mounter.unmount(other_export)
        assert first
        assert first == again != other

    def test_written_bytes_are_there_after_a_remount(self, mounter, export):
        path = os.path.join(mounter.mount_point(export), "contract")
        mounter.mount(export, "")
        with open(path, "wb") as file:
            file.write(b"kept")
        mounter.unmount(export)
        assert not os.path.exists(path)
        mounter.mount(export, "")
        try:
            with open(path, "rb") as file:
                assert file.read() == b"kept"
            os.unlink(path)
        finally:
            mounter.unmount(export)

    def test_a_file_is_opened_as_its_owner_and_keeps_it(self, mounter, export):
        mounter.mount(export, "")
        path = os.path.join(mounter.mount_point(export), "contract")
        try:
            with open(path, "wb") as file:
                file.write(b"content")
            if os.geteuid() == 0:
                os.chown(path, 4242, 4242)
            os.chmod(path, 0o600)
            before = os.stat(path)
            fd = mounter.open_as_owner(export, "contract", os.O_RDWR)
            os.pwrite(fd, b"CON", 0)
            os.close(fd)
            with open(path, "rb") as file:
                assert file.read() == b"CONtent"
            after = os.stat(path)
            assert after.st_ino == before.st_ino
            assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
            assert after.st_mode == before.st_mode
            os.unlink(path)
        finally:
            mounter.unmount(export)

    def test_what_its_owner_may_not_open_is_denied(self, mounter, export):
        mounter.mount(export, "")
        path = os.path.join(mounter.mount_point(export), "contract")
        try:
            with open(path, "wb"):
                pass
            if os.geteuid() == 0:
                os.chown(path, 4242, 4242)
            os.chmod(path, 0o400)
            with pytest.raises(PermissionError):
                mounter.open_as_owner(export, "contract", os.O_RDWR)
            os.unlink(path)
        finally:
            mounter.unmount(export)

    def test_a_left_over_directory_is_mounted_on(self, mounter, export):
        os.makedirs(mounter.mount_point(export))
        mounter.mount(export, "")
        assert self.is_mounted(mounter, export)
        mounter.unmount(export)

    def test_an_export_with_an_open_file_stays(self, mounter, export):
        mounter.mount(export, "")
        path = os.path.join(mounter.mount_point(export), "contract")
        with open(path, "wb"), pytest.raises(errors.Broken):
            mounter.unmount(export)
        assert self.is_mounted(mounter, export)
        os.unlink(path)
        mounter.unmount(export)


class MountsContract(_Place):
    # Python source for another process: imports, and an expression for a mounter
    # that mounts the same exports in the same place.
    other_imports = ""

    def other_mounter(self, base: str) -> str:
        raise NotImplementedError

    @pytest.fixture
    def mounts(self, base, mounter) -> Mounts:
        return Mounts(base, mounter)

    @contextlib.contextmanager
    def other_process(self, base: str, export: str) -> Iterator[subprocess.Popen]:
        """Yield another worker, which uses *export* until it is told to stop."""
        source = _OTHER_PROCESS.format(
            imports=self.other_imports,
            base=base,
            mounter=self.other_mounter(base),
            export=export,
        )
        with subprocess.Popen(
            [sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout.readline() == "held\n"
                yield process
            finally:
                process.kill()

    @staticmethod
    def let_go(process: subprocess.Popen) -> None:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"

    def test_an_export_is_mounted_while_it_is_used(self, mounts, mounter, export):
        mount = mounts.use(export, "")
        assert self.is_mounted(mounter, export)
        assert os.stat(mount.path).st_dev == mount.device
        mount.close()
        assert not self.is_mounted(mounter, export)

    def test_closing_twice_releases_once(self, mounts, mounter, export):
        first, second = mounts.use(export, ""), mounts.use(export, "")
        first.close()
        first.close()
        assert self.is_mounted(mounter, export)
        second.close()
        assert not self.is_mounted(mounter, export)

    def test_the_last_of_two_users_unmounts(self, mounts, mounter, export):
        first, second = mounts.use(export, ""), mounts.use(export, "")
        assert first.path == second.path
        first.close()
        assert self.is_mounted(mounter, export)
        second.close()
        assert not self.is_mounted(mounter, export)

    def test_an_unmounted_export_can_be_used_again(self, mounts, mounter, export):
        for _time in range(3):
            mounts.use(export, "").close()
        with contextlib.closing(mounts.use(export, "")):
            assert self.is_mounted(mounter, export)
        assert not self.is_mounted(mounter, export)

    def test_exports_are_independent(self, mounts, mounter, export, other_export):
        first, second = mounts.use(export, ""), mounts.use(other_export, "")
        assert first.path != second.path
        first.close()
        assert not self.is_mounted(mounter, export)
        assert self.is_mounted(mounter, other_export)
        second.close()

    def test_files_are_opened_on_the_mount(self, mounts, mounter, export):
        with contextlib.closing(mounts.use(export, "")) as mount:
            with open(os.path.join(mount.path, "contract"), "wb") as file:
                file.write(b"here")
            fd = mount.open("contract", os.O_RDONLY)
            assert os.pread(fd, 10, 0) == b"here"
            os.close(fd)
            os.unlink(os.path.join(mount.path, "contract"))

    def test_a_missing_file_is_not_created(self, mounts, export):
        with contextlib.closing(mounts.use(export, "")) as mount:
            with pytest.raises(FileNotFoundError):
                mount.open("contract", os.O_RDWR)
            assert not os.path.exists(os.path.join(mount.path, "contract"))

    def test_a_symbolic_link_is_not_followed(self, mounts, export, tmp_path):
        (tmp_path / "secret").write_text("of the host")
        with contextlib.closing(mounts.use(export, "")) as mount:
            link = os.path.join(mount.path, "contract")
            os.symlink(tmp_path / "secret", link)
            try:
                with pytest.raises(errors.Broken, match="is a symbolic link"):
                    mount.open("contract", os.O_RDONLY)
            finally:
                os.unlink(link)

    @pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
    def test_nothing_is_opened_after_an_unmount_by_others(
        self, mounts, mounter, export, flags
    ):
        mount = mounts.use(export, "")
        mounter.unmount(export)
        stray = os.path.join(mount.path, "contract")
        with open(stray, "wb") as file:
            file.write(b"on the host's own disk")
        with pytest.raises(errors.Broken, match="no longer the mount"):
            mount.open("contract", flags)
        mount.close()
        os.unlink(stray)

    def test_a_file_missing_after_an_unmount_is_not_called_missing(
        self, mounts, mounter, export
    ):
        """Else the operator would look for it on the array."""
        mount = mounts.use(export, "")
        mounter.unmount(export)
        with pytest.raises(errors.Broken, match="no longer the mount"):
            mount.open("contract", os.O_RDONLY)
        mount.close()

    def test_an_export_unmounted_by_others_is_mounted_again(
        self, mounts, mounter, export
    ):
        first = mounts.use(export, "")
        mounter.unmount(export)
        second = mounts.use(export, "")
        assert self.is_mounted(mounter, export)
        first.close()
        assert self.is_mounted(mounter, export)
        second.close()
        assert not self.is_mounted(mounter, export)

    def test_upstream_left_over_directory_is_mounted_on(
        self, mounts, mounter, base, export
    ):
        os.makedirs(mounter.mount_point(export))
        with contextlib.closing(mounts.use(export, "")):
            assert self.is_mounted(mounter, export)

    def test_threads_share_the_mount(self, mounts, mounter, export):
        """A mount stays as long as one thread uses it."""
        threads, rounds = 8, 5
        together = threading.Barrier(threads)
        unmounted: list[int] = []
        failures: list[BaseException] = []

        def use(number: int) -> None:
            try:
                together.wait()
                for _round in range(rounds):
                    with contextlib.closing(mounts.use(export, "")) as mount:
                        if os.stat(mount.path).st_dev != mount.device:
                            unmounted.append(number)
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=use, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not failures
        assert not unmounted
        assert not self.is_mounted(mounter, export)

    def test_another_process_keeps_the_mount(self, mounts, mounter, base, export):
        mount = mounts.use(export, "")
        with self.other_process(base, export) as other:
            mount.close()
            assert self.is_mounted(mounter, export)
            self.let_go(other)
            assert not self.is_mounted(mounter, export)

    def test_this_process_keeps_the_mount_of_another(
        self, mounts, mounter, base, export
    ):
        with self.other_process(base, export) as other:
            mount = mounts.use(export, "")
            self.let_go(other)
            assert self.is_mounted(mounter, export)
        mount.close()
        assert not self.is_mounted(mounter, export)

    def test_upstream_the_mount_of_a_sibling_stays(self, mounts, mounter, base, export):
        with self.other_process(base, export) as other:
            assert mounts.unmount_unused() == []
            assert self.is_mounted(mounter, export)
            self.let_go(other)

    def test_a_killed_process_counts_for_nothing(self, mounts, mounter, base, export):
        with self.other_process(base, export) as other:
            mount = mounts.use(export, "")
            other.send_signal(signal.SIGKILL)
            other.wait()
            assert self.is_mounted(mounter, export)
            mount.close()
            assert not self.is_mounted(mounter, export)

    def test_the_mount_of_a_killed_process_is_unmounted(
        self, mounts, mounter, base, export
    ):
        with self.other_process(base, export) as other:
            other.send_signal(signal.SIGKILL)
            other.wait()
        assert self.is_mounted(mounter, export)
        assert mounts.unmount_unused() == [export]
        assert not self.is_mounted(mounter, export)
        assert mounts.unmount_unused() == []

    def test_the_first_use_unmounts_what_a_killed_process_left(
        self, mounts, mounter, base, export, other_export
    ):
        with self.other_process(base, export) as other:
            other.send_signal(signal.SIGKILL)
            other.wait()
        assert self.is_mounted(mounter, export)
        with contextlib.closing(mounts.use(other_export, "")):
            mounts.cleaning.join()
            assert not self.is_mounted(mounter, export)
            assert self.is_mounted(mounter, other_export)

    def test_without_any_mount_nothing_is_unmounted(self, mounts, base):
        assert mounts.unmount_unused() == []
