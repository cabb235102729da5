# SPDX-License-Identifier: Apache-2.0
"""The bytes of images on real NFS, with each version that the store uses."""

import pytest

from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.nfs import VERSIONS
from glance_ontap_store.tests.kernel.transfers import Striped
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB
from glance_ontap_store.units import ByteRange

pytestmark = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def volume(server, version):
    """The place of a new volume, and its ``connection_info``."""
    path = server.create("large", "volume-1")
    return path, server.info("large", "volume-1", f"vers={version}")


def test_the_version_that_cinder_names_is_spoken(nfs, volume, version):
    _path, info = volume
    with nfs.opened(info, "rw"):
        assert guest.spoken() == [version]


def test_an_image_of_known_size_is_stored_and_read_whole(nfs, volume):
    path, info = volume
    content = Striped(100 * MIB + 12)
    with nfs.opened(info, "rw") as device:
        written = transfers.write(device, content)
    assert written.multihash == transfers.sha256(content)
    assert transfers.difference(path, content) is None
    assert transfers.misread(nfs, info, content) is None


def test_zeros_take_no_space(nfs, volume):
    path, info = volume
    with nfs.opened(info, "rw") as device:
        assert device.is_blank()
        transfers.write(device, Striped(128 * MIB))
    assert 64 * MIB <= transfers.allocated(path) < 72 * MIB


def test_a_volume_with_old_bytes_reads_as_the_image_and_zeros(nfs, volume):
    path, info = volume
    path.write_bytes(Pattern(100 * MIB).at(0, 100 * MIB))
    content = Striped(60 * MIB)
    with nfs.opened(info, "rw") as device:
        assert not device.is_blank()
        transfers.write(device, content)
        assert device.length() == GIB
    assert path.stat().st_size == GIB
    assert transfers.difference(path, content) is None


def test_an_image_of_unknown_size_grows_its_volume(nfs, volume):
    path, info = volume
    content = Striped(1030 * MIB + 7, every=16)
    with nfs.opened(info, "rw") as device:
        written = transfers.write(device, content, announced=False)
        assert device.length() == 2 * GIB
    assert written.size == content.size
    assert path.stat().st_size == 2 * GIB
    assert transfers.difference(path, content) is None
    assert transfers.misread(nfs, info, content) is None


def test_holes_are_found_where_the_version_tells_them(nfs, volume, version):
    _path, info = volume
    with nfs.opened(info, "rw") as device:
        transfers.write(device, Striped(64 * MIB))
    with nfs.opened(info, "ro") as device:
        # Only NFS 4.2 can ask the server where data is.
        assert device.extent(20 * MIB).is_hole == (version == "4.2")
        assert not device.extent(0).is_hole


def test_a_range_of_an_image_is_read(nfs, volume):
    _path, info = volume
    content = Striped(96 * MIB)
    with nfs.opened(info, "rw") as device:
        transfers.write(device, content)
    transfers.forget()
    with nfs.opened(info, "ro") as device:
        wanted = ByteRange.clipped(33 * MIB - 5, 10, content.size)
        assert device.read_at(*wanted) == content.at(33 * MIB - 5, 10)
