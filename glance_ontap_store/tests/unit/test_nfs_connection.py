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
    def test_cinders_information_is_parsed(self):
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
            ("-o 'vers=4.1'", "vers=4.1"),
        ],
    )
    def test_the_values_of_all_mount_options_are_joined(self, text, options):
        assert connection.parse({**NFS, "options": text}).options == options

    @pytest.mark.parametrize(
        "text", ["vers=4.1", "-t cifs", "-o", "-o a --bind", "-o a /etc", "'"]
    )
    def test_other_arguments_of_mount_are_refused(self, text):
        with pytest.raises(errors.Broken, match="options"):
            connection.parse({**NFS, "options": text})

    @pytest.mark.parametrize("options", [["-o", "vers=3"], {"-o": "vers=3"}, 7, b""])
    def test_options_that_are_not_text_are_refused(self, options):
        with pytest.raises(errors.Broken, match="are not of the form '-o A,B'"):
            connection.parse({**NFS, "options": options})

    @pytest.mark.parametrize("text", ["-o bind", "-o vers=3,loop", "-o vers=3 -o user"])
    def test_an_option_that_is_not_one_of_nfs_is_refused(self, text):
        with pytest.raises(errors.Broken, match="shares file"):
            connection.parse({**NFS, "options": text})

    @pytest.mark.parametrize("theirs", [None, "-o vers=4.1", "-o bind"])
    def test_the_stores_own_mount_options_replace_cinders(self, theirs):
        found = connection.parse({**NFS, "options": theirs}, "vers=3,nolock")
        assert found.options == "vers=3,nolock"

    def test_an_export_that_cannot_be_mounted_is_refused(self):
        with pytest.raises(errors.Broken, match="'/dev/vda1:/x'"):
            connection.parse({**NFS, "export": "/dev/vda1:/x"})

    def test_a_name_that_is_not_a_file_of_the_export_is_refused(self):
        with pytest.raises(errors.Broken, match=r"'\.\./etc/shadow'"):
            connection.parse({**NFS, "name": "../etc/shadow"})
