# SPDX-License-Identifier: Apache-2.0
import uuid

from glance_store import exceptions
from hypothesis import given
from hypothesis import strategies as st
from oslo_utils import uuidutils
import pytest

from glance_ontap_store import errors
from glance_ontap_store.location import EMPTY
from glance_ontap_store.location import Location
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.location import parse_volume_id

ID = "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11"


class TestLocation:
    @pytest.mark.parametrize(
        ("uri", "store_id"),
        [
            (f"cinder://fv1/{ID}", "fv1"),
            (f"cinder://{ID}", None),
            (f"cinder:///{ID}", None),
            (f"ontap://fv1/{ID}", "fv1"),
            (f"ontap://{ID}", None),
            (f"CINDER://fv1/{ID.upper()}", "fv1"),
        ],
    )
    def test_a_url_is_parsed(self, uri, store_id):
        assert Location.parse(uri) == Location(ID, store_id)

    @given(st.uuids(), st.none() | st.from_regex(r"\A[A-Za-z0-9_.-]{1,30}\Z"))
    def test_a_written_location_is_parsed_back(self, volume_id, store_id):
        written = Location(str(volume_id), store_id)
        assert Location.parse(str(written)) == written

    def test_the_last_segment_is_the_volume_id(self):
        """Cinder takes it for the id of the volume to clone."""
        assert str(Location(ID, "fv1")).rpartition("/")[2] == ID

    @pytest.mark.parametrize(
        ("uri", "store_id"), [("cinder://fv1/empty", "fv1"), ("cinder://empty", None)]
    )
    def test_an_image_of_zero_bytes_has_no_volume(self, uri, store_id):
        found = Location.parse(uri)
        assert found == Location(EMPTY, store_id)
        assert str(found) == uri

    def test_cinder_finds_no_volume_for_zero_bytes(self):
        """It ignores a last segment that is no UUID."""
        assert not uuidutils.is_uuid_like(EMPTY)

    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "cinder://fv1/EMPTY",
            "cinder://fv1/empty/",
            "cinder://fv1/empty?",
            f"cinder://empty/{ID}/empty",
            ID,
            "cinder:",
            "cinder://",
            "cinder:///",
            "cinder://fv1",
            "cinder://fv1/",
            f"cinder:{ID}",
            f"cinder:/{ID}",
            f"file://fv1/{ID}",
            f"rbd://{ID}",
            f"cinder://a/b/{ID}",
            f"cinder://fv1/{ID}/",
            f"cinder://fv1/{ID}?x=1",
            f"cinder://fv1/{ID}#x",
            f"cinder://fv1/{ID[:-1]}",
            f"cinder://user:password@fv1:99/x{ID}",
        ],
    )
    def test_any_other_url_is_refused(self, uri):
        with pytest.raises(errors.BadLocation):
            Location.parse(uri)

    @given(st.text() | st.text().map(lambda text: f"cinder://{text}"))
    def test_any_text_is_parsed_or_refused(self, uri):
        try:
            found = Location.parse(uri)
        except errors.BadLocation:
            return
        assert found.volume_id in uri.lower()


class TestStoreLocation:
    def parse(self, uri, backend="fv1"):
        parsed = StoreLocation({}, None, backend_group=backend)
        parsed.parse_uri(uri)
        return parsed

    @pytest.mark.parametrize(
        "uri", [f"cinder://fv1/{ID}", f"cinder://{ID}", f"ontap://fv1/{ID}"]
    )
    def test_the_uri_names_the_store_after_parsing(self, uri):
        assert self.parse(uri).get_uri() == f"cinder://fv1/{ID}"

    def test_another_stores_url_is_refused(self):
        with pytest.raises(exceptions.BadStoreUri, match="'fv2'"):
            self.parse(f"cinder://fv2/{ID}")
        with pytest.raises(exceptions.BadStoreUri, match="'fv2'"):
            self.parse("cinder://fv2/empty")

    def test_a_store_without_an_id_has_no_id_in_its_uri(self):
        assert self.parse(f"cinder://{ID}", None).get_uri() == f"cinder://{ID}"

    def test_specs_make_a_uri(self):
        made = StoreLocation({"volume_id": ID}, None, backend_group="fv1")
        assert made.get_uri() == f"cinder://fv1/{ID}"


class TestParseVolumeId:
    @given(st.uuids())
    def test_a_uuid_is_kept(self, value):
        assert parse_volume_id(str(value)) == str(value)
        assert parse_volume_id(str(value).upper()) == str(value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "empty",
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
            parse_volume_id(text)

    @given(st.text())
    def test_nothing_else_comes_out(self, text):
        try:
            found = parse_volume_id(text)
        except errors.BadLocation:
            return
        assert found == str(uuid.UUID(text))
        assert found == text.lower()
