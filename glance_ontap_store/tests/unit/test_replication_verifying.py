# SPDX-License-Identifier: Apache-2.0
"""Replicas are compared with what they were made of."""

import hashlib
import random

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.replication import verifying
from glance_ontap_store.replication.verifying import BLOCK
from glance_ontap_store.replication.verifying import COUNT
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.units import GIB
from glance_ontap_store.units import Extent


def device(data):
    made = MemoryDevice()
    made.write_at(0, data)
    return made


class Thin:
    """A device of 1 GiB with data only in some extents: offset -> length."""

    name = "thin"
    remedies = errors.FILE

    def __init__(self, data):
        self._data = data
        self.asked = 0

    def extent(self, offset):
        self.asked += 1
        for start, length in sorted(self._data.items()):
            if offset < start:
                return Extent(is_hole=True, end=start)
            if offset < start + length:
                return Extent(is_hole=False, end=start + length)
        return Extent(is_hole=True, end=GIB)


def blocks(source, size, seed=1):
    return list(verifying.sampled(source, size, random.Random(seed)))


class TestSample:
    def test_it_has_the_first_and_the_last_block(self):
        found = blocks(Thin({0: GIB}), 3 * BLOCK + 5)
        assert found[0] == (0, BLOCK)
        assert found[-1] == (3 * BLOCK, 5)

    def test_none_is_read_twice_and_there_are_not_too_many(self):
        found = blocks(Thin({0: GIB}), GIB)
        assert COUNT // 2 < len(found) <= COUNT + 2
        assert len(set(found)) == len(found)
        assert found == sorted(found)

    def test_holes_are_left_out(self):
        source = Thin({100 * BLOCK: 2 * BLOCK, 500 * BLOCK: BLOCK})
        found = {block.offset // BLOCK for block in blocks(source, GIB)}
        assert found - {0, 1023} <= {100, 101, 500}
        assert {100, 500} <= found
        assert source.asked <= 2 * COUNT

    @pytest.mark.parametrize("data", [{}, {0: 1}, {GIB - 1: 1}])
    def test_a_source_with_little_data_ends(self, data):
        assert [block.offset for block in blocks(Thin(data), GIB)] == [0, GIB - BLOCK]

    def test_data_behind_the_image_do_not_count(self):
        """Cinder's volume is longer than the image."""
        found = blocks(Thin({BLOCK: GIB}), BLOCK)
        assert found == [(0, BLOCK)]

    def test_an_image_without_bytes_has_none(self):
        assert blocks(Thin({}), 0) == []

    def test_other_runs_choose_other_blocks(self):
        assert blocks(Thin({0: GIB}), GIB, 1) != blocks(Thin({0: GIB}), GIB, 2)


class TestComparison:
    def compare(self, replica, source, size, told=lambda: None):
        verifying.compare_sample(replica, source, size, told, random.Random(1))

    def test_equal_bytes_are_right(self):
        data = Pattern(3 * BLOCK).at(0, 3 * BLOCK)
        self.compare(device(data), device(data), len(data))

    @pytest.mark.parametrize("place", [0, BLOCK, 3 * BLOCK - 1])
    def test_another_byte_is_found(self, place):
        data = Pattern(3 * BLOCK).at(0, 3 * BLOCK)
        other = bytearray(data)
        other[place] ^= 1
        with pytest.raises(verifying.Mismatch, match=f"{place // BLOCK * BLOCK} on"):
            self.compare(device(bytes(other)), device(data), len(data))

    def test_a_short_replica_is_found(self):
        data = Pattern(2 * BLOCK).at(0, 2 * BLOCK)
        with pytest.raises(verifying.Mismatch):
            self.compare(device(data[:-1]), device(data), len(data))

    def test_it_can_be_interrupted(self):
        def told():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.compare(device(b"x"), device(b"x"), 1, told)

    def test_a_device_that_fails_is_no_mismatch(self):
        class Failing(MemoryDevice):
            def read_at(self, offset, length):
                raise OSError(5, "Input/output error")

        with pytest.raises(errors.Broken, match="Input/output") as caught:
            self.compare(Failing(), device(b"x"), 1)
        assert not isinstance(caught.value, verifying.Mismatch)


class TestDigest:
    DATA = Pattern(2 * BLOCK + 1).at(0, 2 * BLOCK + 1)
    IMAGE = Image(
        "i",
        size=len(DATA),
        hash_algo="sha512",
        hash_value=hashlib.sha512(DATA).hexdigest(),
    )

    def test_the_image_is_recognised_and_its_end_too(self):
        told = []
        verifying.compare_all(device(self.DATA + b"more"), self.IMAGE, told.append)
        assert told == [BLOCK, 2 * BLOCK, 2 * BLOCK + 1]

    def test_other_bytes_are_found(self):
        with pytest.raises(verifying.Mismatch):
            verifying.compare_all(device(self.DATA[:-1] + b"?"), self.IMAGE, id)

    def test_without_a_digest_nothing_is_proved(self):
        with pytest.raises(errors.Broken, match="no multihash"):
            verifying.compare_all(device(self.DATA), Image("i", size=1), id)


class Long:
    """A device of that length."""

    name = "long"
    remedies = errors.FILE

    def __init__(self, length):
        self.length = lambda: length


@pytest.mark.parametrize("length", [0, 1, GIB - 1, GIB + 1])
def test_a_file_of_another_length_is_found(length):
    with pytest.raises(verifying.Mismatch):
        verifying.check_length(Long(length), 1)


def test_a_file_of_whole_gib_is_right():
    verifying.check_length(Long(GIB), 1)


def lying_in(pool, name):
    volume = Volume("v", "available", 1, {}, pool=pool, name_id="n")
    device = MemoryDevice()
    device.name = name
    verifying.check_place(device, volume)


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        ("h@b#192.0.2.1:/fv2", "192.0.2.1:/fv2/volume-n"),
        # The pool of a LUN is the FlexVol's name, and a device does not tell it.
        ("h@b#fv2", "/dev/sda"),
        (None, "192.0.2.1:/fv2/volume-n"),
    ],
)
def test_a_file_on_its_pools_export_is_right(pool, name):
    lying_in(pool, name)


def test_a_file_on_another_export_is_found():
    with pytest.raises(verifying.Astray, match="volume-n into another FlexVol"):
        lying_in("h@b#192.0.2.1:/fv2", "192.0.2.1:/fv20/volume-n")
