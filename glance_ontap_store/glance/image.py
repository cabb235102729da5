# SPDX-License-Identifier: Apache-2.0
"""An image and its locations, as Glance shows them to those who change them."""

import dataclasses

from glance_ontap_store import errors
from glance_ontap_store.location import Location


@dataclasses.dataclass(frozen=True)
class Image:
    """An image as Glance shows it to an administrator. *size* is in bytes.

    *stores* are the ids of the stores that have it, *coming* of those that it is being
    copied to. *is_importing*: a task of Glance is at work on it.
    """

    id: str
    status: str = "active"
    name: str | None = None
    size: int | None = None
    owner: str | None = None
    disk_format: str | None = None
    checksum: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None
    stores: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    is_importing: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """One location of an image; *store* is None if the location names none."""

    url: str
    store: str | None = None

    @property
    def volume_id(self) -> str | None:
        """The image-volume that it names; None if it names none."""
        try:
            return Location.parse(self.url).volume_id
        except errors.BadLocation:
            return None
