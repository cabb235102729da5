# SPDX-License-Identifier: Apache-2.0
"""The bytes of images on real iSCSI, with multipath over two portals."""

import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.block.brick import BrickConnector
from glance_ontap_store.attach.block.sysfs import Sysfs
from glance_ontap_store.attach.block.transport import BlockTransport
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import iscsi
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.transfers import Striped
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB


@pytest.fixture
def lun(array, attachments):
    """The file of a new LUN, and its attachment."""
    path = array.create("volume-1")
    return path, attachments.attach("volume-1")


def store(block, attached, content, **how):
    with block.opened(attached.info, "rw", attached) as device:
        return transfers.write(device, content, **how)


def test_an_image_of_known_size_is_stored_and_read_whole(block, lun):
    path, attached = lun
    content = Striped(100 * MIB + 12)
    written = store(block, attached, content)
    assert written.multihash == transfers.sha256(content)
    assert transfers.difference(path, content) is None
    assert transfers.misread(block, attached.info, content, attached) is None
    attached.detach()


def test_both_paths_are_used(block, lun):
    _path, attached = lun
    with block.opened(attached.info, "rw", attached) as device:
        assert device.name.startswith("/dev/dm-") or "/mapper/" in device.name
        name = os.path.basename(os.path.realpath(device.name.split()[0]))
        assert len(os.listdir(f"/sys/block/{name}/slaves")) == 2


def test_zeros_take_no_space(block, lun):
    path, attached = lun
    with block.opened(attached.info, "rw", attached) as device:
        assert device.is_blank()
        transfers.write(device, Striped(128 * MIB))
    assert 64 * MIB <= transfers.allocated(path) < 72 * MIB


def test_old_bytes_are_zeroed_by_the_array(block, lun):
    path, attached = lun
    store(block, attached, Pattern(100 * MIB))
    content = Striped(60 * MIB)
    store(block, attached, content)
    assert transfers.difference(path, content) is None
    assert transfers.allocated(path) < 40 * MIB


def test_a_lun_that_does_not_unmap_gets_every_byte(block, array, attachments):
    path = array.create("volume-1", unmaps=False)
    attached = attachments.attach("volume-1")
    content = Striped(60 * MIB)
    with block.opened(attached.info, "rw", attached) as device:
        assert not device.is_blank()
        transfers.write(device, content)
    assert transfers.difference(path, content) is None
    # The zeros after the image's end, too.
    assert transfers.allocated(path) >= GIB


def test_an_image_of_unknown_size_extends_its_attached_lun(block, array, lun):
    path, attached = lun
    content = Striped(1030 * MIB + 7, every=16)
    with block.opened(attached.info, "rw", attached) as device:
        written = transfers.write(device, content, announced=False)
        assert device.length() == 2 * GIB
    assert written.size == content.size
    assert array.size_gib("volume-1") == 2
    assert transfers.difference(path, content) is None
    assert transfers.allocated(path) < 200 * MIB


def test_a_device_with_another_length_is_refused(block, array, lun):
    path, attached = lun
    attached.length = lambda _found: 2 * GIB
    with pytest.raises(errors.Broken, match="it is the device of another volume"):
        store(block, attached, Pattern(MIB))
    assert transfers.allocated(path) == 0


@pytest.fixture
def single():
    """The store's own transport, without multipath."""
    return BlockTransport(BrickConnector("", use_multipath=False), Sysfs())


def test_a_device_that_multipathd_has_taken_is_named(array, attachments, single):
    array.create("volume-1")
    attached = attachments.attach("volume-1", iscsi.PORTALS[:1])
    with pytest.raises(errors.Misconfigured, match="multipathd has taken /dev/sd"):
        store(single, attached, Pattern(MIB))


def refused(transport, attachments, told):
    """Two LUNs get the same number, the second while the first one's device is open.

    That is what happens when an attachment is deleted before its device is gone.
    """
    first = attachments.attach("volume-1", told)
    with transport.opened(first.info, "rw", first) as device:
        device.write_at(0, b"first")
        device.sync()
        first.forget()
        second = attachments.attach("volume-2", told)
        assert second.info["target_lun"] == first.info["target_lun"]
        with pytest.raises(errors.Broken, match="Nothing was read or written"):
            store(transport, second, Pattern(MIB))


def test_the_device_of_another_volume_is_refused(array, attachments, single):
    array.create("volume-1")
    other = array.create("volume-2")
    with array.without_multipath():
        refused(single, attachments, iscsi.PORTALS[:1])
    assert transfers.allocated(other) == 0


def test_the_map_of_another_volume_is_refused(array, attachments, block):
    array.create("volume-1")
    other = array.create("volume-2")
    refused(block, attachments, iscsi.PORTALS)
    assert transfers.allocated(other) == 0
    # The first user has removed its device whole: no map without paths is left.
    assert guest.connected() == []


def test_a_device_is_opened_by_one_upload_alone(block, lun):
    _path, attached = lun
    with block.opened(attached.info, "rw", attached) as device:
        path = device.name.split()[0]
        with pytest.raises(OSError, match="busy"):
            os.open(path, os.O_RDWR | os.O_EXCL)
