# SPDX-License-Identifier: Apache-2.0
"""Upstream's cinder store in the same lab: known differences.

The same cases with our store have tests elsewhere. These show what an operator with
both kinds of stores will see, and fail when upstream fixes it.
"""

from typing import Any

import pytest

from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from lab.polling import wait_until

pytestmark = pytest.mark.shared


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
