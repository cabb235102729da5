# SPDX-License-Identifier: Apache-2.0
"""Decides who may do what with an image-volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.requester import Requester

if TYPE_CHECKING:
    from glance_ontap_store.images.image_volume import ImageVolume


def check_ours(volume: Volume, store_id: str | None) -> None:
    """Refuse a volume that is no image's, or of another store.

    The message does not tell what the volume is: whoever may add a location
    could learn it.

    :raises errors.Refused: leave the volume alone
    """
    record = Record.parse(volume.metadata)
    if not record.is_image or record.store not in (None, store_id):
        raise refusal(volume.id)


def refusal(volume_id: str) -> errors.Refused:
    """The same words for whatever a volume is."""
    return errors.Refused(f"{volume_id} is not an image-volume of this store.")


def check_owner(image: ImageVolume, requester: Requester) -> None:
    """Refuse an image-volume that another project's image lies in.

    :raises errors.Refused: only its owner, administrators and services may
    """
    if not requester.is_trusted and image.record.owner != requester.project_id:
        raise refusal(image.id)
