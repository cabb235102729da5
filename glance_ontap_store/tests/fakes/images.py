# SPDX-License-Identifier: Apache-2.0
"""Glance with its images in memory, as `adoption.glance.Glance` asks it."""

from collections.abc import Callable
import dataclasses
from typing import Any

from glance_ontap_store.adoption.plan import Image
from glance_ontap_store.adoption.plan import Place
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown


class FakeGlance:
    """Images and their locations.

    *enabled* are the ids of the enabled stores. *owner_of* names the store that says
    that a volume is its own, as Glance asks the stores for a location whose store is
    not enabled. A copy ends when the image was looked at *looks* times; *on_copied* is
    called then, with the ids of image and store, and returns the new volume's id.
    """

    def __init__(self, *images: Image, enabled: tuple[str, ...] = ()) -> None:
        self.shown = {image.id: image for image in images}
        self.locations: dict[str, list[Place]] = {}
        self.enabled = set(enabled)
        self.owner_of: Callable[[str], str | None] = lambda volume_id: None
        self.looks = 3
        self.on_copied: Callable[[str, str], str | None] = lambda image_id, store: None
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
        return tuple(self.locations.get(image_id, ()))

    def begin_copy(self, image_id: str, store_id: str) -> Answer[None]:
        if self.shown[image_id].is_importing:
            return Unknown(Reason.BROKEN, "HTTP 409")
        self.copies.append(image_id)
        self._left[image_id] = self.looks
        self._change(image_id, coming=(store_id,), is_importing=True)
        return None

    def remove(self, image_id: str, store_id: str) -> Answer[None]:
        self.removed.append((image_id, store_id))
        kept = tuple(s for s in self.shown[image_id].stores if s != store_id)
        self._change(image_id, stores=kept)
        return None
