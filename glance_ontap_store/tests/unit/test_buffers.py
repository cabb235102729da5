# SPDX-License-Identifier: Apache-2.0
import io

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

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([1, 9, 10, 11, 30]), st.sampled_from([b"\0", b"x"])
            ),
            max_size=12,
        ),
        st.integers(min_value=1, max_value=12),
    )
    def test_zeros_stay_where_they_were(self, runs, most):
        content = b"".join(byte * length for length, byte in runs)
        stream = io.BytesIO(content)
        buffer = Buffer(10)
        found = []
        while buffer.fill(lambda length: stream.read(min(length, most))):
            found.append(bytes(buffer.block))
        assert found == [content[at : at + 10] for at in range(0, len(content), 10)]

    def test_zeros_before_data_replace_the_bytes_of_the_last_block(self):
        stream = io.BytesIO(b"x" * 8 + bytes(4) + b"y" * 4)
        buffer = Buffer(8)
        buffer.fill(lambda length: stream.read(4))
        buffer.fill(lambda length: stream.read(4))
        assert bytes(buffer.block) == bytes(4) + b"y" * 4

    def test_blocks_of_zeros_share_their_memory(self):
        first, second = Buffer(8), Buffer(8)
        first.fill(io.BytesIO(bytes(8)).read)
        second.fill(io.BytesIO(bytes(5)).read)
        assert first.block.obj is second.block.obj
        assert bytes(second.block) == bytes(5)
        assert second.block.readonly


def test_an_upload_needs_at_most_40_mib():
    pieces = 2 * source.READ_SIZE
    copy_for_the_verifier = buffers.BLOCK
    room = buffers.COUNT * buffers.BLOCK
    assert room + pieces + copy_for_the_verifier <= 40 * 1024 * 1024
