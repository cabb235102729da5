# SPDX-License-Identifier: Apache-2.0
import hashlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store.transfer import md5


class Fake:
    """An md5 that is told apart from hashlib's."""

    def update(self, data):
        pass

    def hexdigest(self):
        return "fake"


def unsupported():
    raise RuntimeError("md5 is not supported by this backend for hashing.")


class TestChosen:
    @pytest.mark.parametrize("version", ["50.0.0", "50.0.2", "51", "100.1.dev1"])
    def test_a_release_that_lets_threads_run_is_used(self, version):
        assert md5.chosen(lambda: (version, Fake)) is Fake

    @pytest.mark.parametrize("version", ["42.0.5", "49.0.0", "3.4.8", "9"])
    def test_an_older_release_is_not(self, version):
        assert md5.chosen(lambda: (version, Fake)) is md5.of_hashlib

    @pytest.mark.parametrize("version", ["", "unknown"])
    def test_nor_is_one_of_a_version_that_tells_nothing(self, version):
        assert md5.chosen(lambda: (version, Fake)) is md5.of_hashlib

    def test_nor_is_one_without_md5(self):
        """Under FIPS cryptography refuses it. hashlib makes it for checksums."""
        assert md5.chosen(lambda: ("50.0.2", unsupported)) is md5.of_hashlib

    def test_without_the_package_it_is_hashlibs(self):
        def missing():
            raise ImportError("No module named 'cryptography'")

        assert md5.chosen(missing) is md5.of_hashlib


def test_the_installed_package_is_used_if_it_is_new_enough():
    """A change of its names would otherwise pass unseen, since hashlib steps in."""
    cryptography = pytest.importorskip("cryptography")
    is_new = int(cryptography.__version__.partition(".")[0]) >= 50
    assert isinstance(md5.new(), md5.OfCryptography) == is_new


def makers():
    try:
        _version, of_cryptography = md5.of_cryptography()
    except ImportError:
        return [md5.of_hashlib, md5.new]
    return [md5.of_hashlib, md5.new, of_cryptography]


@pytest.mark.parametrize("make", makers())
class TestMd5:
    @given(pieces=st.lists(st.binary(max_size=5000)))
    def test_every_library_has_the_same_digest(self, make, pieces):
        found = make()
        for piece in pieces:
            found.update(piece)
            found.update(memoryview(piece)[:0])
        expected = hashlib.md5(b"".join(pieces), usedforsecurity=False)
        assert found.hexdigest() == expected.hexdigest()

    def test_it_can_be_asked_for_before_the_end(self, make):
        found = make()
        for piece, whole in [(b"im", b"im"), (b"age", b"image")]:
            found.update(piece)
            expected = hashlib.md5(whole, usedforsecurity=False).hexdigest()
            assert found.hexdigest() == found.hexdigest() == expected

    def test_bytes_are_taken_before_a_buffer_changes(self, make):
        found, room = make(), bytearray(b"a" * 10_000)
        found.update(memoryview(room))
        room[:] = b"b" * 10_000
        expected = hashlib.md5(b"a" * 10_000, usedforsecurity=False)
        assert found.hexdigest() == expected.hexdigest()
