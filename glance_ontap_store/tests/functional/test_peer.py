"""What upstream's cinder store does in the same lab: known differences.

Each case that the store gets right has its own test elsewhere. These pin what an
operator who has both kinds of stores will see, and fail when upstream mends it.
"""

from typing import Any

from glance_ontap_store.tests.functional import clouds
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional import test_images
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB


def test_peer_zeroes_an_upload_of_unknown_size(
    lab: Any, admin: Any, user: clouds.User
) -> None:
    data = pattern.Pattern(GIB + 100 * MIB)
    image = user.uploaded(data, store="peer")
    # The checksum is that of the stream: it looks right.
    assert image.hash_value == data.sha512.hexdigest()
    path = test_images.backing_file(lab, test_images.image_volume(admin, image.id))
    assert pattern.first_difference(path, data.size) == 0


def test_peer_leaves_the_file_shorter_than_the_volume(
    lab: Any, admin: Any, user: clouds.User
) -> None:
    image = user.uploaded(pattern.Sized(100 * MIB), store="peer")
    volume = test_images.image_volume(admin, image.id)
    assert test_images.backing_file(lab, volume).stat().st_size < volume.size * GIB


def test_peer_answers_500_to_a_deletion_while_attached(
    lab: Any, admin: Any, user: clouds.User
) -> None:
    image = user.uploaded(pattern.Sized(MIB), store="peer")
    with test_images.reserved(admin, test_images.image_volume(admin, image.id).id):
        refused = user.cloud.image.delete(f"/images/{image.id}")
        assert refused.status_code == 500


def test_peer_beside_ours_keeps_its_own_images(
    lab: Any, admin: Any, user: clouds.User
) -> None:
    """Both stores have scheme ``cinder``; neither takes the other's images."""
    ours = user.uploaded(pattern.Sized(MIB), store="fv1")
    theirs = user.uploaded(pattern.Sized(MIB), store="peer")
    for image, store in ((ours, "fv1"), (theirs, "peer")):
        assert user.stores(image.id) == [store]
        assert user.download(image.id).content == pattern.at(0, MIB)
        user.cloud.image.delete_image(image.id, ignore_missing=False)
        clouds.eventually(
            lambda image=image: not test_images.image_volumes(admin, image.id),
            "its volume is gone",
        )


def test_a_volume_from_the_peers_image_is_a_clone_too(
    lab: Any, admin: Any, user: clouds.User
) -> None:
    image = user.uploaded(pattern.Sized(MIB), store="peer")
    user.volume(size=1, image_id=image.id, volume_type="ontap-fv1")
    assert test_images.data_reads(lab, image.id) == []
