# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.attach.transport import Transport
from glance_ontap_store.attach.transport import Transports
from glance_ontap_store.tests.fakes.device import MemoryDevice

EXPORT = "192.0.2.1:/fv1"
ONE, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
INFO = {
    "driver_volume_type": "nfs",
    "export": EXPORT,
    "name": f"volume-{ONE}",
    "options": "-o vers=4.1",
    "format": "raw",
}


class Recorder:
    """A transport that says which volume it was asked for."""

    def __init__(self):
        self.asked = []

    @contextlib.contextmanager
    def opened(self, info, mode, attached=None):
        self.asked.append((info, mode))
        yield MemoryDevice()

    def beside(self, info, volume_id, other_id):
        return {"from": volume_id, "to": other_id}

    def disconnect(self, info):
        self.asked.append((info, "disconnect"))


class TestTransports:
    def test_the_protocol_chooses_the_transport(self):
        nfs, iscsi = Recorder(), Recorder()
        transports: Transport = Transports({"nfs": nfs, "iscsi": iscsi})
        with transports.opened(INFO, "rw") as device:
            assert device.length() == 0
        assert nfs.asked == [(INFO, "rw")]
        assert iscsi.asked == []
        assert transports.beside(INFO, ONE, OTHER) == {"from": ONE, "to": OTHER}

    @pytest.mark.parametrize("info", [None, [], "<html>", 5])
    def test_an_answer_without_connection_information_is_an_error_of_ours(self, info):
        transports = Transports({"nfs": Recorder()})
        for ask in (
            lambda: transports.opened(info, "ro"),
            lambda: transports.beside(info, ONE, OTHER),
        ):
            with pytest.raises(errors.Broken, match="no connection information"):
                ask()

    @pytest.mark.parametrize("protocol", ["iscsi", "NFS", "", None, ["nfs"]])
    def test_an_unsupported_protocol_names_the_volume_type_option(self, protocol):
        transports = Transports({"nfs": Recorder()})
        info = {**INFO, "driver_volume_type": protocol}
        for ask in (
            lambda: transports.opened(info, "ro"),
            lambda: transports.beside(info, ONE, OTHER),
        ):
            with pytest.raises(errors.Misconfigured, match=r"nfs.*ontap_volume_type"):
                ask()

    def test_secrets_of_another_protocol_stay_out_of_messages(self):
        info = {"driver_volume_type": "iscsi", "auth_password": "s3cret"}
        with pytest.raises(errors.Misconfigured) as caught:
            Transports({"nfs": Recorder()}).opened(info, "ro")
        assert "s3cret" not in str(caught.value)

    def test_information_without_a_protocol_is_refused(self):
        with pytest.raises(errors.Misconfigured, match="None"):
            Transports({"nfs": Recorder()}).opened({}, "ro")


class TestNfsTransport:
    @pytest.fixture
    def transport(self, cloud):
        return NfsTransport(cloud.mounts)

    @pytest.fixture
    def files(self, cloud):
        found = {}
        for volume_id in (ONE, OTHER):
            path = os.path.join(cloud.mounter.directory(EXPORT), f"volume-{volume_id}")
            with open(path, "wb") as file:
                file.write(volume_id.encode())
            found[volume_id] = path
        return found

    def test_the_volume_is_open_until_the_block_ends(self, cloud, transport, files):
        with transport.opened(INFO, "rw") as device:
            device.write_at(0, b"new")
            assert cloud.mounter.options[EXPORT] == "vers=4.1"
        assert not cloud.mounter.mounted()
        with open(files[ONE], "rb") as file:
            assert file.read(3) == b"new"

    def test_the_stores_mount_options_are_used_instead_of_cinders(self, cloud, files):
        own = NfsTransport(cloud.mounts, "vers=3,nolock")
        with own.opened(INFO, "ro"):
            assert cloud.mounter.options[EXPORT] == "vers=3,nolock"

    def test_the_volume_beside_it_is_opened(self, transport, files):
        beside = transport.beside(INFO, ONE, OTHER)
        assert beside == {**INFO, "name": f"volume-{OTHER}"}
        with transport.opened(beside, "ro") as device:
            assert device.read_at(0, 100) == OTHER.encode()

    def test_a_file_not_named_after_the_volume_has_no_neighbours(self, transport):
        assert transport.beside(INFO, OTHER, ONE) is None

    def test_unusable_information_is_broken(self, transport):
        with pytest.raises(errors.Broken, match="cannot be mounted"):
            transport.beside({**INFO, "export": "nowhere"}, ONE, OTHER)
        with pytest.raises(errors.Broken, match="cannot be opened"):
            with transport.opened({**INFO, "name": ".."}, "ro"):
                pass
