# SPDX-License-Identifier: Apache-2.0
"""Glance with its images in memory, as `glance.client.Glance` asks it."""

from collections.abc import Callable
import dataclasses
from typing import Any

from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown


class FakeGlance:
    """Images and their locations.

    *enabled* are the ids of the enabled stores. *owner_of* names the store that says
    that a volume is its own, as Glance asks the stores for a location whose store is
    not enabled. A copy ends when the image was looked at *looks* times; *on_copied* is
    called then, with the ids of image and store, and returns the new volume's id.
    *on_removed* is called with the id of a volume whose location is removed, and
    returns whether the store deletes it. A change for which *instead* has an answer
    gets that one; the flag beside it tells whether the change is made all the same.
    """

    def __init__(self, *images: Image, enabled: tuple[str, ...] = ()) -> None:
        self.shown = {image.id: image for image in images}
        self.locations: dict[str, list[Place]] = {}
        self.enabled = set(enabled)
        self.owner_of: Callable[[str], str | None] = lambda volume_id: None
        self.looks = 3
        self.on_copied: Callable[[str, str], str | None] = lambda image_id, store: None
        self.on_removed: Callable[[str], bool] = lambda volume_id: True
        self.instead: dict[str, list[tuple[Unknown, bool]]] = {}
        self.added: list[str] = []
        self.failing: set[str] = set()
        self.removed: list[tuple[str, str]] = []
        self.copies: list[str] = []
        # Image -> the answers to come before it is shown again.
        self.silent: dict[str, int] = {}
        self.tells_locations = True
        self._left: dict[str, int] = {}

    def images(self) -> Answer[dict[str, Image]]:
        return dict(self.shown)

    def image(self, image_id: str) -> Answer[Image]:
        if self.silent.get(image_id):
            self.silent[image_id] -= 1
            return Unknown(Reason.UNREACHABLE, "no answer")
        image = self.shown.get(image_id)
        if image is None:
            return Unknown(Reason.MISSING, "HTTP 404")
        self._relocate(image_id)
        if image.is_importing:
            self._go_on(image)
        return self.shown[image_id]

    def _relocate(self, image_id: str) -> None:
        places = self.locations.get(image_id, [])
        for index, place in enumerate(places):
            owner = self.owner_of(place.volume_id or "")
            if place.store not in self.enabled and owner:
                places[index] = Place(f"cinder://{owner}/{place.volume_id}", owner)
                stores = tuple(place.store for place in places if place.store)
                self._change(image_id, stores=stores)

    def _go_on(self, image: Image) -> None:
        self._left[image.id] -= 1
        if self._left[image.id] > 0:
            return
        (store_id,) = image.coming
        if image.id in self.failing:
            self._change(image.id, coming=(), is_importing=False)
            return
        stores = (*image.stores, store_id)
        self._change(image.id, coming=(), is_importing=False, stores=stores)
        if volume_id := self.on_copied(image.id, store_id):
            place = Place(f"cinder://{store_id}/{volume_id}", store_id)
            self.locations.setdefault(image.id, []).append(place)

    def _change(self, image_id: str, **values: Any) -> None:
        self.shown[image_id] = dataclasses.replace(self.shown[image_id], **values)

    def places(self, image_id: str) -> Answer[tuple[Place, ...]]:
        if not self.tells_locations:
            return Unknown(Reason.FORBIDDEN, "HTTP 403")
        if self.silent.get(image_id):
            self.silent[image_id] -= 1
            return Unknown(Reason.UNREACHABLE, "no answer")
        if image_id not in self.shown:
            return Unknown(Reason.MISSING, "HTTP 404")
        return tuple(self.locations.get(image_id, ()))

    def begin_copy(self, image_id: str, store_id: str) -> Answer[None]:
        if self.shown[image_id].is_importing:
            return Unknown(Reason.BROKEN, "HTTP 409")
        self.copies.append(image_id)
        self._left[image_id] = self.looks
        self._change(image_id, coming=(store_id,), is_importing=True)
        return None

    def add_location(self, image_id: str, url: str, store_id: str) -> Answer[None]:
        return self._changed(
            "add_location", lambda: self._add_location(image_id, url, store_id)
        )

    def _add_location(self, image_id: str, url: str, store_id: str) -> Answer[None]:
        image = self.shown.get(image_id)
        if image is None:
            return Unknown(Reason.MISSING, f"No image {image_id} (HTTP 404)")
        if image.status != "active":
            return Unknown(Reason.CONFLICT, f"image status is {image.status} (409)")
        places = self.locations.setdefault(image_id, [])
        if any(place.url == url for place in places):
            return Unknown(Reason.BROKEN, "DuplicateLocation (HTTP 400)")
        self.added.append(url)
        places.append(Place(url, store_id))
        self._change(image_id, stores=(*image.stores, store_id))
        return None

    def remove(self, image_id: str, store_id: str) -> Answer[None]:
        return self._changed("remove", lambda: self._remove(image_id, store_id))

    def _remove(self, image_id: str, store_id: str) -> Answer[None]:
        image = self.shown.get(image_id)
        if image is None or store_id not in image.stores:
            return Unknown(Reason.MISSING, f"Image {image_id} is not there (HTTP 404)")
        if len(image.stores) == 1:
            return Unknown(Reason.FORBIDDEN, "the only store containing it (HTTP 403)")
        places = self.locations.get(image_id, [])
        first = next((each for each in places if each.store == store_id), None)
        if first is not None:
            if not self.on_removed(first.volume_id or ""):
                return Unknown(Reason.CONFLICT, "it is in use (HTTP 409)")
            places.remove(first)
        self.removed.append((image_id, store_id))
        kept = list(image.stores)
        kept.remove(store_id)
        self._change(image_id, stores=tuple(kept))
        return None

    def _changed(self, name: str, change: Callable[[], Answer[None]]) -> Answer[None]:
        if not self.instead.get(name):
            return change()
        answer, is_done = self.instead[name].pop(0)
        if is_done:
            change()
        return answer

    # For tests.

    def delete(self, image_id: str) -> None:
        """Delete the image, and leave its volumes to the test."""
        del self.shown[image_id]
        self.locations.pop(image_id, None)

    def give(self, image_id: str, owner: str) -> None:
        """Give the image to another project."""
        self._change(image_id, owner=owner)

    def set_status(self, image_id: str, status: str) -> None:
        """As an administrator's deactivation."""
        self._change(image_id, status=status)
