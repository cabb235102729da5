# SPDX-License-Identifier: Apache-2.0
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import connection
from glance_ontap_store.attach.nfs.connection import NfsConnection

NFS = {
    "driver_volume_type": "nfs",
    "export": "192.0.2.1:/fv1",
    "name": "volume-1",
    "options": None,
    "format": "raw",
    "mount_point_base": "/var/lib/cinder/mnt",
}


class TestParse:
    def test_as_cinder_says_it(self):
        assert connection.parse(NFS) == NfsConnection("192.0.2.1:/fv1", "volume-1", "")

    @pytest.mark.parametrize(
        ("text", "options"),
        [
            (None, ""),
            ("", ""),
            ("  ", ""),
            ("-o vers=4.1", "vers=4.1"),
            ("-overs=4.1", "vers=4.1"),
            ("-o vers=4.1,lookupcache=pos", "vers=4.1,lookupcache=pos"),
            ("-o vers=4.1 -o nconnect=8", "vers=4.1,nconnect=8"),
            ("-o 'a=b c'", "a=b c"),
        ],
    )
    def test_mount_options(self, text, options):
        assert connection.parse({**NFS, "options": text}).options == options

    @pytest.mark.parametrize(
        "text", ["vers=4.1", "-t cifs", "-o", "-o a --bind", "-o a /etc", "'"]
    )
    def test_other_arguments_of_mount_are_refused(self, text):
        with pytest.raises(errors.Broken, match="options"):
            connection.parse({**NFS, "options": text})

    @pytest.mark.parametrize("export", ["[2001:db8::1]:/fv1", "nas.example.com:/a/b"])
    def test_exports(self, export):
        assert connection.parse({**NFS, "export": export}).export == export

    @pytest.mark.parametrize(
        "export", [None, "", "/fv1", "192.0.2.1", 7, "-o:/x", "--bind:/fv1"]
    )
    def test_no_export(self, export):
        with pytest.raises(errors.Broken):
            connection.parse({**NFS, "export": export})

    @pytest.mark.parametrize(
        "name", [None, "", ".", "..", "../etc/shadow", "/etc/shadow", "a/b", 7]
    )
    def test_no_file_of_the_export(self, name):
        with pytest.raises(errors.Broken):
            connection.parse({**NFS, "name": name})

    @pytest.mark.parametrize("protocol", ["iscsi", "fibre_channel", "nvmeof", None])
    def test_other_protocols_are_a_setting_to_change(self, protocol):
        with pytest.raises(errors.Misconfigured, match="ontap_volume_type") as caught:
            connection.parse({**NFS, "driver_volume_type": protocol})
        assert repr(protocol) in str(caught.value)

    def test_no_secret_of_another_protocol_is_told(self):
        with pytest.raises(errors.Misconfigured) as caught:
            connection.parse({"driver_volume_type": "iscsi", "auth_password": "s3cret"})
        assert "s3cret" not in str(caught.value)
