# SPDX-License-Identifier: Apache-2.0
"""os-brick's client, up to what the helper that runs as root is asked to do."""

from importlib import metadata
import os

from oslo_concurrency import processutils
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import handover
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.nfs.mounter import NfsMounter

EXPORT = "192.0.2.1:/fv1"
V42 = "vers=4,minorversion=2"
V41 = "vers=4,minorversion=1"
# The order of os-brick, the empty text for the version that the host chooses.
OS_BRICK = int(metadata.version("os-brick").split(".")[0])
ORDER = [V42, V41, ""] if OS_BRICK >= 7 else [V41, ""]


class Helper:
    """Takes the calls that would go to the helper that runs as root."""

    def __init__(self):
        self.mounts = []
        self.unmounts = []
        self.opens = []
        self.sent = True
        self.accepts = lambda options: True
        self.error = None

    def mount(self, base, export, options):
        self.mounts.append((base, export, options))
        if self.error:
            raise self.error
        if not self.accepts(options):
            raise processutils.ProcessExecutionError(stderr="Protocol not supported")

    def unmount(self, base, export):
        self.unmounts.append((base, export))
        if self.error:
            raise self.error

    def open_as_owner(self, base, export, name, writable, address, receiver):
        self.opens.append((base, export, name, writable, receiver))
        if self.error:
            raise self.error
        if self.sent:
            with open(os.devnull) as file:
                handover.send(file.fileno(), address, receiver)


@pytest.fixture
def helper(monkeypatch):
    found = Helper()
    for name in ("mount", "unmount", "open_as_owner"):
        monkeypatch.setattr(privilege, name, getattr(found, name))
    return found


@pytest.fixture
def base(tmp_path):
    return str(tmp_path)


@pytest.fixture
def mounter(base):
    return NfsMounter(base)


class TestMount:
    def test_the_newest_nfs_is_asked_for_first(self, helper, mounter, base):
        mounter.mount(EXPORT, "")
        assert helper.mounts == [(base, EXPORT, ORDER[0])]
        assert os.path.isdir(mounter.mount_point(EXPORT))

    def test_older_versions_follow(self, helper, mounter):
        helper.accepts = lambda options: "vers=4" not in options
        mounter.mount(EXPORT, "")
        assert [options for _base, _export, options in helper.mounts] == ORDER

    @pytest.mark.parametrize("options", ["vers=3", "nfsvers=4.1", "v3"])
    def test_a_named_version_is_the_only_one(self, helper, mounter, base, options):
        mounter.mount(EXPORT, f"{options},lookupcache=pos")
        assert helper.mounts == [(base, EXPORT, f"{options},lookupcache=pos")]

    def test_a_failed_mount_names_the_export_policy(self, helper, mounter):
        helper.accepts = lambda options: False
        with pytest.raises(errors.Broken, match="Check the export policy"):
            mounter.mount(EXPORT, "")

    def test_a_helper_that_does_not_start_is_reported(self, helper, mounter):
        helper.error = RuntimeError("sudo: a password is required")
        with pytest.raises(errors.Broken, match="password is required"):
            mounter.mount(EXPORT, "")

    def test_the_same_error_of_all_versions_is_told_once(self, helper, mounter):
        """os-brick tells it for each, as a dict."""
        helper.error = RuntimeError("sudo: a password is required")
        with pytest.raises(errors.Broken) as raised:
            mounter.mount(EXPORT, "")
        assert len(helper.mounts) == len(ORDER)
        assert str(raised.value).count("password is required") == 1
        assert "{" not in str(raised.value)

    @pytest.mark.parametrize("dangling", [True, False])
    def test_a_symbolic_link_at_the_mount_point_is_refused(
        self, helper, mounter, tmp_path, dangling
    ):
        target = tmp_path / "target"
        if not dangling:
            target.mkdir()
        os.symlink(target, mounter.mount_point(EXPORT))
        with pytest.raises(errors.Broken, match="perhaps a symbolic link"):
            mounter.mount(EXPORT, "")
        assert helper.mounts == []

    def test_a_file_at_the_mount_point_is_refused(self, helper, mounter):
        with open(mounter.mount_point(EXPORT), "w"):
            pass
        with pytest.raises(errors.Broken, match="is not a directory"):
            mounter.mount(EXPORT, "")
        assert helper.mounts == []

    def test_a_plain_directory_is_not_a_mount(self, mounter):
        assert mounter.filesystem(EXPORT) is None
        os.mkdir(mounter.mount_point(EXPORT))
        assert mounter.filesystem(EXPORT) is None


class TestUnmount:
    def test_the_helper_is_told_the_export(self, helper, mounter, base):
        mounter.unmount(EXPORT)
        assert helper.unmounts == [(base, EXPORT)]

    def test_a_busy_export_is_reported(self, helper, mounter):
        helper.error = OSError(16, "Device or resource busy")
        with pytest.raises(errors.Broken, match="resource busy"):
            mounter.unmount(EXPORT)


class TestOpenAsOwner:
    @pytest.fixture
    def mounter(self, base, monkeypatch):
        """A mounter for tests that need not be root, which the helper is."""
        monkeypatch.setattr(handover.Inbox.take, "__defaults__", (os.geteuid(),))
        return NfsMounter(base)

    @pytest.mark.parametrize(
        ("flags", "writable"), [(os.O_RDONLY, False), (os.O_RDWR, True)]
    )
    def test_the_helpers_descriptor_is_returned(
        self, helper, mounter, base, flags, writable
    ):
        fd = mounter.open_as_owner(EXPORT, "volume-7", flags)
        assert os.readlink(f"/proc/self/fd/{fd}") == os.devnull
        os.close(fd)
        assert helper.opens == [(base, EXPORT, "volume-7", writable, os.geteuid())]

    @pytest.mark.parametrize(
        ("raised", "expected"),
        [
            (PermissionError(13, "squashed"), PermissionError),
            (errors.Broken("is a FIFO"), errors.Broken),
            (RuntimeError("the helper died"), errors.Broken),
        ],
    )
    def test_every_failure_has_its_meaning(self, helper, mounter, raised, expected):
        helper.error = raised
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(expected, match=str(raised.args[-1])):
            mounter.open_as_owner(EXPORT, "volume-7", os.O_RDWR)
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_helper_that_sends_nothing_is_reported(self, helper, mounter):
        helper.sent = False
        with pytest.raises(errors.Broken, match="did not arrive"):
            mounter.open_as_owner(EXPORT, "volume-7", os.O_RDWR)


class TestOpenRoot:
    def test_a_directory_that_may_not_be_read_is_found(
        self, mounter, base, monkeypatch
    ):
        """One of mode 0750 that belongs to Cinder's user."""
        os.mkdir(mounter.mount_point(EXPORT))
        real_open = os.open

        def open_(path, flags, *args, **kwargs):
            if not flags & os.O_PATH:
                raise PermissionError(13, "Permission denied")
            return real_open(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", open_)
        fd = mounter.open_root(EXPORT)
        assert os.fstat(fd).st_ino == os.stat(mounter.mount_point(EXPORT)).st_ino
        os.close(fd)


class TestExecute:
    @pytest.mark.parametrize(
        "command",
        [
            ("mkdir", "-p", "/etc/x"),
            ("umount", "/etc"),
            ("mount", "--bind", "/etc", "/mnt"),
            ("mount", "-t", "nfs", "-o", "vers=3", EXPORT, "/etc"),
            ("mount", "-t", "tmpfs", "-o", "", "none", "/mnt"),
        ],
    )
    def test_nothing_but_our_mount_runs_as_root(self, helper, mounter, command):
        with pytest.raises(AssertionError, match=command[0]):
            mounter._execute(*command, run_as_root=True, root_helper="sudo")
        assert helper.mounts == []

    def test_other_commands_run_as_glances_user(self, helper, mounter):
        out, _err = mounter._execute("id", "-u", root_helper="sudo")
        assert int(out) == os.geteuid()
        assert helper.mounts == []
