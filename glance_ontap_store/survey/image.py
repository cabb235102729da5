# SPDX-License-Identifier: Apache-2.0
"""An image as Glance shows it to an administrator, and the volumes that it uses."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.images.record import Record
from glance_ontap_store.location import EMPTY
from glance_ontap_store.location import Location

# The attributes that every image has (glance/api/v2/images.py). Whatever else Glance
# shows of an image is a property.
_ATTRIBUTES = frozenset(
    {
        *("checksum", "container_format", "created_at", "direct_url", "disk_format"),
        *("file", "id", "locations", "min_disk", "min_ram", "name", "os_hash_algo"),
        *("os_hash_value", "os_hidden", "owner", "protected", "schema", "self"),
        *("size", "status", "stores", "tags", "updated_at", "virtual_size"),
        "visibility",
    }
)


@dataclasses.dataclass(frozen=True)
class ImageLocation:
    """One of the places where an image is. *kind* is ``type`` of its metadata."""

    url: str
    kind: str | None = None

    @classmethod
    def parse(cls, shown: Mapping[str, Any]) -> "ImageLocation":
        """Return the location that is *shown* in an answer.

        :raises LookupError, TypeError, ValueError: it is no location
        """
        url = str(shown["url"])
        kind = dict(shown.get("metadata") or {}).get("type")
        return cls(url, None if kind is None else str(kind))


@dataclasses.dataclass(frozen=True)
class Image:
    """An image of Glance. *size* is in bytes, None before its upload.

    *stores* are the ids of the stores that have its data. *locations* is None if
    Glance does not show them in a list. *virtual_size* is in bytes, *min_disk* in GiB.
    *volume_type* is the type that the image asks for; *created_at* and *updated_at* are
    Glance's text. *properties* are those that users and operators set.
    """

    id: str
    owner: str | None = None
    name: str | None = None
    status: str = "active"
    size: int | None = None
    disk_format: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None
    stores: frozenset[str] = frozenset()
    locations: tuple[ImageLocation, ...] | None = None
    direct_url: str | None = None
    container_format: str | None = None
    visibility: str = "private"
    min_disk: int = 0
    virtual_size: int | None = None
    updated_at: str | None = None
    volume_type: str | None = None
    is_signed: bool = False
    created_at: str | None = None
    tags: frozenset[str] = frozenset()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, shown: Mapping[str, Any]) -> "Image":
        """Return the image that is *shown* in an answer.

        :raises LookupError, TypeError, ValueError: it is no image
        """
        size, virtual = shown.get("size"), shown.get("virtual_size")
        places = shown.get("locations")
        return cls(
            id=str(shown["id"]),
            owner=shown.get("owner"),
            name=shown.get("name"),
            status=str(shown.get("status")),
            size=None if size is None else int(size),
            disk_format=shown.get("disk_format"),
            hash_algo=shown.get("os_hash_algo"),
            hash_value=shown.get("os_hash_value"),
            stores=frozenset(filter(None, str(shown.get("stores") or "").split(","))),
            locations=None
            if places is None
            else tuple(map(ImageLocation.parse, places)),
            direct_url=shown.get("direct_url"),
            container_format=shown.get("container_format"),
            visibility=str(shown.get("visibility") or "private"),
            min_disk=int(shown.get("min_disk") or 0),
            virtual_size=None if virtual is None else int(virtual),
            updated_at=shown.get("updated_at"),
            volume_type=shown.get("cinder_img_volume_type") or None,
            is_signed="img_signature" in shown,
            created_at=shown.get("created_at"),
            tags=frozenset(map(str, shown.get("tags") or ())),
            properties={
                key: str(value)
                for key, value in shown.items()
                if key not in _ATTRIBUTES and value is not None
            },
        )

    @property
    def urls(self) -> tuple[str, ...] | None:
        """The URLs of its locations; None if Glance does not show them in a list."""
        if self.locations is None:
            return None
        return tuple(each.url for each in self.locations)

    def may_be(self, record: Record) -> bool:
        """Return whether the image can be what a sealed volume with *record* holds.

        An image whose location names a volume has the volume's size. A digest that
        differs tells them apart; another algorithm, or no digest, does not.
        """
        if self.size is None or self.size != record.size:
            return False
        known = (self.hash_algo, self.hash_value, record.hash_algo, record.hash_value)
        if None in known or self.hash_algo != record.hash_algo:
            return True
        return self.hash_value == record.hash_value


def volumes_in(urls: Iterable[str]) -> frozenset[str]:
    """Return the ids of the volumes that locations name; other locations have none."""
    found = set()
    for url in urls:
        try:
            volume_id = Location.parse(url).volume_id
        except errors.BadLocation:
            continue
        if volume_id != EMPTY:
            found.add(volume_id)
    return frozenset(found)
