# SPDX-License-Identifier: Apache-2.0
"""The decision whether a volume is served as an image."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import image_volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.units import GIB


def volume(record=None, **changes):
    known = {
        "id": "11111111-1111-4111-8111-111111111111",
        "status": "available",
        "size_gib": 1,
        "metadata": (record or SEALED).to_metadata(),
    }
    return Volume(**{**known, **changes})


SEALED = Record(
    image_id="image", owner="acme", size=100, store="fv1", state=State.SEALED
)
FILLING = Record(
    image_id="image", owner="acme", store="fv1", state=State.FILLING, writer="host-7"
)
READING = Record(image_id="image", store="fv1", state=State.READING, size=100)
REPLICATING = Record(
    image_id="image",
    owner="acme",
    store="fv1",
    size=100,
    state=State.REPLICATING,
    writer="host-7",
    replica_of="22222222-2222-4222-8222-222222222222",
)
CINDERS = Record(owner="acme")


def changed(**metadata):
    """A sealed volume with other metadata; None removes a key."""
    found = {**SEALED.to_metadata(), **metadata}
    return volume(metadata={k: v for k, v in found.items() if v is not None})


@pytest.mark.parametrize(
    ("found", "size", "is_sealed"),
    [
        pytest.param(volume(), 100, True, id="sealed"),
        pytest.param(changed(ontap_format=None), 100, True, id="of an older release"),
        pytest.param(volume(status="in-use"), 100, True, id="being read"),
        pytest.param(volume(status="attaching"), 100, True, id="being attached"),
        pytest.param(volume(CINDERS), GIB, False, id="uploaded by Cinder"),
        pytest.param(volume(CINDERS, size_gib=3), 3 * GIB, False, id="3 GiB"),
        pytest.param(
            volume(Record(image_id="i", owner="o", size=7)), 7, False, id="upstream's"
        ),
        pytest.param(
            volume(Record(image_id="i", size=0, state=State.SEALED)),
            0,
            True,
            id="empty",
        ),
        pytest.param(volume(Record(image_id="i", size=GIB)), GIB, False, id="full"),
    ],
)
def test_a_volume_that_is_served(found, size, is_sealed):
    image = image_volume.image_volume(found, "fv1")
    assert image.size == size
    assert image.is_sealed is is_sealed
    assert image.id == found.id


@pytest.mark.parametrize(
    ("found", "error", "says"),
    [
        pytest.param(
            volume(status="deleting"), errors.ImageVolumeGone, "deleted", id="deleting"
        ),
        pytest.param(volume(FILLING), errors.Broken, "host-7", id="never finished"),
        pytest.param(volume(READING), errors.Broken, "temporary", id="a clone"),
        pytest.param(volume(REPLICATING), errors.Broken, "replicate", id="a replica"),
        pytest.param(changed(ontap_state=None), errors.Broken, "none", id="no state"),
        pytest.param(changed(ontap_state="banana"), errors.Broken, "banana", id="odd"),
        pytest.param(
            changed(ontap_state="copying"), errors.Broken, "release", id="a later one"
        ),
        pytest.param(
            changed(ontap_format="2"), errors.Broken, "format '2'", id="format 2"
        ),
        pytest.param(changed(image_size=None), errors.Broken, "lacks", id="no size"),
        pytest.param(
            changed(image_size="\u0662"), errors.Broken, "not a number", id="Arabic"
        ),
        pytest.param(
            changed(image_size="large"), errors.Broken, "'large'", id="not a number"
        ),
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
            volume(Record()), errors.Refused, "not an image", id="not an image"
        ),
        pytest.param(
            volume(Record(image_id="i", store="fv2", state=State.SEALED)),
            errors.Refused,
            "not an image",
            id="another store's",
        ),
        pytest.param(
            volume(Record(store="fv1", state=State.SEALED)),
            errors.Refused,
            "not an image",
            id="no owner and no image",
        ),
    ],
)
def test_a_volume_that_is_not_served(found, error, says):
    with pytest.raises(error, match=says):
        image_volume.image_volume(found, "fv1")


def test_a_refusal_does_not_tell_what_the_volume_is():
    found = volume(metadata={"purpose": "payroll"}, status="error", volume_type="gold")
    with pytest.raises(errors.Refused) as caught:
        image_volume.image_volume(found, "fv1")
    for secret in ("payroll", "error", "gold"):
        assert secret not in str(caught.value)


def test_a_store_without_an_id_takes_images_without_a_store():
    image = Record(image_id="i", size=1)
    assert image_volume.image_volume(volume(image), None).size == 1
    with pytest.raises(errors.Refused):
        image_volume.image_volume(volume(SEALED), None)
