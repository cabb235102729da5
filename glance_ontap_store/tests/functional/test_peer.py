# SPDX-License-Identifier: Apache-2.0
"""Upstream's cinder store in the same lab: known differences, and its images in ours.

The same cases with our store have tests elsewhere. The first tests show what an
operator with both kinds of stores will see, and fail when upstream fixes it. The others
read, size and delete what upstream's store wrote.
"""

from collections.abc import Iterator
import contextlib
import hashlib
import json
import os
from pathlib import Path
import subprocess
from typing import Any

from glance_store import exceptions
from glance_store import location
import pytest

from glance_ontap_store.location import StoreLocation
from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab import stores
from lab.polling import wait_until

pytestmark = pytest.mark.shared


@pytest.mark.long
def test_peer_zeroes_an_upload_of_unknown_size(
    lab: Any, admin: Any, user: User
) -> None:
    data = Pattern(GIB + 100 * MIB)
    image = user.uploaded(data, store="peer")
    # The checksum is that of the stream: it looks right.
    assert image.hash_value == data.sha512.hexdigest()
    path = images.backing_file(lab, images.image_volume(admin, image.id))
    assert pattern.first_difference(path, data.size) == 0


def test_peer_leaves_the_file_shorter_than_the_volume(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(100 * MIB), store="peer")
    volume = images.image_volume(admin, image.id)
    assert images.backing_file(lab, volume).stat().st_size < volume.size * GIB


def test_peer_answers_500_to_a_deletion_while_attached(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB), store="peer")
    with images.reserved(admin, images.image_volume(admin, image.id).id):
        refused = user.cloud.image.delete(f"/images/{image.id}")
        assert refused.status_code == 500


def test_peer_beside_ours_keeps_its_own_images(
    lab: Any, admin: Any, user: User
) -> None:
    """Both stores have scheme ``cinder``; neither takes the other's images."""
    ours = user.uploaded(Sized(MIB), store="fv1")
    theirs = user.uploaded(Sized(MIB), store="peer")
    for image, store in ((ours, "fv1"), (theirs, "peer")):
        assert user.stores(image.id) == [store]
        assert user.download(image.id).content == pattern.at(0, MIB)
        user.cloud.image.delete_image(image.id, ignore_missing=False)
        wait_until(
            lambda image=image: not images.image_volumes(admin, image.id),
            "its volume is gone",
        )


def test_a_volume_from_the_peers_image_is_a_clone_too(
    lab: Any, admin: Any, user: User
) -> None:
    image = user.uploaded(Sized(MIB), store="peer")
    user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
    assert images.data_reads(lab, image.id) == []


# Bytes, an odd length, and a run of zeros, which upstream writes and storage
# efficiency takes out again.
DATA = pattern.at(0, MIB) + bytes(4 * MIB) + pattern.at(MIB, MIB) + b"the end"


def as_written(_path: Path) -> None:
    """Leave the file as upstream wrote it: shorter than the volume."""


def with_holes(path: Path) -> None:
    subprocess.run(["fallocate", "--dig-holes", str(path)], check=True)
    assert path.stat().st_blocks * 512 < len(DATA)


def as_long_as_the_volume(path: Path) -> None:
    os.truncate(path, GIB)


def longer_than_the_volume(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2 * GIB)
        os.pwrite(file.fileno(), b"not the image's", GIB)


URLS = ["cinder://fv1/{}", "cinder://{}"]
FILES = [as_written, with_holes, as_long_as_the_volume, longer_than_the_volume]


def here(lab: Any, url: str) -> tuple[Any, location.Location]:
    """Return store fv1 in this process, and *url* as Glance hands it to the store."""
    found = location.Location("cinder", StoreLocation, None, uri=url, backend="fv1")
    return stores.make_store(lab, mount_point_base=stores.new_base()), found


def read(store: Any, found: location.Location, **wanted: int) -> bytes:
    stream, size = store.get(found, **wanted)
    with contextlib.closing(stream):
        data = b"".join(stream)
    assert len(data) == size
    return data


@pytest.mark.parametrize(
    "url", [URLS[0], pytest.param(URLS[1], marks=pytest.mark.long)]
)
@pytest.mark.parametrize("change", sampling.one_of(2, FILES))
def test_what_upstream_wrote_is_read_sized_and_deleted(
    lab: Any, admin: Any, user: User, change: Any, url: str
) -> None:
    image = user.image()
    assert user.put(image, DATA, "peer").status_code == 204
    volume = images.image_volume(admin, image.id)
    change(images.backing_file(lab, volume))
    store, found = here(lab, url.format(volume.id))
    assert store.get_size(found) == len(DATA)
    assert read(store, found) == DATA
    assert read(store, found, offset=MIB - 3, chunk_size=7) == DATA[MIB - 3 : MIB + 4]
    wait_until(
        lambda: not admin.block_storage.get_volume(volume.id).attachments,
        "the volume is detached",
    )
    store.delete(found)
    wait_until(lambda: not images.image_volumes(admin, image.id), "its volume is gone")
    with pytest.raises(exceptions.NotFound):
        store.get(found)


@pytest.mark.parametrize("url", URLS)
def test_a_file_of_upstream_that_was_cut_is_not_served_short(
    lab: Any, admin: Any, user: User, url: str
) -> None:
    image = user.image()
    assert user.put(image, DATA, "peer").status_code == 204
    volume = images.image_volume(admin, image.id)
    os.truncate(images.backing_file(lab, volume), len(DATA) - 1)
    store, found = here(lab, url.format(volume.id))
    with pytest.raises(exceptions.BackendException, match="was cut"):
        read(store, found)


@pytest.mark.parametrize("url", URLS)
def test_a_deletion_takes_no_image_volume_of_another_project(
    lab: Any, admin: Any, user: User, other: User, url: str
) -> None:
    """Glance does not name the image whose location it deletes."""
    theirs = other.uploaded(Sized(MIB), store="peer")
    volume = images.image_volume(admin, theirs.id)
    store, found = here(lab, url.format(volume.id))
    with pytest.raises(exceptions.Forbidden, match="not an image-volume"):
        store.delete(found, context=direct.context("alice"))
    assert other.download(theirs.id).content == pattern.at(0, MIB)


def test_a_deletion_takes_no_volume_that_is_not_an_images(
    lab: Any, user: User, admin: Any
) -> None:
    """Upstream's store deletes whatever volume a location names."""
    storage = direct.owner("fv1").block_storage
    plain = storage.create_volume(name="plain", size=1, volume_type="ontap-fv1")
    storage.wait_for_status(plain, "available")
    try:
        store, found = here(lab, f"cinder://{plain.id}")
        with pytest.raises(exceptions.Forbidden, match="not an image-volume"):
            store.delete(found)
        assert storage.get_volume(plain.id).status == "available"
    finally:
        storage.delete_volume(plain.id)


@pytest.fixture(scope="class")
def peer_replaced(lab: Any) -> Iterator[Any]:
    """Glance with a store ``peer`` of our type; yields how to make it so.

    Images must be there before: only upstream's store writes upstream's images.
    """
    enabled = stores.option("DEFAULT", "enabled_backends")
    ours = {
        f"ontap_{name}": stores.option("peer", f"cinder_{name}")
        for name in (
            "volume_type",
            "store_auth_address",
            "store_user_name",
            "store_password",
            "store_project_name",
            "os_region_name",
        )
    }
    more = ("mount_point_base", "rootwrap_config")
    ours |= {f"ontap_{name}": stores.option("fv1", f"ontap_{name}") for name in more}
    changes = {
        "DEFAULT": {"enabled_backends": enabled.replace("peer:cinder", "peer:ontap")},
        "peer": ours,
    }
    yield lambda: direct.glance_options(lab, changes)


@pytest.mark.exclusive
class TestPeerReplaced:
    """``enabled_backends`` has ``peer:ontap`` in the place of ``peer:cinder``."""

    def test_images_of_upstream_stay_good_under_the_same_id(
        self, lab: Any, admin: Any, user: User, peer_replaced: Any
    ) -> None:
        small = user.image()
        assert user.put(small, DATA, "peer").status_code == 204
        large = user.uploaded(Sized(GIB + MIB + 5), store="peer")
        kept = user.uploaded(Sized(MIB), store="peer")
        with peer_replaced():
            assert user.stores(small.id) == ["peer"]
            assert user.download(small.id).content == DATA
            part = user.download(small.id, Range=f"bytes={MIB - 3}-{MIB + 3}")
            assert part.content == DATA[MIB - 3 : MIB + 4]
            got = hashlib.sha512()
            for piece in user.download(large.id).iter_content(MIB):
                got.update(piece)
            assert got.hexdigest() == large.hash_value
            new = user.uploaded(Sized(MIB), store="peer")
            made = images.image_volume(admin, new.id)
            assert made.metadata["ontap_store"] == "peer"
            for image in (small, large, new):
                user.cloud.image.delete_image(image.id, ignore_missing=False)
                wait_until(
                    lambda image=image: not images.image_volumes(admin, image.id),
                    "its volume is gone",
                )
            assert user.download(kept.id).content == pattern.at(0, MIB)
            wait_until(
                lambda: images.image_volume(admin, kept.id).status == "available",
                "the download has let go of the image-volume",
            )
            self.adopt(lab, kept.id)
            assert user.stores(kept.id) == ["peer"]
            sealed = images.image_volume(admin, kept.id)
            assert sealed.metadata["ontap_store"] == "peer"
            assert images.backing_file(lab, sealed).stat().st_size == GIB
            assert user.download(kept.id).content == pattern.at(0, MIB)
            wait_until(
                lambda: images.image_volume(admin, kept.id).status == "available",
                "the download has let go of the image-volume",
            )
        # And back again.
        assert user.download(kept.id).content == pattern.at(0, MIB)

    @staticmethod
    def adopt(lab: Any, image_id: str) -> None:
        """Store ``fv1`` has the same volume type: the operator chooses."""
        words = ("--os-cloud", "admin", "adopt", "--image", image_id, "-f", "json")
        ended = Operator(lab).run(*words)
        assert ended.returncode == 1, ended.stderr
        (row,) = json.loads(ended.stdout)
        assert row["Reason"] == "it could be in any of fv1, peer: choose with --store"
        ended = Operator(lab).run(*words, "--store", "peer", "--apply")
        assert ended.returncode == 0, ended.stderr + ended.stdout
        (row,) = json.loads(ended.stdout)
        assert (row["Way"], row["From"], row["To"]) == ("in place", "peer", "peer")
