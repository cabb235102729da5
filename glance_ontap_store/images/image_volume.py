# SPDX-License-Identifier: Apache-2.0
"""Decides whether a Cinder volume can be served as an image. Pure."""

import dataclasses

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images import access
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.units import GIB


@dataclasses.dataclass(frozen=True)
class ImageVolume:
    """A volume that may be served as an image: exactly *size* bytes of it."""

    volume: Volume
    record: Record
    size: int

    @property
    def id(self) -> str:
        """The volume's id."""
        return self.volume.id

    @property
    def is_sealed(self) -> bool:
        """Return whether a store of ours sealed it: it is raw, and not written to."""
        return self.record.state is State.SEALED


def image_volume(volume: Volume, store_id: str | None) -> ImageVolume:
    """*volume* as an image of store *store_id*.

    :raises errors.ImageVolumeGone: it is being deleted
    :raises errors.Refused: it is not an image's, or another store's
    :raises errors.Broken: its upload never finished, its metadata cannot be understood,
        or Cinder gave it up
    """
    record = Record.parse(volume.metadata)
    access.check_is_of_store(volume.id, record, store_id)
    if volume.is_leaving:
        raise errors.ImageVolumeGone(f"Image-volume {volume.id} is being deleted.")
    _check_state(volume, record)
    if volume.is_broken:
        raise errors.Broken(
            f"Image-volume {volume.id} is in state {volume.status!r} in Cinder:"
            " see the log of cinder-volume. Upload the image again if the volume cannot"
            " be repaired."
        )
    if volume.encrypted:
        raise errors.Broken(
            f"Image-volume {volume.id} is encrypted by its volume type"
            f" {volume.volume_type!r}: its content is not the image. Use a volume"
            " type without encryption (NetApp Volume Encryption does no harm)."
        )
    return ImageVolume(volume, record, _size(volume, record))


def _check_state(volume: Volume, record: Record) -> None:
    """Refuse every state except sealed; volumes of other programs have no state."""
    match record.state:
        case State.SEALED | None:
            return
        case State.FILLING:
            raise errors.Broken(
                f"Image-volume {volume.id} was never sealed: its upload by host"
                f" {record.writer} did not finish. Delete the image and upload it"
                " again."
            )
        case State.REPLICATING:
            raise errors.Broken(
                f"Volume {volume.id} is a replica that host {record.writer} did not"
                " finish. Run: glance-ontap replicate POLICY.yaml --apply"
            )
        case State.READING:
            raise errors.Broken(
                f"Volume {volume.id} is a reader's temporary clone, and not an image."
            )
    raise errors.Broken(
        f"Image-volume {volume.id} is in state {record.state_text}, which this release"
        " of the store does not serve. Upgrade the store on this host, or correct"
        " ontap_state if somebody changed it."
    )


def _size(volume: Volume, record: Record) -> int:
    """The image's size in bytes; Cinder's own images are as long as the volume."""
    if record.bad_size is not None:
        raise errors.Broken(
            f"The metadata of image-volume {volume.id} says image_size ="
            f" {record.bad_size!r}, which is not a number of bytes: somebody changed"
            " it. Set it to the size that Glance shows for the image."
        )
    limit = volume.size_gib * GIB
    if record.size is None:
        if record.is_by_this_store:
            raise errors.Broken(
                f"Image-volume {volume.id} is sealed, but its metadata lacks"
                " image_size: somebody removed it. Set it to the size that Glance"
                " shows for the image."
            )
        return limit
    if record.size > limit:
        raise errors.Broken(
            f"Image-volume {volume.id} has {limit} bytes, its metadata says"
            f" {record.size}. Was image_size changed, or the volume replaced? Set it"
            " to the size that Glance shows for the image."
        )
    return record.size
