# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.transfer import content
from glance_ontap_store.transfer import source
from glance_ontap_store.transfer.buffers import BLOCK
from glance_ontap_store.transfer.source import BoundedReader
from glance_ontap_store.transfer.source import PeekedReader

lengths = st.integers(min_value=0, max_value=300)
chunk_sizes = st.integers(min_value=1, max_value=100)


def reader(length, most=2**30):
    return OnePass(Pattern(length), most=most)


def chunks(reader, announced, size=BLOCK):
    stream = BoundedReader(reader, announced)
    return iter(lambda: stream.read(size), b"")


class TestPeekedReader:
    @given(lengths, chunk_sizes, chunk_sizes)
    def test_the_whole_stream_in_order(self, length, size, most):
        peeked = PeekedReader(reader(length, most))
        assert peeked.is_empty is (length == 0)
        found = list(iter(lambda: peeked.read(size), b""))
        assert b"".join(found) == Pattern(length).at(0, length)
        assert all(len(piece) <= size for piece in found)

    def test_the_first_read_is_small_and_no_other_is_ahead(self):
        """Glance inspects each read, see `READ_SIZE`."""
        asked = []

        class Stream:
            def read(self, size):
                asked.append(size)
                return bytes(size)

        peeked = PeekedReader(Stream())
        assert asked == [source.READ_SIZE]
        assert peeked.read(2 * source.READ_SIZE) == bytes(source.READ_SIZE)
        assert asked == [source.READ_SIZE]
        assert peeked.read(10) == bytes(10)
        assert asked == [source.READ_SIZE, 10]

    def test_errors_of_the_stream_pass_unchanged(self):
        error = OSError("the client went away")
        with pytest.raises(OSError, match="went away"):
            PeekedReader(OnePass(Pattern(10), breaks_at=0, error=error))


class TestBoundedReader:
    @given(lengths, chunk_sizes, chunk_sizes, st.booleans())
    def test_the_whole_stream_in_order(self, length, size, most, is_known):
        announced = length if is_known else 0
        found = list(chunks(reader(length, most), announced, size))
        assert b"".join(found) == Pattern(length).at(0, length)
        assert all(0 < len(chunk) <= size for chunk in found)

    @pytest.mark.parametrize("length", [0, 100, content.HEAD, 3 * content.HEAD])
    @pytest.mark.parametrize("most", [7000, 2**30])
    def test_the_first_bytes_are_kept(self, length, most):
        stream = BoundedReader(reader(length, most), length)
        while stream.read(BLOCK):
            pass
        assert stream.head == Pattern(length).at(0, min(length, content.HEAD))

    @given(
        st.integers(min_value=1, max_value=300),
        st.integers(min_value=1, max_value=300),
        chunk_sizes,
        chunk_sizes,
    )
    def test_more_than_announced_is_never_passed_on(self, announced, more, size, most):
        passed = 0
        with pytest.raises(errors.WrongLength, match=f"{announced} bytes"):
            for chunk in chunks(reader(announced + more, most), announced, size):
                passed += len(chunk)
        assert passed <= announced

    @given(lengths, st.integers(min_value=1, max_value=300), chunk_sizes, chunk_sizes)
    def test_less_than_announced_is_an_error_at_the_end(
        self, length, missing, size, most
    ):
        passed = 0
        with pytest.raises(errors.WrongLength, match=f"only {length} came"):
            for chunk in chunks(reader(length, most), length + missing, size):
                passed += len(chunk)
        assert passed == length

    def test_errors_of_the_reader_pass_unchanged(self):
        class ClientGone(Exception):
            pass

        broken = OnePass(Pattern(100), breaks_at=50, most=25, error=ClientGone())
        passed = []
        with pytest.raises(ClientGone):
            for chunk in chunks(broken, 100):
                passed.append(chunk)
        assert len(b"".join(passed)) == 50

    def test_nothing_is_read_ahead(self):
        """Bytes from a slow socket are passed on before more are asked for."""
        taken = []

        class Counting:
            def read(self, size):
                taken.append(size)
                return b"x"

        next(chunks(Counting(), 0))
        assert len(taken) == 1

    @given(st.integers(min_value=1, max_value=2 * BLOCK))
    def test_a_large_read_asks_glance_for_a_small_one(self, size):
        asked = []

        class Asked:
            def read(self, size):
                asked.append(size)
                return bytes(size)

        BoundedReader(Asked(), 0).read(size)
        assert asked == [min(size, source.READ_SIZE)]

    def test_the_reader_is_not_read_after_its_end(self):
        """Some readers, such as OnePass, fail if they are read after their end."""
        stream = BoundedReader(reader(5), 5)
        assert [stream.read(10) for _ in range(4)] == [
            Pattern(5).at(0, 5),
            *[b""] * 3,
        ]
