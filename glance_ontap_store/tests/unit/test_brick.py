# SPDX-License-Identifier: Apache-2.0
"""os-brick's client, up to the command that would run as root."""

import os
import pathlib
import re
import socket

from oslo_concurrency import processutils
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import brick
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.brick import Brick
from glance_ontap_store.attach.nfs import mounter as nfs_mounter
from glance_ontap_store.attach.nfs.mounter import NfsMounter

EXPORT = "192.0.2.1:/fv1"


class Kernel:
    """Takes the commands that would run as root."""

    def __init__(self):
        self.commands = []
        self.accepts = lambda arguments: True
        self.error = None

    def mount(self, *arguments):
        self.commands.append(arguments)
        if self.error:
            raise self.error
        if not self.accepts(arguments):
            raise processutils.ProcessExecutionError(stderr="Protocol not supported")
        return "", ""

    def unmount(self, path):
        self.commands.append(("umount", path))
        if self.error:
            raise self.error


@pytest.fixture
def kernel(monkeypatch):
    found = Kernel()
    monkeypatch.setattr(privilege, "mount", found.mount)
    monkeypatch.setattr(privilege, "unmount", found.unmount)
    return found


@pytest.fixture
def mounter(tmp_path):
    return NfsMounter(str(tmp_path))


def options_of(command):
    return set(command[command.index("-o") + 1].split(","))


class TestNfsMounter:
    def test_the_newest_nfs_is_asked_for_first(self, kernel, mounter, tmp_path):
        mounter.mount(EXPORT, "")
        (command,) = kernel.commands
        assert command[-2:] == (EXPORT, mounter.mount_point(EXPORT))
        assert {"vers=4", "minorversion=2"} <= options_of(command)
        assert os.path.isdir(mounter.mount_point(EXPORT))

    def test_older_ones_follow(self, kernel, mounter):
        kernel.accepts = lambda arguments: "vers=4" not in options_of(arguments)
        mounter.mount(EXPORT, "")
        assert len(kernel.commands) == 3

    @pytest.mark.parametrize("options", ["vers=3", "nfsvers=4.1", "v3"])
    def test_a_version_that_is_named_is_the_only_one(self, kernel, mounter, options):
        mounter.mount(EXPORT, f"{options},lookupcache=pos")
        (command,) = kernel.commands
        assert {options, "lookupcache=pos"} <= options_of(command)
        assert "minorversion=2" not in options_of(command)

    @pytest.mark.parametrize("options", ["", "vers=3", "lookupcache=pos"])
    def test_nothing_on_it_is_run_or_a_device(self, kernel, mounter, options):
        kernel.accepts = lambda arguments: False
        with pytest.raises(errors.Broken):
            mounter.mount(EXPORT, options)
        assert kernel.commands
        for command in kernel.commands:
            assert {"nosuid", "nodev", "noexec"} <= options_of(command)

    def test_what_cannot_be_mounted(self, kernel, mounter):
        kernel.accepts = lambda arguments: False
        with pytest.raises(errors.Broken, match="Check the export policy"):
            mounter.mount(EXPORT, "")

    def test_the_helper_does_not_start(self, kernel, mounter):
        kernel.error = RuntimeError("sudo: a password is required")
        with pytest.raises(errors.Broken, match="password is required"):
            mounter.mount(EXPORT, "")

    def test_the_mount_point_is_the_same_in_every_process(self, mounter, tmp_path):
        """Known by heart: what another version mounted must be found."""
        assert mounter.mount_point(EXPORT) == str(
            tmp_path / "fcbf5ba3109d8b722ef3886bab36512d"
        )

    def test_unmounted(self, kernel, mounter):
        mounter.unmount(EXPORT)
        assert kernel.commands == [("umount", mounter.mount_point(EXPORT))]

    def test_busy(self, kernel, mounter):
        kernel.error = processutils.ProcessExecutionError(stderr="target is busy")
        with pytest.raises(errors.Broken, match="target is busy"):
            mounter.unmount(EXPORT)


class TestExecute:
    @pytest.mark.parametrize("command", ["mkdir", "umount", "chown", "sh", "mount.nfs"])
    def test_nothing_but_mount_runs_as_root(self, kernel, command):
        with pytest.raises(AssertionError, match=command):
            nfs_mounter._execute(command, "-x", run_as_root=True, root_helper="sudo")
        assert kernel.commands == []

    def test_mount_runs_in_our_own_daemon(self, kernel):
        nfs_mounter._execute("mount", "-t", "nfs", run_as_root=True, root_helper="sudo")
        assert kernel.commands == [("-t", "nfs")]

    def test_the_rest_runs_as_ourselves(self, kernel):
        out, _err = nfs_mounter._execute("id", "-u", root_helper="sudo")
        assert int(out) == os.geteuid()
        assert kernel.commands == []


class TestConnector:
    def test_asked_for_once(self, monkeypatch):
        asked = []

        def properties(helper, address, *args, **kwargs):
            asked.append((helper, address, kwargs["host"]))
            return {"host": kwargs["host"]}

        monkeypatch.setattr(brick.connector, "get_connector_properties", properties)
        host = Brick("/etc/glance/rootwrap.conf")
        assert host.connector == host.connector == {"host": socket.gethostname()}
        ((helper, address, _name),) = asked
        assert helper == "sudo glance-rootwrap /etc/glance/rootwrap.conf"
        assert address

    def test_it_cannot_be_learned(self, monkeypatch):
        def properties(*args, **kwargs):
            raise RuntimeError("sudo: a password is required")

        monkeypatch.setattr(brick.connector, "get_connector_properties", properties)
        host = Brick("/opt/rootwrap.conf")
        with pytest.raises(errors.Broken, match="/opt/rootwrap"):
            _ = host.connector

    def test_a_host_without_a_name_in_the_network(self, monkeypatch):
        def unknown(*args):
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        assert brick._address_of("glance-1") == "127.0.0.1"


class TestRootwrapFilters:
    """``etc/glance/rootwrap.d/glance_ontap_store.filters``."""

    FILTERS = (
        pathlib.Path(__file__).parents[3]
        / "etc/glance/rootwrap.d/glance_ontap_store.filters"
    )

    def permits(self, command):
        for line in self.FILTERS.read_text().splitlines():
            if "RegExpFilter" not in line:
                continue
            kind, _exec, user, *patterns = line.partition(": ")[2].split(", ")
            assert (kind, user) == ("RegExpFilter", "root")
            words = command.split()
            if len(words) == len(patterns) and all(
                re.fullmatch(pattern, word)
                for pattern, word in zip(patterns, words, strict=True)
            ):
                return True
        return False

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize(
        "context", [privilege.context.pypath, "os_brick.privileged.default"]
    )
    def test_both_daemons_start(self, count, context):
        files = " ".join(["--config-file /etc/glance/glance-api.conf"] * count)
        assert self.permits(
            f"privsep-helper {files} --privsep_context {context}"
            " --privsep_sock_path /tmp/tmpx1/privsep.sock"
        )

    @pytest.mark.parametrize(
        "command",
        [
            "mount -t nfs a:/b /mnt",
            "privsep-helper --privsep_context os.system --privsep_sock_path /tmp/x",
            "privsep-helper --config-file /etc/x --privsep_context evil.context"
            " --privsep_sock_path /tmp/x",
            "privsep-helper --config-file /tmp/x --privsep_context"
            f" {privilege.context.pypath} --privsep_sock_path /tmp/x",
            "privsep-helper --config-file /etc/../tmp/x --privsep_context"
            f" {privilege.context.pypath} --privsep_sock_path /tmp/x",
        ],
    )
    def test_nothing_else_does(self, command):
        assert not self.permits(command)


class TestPrivilege:
    """What the daemon does, in this process: the entry points' own bodies."""

    @pytest.fixture
    def here(self):
        privilege.context.set_client_mode(False)
        yield
        privilege.context.set_client_mode(True)

    @pytest.fixture
    def ran(self, monkeypatch):
        ran = []
        monkeypatch.setattr(
            processutils, "execute", lambda *words: ran.append(words) or ("", "")
        )
        return ran

    def test_mount(self, here, ran):
        privilege.mount("-t", "nfs", EXPORT, "/mnt")
        assert ran == [("mount", "-t", "nfs", EXPORT, "/mnt")]

    def test_unmount(self, here, ran):
        privilege.unmount("/mnt")
        assert ran == [("umount", "/mnt")]

    def test_a_link_is_changed_itself(self, here, tmp_path, monkeypatch):
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_text("")
        link.symlink_to(target)
        changed = []
        monkeypatch.setattr(
            os,
            "chown",
            lambda path, uid, gid, follow_symlinks=True: changed.append(
                (path, uid, gid, follow_symlinks)
            ),
        )
        privilege.change_owner(str(link), 7)
        assert changed == [(str(link), 7, -1, False)]
