# SPDX-License-Identifier: Apache-2.0
"""Uploads of every disk format, read through Glance's inspection.

Glance wraps the stream of an upload in `InspectWrapper` and asks it at the end
which format it saw (``glance/location.py``, `set_data`).
"""

import hashlib
from importlib import metadata

import pytest

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests.disk_formats import MIB
from glance_ontap_store.tests.fakes.device import MemoryDevice
from glance_ontap_store.transfer import content
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.pipeline import Written
from glance_ontap_store.transfer.sink import Sink

OLD = (
    f"oslo.utils {metadata.version('oslo.utils')} has no inspection of all formats:"
    " Glance uses it from 2025.1 on"
)
format_inspector = pytest.importorskip(
    "oslo_utils.imageutils.format_inspector", reason=OLD
)
if not hasattr(format_inspector.InspectWrapper, "formats"):
    pytest.skip(OLD, allow_module_level=True)

IMAGES = disk_formats.every_image()


class Stream:
    """A client's bytes: at first pieces of *sizes*, then as many as are asked for."""

    def __init__(self, data, sizes=()):
        self._data = memoryview(data)
        self._sizes = iter(sizes)
        self._at = 0

    def read(self, size):
        size = min(size, next(self._sizes, size))
        found = bytes(self._data[self._at : self._at + size])
        self._at += len(found)
        return found


def upload(way, data, sizes=()):
    """Store *data* as Glance does; return the inspectors that match, and the rest."""
    device = MemoryDevice()
    inspected = format_inspector.InspectWrapper(Stream(data, sizes))
    written = way(inspected, len(data), Digests("sha256"), Sink(device, thin=True))
    inspected.close()
    return inspected.formats, device, written


def names(inspectors):
    return {str(inspector) for inspector in inspectors}


def content_of(image):
    """Return the format that the store records of the image.

    A partition table makes no disk format, and may be in an ISO image too.
    """
    (found,) = (image.formats - {"gpt"}) or {content.RAW}
    return found


class TestInspection:
    @pytest.mark.parametrize(
        "sizes",
        [(), (100,), (65_536,) * 20, (1_000, 200_000), (255 * 1024,)],
        ids=["whole", "100", "64-KiB", "uneven", "255-KiB"],
    )
    @pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
    def test_a_disk_format_is_recognised_and_stored(self, image, sizes):
        found, device, written = upload(pipeline.fill, image.data, sizes)
        assert names(found) == image.formats
        assert image.virtual_size in {inspector.virtual_size for inspector in found}
        assert written == Written(
            len(image.data),
            hashlib.md5(image.data).hexdigest(),
            hashlib.sha256(image.data).hexdigest(),
            content_of(image),
        )
        assert device.read_at(0, len(image.data)) == image.data

    @pytest.mark.parametrize("way", [pipeline.fill, pipeline.fill_threaded])
    @pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
    def test_glance_can_check_that_an_image_is_safe(self, way, image):
        found, *_rest = upload(way, image.data)
        for inspector in found:
            if image.is_allowed:
                inspector.safety_check()
            else:
                with pytest.raises(format_inspector.SafetyCheckFailed):
                    inspector.safety_check()

    @pytest.mark.parametrize("metadata_at", [MIB, 2 * MIB, 3 * MIB, 4 * MIB])
    @pytest.mark.parametrize("first", [0, 1, 150_000, 200_000, 262_143])
    def test_a_vhdx_upload_is_not_refused_as_incomplete(self, first, metadata_at):
        """Glance answered 415, because its inspector missed the disk's size.

        It does with reads of 4 MiB, and with reads of 1 MiB after a short piece.
        """
        sizes = (first,) if first else ()
        found, *_rest = upload(pipeline.fill, disk_formats.vhdx(metadata_at), sizes)
        (vhdx,) = found
        assert vhdx.complete
        assert vhdx.virtual_size == disk_formats.DISK_SIZE
        vhdx.safety_check()


def test_every_format_that_the_library_inspects_is_tried():
    tried = set().union(*(image.formats for image in IMAGES))
    assert tried == set(format_inspector.ALL_FORMATS)
