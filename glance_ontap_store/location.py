# SPDX-License-Identifier: Apache-2.0
"""The URL of an image-volume.

Written: ``cinder://<store id>/<volume id>``, the form that Cinder can act on.
Read as well: ``cinder://<volume id>`` (upstream's single store) and the same
with scheme ``ontap``.
"""

import contextlib
import dataclasses
import uuid

import glance_store.location

from glance_ontap_store import errors

SCHEMES = ("cinder", "ontap")


@dataclasses.dataclass(frozen=True)
class Location:
    """An image-volume as a URL names it; *store_id* None for any store."""

    volume_id: str
    store_id: str | None = None

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """
        :raises errors.BadLocation: when *uri* has another form
        """
        scheme, _separator, rest = uri.partition("://")
        # A query, or a path with more than one segment, has no meaning here.
        if scheme.lower() not in SCHEMES or "?" in rest or "#" in rest:
            raise errors.BadLocation(
                f"{uri!r} is no location of this store: expected"
                " cinder://<store id>/<volume id>."
            )
        head, slash, tail = rest.partition("/")
        if not slash:
            return cls(parse_volume_id(head))
        return cls(parse_volume_id(tail), head or None)

    def __str__(self) -> str:
        if self.store_id:
            return f"cinder://{self.store_id}/{self.volume_id}"
        return f"cinder://{self.volume_id}"


class StoreLocation(glance_store.location.StoreLocation):
    """What glance_store makes of a location's URL before it asks the store."""

    scheme = "cinder"
    location: Location

    def process_specs(self) -> None:
        self.location = Location(
            parse_volume_id(self.specs["volume_id"]), self.backend_group
        )

    def get_uri(self) -> str:
        return str(self.location)

    def parse_uri(self, uri: str) -> None:
        with errors.as_glance_store():
            location = Location.parse(uri)
            if location.store_id not in (None, self.backend_group):
                raise errors.BadLocation(
                    f"{uri!r} names store {location.store_id!r}, but store"
                    f" {self.backend_group!r} was asked for it."
                )
            self.location = Location(location.volume_id, self.backend_group)


def parse_volume_id(text: str) -> str:
    """The volume id in *text*, in the form that Cinder uses.

    :raises errors.BadLocation: when it is not a UUID in its usual form
    """
    with contextlib.suppress(ValueError):
        value = str(uuid.UUID(text))
        if value == text.lower():
            return value
    raise errors.BadLocation(f"{text!r} is not the id of a Cinder volume.")
