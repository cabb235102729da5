# SPDX-License-Identifier: Apache-2.0
"""The behaviour that every `transfer.device.Device` must have."""

import pytest

from glance_ontap_store.transfer.device import Device
from glance_ontap_store.units import GIB


class DeviceContract:
    @pytest.fixture
    def device(self) -> Device:
        """Return an empty device, which grows when written past its end."""
        raise NotImplementedError

    def test_written_bytes_are_read_back(self, device):
        device.write_at(0, b"abcdef")
        device.write_at(2, b"XY")
        assert device.read_at(0, 100) == b"abXYef"
        assert device.read_at(1, 3) == b"bXY"
        assert device.length() == 6

    def test_a_gap_reads_as_zeros(self, device):
        device.write_at(200_000, b"end")
        assert device.length() == 200_003
        assert device.read_at(0, 200_003) == bytes(200_000) + b"end"

    def test_a_memoryview_is_written(self, device):
        device.write_at(1, memoryview(b"-abc-")[1:4])
        assert device.read_at(0, 10) == b"\0abc"

    def test_reads_past_the_end_are_short(self, device):
        device.write_at(0, b"abc")
        assert device.read_at(2, 10) == b"c"
        assert device.read_at(3, 10) == b""
        assert device.read_at(1000, 10) == b""

    def test_writing_no_bytes_changes_nothing(self, device):
        device.write_at(5, b"")
        assert device.read_at(0, 10) == b""

    @pytest.mark.parametrize(
        ("size", "gib"), [(0, 1), (1, 1), (GIB, 1), (GIB + 1, 2), (3 * GIB, 3)]
    )
    def test_ensure_makes_the_length_whole_gib(self, device, size, gib):
        device.write_at(0, b"abc")
        device.ensure(size)
        assert device.length() == gib * GIB
        assert device.read_at(0, 6) == b"abc\0\0\0"
        assert device.read_at(gib * GIB - 2, 10) == bytes(2)

    def test_ensure_never_cuts(self, device):
        device.write_at(2 * GIB, b"end")
        device.ensure(GIB)
        assert device.length() == 2 * GIB + 3
        assert device.read_at(2 * GIB, 10) == b"end"

    @pytest.mark.parametrize("offset", [0, 1, 65_536, 65_537, 150_000])
    def test_bytes_from_the_cleared_offset_on_are_zeros(self, device, offset):
        data = bytes(range(1, 201)) * 1000
        device.write_at(0, data)
        device.clear_from(offset)
        assert device.length() == len(data)
        zeros = bytes(len(data) - offset)
        assert device.read_at(0, 300_000) == data[:offset] + zeros

    @pytest.mark.parametrize("offset", [200_000, 5_000_000])
    def test_clearing_behind_the_end_changes_nothing(self, device, offset):
        data = bytes(range(1, 201)) * 1000
        device.write_at(0, data)
        device.clear_from(offset)
        assert device.read_at(0, 300_000) == data

    def test_synced_bytes_are_read_back(self, device):
        device.write_at(0, b"abc")
        device.sync()
        assert device.read_at(0, 3) == b"abc"

    def test_the_device_has_a_name_for_messages(self, device):
        assert device.name

    def test_a_new_device_is_blank_until_it_is_written(self, device):
        assert device.is_blank()
        device.write_at(0, b"")
        assert device.is_blank()

    @pytest.mark.parametrize("offset", [0, 5000, 1_000_000])
    @pytest.mark.parametrize("is_synced", [False, True])
    def test_a_device_with_data_is_not_blank(self, device, offset, is_synced):
        device.ensure(1)
        device.write_at(offset, b"x")
        if is_synced:
            device.sync()
        assert not device.is_blank()
        device.forget(0, 2_000_000)
        assert not device.is_blank()

    @pytest.mark.parametrize("is_synced", [False, True])
    def test_forgotten_bytes_are_still_read_back(self, device, is_synced):
        data = bytes(range(1, 201)) * 1000
        device.write_at(0, data)
        if is_synced:
            device.sync()
        for offset, length in ((0, 4096), (100_000, 300_000), (900_000, 1), (0, 0)):
            device.forget(offset, length)
        assert device.read_at(0, 300_000) == data
        device.write_at(0, b"again")
        assert device.read_at(0, 6) == b"again" + data[5:6]

    @pytest.mark.parametrize("offset", [0, 1, 500_000, GIB - 1])
    def test_a_device_without_data_is_a_hole_up_to_its_end(self, device, offset):
        device.ensure(1)
        extent = device.extent(offset)
        assert extent.is_hole
        assert extent.end == GIB

    def test_behind_the_end_is_not_a_hole(self, device):
        device.ensure(1)
        assert not device.extent(GIB).is_hole
        assert not device.extent(5 * GIB).is_hole

    @pytest.mark.parametrize("is_synced", [False, True])
    def test_holes_are_found_and_never_contain_data(self, device, is_synced):
        """No file system has blocks larger than 64 KiB: bytes further away than
        that from the data must be in a hole."""
        data = bytes(range(1, 201)) * 1000
        device.ensure(1)
        device.write_at(4_000_000, data)
        if is_synced:
            device.sync()
        holes, at = [], 0
        while at < GIB:
            extent = device.extent(at)
            assert extent.end > at
            if extent.is_hole:
                holes.append((at, extent.end))
                assert not any(device.read_at(at, min(extent.end - at, 10_000_000)))
            at = extent.end
        assert any(start == 0 and end > 3_900_000 for start, end in holes)
        assert any(start < 4_300_000 and end == GIB for start, end in holes)
