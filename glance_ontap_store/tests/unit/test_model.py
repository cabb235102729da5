# SPDX-License-Identifier: Apache-2.0
import string
import uuid

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store import location
from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import image_volume
from glance_ontap_store.images import record as record_
from glance_ontap_store.images.record import Record
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


text = st.text(string.printable, min_size=1, max_size=20)
records = st.builds(
    Record,
    image_id=st.none() | text,
    owner=st.none() | text,
    size=st.none() | st.integers(min_value=0),
    store=st.none() | text,
    state=st.none() | st.sampled_from([record_.FILLING, record_.SEALED]),
    writer=st.none() | text,
    write_id=st.none() | text,
    hash_algo=st.none() | text,
    hash_value=st.none() | text,
)


class TestRecord:
    @given(records)
    def test_written_metadata_is_read_back(self, record):
        metadata = record.to_metadata()
        assert Record.parse(metadata) == record
        assert all(isinstance(value, str) for value in metadata.values())

    @given(records)
    def test_keys_of_others_are_ignored(self, record):
        metadata = {**record.to_metadata(), "purpose": "x", "readonly": "True"}
        assert Record.parse(metadata) == record

    def test_the_keys_that_cinder_and_upstream_know(self):
        record = Record(image_id="i", owner="o", size=0)
        assert record.to_metadata() == {
            "glance_image_id": "i",
            "image_owner": "o",
            "image_size": "0",
        }

    @pytest.mark.parametrize("size", ["", "x", "-1", "1.5", "0x10", " 1", "1\n"])
    def test_a_size_that_is_none_is_an_error(self, size):
        with pytest.raises(errors.Broken, match="image_size"):
            Record.parse({"image_size": size})

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
    def test_what_marks_an_image(self, record, is_image):
        assert record.is_image is is_image


def volume(record=None, **changes):
    known = {
        "id": "11111111-1111-4111-8111-111111111111",
        "status": "available",
        "size_gib": 1,
        "metadata": (record or SEALED).to_metadata(),
    }
    return Volume(**{**known, **changes})


SEALED = Record(
    image_id="image", owner="acme", size=100, store="fv1", state=record_.SEALED
)
FILLING = Record(
    image_id="image", owner="acme", store="fv1", state=record_.FILLING, writer="host-7"
)
CINDERS = Record(owner="acme")


class TestImageVolume:
    @pytest.mark.parametrize(
        ("found", "size", "is_ours"),
        [
            pytest.param(volume(), 100, True, id="sealed by us"),
            pytest.param(volume(status="in-use"), 100, True, id="being read"),
            pytest.param(volume(status="attaching"), 100, True, id="being attached"),
            pytest.param(volume(CINDERS), GIB, False, id="uploaded by Cinder"),
            pytest.param(volume(CINDERS, size_gib=3), 3 * GIB, False, id="3 GiB"),
            pytest.param(
                volume(Record(image_id="i", owner="o", size=7)),
                7,
                False,
                id="upstream's",
            ),
            pytest.param(
                volume(Record(image_id="i", size=0, state=record_.SEALED)),
                0,
                True,
                id="empty",
            ),
            pytest.param(volume(Record(image_id="i", size=GIB)), GIB, False, id="full"),
        ],
    )
    def test_served(self, found, size, is_ours):
        image = image_volume.image_volume(found, "fv1")
        assert image.size == size
        assert image.is_ours is is_ours
        assert image.id == found.id

    @pytest.mark.parametrize(
        ("found", "error", "says"),
        [
            pytest.param(
                volume(status="deleting"),
                errors.ImageVolumeGone,
                "deleted",
                id="deleting",
            ),
            pytest.param(volume(FILLING), errors.Broken, "host-7", id="never finished"),
            pytest.param(volume(status="error"), errors.Broken, "'error'", id="error"),
            pytest.param(
                volume(status="error_deleting"),
                errors.Broken,
                "error_deleting",
                id="error deleting",
            ),
            pytest.param(
                volume(encrypted=True), errors.Broken, "encrypted", id="encrypted"
            ),
            pytest.param(
                volume(Record(image_id="i", size=GIB + 1)),
                errors.Broken,
                "metadata says",
                id="larger than the volume",
            ),
            pytest.param(
                volume(Record()), errors.Refused, "not an image", id="no image"
            ),
            pytest.param(
                volume(Record(image_id="i", store="fv2")),
                errors.Refused,
                "not an image",
                id="another store's",
            ),
            pytest.param(
                volume(Record(store="fv1", state=record_.SEALED)),
                errors.Refused,
                "not an image",
                id="no owner and no image",
            ),
        ],
    )
    def test_not_served(self, found, error, says):
        with pytest.raises(error, match=says):
            image_volume.image_volume(found, "fv1")

    def test_a_refusal_does_not_tell_what_the_volume_is(self):
        found = volume(
            metadata={"purpose": "payroll"}, status="error", volume_type="gold"
        )
        with pytest.raises(errors.Refused) as caught:
            image_volume.image_volume(found, "fv1")
        for secret in ("payroll", "error", "gold"):
            assert secret not in str(caught.value)

    def test_a_store_without_an_id_takes_images_without_a_store(self):
        image = Record(image_id="i", size=1)
        assert image_volume.image_volume(volume(image), None).size == 1
        with pytest.raises(errors.Refused):
            image_volume.image_volume(volume(SEALED), None)


class TestBelongsTo:
    @pytest.mark.parametrize(
        ("metadata", "volume_type", "expected"),
        [
            ({"ontap_store": "fv1"}, "any", True),
            ({"ontap_store": "fv2"}, "type-1", False),
            ({}, "type-1", False),
            # Cinder's own, before and after Glance has told it the image's id.
            ({"image_owner": "acme"}, "type-1", True),
            ({"image_owner": "acme", "glance_image_id": "x"}, "type-1", True),
            ({"image_owner": "acme"}, "type-2", False),
            ({"image_owner": "acme"}, None, False),
            # Upstream's cinder store.
            ({"image_owner": "acme", "image_size": "7"}, "type-1", False),
            ({"glance_image_id": "x"}, "type-1", False),
        ],
    )
    def test_of_a_store_with_a_volume_type(self, metadata, volume_type, expected):
        volume = Volume("id", "available", 1, metadata, volume_type)
        assert image_volume.belongs_to(volume, "fv1", "type-1") is expected

    def test_of_a_store_without_one(self):
        volume = Volume("id", "available", 1, {"image_owner": "acme"}, None)
        assert image_volume.belongs_to(volume, "fv1", None) is False


class TestParseVolumeId:
    @given(st.uuids())
    def test_a_uuid_is_kept(self, value):
        assert location.parse_volume_id(str(value)) == str(value)
        assert location.parse_volume_id(str(value).upper()) == str(value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "x",
            uuid.UUID(int=5).hex,
            f"{{{uuid.UUID(int=5)}}}",
            f"urn:uuid:{uuid.UUID(int=5)}",
            f"{uuid.UUID(int=5)}/",
            f" {uuid.UUID(int=5)}",
        ],
    )
    def test_other_text_is_refused(self, text):
        with pytest.raises(errors.BadLocation):
            location.parse_volume_id(text)

    @given(st.text())
    def test_nothing_else_comes_out(self, text):
        try:
            found = location.parse_volume_id(text)
        except errors.BadLocation:
            return
        assert found == str(uuid.UUID(text))
        assert found == text.lower()
