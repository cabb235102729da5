# SPDX-License-Identifier: Apache-2.0
"""Sizes in GiB, durations and byte ranges."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.units import ByteRange

GIB = units.GIB
sizes = st.integers(min_value=0, max_value=10 * GIB)


class TestGibFor:
    @pytest.mark.parametrize(
        ("size", "gib"),
        [
            (0, 1),
            (1, 1),
            (GIB - 1, 1),
            (GIB, 1),
            (GIB + 1, 2),
            (5 * GIB // 2, 3),
            (3 * GIB, 3),
        ],
    )
    def test_boundaries(self, size, gib):
        assert units.gib_for(size) == gib

    @given(sizes)
    def test_it_is_the_smallest_that_holds_the_image(self, size):
        gib = units.gib_for(size)
        assert gib >= 1
        assert gib * GIB >= size
        assert gib == 1 or (gib - 1) * GIB < size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90s", 90), ("5m", 300), ("5 min", 300), ("12h", 43200), (" 7D ", 604800)],
        *[
            (text, None)
            for text in ("", "7", "d", "-7d", "7w", "1.5h", "7dd", "\u0667d")
        ],
    ],
)
def test_a_duration_has_a_number_and_a_unit(text, seconds):
    assert units.seconds(text) == seconds


class TestByteRange:
    @given(
        st.integers(min_value=0, max_value=500),
        st.none() | st.integers(min_value=0, max_value=500),
        st.integers(min_value=0, max_value=400),
    )
    def test_it_is_what_slicing_bytes_gives(self, offset, length, size):
        image = bytes(index % 251 for index in range(size))
        end = None if length is None else offset + length
        wanted = ByteRange.clipped(offset, length, size)
        assert wanted.length == len(image[offset:end])
        assert wanted.length == 0 or wanted.offset + wanted.length <= size
        assert image[wanted.offset : wanted.offset + wanted.length] == image[offset:end]

    @pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (-5, -5)])
    def test_negative_numbers_are_refused(self, offset, length):
        with pytest.raises(errors.BadLocation):
            ByteRange.clipped(offset, length, 10)
