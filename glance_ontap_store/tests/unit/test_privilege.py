# SPDX-License-Identifier: Apache-2.0
"""The helper that runs as root: its checks here, its work in a mount namespace."""

import json
import os
import pathlib
import re
import subprocess
import sys

from oslo_concurrency import processutils
from oslo_config import cfg
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import handover
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.nfs import rules

EXPORT = "192.0.2.1:/fv1"


class TestRootwrapFilters:
    """The filters that the package ships."""

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

    @pytest.mark.parametrize(
        ("files", "directories"),
        [(1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (3, 2)],
    )
    @pytest.mark.parametrize(
        "context", [privilege.context.pypath, "os_brick.privileged.default"]
    )
    def test_both_helpers_may_start(self, files, directories, context):
        configuration = ["--config-file /etc/glance/glance-api.conf"] * files
        configuration += ["--config-dir /etc/glance/glance.conf.d"] * directories
        assert self.permits(
            f"privsep-helper {' '.join(configuration)} --privsep_context {context}"
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
            "privsep-helper --config-file /etc/x/../../tmp/x --privsep_context"
            f" {privilege.context.pypath} --privsep_sock_path /tmp/x",
            "privsep-helper --config-dir /tmp/x --privsep_context"
            f" {privilege.context.pypath} --privsep_sock_path /tmp/x",
            "privsep-helper --config-dir /etc/../tmp/x --privsep_context"
            f" {privilege.context.pypath} --privsep_sock_path /tmp/x",
        ],
    )
    def test_nothing_else_may_start(self, command):
        assert not self.permits(command)


@pytest.fixture
def base(tmp_path):
    found = tmp_path / "mnt"
    found.mkdir()
    return str(found)


@pytest.fixture
def configured(tmp_path, base):
    """The configuration file that the helper was started with."""
    path = tmp_path / "glance-api.conf"
    path.write_text(
        f"""
[DEFAULT]
enabled_backends = fv1:ontap, fv2:ontap, files:file
[backend_defaults]
ontap_mount_point_base = {base}
[fv2]
ontap_mount_point_base = {tmp_path}/other
[files]
ontap_mount_point_base = /etc
"""
    )
    cfg.CONF([], project="glance", default_config_files=[str(path)])
    yield
    cfg.CONF([], project="glance", default_config_files=[])


@pytest.fixture
def here(configured):
    """The entry points' bodies run in this process, as in the helper."""
    privilege.context.set_client_mode(False)
    yield
    privilege.context.set_client_mode(True)


@pytest.fixture
def ran(monkeypatch):
    ran = []
    monkeypatch.setattr(
        processutils, "execute", lambda *words, **_kw: ran.append(words) or ("", "")
    )
    return ran


def test_a_mount_that_takes_too_long_is_killed_with_its_children(monkeypatch, tmp_path):
    """mount(8) waits for mount.nfs, which waits for a server that is gone."""
    monkeypatch.setattr(privilege, "MOUNT_S", 1)
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! > {child}; wait"
    with pytest.raises(processutils.ProcessExecutionError, match="no answer in 1 s"):
        privilege._run("sh", "-c", script)
    process = pathlib.Path("/proc", child.read_text().strip(), "stat")
    # A zombie, until init takes it, has ended too.
    while process.exists() and " Z " not in process.read_text():
        pass


def test_each_ontap_store_has_its_mount_point_base(configured, base, tmp_path):
    assert privilege.mount_point_bases() == {base, f"{tmp_path}/other"}


@pytest.mark.parametrize(
    ("stores", "permitted"), [("ontap", {"/srv/x"}), ("file,http", set())]
)
def test_a_store_without_enabled_backends_can_mount(configured, stores, permitted):
    (path,) = cfg.CONF.config_file
    pathlib.Path(path).write_text(
        f"[glance_store]\nstores = {stores}\nontap_mount_point_base = /srv/x\n"
    )
    assert privilege.mount_point_bases() == permitted


class TestMount:
    def test_the_helper_builds_the_command(self, here, ran, base):
        point = rules.mount_point(base, EXPORT)
        os.mkdir(point)
        privilege.mount(base, EXPORT, "vers=4.1,exec")
        options = "vers=4.1,nosuid,nodev,noexec"
        assert ran == [("mount", "-t", "nfs", "-o", options, "--", EXPORT, point)]

    def test_a_directory_below_the_base_may_be_a_base(self, here, ran, base):
        below = os.path.join(base, "below")
        os.makedirs(rules.mount_point(below, EXPORT))
        privilege.mount(below, EXPORT, "")
        assert ran

    @pytest.mark.parametrize("other", ["/etc", "/", "{base}/..", "{base}-evil", "etc"])
    def test_another_base_is_refused(self, here, ran, base, other):
        other = other.format(base=base)
        for call in (
            lambda: privilege.mount(other, EXPORT, ""),
            lambda: privilege.unmount(other, EXPORT),
            lambda: privilege.open_as_owner(other, EXPORT, "volume-7", False, "x", 7),
        ):
            with pytest.raises(errors.Broken, match=r"glance-api\.conf"):
                call()
        assert ran == []

    def test_a_base_that_is_a_link_to_another_place_is_refused(
        self, here, ran, base, tmp_path
    ):
        (tmp_path / "elsewhere").mkdir()
        os.symlink(tmp_path / "elsewhere", os.path.join(base, "link"))
        with pytest.raises(errors.Broken, match="does not mount below"):
            privilege.mount(os.path.join(base, "link"), EXPORT, "")
        assert ran == []

    @pytest.mark.parametrize("export", ["/dev/vda1:/x", "none", "-o:/x", "nas:/a /b"])
    def test_another_export_is_refused(self, here, ran, base, export):
        with pytest.raises(errors.Broken, match="cannot be mounted"):
            privilege.mount(base, export, "")
        assert ran == []

    @pytest.mark.parametrize("options", ["bind", "loop", "x-mount.mkdir", "helper=x"])
    def test_other_options_are_refused(self, here, ran, base, options):
        with pytest.raises(errors.Broken, match="not an option of NFS"):
            privilege.mount(base, EXPORT, options)
        assert ran == []

    def test_a_symbolic_link_at_the_mount_point_is_refused(
        self, here, ran, base, tmp_path
    ):
        (tmp_path / "elsewhere").mkdir()
        os.symlink(tmp_path / "elsewhere", rules.mount_point(base, EXPORT))
        with pytest.raises(errors.Broken, match="is not a directory"):
            privilege.mount(base, EXPORT, "")
        assert ran == []


class TestNothingMounted:
    def test_it_is_not_unmounted(self, here, base):
        os.mkdir(rules.mount_point(base, EXPORT))
        with pytest.raises(errors.Broken, match="Nothing is mounted"):
            privilege.unmount(base, EXPORT)

    def test_a_file_there_is_not_opened(self, here, base):
        point = rules.mount_point(base, EXPORT)
        os.mkdir(point)
        with open(os.path.join(point, "volume-7"), "w"):
            pass
        with handover.inbox() as inbox:
            with pytest.raises(errors.Broken, match="is not mounted"):
                privilege.open_as_owner(
                    base, EXPORT, "volume-7", False, inbox.address, os.geteuid()
                )


class TestOpenDevice:
    @pytest.mark.parametrize("path", ["/dev/null", "/dev/sdzz", "/etc/passwd"])
    def test_a_device_that_is_not_netapps_is_not_opened(self, here, path):
        with handover.inbox() as inbox:
            with pytest.raises(errors.Broken, match="devices of NetApp only"):
                privilege.open_device(path, False, True, inbox.address, os.geteuid())
            with pytest.raises(errors.Broken, match="did not arrive"):
                inbox.take(os.geteuid())


# Runs in a mount namespace of its own, with the capabilities of the helper. The
# program `mount` writes down its own and mounts the directory of an export.
_IN_NAMESPACE = """
import json, os, sys
from oslo_config import cfg
from oslo_privsep import capabilities
from glance_ontap_store.attach import handover, privilege
from glance_ontap_store.attach.nfs import mountinfo, rules

base, conf, export = sys.argv[1:]
cfg.CONF([], project="glance", default_config_files=[conf])
kept = set(privilege.context.conf.capabilities)
capabilities.drop_all_caps_except(kept, kept, [])
privilege.context.set_client_mode(False)
found = {}

def attempt(key, call, *arguments):
    try:
        call(*arguments)
        found[key] = "done"
    except Exception as error:
        found[key] = f"{type(error).__name__}: {error}"

point = rules.mount_point(base, export)
os.mkdir(point)
attempt("mount", privilege.mount, base, export, "vers=4.1")
found["mounted"] = mountinfo.at(point).root
attempt("mount twice", privilege.mount, base, export, "vers=4.1")

def fetch(name):
    with handover.inbox() as inbox:
        privilege.open_as_owner(base, export, name, True, inbox.address, 0)
        fd = inbox.take()
    status = os.fstat(fd)
    found["opened"] = [status.st_uid, status.st_gid, status.st_mode & 0o777]
    os.write(fd, b"written")
    os.close(fd)

for name in ("volume-7", "of-root", "fifo", "link", "missing", "../x"):
    attempt(f"open {name}", fetch, name)
found["groups"] = os.getgroups()
fd = os.open(os.path.join(point, "volume-7"), os.O_RDONLY)
attempt("unmount busy", privilege.unmount, base, export)
os.close(fd)
attempt("unmount", privilege.unmount, base, export)
attempt("unmount twice", privilege.unmount, base, export)
# A link to a mount that is not the store's.
os.rmdir(point)
os.symlink("/proc", point)
attempt("unmount through a link", privilege.unmount, base, export)
print(json.dumps(found))
"""

_FAKE_MOUNT = """#!/bin/sh
grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status > {status}
for point; do :; done
exec {mount} -n -i --bind {export} "$point"
"""
CINDER = 4242


def _make_export(directory):
    """Make the directory of an export, which only Cinder's user may enter."""
    directory.mkdir(0o700)
    for name, owner in (("volume-7", CINDER), ("of-root", 0)):
        path = directory / name
        path.touch(0o600)
        os.chown(path, owner, owner)
    os.mkfifo(directory / "fifo")
    os.symlink("volume-7", directory / "link")
    os.chown(directory, CINDER, CINDER)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    directory = tmp_path_factory.mktemp("namespace")
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("only root can mount, in a mount namespace of its own")
    (directory / "mnt").mkdir()
    export = directory / "export"
    _make_export(export)
    conf = directory / "glance-api.conf"
    conf.write_text(
        "[DEFAULT]\nenabled_backends = fv1:ontap\n"
        f"[fv1]\nontap_mount_point_base = {directory}/mnt\n"
    )
    status, fake = directory / "status", directory / "bin" / "mount"
    fake.parent.mkdir()
    fake.write_text(
        _FAKE_MOUNT.format(status=status, mount="/bin/mount", export=export)
    )
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    run = subprocess.run(
        [
            *unshare,
            sys.executable,
            "-c",
            _IN_NAMESPACE,
            f"{directory}/mnt",
            str(conf),
            EXPORT,
        ],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = dict(line.split(":\t") for line in status.read_text().splitlines())
    return {**json.loads(run.stdout), **lines}


class TestInNamespace:
    """The helper's work by the real kernel, for which the tests must be root."""

    def test_mounted_once_and_unmounted_once(self, found):
        assert found["mount"] == "done"
        assert found["mounted"].endswith("/export")
        assert "is mounted on" in found["mount twice"]
        assert "resource busy" in found["unmount busy"]
        assert found["unmount"] == "done"
        assert "Nothing is mounted" in found["unmount twice"]

    def test_mount_has_no_more_capabilities_than_it_needs(self, found):
        needed = sum(1 << number for number in privilege._MOUNT_NEEDS)
        assert int(found["CapEff"], 16) == needed
        assert int(found["CapPrm"], 16) == needed
        assert found["NoNewPrivs"] == "1"

    def test_a_file_is_opened_as_its_owner_and_stays_as_it_is(self, found):
        assert found["open volume-7"] == "done"
        assert found["opened"] == [CINDER, CINDER, 0o600]

    def test_nothing_else_is_opened(self, found):
        assert "is not a regular file" in found["open fifo"]
        assert "is not a regular file" in found["open link"]
        assert "belongs to root" in found["open of-root"]
        assert found["open missing"].startswith("FileNotFoundError")
        assert "must be the name of a file" in found["open ../x"]

    def test_the_server_gets_no_groups_of_root(self, found):
        assert found["groups"] == []

    def test_a_link_to_another_mount_is_not_unmounted(self, found):
        assert "Nothing is mounted" in found["unmount through a link"]
