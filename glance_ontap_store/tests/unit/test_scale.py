# SPDX-License-Identifier: Apache-2.0
"""Commands and operations with many image-volumes: what grows, and what does not.

``tox -e scale`` measures time and memory; here requests are counted.
"""

from collections import Counter
import contextlib
import datetime

import pytest

from glance_ontap_store import identity
from glance_ontap_store.cinder import client
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester
from glance_ontap_store.survey import gather_placement
from glance_ontap_store.survey import glance
from glance_ontap_store.survey import listing
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes import many
from glance_ontap_store.tests.fakes.faulty_http import FAULTS
from glance_ontap_store.tests.fakes.faulty_http import CinderOverHttp
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.many import ManyImages

STORES = 12
# More than a page of Cinder's and of Glance's list, which are short here: the time of
# the fakes would be that of a thousand answers.
PAGE = 50
MANY = 65
IMAGES = MANY * 4 // 5
(LOST,) = (fault for fault in FAULTS if fault.name == "reset after")
CONTENT = Pattern(builders.SIZE).at(0, builders.SIZE)
PAGES = 2
LISTS = "GET /north/internal/v3/volumes/detail"
LOCATIONS = "GET /v2/images/ID/locations"


@pytest.fixture
def http(requests_mock, monkeypatch):
    return command.http(requests_mock, monkeypatch)


@pytest.fixture
def short_pages(monkeypatch):
    monkeypatch.setattr(client, "_PAGE", PAGE)
    monkeypatch.setattr(glance, "_PAGE", PAGE)
    monkeypatch.setattr(gather_placement, "_AHEAD", PAGE)


@pytest.fixture
def run(short_pages, http, capsys, tmp_path, monkeypatch):
    """Runs a command; returns its answers by request, its rows, and what it said."""
    policy = tmp_path / "replicas.yaml"
    policy.write_text(many.POLICY)

    def run(*words, volumes=MANY):
        http.answers.clear()
        cloud = ManyImages(http, volumes, STORES)
        config = cloud.config(str(tmp_path / "mnt"))
        name, *arguments = (str(policy) if word == "POLICY" else word for word in words)
        run = command.runner(name, config, tmp_path, capsys, monkeypatch)
        code, out, err = run(*arguments)
        assert code in (0, 1), err
        return Counter(name for name, _size in http.answers), out.splitlines(), err

    return run


@pytest.mark.parametrize(
    ("words", "lists"),
    [
        # The project's list in pages, and a list for each store.
        (("list", "-f", "csv"), PAGES + STORES),
        (("usage", "-f", "csv"), PAGES + STORES),
        # And all that are named like those of Cinder's cache.
        (("sweep",), PAGES + STORES + PAGES),
        (("audit",), PAGES + STORES + PAGES),
        (("replicate", "POLICY", "-f", "csv"), PAGES + STORES),
        (("explain", "--all", "-f", "csv"), PAGES),
    ],
)
def test_volumes_are_asked_for_in_pages_and_not_one_by_one(run, words, lists):
    asked, _rows, _err = run(*words)
    assert asked[LISTS] == lists
    assert asked["GET /north/internal/v3/volumes/ID"] == 0
    assert asked["GET /v2/images/ID"] == 0


def test_rows_of_each_image_volume_and_none_twice(run):
    _, rows, err = run("list", "-f", "csv")
    assert len(set(rows)) == len(rows) == 1 + MANY
    assert f"Listing volumes: {PAGE} so far ..." in err
    assert f"Listing volumes: store 10 of {STORES} ..." in err
    assert f"Listing images: {PAGE} so far ..." in err
    _, rows, _ = run("usage", "-f", "csv")
    assert len(rows) == 1 + STORES
    assert sum(int(row.split(",")[1]) for row in rows[1:]) == MANY


def test_nothing_is_wrong_with_many_images(run):
    asked, rows, err = run("audit")
    assert f"Images in the stores: {MANY}; defects: 0." in err
    assert rows == []
    assert asked[LOCATIONS] == 0
    _, _, err = run("sweep")
    assert f"Listing images: {PAGE} so far ..." in err


def test_only_what_a_rule_is_about_is_in_a_plan(run):
    _, rows, _ = run("replicate", "POLICY", "-f", "csv")
    actions = Counter(row.split(",")[0].strip('"') for row in rows[1:])
    # The golden image is in fv1, and wanted in fv0 too; no rule wants the replicas.
    assert actions == {"make": 1, "keep": 1, "retire": MANY // 5}


def test_locations_are_asked_for_once_for_each_image(run):
    asked, rows, err = run("explain", "--all", "-f", "csv")
    assert asked[LOCATIONS] == IMAGES
    assert len(rows) == 1 + IMAGES * STORES
    assert f"Asking for locations: {PAGE} of {IMAGES} ..." in err
    assert f"{IMAGES} images; {IMAGES} would gain from a replica: " in err
    asked, rows, _ = run("explain", "--all", volumes=10)
    # A table: the header and three lines around.
    assert len(rows) == 4 + 8


class TestVolumesOfAProject:
    """Each volume is looked at, and not once for each store."""

    TYPES = {"fv1": "gold", "fv2": "gold", "fv3": "silver", "fv4": None}

    @pytest.mark.parametrize(
        ("named", "type_name", "stores"),
        [
            ("fv2", "silver", ["fv2"]),
            # Cinder may have registered it itself.
            (None, "silver", ["fv3"]),
            (None, "gold", ["fv1", "fv2"]),
            # Somebody else's, or of a store that is not asked about.
            (None, "iron", ["fv1"]),
            (None, None, ["fv1"]),
            ("fv9", "silver", ["fv1"]),
        ],
    )
    def test_a_volume_is_with_the_store_that_it_may_be_of(
        self, named, type_name, stores
    ):
        metadata = {} if named is None else {"ontap_store": named}
        volume = Volume("x", "available", 1, metadata, volume_type=type_name)
        found = listing.divided([volume], self.TYPES)
        assert found.keys() == self.TYPES.keys()
        assert [store for store in found if found[store]] == stores


class TestImagesOfOneSize:
    """An image-volume without an image may be another one's, which is told fast."""

    @staticmethod
    def images(*digests):
        return {
            f"image-{number}": Image(
                f"image-{number}", size=7, hash_algo=algo, hash_value=value
            )
            for number, (algo, value) in enumerate(digests)
        }

    @pytest.mark.parametrize(
        ("algo", "value", "found"),
        [
            ("sha512", "aa", {0, 2, 3, 4}),
            ("sha512", "zz", {2, 3, 4}),
            ("sha512", None, {0, 1, 2, 3, 4}),
            ("md5", "aa", {0, 1, 2, 3, 4}),
            (None, None, {0, 1, 2, 3, 4}),
        ],
    )
    def test_only_a_digest_that_differs_tells_them_apart(self, algo, value, found):
        images = self.images(
            *(("sha512", "aa"), ("sha512", "bb"), ("sha512", None)),
            *(("sha256", "aa"), (None, None)),
        )
        now = datetime.datetime.now(datetime.timezone.utc)
        remains = Remains(now, (), {}, images)
        record = Record(size=7, hash_algo=algo, hash_value=value)
        seen = {each.id for each in remains.images_that_may_be(record)}
        assert seen == {f"image-{number}" for number in found}
        assert not list(remains.images_that_may_be(Record(size=8)))


@pytest.fixture
def life(requests_mock, cloud):
    """A function that lets an image live among others; its requests, and bytes."""
    http = CinderOverHttp(requests_mock, cloud.cinder, cloud.clock)
    settings = builders.make_settings()
    session = identity.session_for(settings)
    session.session.trust_env = False
    cloud.volumes = CinderClient(settings, session)
    others = []

    def life(number):
        while len(others) < number:
            others.append(made(cloud.cinder, len(others)))
        cloud.clock.sleep(3600)
        session.get_token()
        http.recover()
        http.sizes.clear()
        # The answer to the creation is lost, so that the volume is looked for.
        http.fail(LOST, 0)
        images = cloud.lifecycle()
        stored = images.store(builders.upload())
        images.size_for(stored.volume_id, Requester("acme", True))
        assert read(images, stored) == CONTENT
        with attached(cloud.cinder, stored.volume_id):
            # Through a temporary clone.
            assert read(images, stored) == CONTENT
        images.record_to_delete(stored.volume_id)
        images.delete(stored.volume_id)
        return list(http.sent), list(http.sizes)

    return life


def made(cinder, number):
    """An image-volume of another image, on one of two FlexVols."""
    store = ("fv1", "fv2")[number % 2]
    metadata = {
        "glance_image_id": f"other-{number}",
        "image_owner": "acme",
        "image_size": "5000",
        "ontap_store": store,
        "ontap_state": "sealed",
    }
    new = NewVolume(f"image-other-{number}", 1, f"ontap-{store}", metadata)
    return cinder.create(new).id


def read(images, stored):
    stream, _size = images.read(stored.volume_id, 0, None)
    return b"".join(stream)


@contextlib.contextmanager
def attached(cinder, volume_id):
    other = cinder.attach(volume_id, FakeHost().connector, "ro")
    cinder.complete(other.id)
    yield
    cinder.detach(other.id)


def test_no_request_of_an_image_grows_with_their_number(life):
    requests, sizes = life(10)
    assert requests[:2] == ["POST /volumes", "GET /volumes/detail"]
    assert "DELETE /volumes/ID" in requests
    assert life(1000) == (requests, sizes)
