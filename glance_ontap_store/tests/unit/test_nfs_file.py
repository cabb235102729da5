# SPDX-License-Identifier: Apache-2.0
import errno
import os
import types

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import file as nfs_file
from glance_ontap_store.attach.nfs.connection import NfsConnection
from glance_ontap_store.attach.nfs.file import FileDevice
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

    def test_a_read_that_brings_a_part_only_goes_on(self, device, monkeypatch):
        whole = os.pread
        device.write_at(0, b"abcdefgh")
        monkeypatch.setattr(os, "pread", lambda fd, n, at: whole(fd, min(3, n), at))
        assert device.read_at(0, 8) == b"abcdefgh"
        assert device.read_at(1, 100) == b"bcdefgh"
        assert device.read_at(8, 100) == b""

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
    def test_a_file_system_that_knows_no_holes_has_none(
        self, device, monkeypatch, code
    ):
        def refused(*_args):
            raise OSError(code, os.strerror(code))

        device.ensure(1_000_000)
        monkeypatch.setattr(os, "lseek", refused)
        extent = device.extent(0)
        assert not extent.is_hole
        assert extent.end >= 1_000_000

    def test_another_error_of_the_file_system_is_one(self, device, monkeypatch):
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

    def test_a_file_of_zeros_that_were_written_is_not_known_to_be_blank(self, device):
        device.write_at(0, bytes(1_000_000))
        device.sync()
        assert not device.is_blank()

    def test_advice_is_never_an_error(self, device, monkeypatch):
        def refused(*_args):
            raise OSError(errno.EINVAL, "no")

        monkeypatch.setattr(os, "posix_fadvise", refused)
        device.forget(0, 10)

    @pytest.mark.parametrize(
        ("begin", "is_qcow2"),
        [(b"QFI\xfb\0\0\0\3", True), (b"QFI", False), (b"", False), (b"\0" * 8, False)],
    )
    def test_qcow2_is_told_by_its_first_bytes(self, device, begin, is_qcow2):
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
    def test_mounted_while_it_is_open(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro") as opened:
            assert opened.read_at(0, 100) == b"content"
            assert len(cloud.mounter.mounted()) == 1
            assert opened.name == f"{EXPORT}/volume-7"
        assert not cloud.mounter.mounted()

    def test_cinders_mount_options_are_used(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro"):
            assert cloud.mounter.options[EXPORT] == "vers=4.1"

    def test_written(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "rw") as opened:
            opened.write_at(0, b"CON")
        with open(path, "rb") as file:
            assert file.read() == b"CONtent"

    def test_a_reader_cannot_write(self, cloud, path):
        with nfs_file.opened(NFS, cloud.mounts, "ro") as opened:
            with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
                opened.write_at(0, b"x")

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_missing_file_is_not_made(self, cloud, mode):
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


class Owner:
    """Who may open the file: nobody but its owner, as on an export with 0660.

    The tests may run as root, whom nothing is denied: the kernel's answer is
    given here, everything else is real.
    """

    def __init__(self, monkeypatch, path, uid):
        self.uid = uid
        self.changes = []
        self.error = None
        real_open, real_lstat = os.open, os.lstat

        def open_(name, flags, *args, **kwargs):
            if name == "volume-7" and self.uid != os.geteuid():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real_open(name, flags, *args, **kwargs)

        def lstat(name, **kwargs):
            found = real_lstat(name, **kwargs)
            if str(name).endswith("volume-7"):
                values = list(found)
                values[4] = self.uid
                return os.stat_result(values)
            return found

        monkeypatch.setattr(os, "open", open_)
        monkeypatch.setattr(os, "lstat", lstat)

    def change(self, path, uid):
        self.changes.append(uid)
        if self.error and len(self.changes) >= self.error[0]:
            raise self.error[1]
        self.uid = uid


CINDER = 64061
DENIED = PermissionError(errno.EPERM, "squashed")


class TestPermissions:
    @pytest.fixture
    def owner(self, monkeypatch, path):
        return Owner(monkeypatch, path, CINDER)

    def test_cinders_file_is_ours_meanwhile(self, cloud, owner):
        with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change) as opened:
            assert owner.uid == os.geteuid()
            opened.write_at(0, b"CON")
        assert owner.uid == CINDER

    def test_given_back_after_an_error(self, cloud, owner):
        with pytest.raises(KeyError):
            with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
                raise KeyError
        assert owner.uid == CINDER

    def test_a_file_that_may_be_opened_is_left_alone(self, cloud, owner):
        owner.uid = os.geteuid()
        with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
            pass
        assert owner.changes == []

    def test_root_is_squashed(self, cloud, owner):
        owner.error = (1, DENIED)
        with pytest.raises(errors.WriteDenied, match="nas_secure_file_permissions"):
            with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
                pass
        assert not cloud.mounter.mounted()

    def test_still_denied_after_the_change(self, cloud, owner, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 4242)

        def change(path, uid):
            owner.changes.append(uid)

        with pytest.raises(errors.WriteDenied):
            with nfs_file.opened(NFS, cloud.mounts, "rw", change):
                pass
        assert owner.changes == [4242, CINDER]

    def test_giving_back_fails_after_an_error(self, cloud, owner):
        owner.error = (2, DENIED)
        with pytest.raises(KeyError) as caught:
            with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
                raise KeyError("first")
        assert "squashed" in errors.describe(caught.value)
        assert not cloud.mounter.mounted()

    def test_giving_back_fails_after_all_went_well(self, cloud, owner):
        """What was written is there; but the operator must hear of the owner."""
        owner.error = (2, DENIED)
        with pytest.raises(errors.StoreError, match="squashed"):
            with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
                pass
        assert not cloud.mounter.mounted()

    def test_a_link_is_not_given_to_anybody(self, cloud, path, monkeypatch):
        os.unlink(path)
        os.symlink("/etc/shadow", path)
        owner = Owner(monkeypatch, path, CINDER)
        with pytest.raises(errors.StoreError):
            with nfs_file.opened(NFS, cloud.mounts, "rw", owner.change):
                pass
        assert owner.changes == []
