# SPDX-License-Identifier: Apache-2.0
"""The URL of an image-volume.

The store writes ``cinder://<store id>/<volume id>``, the form that Cinder clones
from. It also reads ``cinder://<volume id>`` (upstream's single store), and both
forms with scheme ``ontap``.

An image of zero bytes has no volume: its URL is ``cinder://<store id>/empty``. That is
no UUID, so Cinder finds no volume to clone, and no user can create a volume that the
URL would name.
"""

import contextlib
import dataclasses
import uuid

import glance_store.location

from glance_ontap_store import errors

SCHEMES = ("cinder", "ontap")
# In the place of a volume's id: an image of zero bytes, which is stored nowhere.
EMPTY = "empty"


@dataclasses.dataclass(frozen=True)
class Location:
    """The volume and the store that a URL names; *store_id* is None without one.

    *volume_id* is `EMPTY` for an image of zero bytes.
    """

    volume_id: str
    store_id: str | None = None

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """Return the location that *uri* names.

        :raises errors.BadLocation: *uri* has another form
        """
        scheme, _separator, rest = uri.partition("://")
        # A query, or a path with more than one segment, has no meaning here.
        if scheme.lower() not in SCHEMES or "?" in rest or "#" in rest:
            raise errors.BadLocation(
                f"{uri!r} is not a location of this store: expected"
                " cinder://<store id>/<volume id>."
            )
        head, slash, tail = rest.partition("/")
        if not slash:
            return cls(_volume_id_or_empty(head))
        return cls(_volume_id_or_empty(tail), head or None)

    def __str__(self) -> str:
        if self.store_id:
            return f"cinder://{self.store_id}/{self.volume_id}"
        return f"cinder://{self.volume_id}"


class StoreLocation(glance_store.location.StoreLocation):
    """A location's URL, which glance_store parses before it calls the store."""

    scheme = "cinder"
    location: Location

    def process_specs(self) -> None:
        """Take the location from ``specs``; glance_store calls this without a URL.

        :raises errors.BadLocation: ``volume_id`` is not a UUID
        """
        self.location = Location(
            parse_volume_id(self.specs["volume_id"]), self.backend_group
        )

    def get_uri(self) -> str:
        """Return the URL."""
        return str(self.location)

    def parse_uri(self, uri: str) -> None:
        """Take the location from *uri*.

        :raises glance_store.exceptions.BadStoreUri: *uri* is not a location of this
            store
        """
        with errors.as_glance_store():
            location = Location.parse(uri)
            if location.store_id not in (None, self.backend_group):
                raise errors.BadLocation(
                    f"{uri!r} names store {location.store_id!r}, but store"
                    f" {self.backend_group!r} was asked for it."
                )
            self.location = Location(location.volume_id, self.backend_group)


def _volume_id_or_empty(text: str) -> str:
    return EMPTY if text == EMPTY else parse_volume_id(text)


def parse_volume_id(text: str) -> str:
    """Return the volume id in *text*, in the form that Cinder uses.

    :raises errors.BadLocation: *text* is not a UUID in its usual form
    """
    with contextlib.suppress(ValueError):
        value = str(uuid.UUID(text))
        if value == text.lower():
            return value
    raise errors.BadLocation(f"{text!r} is not the id of a Cinder volume, a UUID.")
