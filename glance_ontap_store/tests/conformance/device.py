# SPDX-License-Identifier: Apache-2.0
"""What every `transfer.device.Device` does."""

import pytest

from glance_ontap_store.transfer.device import Device


class DeviceContract:
    @pytest.fixture
    def device(self) -> Device:
        """A device of no bytes that grows when written past its end."""
        raise NotImplementedError

    def test_what_was_written_is_read(self, device):
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

    def test_nothing_is_written(self, device):
        device.write_at(5, b"")
        assert device.read_at(0, 10) == b""

    @pytest.mark.parametrize("length", [0, 1, 65_536, 65_537, 150_000, 200_000])
    def test_cut_and_grown_again_with_zeros(self, device, length):
        data = bytes(range(1, 201)) * 1000
        device.write_at(0, data)
        device.set_length(length)
        assert device.length() == length
        assert device.read_at(0, 300_000) == data[:length]
        device.set_length(250_000)
        assert device.read_at(0, 300_000) == data[:length] + bytes(250_000 - length)

    def test_synced(self, device):
        device.write_at(0, b"abc")
        device.sync()
        assert device.read_at(0, 3) == b"abc"

    def test_it_has_a_name_for_messages(self, device):
        assert device.name

    def test_a_new_one_is_blank_and_stays_so_until_written(self, device):
        assert device.is_blank()
        device.write_at(0, b"")
        assert device.is_blank()

    @pytest.mark.parametrize("offset", [0, 5000, 1_000_000])
    @pytest.mark.parametrize("is_synced", [False, True])
    def test_one_with_data_is_not_blank(self, device, offset, is_synced):
        device.set_length(2_000_000)
        device.write_at(offset, b"x")
        if is_synced:
            device.sync()
        assert not device.is_blank()
        device.forget(0, 2_000_000)
        assert not device.is_blank()

    @pytest.mark.parametrize("is_synced", [False, True])
    def test_what_is_forgotten_is_still_read(self, device, is_synced):
        data = bytes(range(1, 201)) * 1000
        device.write_at(0, data)
        if is_synced:
            device.sync()
        for offset, length in ((0, 4096), (100_000, 300_000), (900_000, 1), (0, 0)):
            device.forget(offset, length)
        assert device.read_at(0, 300_000) == data
        device.write_at(0, b"again")
        assert device.read_at(0, 6) == b"again" + data[5:6]

    @pytest.mark.parametrize("offset", [0, 1, 500_000, 999_999])
    def test_one_without_data_may_be_a_hole_up_to_its_end(self, device, offset):
        device.set_length(1_000_000)
        extent = device.extent(offset)
        assert extent.is_hole
        assert extent.end == 1_000_000

    def test_what_lies_behind_the_end_is_no_hole(self, device):
        device.set_length(1_000_000)
        assert not device.extent(1_000_000).is_hole
        assert not device.extent(5_000_000).is_hole

    @pytest.mark.parametrize("is_synced", [False, True])
    def test_holes_are_known_and_data_is_never_one(self, device, is_synced):
        """The largest block of a file system is 64 KiB: what is further away is not
        data because data is near."""
        data = bytes(range(1, 201)) * 1000
        device.set_length(10_000_000)
        device.write_at(4_000_000, data)
        if is_synced:
            device.sync()
        holes, at = [], 0
        while at < 10_000_000:
            extent = device.extent(at)
            assert extent.end > at
            if extent.is_hole:
                holes.append((at, extent.end))
                assert not any(device.read_at(at, extent.end - at))
            at = extent.end
        assert any(start == 0 and end > 3_900_000 for start, end in holes)
        assert any(start < 4_300_000 and end == 10_000_000 for start, end in holes)
