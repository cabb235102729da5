# SPDX-License-Identifier: Apache-2.0
"""The metadata of an image-volume, written and parsed."""

import string

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store.images.record import FORMAT
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State

text = st.text(string.printable, min_size=1, max_size=20)
optional = st.none() | text
records = st.builds(
    Record,
    image_id=optional,
    owner=optional,
    size=st.none() | st.integers(min_value=0, max_value=2**60),
    store=optional,
    state=st.sampled_from(
        [State.FILLING, State.SEALED, State.REPLICATING, State.READING]
    ),
    writer=optional,
    process=optional,
    started=optional,
    write_id=optional,
    lock=optional,
    hash_algo=optional,
    hash_value=optional,
    content=optional,
    replica_of=optional,
    verified=optional,
)


class TestRoundTrip:
    @given(records)
    def test_written_metadata_is_read_back(self, record):
        metadata = record.to_metadata()
        assert Record.parse(metadata) == record
        assert all(isinstance(value, str) for value in metadata.values())

    @given(records)
    def test_keys_of_others_are_ignored(self, record):
        metadata = {**record.to_metadata(), "purpose": "x", "readonly": "True"}
        assert Record.parse(metadata) == record

    @given(st.dictionaries(text, text))
    def test_parsing_never_fails(self, metadata):
        known = {f"ontap_{key}": value for key, value in metadata.items()}
        Record.parse({**metadata, **known, "image_size": next(iter(known), "x")})

    def test_the_keys_that_cinder_and_upstream_know(self):
        record = Record(image_id="i", owner="o", size=0)
        assert record.to_metadata() == {
            "glance_image_id": "i",
            "image_owner": "o",
            "image_size": "0",
        }

    def test_a_volume_of_this_release_names_its_format(self):
        metadata = Record(store="fv1", state=State.SEALED).to_metadata()
        assert metadata["ontap_format"] == FORMAT


class TestSize:
    @pytest.mark.parametrize(
        "size",
        [
            "",
            "x",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "0x10",
            " 1",
            "1\n",
            "1_000",
            "\u0662\u0660\u0669",  # Arabic-Indic digits, which int() reads
            "\u00b2",  # a superscript two
            "\uff11",  # a full-width one
            "9" * 20,
        ],
    )
    def test_text_that_is_not_a_number_is_not_a_size(self, size):
        record = Record.parse({"image_size": size})
        assert record.size is None
        assert record.bad_size == size

    @pytest.mark.parametrize(("size", "number"), [("0", 0), ("007", 7), ("123", 123)])
    def test_ascii_digits_are_a_size(self, size, number):
        record = Record.parse({"image_size": size})
        assert record.size == number
        assert record.bad_size is None


class TestState:
    @pytest.mark.parametrize(
        ("metadata", "state"),
        [
            ({}, None),
            ({"glance_image_id": "i", "image_owner": "o"}, None),
            ({"ontap_state": "filling"}, State.FILLING),
            ({"ontap_state": "sealed"}, State.SEALED),
            ({"ontap_state": "sealed", "ontap_format": "1"}, State.SEALED),
            ({"ontap_state": "reading"}, State.READING),
            ({"ontap_state": "replicating"}, State.REPLICATING),
            # The state is missing, or a later release's.
            ({"ontap_store": "fv1"}, State.UNKNOWN),
            ({"ontap_write_id": "w"}, State.UNKNOWN),
            ({"ontap_format": "2"}, State.UNKNOWN),
            ({"ontap_state": ""}, State.UNKNOWN),
            ({"ontap_state": "banana"}, State.UNKNOWN),
            ({"ontap_state": "copying"}, State.UNKNOWN),
            ({"ontap_state": "SEALED"}, State.UNKNOWN),
            ({"ontap_state": "unknown"}, State.UNKNOWN),
            ({"ontap_state": "sealed", "ontap_format": "2"}, State.UNKNOWN),
        ],
    )
    def test_the_state_of_a_volume(self, metadata, state):
        assert Record.parse(metadata).state is state

    @pytest.mark.parametrize(
        ("metadata", "text"),
        [
            ({"ontap_state": "banana"}, "'banana'"),
            ({"ontap_store": "fv1"}, "(none)"),
            ({"ontap_state": "sealed", "ontap_format": "2"}, "format '2'"),
        ],
    )
    def test_a_state_that_is_not_known_is_named(self, metadata, text):
        assert text in Record.parse(metadata).state_text


@pytest.mark.parametrize(
    ("record", "is_image"),
    [
        (Record(), False),
        (Record(size=5), False),
        (Record(image_id="i"), True),
        (Record(owner="o"), True),
        (Record(image_id="", owner=""), False),
    ],
)
def test_an_image_id_or_an_owner_marks_an_image(record, is_image):
    assert record.is_image is is_image
