# SPDX-License-Identifier: Apache-2.0
import hashlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.glance import RecordingVerifier
from glance_ontap_store.transfer.digests import Digests


class TestDigests:
    @given(st.lists(st.binary(max_size=300)))
    def test_digests_of_pieces_are_those_of_the_whole(self, pieces):
        verifier = RecordingVerifier()
        found = Digests("sha512", verifier)
        for piece in pieces:
            found.update(piece)
        whole = b"".join(pieces)
        assert found.checksum() == hashlib.md5(whole).hexdigest()
        assert found.multihash() == hashlib.sha512(whole).hexdigest()
        assert verifier.taken == whole

    @pytest.mark.parametrize("algorithm", sorted(hashlib.algorithms_available))
    def test_every_algorithm_is_hashlibs_or_refused(self, algorithm):
        """Glance may be configured with any name that hashlib lists."""
        try:
            expected = hashlib.new(algorithm, b"image")
        except ValueError:
            with pytest.raises(errors.UnknownHash, match=algorithm):
                Digests(algorithm)
            return
        found = Digests(algorithm)
        found.update(b"image")
        if expected.digest_size:
            assert found.multihash() == expected.hexdigest()
        else:
            assert expected.hexdigest(100).startswith(found.multihash())

    @pytest.mark.parametrize(
        ("algorithm", "bits"), [("shake_128", 256), ("shake_256", 512)]
    )
    def test_shake_digests_have_their_full_strength(self, algorithm, bits):
        found = Digests(algorithm)
        found.update(b"image")
        assert len(found.multihash()) * 4 == bits
        whole = hashlib.new(algorithm, b"image").hexdigest(bits // 8)
        assert found.multihash() == whole

    def test_a_digest_fits_into_cinders_metadata(self):
        for algorithm in sorted(hashlib.algorithms_guaranteed):
            assert len(Digests(algorithm).multihash()) <= 255

    @pytest.mark.parametrize("algorithm", ["md6", "", "sha512 "])
    def test_an_unknown_algorithm_names_the_option(self, algorithm):
        with pytest.raises(errors.UnknownHash, match="hashing_algorithm"):
            Digests(algorithm)

    def test_digests_can_be_asked_for_twice(self):
        found = Digests("sha256")
        found.update(b"image")
        assert found.multihash() == found.multihash()
        assert found.checksum() == found.checksum()
