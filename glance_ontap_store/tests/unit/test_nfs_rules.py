# SPDX-License-Identifier: Apache-2.0
from os_brick.remotefs import remotefs
import pytest

from glance_ontap_store import errors
from glance_ontap_store import nfs_options
from glance_ontap_store.attach.nfs import rules


class TestExport:
    @pytest.mark.parametrize(
        "export",
        [
            "192.0.2.1:/fv1",
            "[2001:db8::1]:/fv1",
            "[fe80::1%eth0]:/fv1",
            "nas.example.com:/a/b",
            "nas_1:/100%",
            "nas:/",
            "nas:/a..b",
            "nas:/\u00fc",
        ],
    )
    def test_an_export_is_returned_unchanged(self, export):
        assert rules.check_export(export) == export

    @pytest.mark.parametrize(
        "export",
        [
            None,
            "",
            7,
            ["nas:/fv1"],
            "/fv1",
            "192.0.2.1",
            "nas:fv1",
            "-o:/x",
            "--bind:/fv1",
            "/dev/vda1:/x",
            "nas:/../../x",
            "nas:/a/./b",
            "nas:/a/..",
            "127.0.0.1:/fv1 /etc",
            "nas:/a\tb",
            "nas:/a\nb",
            "nas:/a\u00a0b",
            "nas:/a\0",
            "nas:/a,/b",
            "nas,other:/a",
            "nas:/a\\040b",
            "nas:/fv1\n",
            "n\u00e4s:/fv1",
            "2001:db8::1:/fv1",
        ],
    )
    def test_anything_else_is_refused_with_its_text(self, export):
        with pytest.raises(errors.Broken) as caught:
            rules.check_export(export)
        assert repr(export) in str(caught.value)


class TestName:
    @pytest.mark.parametrize("name", ["volume-1", "a b", "-x", "..a", "\u00fc"])
    def test_a_file_name_is_returned_unchanged(self, name):
        assert rules.check_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [None, "", ".", "..", "../etc/shadow", "/etc/shadow", "a/b", 7, "a\0b", "a\nb"],
    )
    def test_anything_else_is_refused_with_its_text(self, name):
        with pytest.raises(errors.Broken) as caught:
            rules.check_name(name)
        assert repr(name) in str(caught.value)


class TestMountOptions:
    @pytest.mark.parametrize(
        "options",
        [
            "vers=4.1",
            "nfsvers=3,proto=tcp6,timeo=600,hard",
            "v3,lookupcache=pos",
            "sec=krb5:krb5i",
            "rw,noatime,nconnect=8",
            "context=system_u:object_r:nfs_t:s0",
        ],
    )
    def test_options_of_nfs_are_kept_and_ours_come_last(self, options):
        assert rules.mount_options(options) == f"{options},nosuid,nodev,noexec"

    def test_ours_are_there_without_any_other(self):
        assert rules.mount_options("") == "nosuid,nodev,noexec"

    @pytest.mark.parametrize(
        "options",
        [
            "suid,dev,exec",
            "nosuid,nodev,noexec,suid,dev,exec",
            "defaults",
            "_netdev, nofail ,,exec",
        ],
    )
    def test_options_that_contradict_ours_are_left_out(self, options):
        assert rules.mount_options(options) == "nosuid,nodev,noexec"

    @pytest.mark.parametrize(
        "option",
        [
            "bind",
            "rbind",
            "move",
            "remount",
            "loop",
            "loop=/dev/loop0",
            "user",
            "users",
            "owner",
            "group",
            "uid=0",
            "helper=evil",
            "uhelper=evil",
            "x-mount.mkdir",
            "x-systemd.automount",
            "X-mount.owner=root",
            "comment=x",
            "bg",
            "shared",
            "addr=192.0.2.9",
            "suid=1",
            "vers",
            "vers=",
            "=4",
            "vers=3 4",
            "vers=3\n4",
            "vers='3'",
            'context="a,b"',
            "vers=\u0663",
            "soft=1",
            "VERS=3",
            "-t",
        ],
    )
    def test_any_other_option_is_refused_with_its_text(self, option):
        with pytest.raises(errors.Broken) as caught:
            rules.mount_options(f"hard,{option}")
        assert "nfs_shares_config" in str(caught.value)
        assert "ontap_nfs_mount_options" in str(caught.value)
        assert repr(option.split(",")[0].strip()) in str(caught.value)


class TestVersion:
    @pytest.mark.parametrize(
        ("options", "version"),
        [
            ("", None),
            ("hard,nconnect=8", None),
            ("vers=3,nolock", "3"),
            ("nfsvers=4.1", "4.1"),
            ("v4.2,hard", "4.2"),
            ("vers=4,minorversion=1", "4.1"),
            ("vers=4", "4"),
            ("vers=3,vers=4.1", "4.1"),
        ],
    )
    def test_the_version_that_options_ask_for(self, options, version):
        assert nfs_options.version(options) == version

    @pytest.mark.parametrize(
        "options", ["", "hard", "vers=3,nolock", "nfsvers=4.1", "v4.2", "vers=4"]
    )
    def test_os_brick_negotiates_only_without_a_version(self, options):
        client = remotefs.RemoteFsClient(
            "nfs", "", nfs_mount_point_base="/base", nfs_mount_options=options
        )
        is_negotiated = len(client._nfs_mount_type_opts) > 1
        assert is_negotiated == (nfs_options.version(options) is None)


@pytest.mark.parametrize("export", ["192.0.2.1:/fv1", "[2001:db8::1]:/a/b"])
def test_the_mount_point_is_the_one_of_os_brick(export):
    client = remotefs.RemoteFsClient("nfs", "", nfs_mount_point_base="/base")
    assert rules.mount_point("/base", export) == client.get_mount_point(export)


def test_the_mount_point_stays_the_same_in_every_release():
    """Another release on the host must find the mount."""
    assert (
        rules.mount_point("/base", "192.0.2.1:/fv1")
        == "/base/fcbf5ba3109d8b722ef3886bab36512d"
    )
