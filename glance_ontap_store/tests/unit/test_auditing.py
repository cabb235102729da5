# SPDX-License-Identifier: Apache-2.0
"""What is wrong with image-volumes, by values; and reading them over a fake."""

import dataclasses
import datetime
import hashlib

import pytest

from glance_ontap_store import errors
from glance_ontap_store.auditing import judging
from glance_ontap_store.auditing import reading
from glance_ontap_store.auditing.defect import Code
from glance_ontap_store.auditing.defect import exit_code
from glance_ontap_store.auditing.judging import Located
from glance_ontap_store.auditing.reading import Progress
from glance_ontap_store.auditing.reading import Reader
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Hold
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StoreRemains
from glance_ontap_store.tests.fakes.clock import FakeClock

NOW = datetime.datetime(2026, 5, 4, 12, tzinfo=datetime.timezone.utc)
VOLUME_ID = "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11"
URL = f"cinder://fv1/{VOLUME_ID}"
IMAGE = Image(
    "image-1",
    owner="acme",
    size=1000,
    disk_format="raw",
    hash_algo="sha512",
    hash_value="abc",
    stores=frozenset({"fv1", "file"}),
)
DAY = 86400.0


def held(*, holds=(), volume=(), **metadata):
    values = {
        "glance_image_id": "image-1",
        "image_owner": "acme",
        "image_size": "1000",
        "ontap_hash_algo": "sha512",
        "ontap_hash_value": "abc",
        "ontap_store": "fv1",
        "ontap_state": "sealed",
        "ontap_content": "raw",
        "readonly": "True",
        **metadata,
    }
    shown = Volume(
        **{
            "id": VOLUME_ID,
            "status": "available",
            "size_gib": 1,
            "pool": "h@b#p",
            "metadata": {key: text for key, text in values.items() if text is not None},
            **dict(volume),
        }
    )
    return Held(shown, tuple(holds))


def facts(*volumes, images=(IMAGE,), urls=()):
    return Remains(
        now=NOW,
        stores=(StoreRemains("fv1", volumes),),
        fates={},
        images={each.id: each for each in images},
        urls=dict(urls),
    )


def judge(known, pools=frozenset({"h@b#p"})):
    return judging.judge(known, pools, DAY)


def codes(known, pools=frozenset({"h@b#p"})):
    return [each.code for each in judge(known, pools)]


def changed(**changes):
    return dataclasses.replace(IMAGE, **changes)


def test_an_image_that_is_right_has_no_defect():
    assert codes(facts(held())) == []


@pytest.mark.parametrize(
    ("volume", "code"),
    [
        (held(ontap_state="filling"), Code.UNFINISHED),
        (held(ontap_state="copying"), Code.UNFINISHED),
        (held(volume={"status": "error_deleting"}), Code.BROKEN),
        (held(image_size="999"), Code.SIZE),
        (held(image_size="a lot"), Code.SIZE),
        (held(image_size=None), Code.SIZE),
        (held(ontap_hash_value="x"), Code.DIGEST),
        (held(image_owner="globex"), Code.OWNER),
        (held(image_owner=None), Code.OWNER),
        (held(readonly="False"), Code.WRITABLE),
        (held(readonly=None), Code.WRITABLE),
        (held(ontap_content="qcow2"), Code.FORMAT),
        (held(volume={"pool": "h@b#old"}), Code.POOL),
    ],
)
def test_a_defect_of_the_volume(volume, code):
    assert codes(facts(volume)) == [code]


def test_a_volume_that_is_smaller_than_its_image():
    size = 2 * 1024**3
    volume = held(image_size=str(size))
    assert codes(facts(volume, images=[changed(size=size)])) == [Code.SHORT]


@pytest.mark.parametrize(
    "volume",
    [
        held(ontap_content="luks"),
        held(ontap_content=None),
        held(ontap_hash_value=None),
        held(ontap_hash_algo="sha256", ontap_hash_value="x"),
        held(volume={"pool": None}),
        # Cinder's own image-volumes, and upstream's, are not marked by this store.
        held(
            ontap_store=None,
            ontap_state=None,
            ontap_content=None,
            ontap_hash_algo=None,
            ontap_hash_value=None,
            image_size=None,
            readonly=None,
        ),
    ],
)
def test_what_is_unknown_is_no_defect(volume):
    assert codes(facts(volume)) == []


def test_qcow2_in_an_image_of_that_format_is_right():
    volume = held(ontap_content="qcow2")
    assert codes(facts(volume, images=[changed(disk_format="qcow2")])) == []


def test_pools_that_are_not_known_are_not_missed():
    assert codes(facts(held()), Unknown(Reason.FORBIDDEN, "no")) == []


@pytest.mark.parametrize(("hours", "expected"), [(23, []), (25, [Code.ATTACHED])])
def test_a_volume_that_is_attached_for_long(hours, expected):
    since = NOW - datetime.timedelta(hours=hours)
    hold = Hold("a", VOLUME_ID, "attached", since=since, host="glance-2")
    assert codes(facts(held(holds=[hold]))) == expected


@pytest.mark.parametrize(
    "image",
    [
        changed(stores=frozenset({"file"})),
        changed(status="saving"),
        changed(size=0),
        changed(size=None, status="queued"),
    ],
)
def test_images_without_bytes_in_the_store_need_no_volume(image):
    assert codes(facts(images=[image])) == []


@pytest.mark.parametrize(
    "volume",
    [
        held(glance_image_id="other"),
        held(ontap_store="fv2"),
        held(ontap_state="reading"),
    ],
)
def test_an_image_whose_volume_is_gone(volume):
    assert Code.GONE in codes(facts(volume))


def test_a_volume_without_the_images_id_is_found_by_the_location():
    volume = held(glance_image_id=None)
    known = facts(volume)
    assert [each.id for _, each in judging.not_found(known)] == ["image-1"]
    assert codes(facts(volume, urls={"image-1": (URL,)})) == []
    (gone,) = judging.judge(facts(urls={"image-1": (URL,)}), frozenset(), DAY)
    assert "its location names a volume that Cinder does not have" in gone.problem


def test_the_sealed_one_of_two_volumes_is_the_images():
    other = held(ontap_state="filling", volume={"id": "v2"})
    assert codes(facts(other, held())) == []


def test_a_half_made_replica_is_not_taken_for_the_image():
    other = held(ontap_state="replicating", volume={"id": "v2"})
    assert codes(facts(other, held())) == []
    assert codes(facts(other)) == [Code.GONE]


def test_a_complete_copy_that_glance_does_not_know():
    image = changed(stores=frozenset({"file"}))
    assert codes(facts(held(), images=[image])) == [Code.UNREGISTERED]
    (copied,) = judge(facts(held(ontap_write_id="w-1"), images=[image]))
    assert "then delete this volume" in copied.remedy
    (adopted,) = judge(facts(held(), images=[image]))
    assert "Do not delete the volume" in adopted.remedy
    (replica,) = judge(
        facts(held(ontap_write_id="w-1", ontap_replica_of="v0"), images=[image])
    )
    assert "glance-ontap replicate" in replica.remedy
    assert "delete this volume" not in replica.remedy
    other = ImageLocation("cinder://fv1/5f8b3e1c-7c0b-4d26-8f6f-6d6f6f0b1a22")
    image = changed(locations=(other,))
    assert codes(facts(held(), images=[image])) == [Code.GONE, Code.UNREGISTERED]


def test_an_orphan_is_not_a_defect_of_an_image():
    assert codes(facts(held(), images=[])) == []


class Stream(list):
    """The pieces of a read."""

    def close(self):
        pass


class Images:
    """Image-volumes with *data*; *length* bytes of it are there."""

    def __init__(self, data, length=None):
        self.data = data[:length]
        self.reads = []

    def read(self, volume_id, offset, length):
        end = None if length is None else offset + length
        self.reads.append((offset, length))
        data = self.data[offset:end]
        return Stream(data[at : at + 4096] for at in range(0, len(data), 4096)), len(
            data
        )


DATA = bytes(range(256)) * 20_000


def one(data=DATA, algorithm="sha512", **changes):
    value = hashlib.new(algorithm, data).hexdigest() if "shake" not in algorithm else ""
    image = changed(
        size=len(data), hash_algo=algorithm, **{"hash_value": value, **changes}
    )
    return Located("fv1", image, held())


def reader(clock=None, bandwidth=0.0, said=None, is_stopped=lambda: False):
    say = (lambda text: None) if said is None else said.append
    return Reader(clock or FakeClock(), bandwidth, say, is_stopped)


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", "md5"])
def test_a_right_image_is_read_without_a_defect(algorithm):
    assert reader().full(Images(DATA), one(algorithm=algorithm)) is None


@pytest.mark.parametrize(
    ("algorithm", "length"), [("shake_128", 32), ("shake_256", 64)]
)
def test_digests_of_chosen_length(algorithm, length):
    value = hashlib.new(algorithm, DATA).hexdigest(length)
    image = one(algorithm=algorithm, hash_value=value)
    assert reader().full(Images(DATA), image) is None


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:-1] + b"x", b""])
def test_other_bytes_are_a_wrong_digest(data):
    found = reader().full(Images(data), one())
    assert found.code is Code.DIGEST


def test_an_image_without_a_digest_cannot_be_compared():
    found = reader().full(Images(DATA), one(hash_value=None))
    assert found.code is Code.UNREADABLE


class Failing:
    """Volumes that cannot be read."""

    def read(self, volume_id, offset, length):
        raise errors.ImageVolumeInUse("It is attached.")


@pytest.mark.parametrize("way", ["full", "sample"])
def test_an_image_that_cannot_be_read(way):
    found = getattr(reader(), way)(Failing(), one())
    assert found.code is Code.UNREADABLE
    assert "It is attached." in found.problem


def test_a_sample_reads_the_beginning_the_end_and_some_of_the_rest():
    images = Images(DATA)
    assert reader().sample(images, one()) is None
    mib = 1024**2
    assert {(0, mib), (len(DATA) - mib, mib)} < set(images.reads)
    assert len(images.reads) == 11
    small = Images(b"x" * 7)
    assert reader().sample(small, one(b"x" * 7)) is None


def test_a_sample_notices_a_file_that_is_too_short():
    found = reader().sample(Images(DATA, -1), one())
    assert found.code is Code.UNREADABLE


def test_a_sample_notices_a_format_that_nobody_recorded():
    data = b"QFI\xfb" + DATA
    assert reader().sample(Images(data), one(data)).code is Code.FORMAT
    assert reader().sample(Images(data), one(data, disk_format="qcow2")) is None


def test_reading_stays_below_the_bandwidth():
    clock = FakeClock()
    begun = clock.monotonic()
    reader(clock, bandwidth=len(DATA) / 60).full(Images(DATA), one())
    assert clock.monotonic() - begun == pytest.approx(60, rel=0.01)


def test_progress_is_told_during_a_long_read():
    said = []
    reader(FakeClock(), len(DATA) / 60, said).full(Images(DATA), one())
    assert 4 <= len(said) <= 6
    assert "% of" in said[0]


def test_a_stop_ends_the_read():
    with pytest.raises(reading.Stopped):
        reader(is_stopped=lambda: True).full(Images(DATA), one())


def test_right_images_are_skipped_by_the_next_run(tmp_path):
    path = str(tmp_path / "done")
    first, second = one(), one(b"other")
    progress = Progress(path)
    assert not progress.has(first)
    progress.add(first)
    later = Progress(path)
    assert later.has(first)
    assert not later.has(second)
    assert not Progress(None).has(first)


def test_a_file_of_progress_that_cannot_be_used_is_named(tmp_path):
    path = tmp_path / "missing" / "file"
    with pytest.raises(errors.Misconfigured, match="--resume"):
        Progress(str(path)).add(one())
    with pytest.raises(errors.Misconfigured, match="--resume"):
        Progress(str(tmp_path))


def test_exit_codes():
    (wrong,) = judging.judge(facts(), frozenset(), DAY)
    repaired = dataclasses.replace(wrong, result="repaired")
    failed = dataclasses.replace(wrong, result="failed: x", is_failure=True)
    assert exit_code([], True) == 0
    assert exit_code([repaired], True) == 0
    assert exit_code([repaired, wrong], True) == 1
    assert exit_code([failed], True) == 2
    assert exit_code([], False) == 2
