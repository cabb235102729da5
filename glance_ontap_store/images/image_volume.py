# SPDX-License-Identifier: Apache-2.0
"""Decides whether a Cinder volume can be served as an image."""

import dataclasses

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import access
from glance_ontap_store.images.record import FILLING
from glance_ontap_store.images.record import SEALED
from glance_ontap_store.images.record import Record
from glance_ontap_store.units import GIB


@dataclasses.dataclass(frozen=True)
class ImageVolume:
    """A volume that may be served as an image: exactly *size* bytes of it."""

    volume: Volume
    record: Record
    size: int

    @property
    def id(self) -> str:
        return self.volume.id

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote it, so that it is known to be raw."""
        return self.record.state == SEALED


def image_volume(volume: Volume, store_id: str | None) -> ImageVolume:
    """Decide whether *volume* can be served as an image of store *store_id*.

    :raises errors.ImageVolumeGone: it is being deleted
    :raises errors.Refused: it is no image's, or another store's
    :raises errors.Broken: its upload never finished, or Cinder gave it up
    """
    access.check_ours(volume, store_id)
    record = Record.parse(volume.metadata)
    if volume.is_leaving:
        raise errors.ImageVolumeGone(f"Image-volume {volume.id} is being deleted.")
    if record.state == FILLING:
        raise errors.Broken(
            f"Image-volume {volume.id} was never sealed: its upload by host"
            f" {record.writer} did not finish. Delete the image and upload it again."
        )
    if volume.is_broken:
        raise errors.Broken(
            f"Image-volume {volume.id} is in state {volume.status!r} in Cinder:"
            " see the log of cinder-volume."
        )
    if volume.encrypted:
        raise errors.Broken(
            f"Image-volume {volume.id} is encrypted by its volume type"
            f" {volume.volume_type!r}: what it stores is not the image. Use a volume"
            " type without encryption (NetApp Volume Encryption does no harm)."
        )
    limit = volume.size_gib * GIB
    size = limit if record.size is None else record.size
    if size > limit:
        raise errors.Broken(
            f"Image-volume {volume.id} has {limit} bytes, its metadata says {size}."
        )
    return ImageVolume(volume, record, size)


def belongs_to(volume: Volume, store_id: str | None, volume_type: str | None) -> bool:
    """Whether an image-volume is the store's, for a location that names none.

    Its metadata names the store; or Cinder made it itself
    (``image_upload_use_cinder_backend``), which leaves an owner and no size, and
    it has the store's volume type. Whatever upstream's store wrote has a size.
    """
    record = Record.parse(volume.metadata)
    if record.store is not None:
        return record.store == store_id
    is_cinders_own = record.owner is not None and record.size is None
    return (
        is_cinders_own
        and volume_type is not None
        and (volume.volume_type == volume_type)
    )
