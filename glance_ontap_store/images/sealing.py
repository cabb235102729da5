# SPDX-License-Identifier: Apache-2.0
"""Seals a volume that holds a whole image: from then on it is served as one."""

from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.images.record import Record


def seal(service: VolumeService, volume_id: str, sealed: Record) -> None:
    """Seal the detached volume; *sealed* is its record from then on. Safe to repeat.

    It becomes read-only first, so that nothing can write to a volume that says sealed.
    """
    service.set_readonly(volume_id)
    service.set_metadata(volume_id, sealed.to_metadata())
