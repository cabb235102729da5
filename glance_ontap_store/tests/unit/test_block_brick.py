# SPDX-License-Identifier: Apache-2.0
"""os-brick is asked as its interface wants it, and its errors tell no password."""

import logging
import traceback

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.block import brick
from glance_ontap_store.attach.block import connection
from glance_ontap_store.attach.block.brick import BrickConnector
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.tests.unit.test_block_connection import FC
from glance_ontap_store.tests.unit.test_block_connection import ISCSI
from glance_ontap_store.tests.unit.test_block_connection import NVME
from glance_ontap_store.tests.unit.test_block_connection import SECRET

FOUND = Found("/dev/sda", "3600a0980")


class FakeBrick:
    """A connector of os-brick that does nothing, or fails."""

    def __init__(self):
        self.calls = []
        self.failures = {}

    def factory(self, protocol, root_helper, use_multipath=False):
        self.calls.append(("factory", protocol, root_helper, use_multipath))
        return self

    def _called(self, name, *args):
        self.calls.append((name, *args))
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def connect_volume(self, properties):
        self._called("connect", dict(properties))
        properties.clear()
        return {"type": "block", "path": "/dev/sda", "scsi_wwn": "3600a0980"}

    def disconnect_volume(self, properties, info, force=False, ignore_errors=False):
        self._called(f"disconnect force={force}", info, ignore_errors)

    def extend_volume(self, properties):
        self._called("extend", properties)
        return 1 << 30


@pytest.fixture
def fake(monkeypatch):
    found = FakeBrick()
    monkeypatch.setattr(brick.brick_connector, "InitiatorConnector", found)
    return found


@pytest.fixture
def connector(fake):
    return BrickConnector("/etc/glance/rootwrap.conf", True)


@pytest.mark.parametrize(
    ("info", "name"), [(ISCSI, "ISCSI"), (FC, "FIBRE_CHANNEL"), (NVME, "NVMEOF")]
)
def test_each_protocol_has_os_bricks_connector(fake, connector, info, name):
    place = connection.parse(info)
    assert connector.connect(place) == FOUND
    assert connector.connect(place) == FOUND, "os-brick changed the properties"
    helper = "sudo glance-rootwrap /etc/glance/rootwrap.conf"
    assert fake.calls[:2] == [("factory", name, helper, True), ("connect", info)]


def test_a_device_is_removed_gently_first(fake, connector):
    connector.disconnect(connection.parse(ISCSI), FOUND)
    info = {"type": "block", "path": "/dev/sda", "scsi_wwn": "3600a0980"}
    assert fake.calls[1:] == [("disconnect force=False", info, False)]


def test_a_device_that_cannot_be_flushed_is_removed_by_force(fake, connector):
    fake.failures["disconnect force=False"] = [OSError("flush")]
    connector.disconnect(connection.parse(ISCSI))
    assert fake.calls[-1] == ("disconnect force=True", None, False)


def test_a_device_that_cannot_be_removed_is_there_yet(fake, connector):
    fake.failures["disconnect force=False"] = [OSError("flush")]
    fake.failures["disconnect force=True"] = [OSError("in use")]
    with pytest.raises(errors.StillConnected, match=r"/dev/sda.*in use"):
        connector.disconnect(connection.parse(ISCSI), FOUND)


@pytest.mark.parametrize("is_cause", [True, False])
@pytest.mark.parametrize("call", ["connect", "extend", "disconnect"])
def test_an_error_with_the_password_of_chap_does_not_tell_it(
    fake, connector, caplog, call, is_cause
):
    caplog.set_level(logging.DEBUG)
    error = RuntimeError(f"iscsiadm -n node.session.auth.password -v {SECRET}")
    if is_cause:
        told, error = error, RuntimeError("iscsiadm failed")
        error.__context__ = told
    for name in (
        "connect",
        "extend",
        "disconnect force=False",
        "disconnect force=True",
    ):
        fake.failures[name] = [error]
    with pytest.raises(errors.Broken, match="iscsiadm") as caught:
        getattr(connector, call)(connection.parse(ISCSI))
    raised = caught.value
    text = "".join(traceback.format_exception(type(raised), raised, None))
    assert raised.__cause__ is not None
    assert SECRET not in f"{raised!r} {text} {caplog.text}"


def test_the_kernel_asks_again_for_each_disk(connector, monkeypatch):
    asked = []

    class Scsi:
        def __init__(self, root_helper):
            pass

        def echo_scsi_command(self, path, content):
            asked.append((path, content))

    monkeypatch.setattr(brick.linuxscsi, "LinuxSCSI", Scsi)
    connector.ask_again(["sda", "sdb"])
    assert asked == [
        ("/sys/block/sda/device/rescan", "1"),
        ("/sys/block/sdb/device/rescan", "1"),
    ]
