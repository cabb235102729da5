# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import source
from glance_ontap_store.transfer.buffers import Buffer
from glance_ontap_store.transfer.source import BoundedReader


class TestBuffer:
    @given(
        st.integers(min_value=0, max_value=300),
        st.integers(min_value=1, max_value=100),
        st.integers(min_value=1, max_value=100),
    )
    def test_whole_blocks_however_the_stream_was_cut(self, length, most, size):
        content = Pattern(length)
        stream = BoundedReader(OnePass(content, most=most), 0)
        buffer = Buffer(size)
        found = []
        while buffer.fill(stream.read):
            found.append(bytes(buffer.block))
        assert b"".join(found) == content.at(0, length)
        assert all(len(block) == size for block in found[:-1])
        assert not buffer.fill(stream.read)


def test_an_upload_needs_at_most_40_mib():
    pieces = 2 * source.READ_SIZE
    copy_for_the_verifier = buffers.BLOCK
    room = buffers.COUNT * buffers.BLOCK
    assert room + pieces + copy_for_the_verifier <= 40 * 1024 * 1024
