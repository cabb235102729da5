# SPDX-License-Identifier: Apache-2.0
import pytest

from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import zeros


@pytest.mark.parametrize("kind", [bytes, memoryview])
@pytest.mark.parametrize(
    ("data", "are_zeros"),
    [
        (b"", True),
        (bytes(1), True),
        (bytes(zeros.MOST), True),
        (bytes(zeros.MOST + 1), False),
        (b"x", False),
        (bytes(4095) + b"x", False),
        (b"x" + bytes(4095), False),
    ],
)
def test_zeros_are_told_from_data(kind, data, are_zeros):
    assert zeros.are_all(kind(data)) is are_zeros


def test_a_part_of_a_view_is_looked_at_alone():
    view = memoryview(b"x" + bytes(10) + b"x")
    assert zeros.are_all(view[1:11])
    assert not zeros.are_all(view[1:])


def test_there_are_enough_zeros_for_a_block():
    found = zeros.of_length(buffers.BLOCK)
    assert len(found) == buffers.BLOCK
    assert not any(found[:: buffers.BLOCK // 64])
    with pytest.raises(ValueError, match="4194305 zeros were asked for"):
        zeros.of_length(zeros.MOST + 1)
