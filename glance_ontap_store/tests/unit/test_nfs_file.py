# SPDX-License-Identifier: Apache-2.0
import errno
import os
import socket
import stat
import types

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import file as nfs_file
from glance_ontap_store.attach.nfs.connection import NfsConnection
from glance_ontap_store.attach.nfs.file import FileDevice
from glance_ontap_store.attach.transport import Access
from glance_ontap_store.tests.conformance.device import DeviceContract

EXPORT = "192.0.2.1:/fv1"
NFS = NfsConnection(EXPORT, "volume-7", "vers=4.1")


class TestFileDevice(DeviceContract):
    @pytest.fixture
    def device(self, tmp_path):
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        yield FileDevice(fd, "file")
        os.close(fd)

    def test_a_write_that_takes_a_part_only_goes_on(self, device, monkeypatch):
        whole = os.pwrite
        monkeypatch.setattr(
            os, "pwrite", lambda fd, data, at: whole(fd, bytes(data)[:3], at)
        )
        device.write_at(5, b"abcdefgh")
        assert device.read_at(5, 100) == b"abcdefgh"

    def test_a_short_read_is_continued(self, device, monkeypatch):
        whole = os.pread
        device.write_at(0, b"abcdefgh")
        monkeypatch.setattr(os, "pread", lambda fd, n, at: whole(fd, min(3, n), at))
        assert device.read_at(0, 8) == b"abcdefgh"
        assert device.read_at(1, 100) == b"bcdefgh"
        assert device.read_at(8, 100) == b""

    @pytest.mark.parametrize(
        "code", [errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM]
    )
    def test_a_file_system_without_holes_reports_none(self, device, monkeypatch, code):
        def refused(*_args):
            raise OSError(code, os.strerror(code))

        device.ensure(1_000_000)
        monkeypatch.setattr(os, "lseek", refused)
        extent = device.extent(0)
        assert not extent.is_hole
        assert extent.end >= 1_000_000

    def test_another_error_of_the_file_system_is_raised(self, device, monkeypatch):
        def broken(*_args):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        device.ensure(1_000_000)
        monkeypatch.setattr(os, "lseek", broken)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            device.extent(0)

    def test_a_file_that_is_one_hole_is_blank(self, device):
        device.ensure(1_000_000)
        assert device.is_blank()

    @pytest.mark.parametrize("blocks", [0, 8])
    def test_a_file_system_without_seek_data_tells_by_the_space_used(
        self, device, monkeypatch, blocks
    ):
        """NFS before 4.2 says of any file that all of it is data."""
        status = types.SimpleNamespace(st_blocks=blocks)
        with monkeypatch.context() as patched:
            patched.setattr(os, "lseek", lambda fd, offset, whence: offset)
            patched.setattr(os, "fstat", lambda fd: status)
            assert device.is_blank() is (not blocks)

    def test_a_file_of_written_zeros_is_not_blank(self, device):
        device.write_at(0, bytes(1_000_000))
        device.sync()
        assert not device.is_blank()

    def test_refused_advice_is_not_an_error(self, device, monkeypatch):
        def refused(*_args):
            raise OSError(errno.EINVAL, "no")

        monkeypatch.setattr(os, "posix_fadvise", refused)
        device.forget(0, 10)

    @pytest.mark.parametrize(
        ("begin", "is_qcow2"),
        [(b"QFI\xfb\0\0\0\3", True), (b"QFI", False), (b"", False), (b"\0" * 8, False)],
    )
    def test_qcow2_is_recognised_by_its_first_bytes(self, device, begin, is_qcow2):
        device.write_at(0, begin)
        assert device.holds_qcow2() is is_qcow2


@pytest.fixture
def path(cloud):
    """The volume's file on the FlexVol."""
    found = os.path.join(cloud.mounter.directory(EXPORT), "volume-7")
    with open(found, "wb") as file:
        file.write(b"content")
    return found


class TestOpened:
    def test_the_export_is_mounted_while_the_file_is_open(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro") as opened:
            assert opened.read_at(0, 100) == b"content"
            assert len(cloud.mounter.mounted()) == 1
            assert opened.name == f"{EXPORT}/volume-7"
        assert not cloud.mounter.mounted()

    def test_cinders_mount_options_are_used(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro"):
            assert cloud.mounter.options[EXPORT] == "vers=4.1"

    def test_written_bytes_are_in_the_file(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "rw") as opened:
            opened.write_at(0, b"CON")
        with open(path, "rb") as file:
            assert file.read() == b"CONtent"

    def test_a_reader_cannot_write(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro") as opened:
            with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
                opened.write_at(0, b"x")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_missing_file_is_not_created(self, cloud, mode):
        with pytest.raises(errors.Broken, match="has no file 'volume-7'"):
            with nfs_file.opened(NFS, cloud.mounts, mode):
                pass
        assert os.listdir(cloud.mounter.directory(EXPORT)) == []
        assert not cloud.mounter.mounted()

    def test_no_file_descriptor_is_left(self, cloud, path):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(KeyError), nfs_file.opened(NFS, cloud.mounts, "rw"):
            raise KeyError
        assert len(os.listdir("/proc/self/fd")) == len(before)
        assert not cloud.mounter.mounted()


class TestSpecialFiles:
    """The FlexVol is shared: anything may be placed there under a volume's name."""

    @pytest.fixture
    def place(self, cloud):
        return os.path.join(cloud.mounter.directory(EXPORT), "volume-7")

    def refused(self, cloud, mode, match):
        with pytest.raises(errors.Broken, match=match):
            with nfs_file.opened(NFS, cloud.mounts, mode):
                pass
        assert not cloud.mounter.mounted()

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_fifo_does_not_hang(self, cloud, place, mode):
        os.mkfifo(place)
        self.refused(cloud, mode, "'volume-7' on .* is a FIFO and not a regular file")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_directory_is_refused(self, cloud, place, mode):
        os.mkdir(place)
        self.refused(cloud, mode, "is a directory")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_socket_is_refused(self, cloud, place, mode, monkeypatch):
        # Relative, because the path of a socket must be short.
        monkeypatch.chdir(os.path.dirname(place))
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("volume-7")
            self.refused(cloud, mode, "is a socket")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_symbolic_link_is_refused(self, cloud, place, mode, tmp_path):
        (tmp_path / "secret").write_text("of the host")
        os.symlink(tmp_path / "secret", place)
        self.refused(cloud, mode, "is a symbolic link")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_character_device_is_refused(self, cloud, place, mode):
        """It would be read as endless zeros, and served as an image."""
        try:
            os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root can make a device")
        self.refused(cloud, mode, "is a character device")

    def test_a_fifo_that_appears_after_the_look_is_refused(
        self, cloud, path, monkeypatch
    ):
        real_open = os.open

        def swapping(name, *args, **kwargs):
            if name == "volume-7":
                os.unlink(path)
                os.mkfifo(path)
            return real_open(name, *args, **kwargs)

        monkeypatch.setattr(os, "open", swapping)
        before = len(os.listdir("/proc/self/fd"))
        self.refused(cloud, "ro", "is a FIFO")
        assert len(os.listdir("/proc/self/fd")) == before


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestReleases:
    """NFS can report an error of delayed writes again when the file is closed."""

    @pytest.fixture
    def close_fails(self, monkeypatch, path):
        real_close = os.close

        def close(fd):
            is_the_file = os.readlink(f"/proc/self/fd/{fd}").endswith("volume-7")
            real_close(fd)
            if is_the_file:
                raise FULL

        monkeypatch.setattr(os, "close", close)

    def test_an_error_of_close_does_not_replace_the_earlier_one(
        self, cloud, close_fails
    ):
        with pytest.raises(errors.WrongLength, match="first") as caught:
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                raise errors.WrongLength("first")
        assert os.strerror(errno.ENOSPC) in errors.describe(caught.value)
        assert not cloud.mounter.mounted()

    def test_an_error_of_close_alone_is_an_error_of_ours(self, cloud, close_fails):
        with pytest.raises(errors.NoSpace, match=r"fv1/volume-7"):
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                pass
        assert not cloud.mounter.mounted()

    @pytest.fixture
    def lock_fails(self, cloud):
        """The directory of the lock files becomes unusable while the file is open."""

        def fail():
            locks = os.path.join(cloud.base, ".locks")
            os.rename(locks, f"{locks}.away")
            with open(locks, "w"):
                pass

        return fail

    def test_an_unmount_that_fails_does_not_replace_the_earlier_error(
        self, cloud, path, lock_fails
    ):
        with pytest.raises(errors.WrongLength, match="first") as caught:
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                lock_fails()
                raise errors.WrongLength("first")
        assert "ontap_mount_point_base" in errors.describe(caught.value)

    def test_an_unmount_that_fails_alone_is_an_error_of_ours(
        self, cloud, path, lock_fails
    ):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(errors.Misconfigured, match="ontap_mount_point_base"):
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                lock_fails()
        assert len(os.listdir("/proc/self/fd")) == before


class Denied:
    """Makes opening of the volume's file by this process fail.

    The tests may run as root, which may open anything, so the kernel's answer is made
    up here. The helper is the fake mounter's, and counts what it opens.
    """

    def __init__(self, monkeypatch, mounter):
        self.code = errno.EACCES
        self.helper_error = None
        self.helped = []
        real_open, real_helper = os.open, mounter.open_as_owner

        def open_(name, flags, *args, **kwargs):
            if name == "volume-7" and self.code:
                raise OSError(self.code, os.strerror(self.code))
            return real_open(name, flags, *args, **kwargs)

        def open_as_owner(export, name, flags):
            self.helped.append((export, name, flags))
            if self.helper_error:
                raise self.helper_error
            return real_helper(export, name, flags)

        monkeypatch.setattr(os, "open", open_)
        monkeypatch.setattr(mounter, "open_as_owner", open_as_owner)


class TestPermissions:
    @pytest.fixture
    def denied(self, monkeypatch, cloud, path):
        return Denied(monkeypatch, cloud.mounter)

    @pytest.mark.parametrize(
        ("mode", "flags"), [("ro", os.O_RDONLY), ("rw", os.O_RDWR)]
    )
    def test_the_helper_opens_a_file_that_only_its_owner_may(
        self, cloud, denied, path, mode, flags
    ):
        before = os.stat(path)
        with nfs_file.opened(NFS, cloud.mounts, mode) as opened:
            assert opened.read_at(0, 100) == b"content"
            assert opened.access().through_helper
        assert denied.helped == [(EXPORT, "volume-7", flags)]
        after = os.stat(path)
        assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
        assert not cloud.mounter.mounted()

    def test_a_file_that_may_be_opened_needs_no_helper(self, cloud, denied, path):
        denied.code = 0
        os.chmod(path, 0o640)
        with nfs_file.opened(NFS, cloud.mounts, "rw") as opened:
            assert opened.access() == Access(
                owner=os.geteuid(),
                group=os.stat(path).st_gid,
                mode=0o640,
                through_helper=False,
            )
        assert denied.helped == []

    def test_the_helper_is_not_asked_after_another_error(self, cloud, denied):
        denied.code = errno.EROFS
        with pytest.raises(errors.WriteDenied, match="export policy"):
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                pass
        assert denied.helped == []

    def test_a_file_that_nobody_may_open_names_both_users(self, cloud, denied):
        denied.helper_error = PermissionError(errno.EACCES, "squashed")
        with pytest.raises(errors.WriteDenied, match="Cinder's group") as caught:
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                pass
        assert f"Glance's user {os.geteuid()}" in str(caught.value)
        assert "squashed" in str(caught.value)
        assert not cloud.mounter.mounted()

    def test_a_helper_that_fails_is_reported(self, cloud, denied):
        denied.helper_error = errors.Broken("the helper has died")
        with pytest.raises(errors.Broken, match="has died"):
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                pass
        assert not cloud.mounter.mounted()

    def test_no_descriptor_is_left(self, cloud, denied):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(KeyError), nfs_file.opened(NFS, cloud.mounts, "rw"):
            raise KeyError
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_file_elsewhere_is_not_taken_from_the_helper(
        self, cloud, denied, tmp_path, monkeypatch
    ):
        stray = tmp_path / "stray"
        stray.write_text("on the host's own disk")
        monkeypatch.setattr(
            cloud.mounter, "open_as_owner", lambda *_args: os.open(stray, os.O_RDONLY)
        )
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(errors.Broken, match="no longer the mount"):
            with nfs_file.opened(NFS, cloud.mounts, "ro"):
                pass
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_symbolic_link_is_not_opened_by_the_helper(self, cloud, denied, path):
        os.unlink(path)
        os.symlink("/etc/shadow", path)
        with pytest.raises(errors.Broken, match="symbolic link"):
            with nfs_file.opened(NFS, cloud.mounts, "rw"):
                pass
        assert denied.helped == []
