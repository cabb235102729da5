# SPDX-License-Identifier: Apache-2.0
"""Ask Glance and Cinder for a replica as it is now."""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.copying import known
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.replication import deciding
from glance_ontap_store.replication import rights
from glance_ontap_store.replication.parts import StoreParts
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown

# Seconds between two looks at something that a service is at work on. NetApp's driver
# looks at the array's copy every 10 s.
POLL_S = 5.0
# Questions to Glance in a row without an answer before a step fails.
_UNANSWERED = 12
# Failures that may pass.
_PASSING = (Reason.UNREACHABLE, Reason.BROKEN)


class Looker:
    """Looks at images and their replicas, as the operator."""

    def __init__(
        self, glance: Glance, operator: Operator, clock: Clock, stop: Stop
    ) -> None:
        self._glance = glance
        self._operator = operator
        self._clock = clock
        self._stop = stop

    def pause(self) -> None:
        """Wait until it is worth looking again.

        :raises interruption.Interrupted: the operator ended the command
        """
        self._stop.check()
        self._clock.sleep(POLL_S)

    def image(self, image_id: str) -> Image | None:
        """Return the image as it is now; None if Glance says that there is none.

        :raises errors.Broken: Glance does not tell
        """
        found = self._answered(lambda: self._glance.image(image_id))
        if isinstance(found, Unknown) and found.reason is Reason.MISSING:
            return None
        return known(found)

    def places(self, image_id: str) -> tuple[Place, ...]:
        """Return the image's locations; none if Glance says that there is no image.

        :raises errors.Broken: Glance does not tell
        """
        found = self._answered(lambda: self._glance.places(image_id))
        if isinstance(found, Unknown) and found.reason is Reason.MISSING:
            return ()
        return known(found)

    def _answered(self, ask: Callable[[], Answer[T]]) -> Answer[T]:
        """Ask again while there is no answer: a copy may have taken an hour."""
        for _time in range(_UNANSWERED):
            found = ask()
            if not isinstance(found, Unknown) or found.reason not in _PASSING:
                break
            self.pause()
        return found

    def volumes(self, image_id: str, parts: StoreParts) -> list[Volume]:
        """Return the store's volumes that are named for the image.

        Users may name and describe a volume as they like: only those count that are in
        the project of the store's own user.

        :raises errors.StoreError: Cinder does not tell
        """
        name = f"image-{image_id}"
        own = {volume.id for volume in parts.volumes.steadfast.find(name)}
        seen = self._operator.list_volumes({"name": name, "all_tenants": 1})
        found = [volume for volume in seen if volume.id in own]
        rights.check_shown(found)
        return found

    def candidates(
        self, image_id: str, parts: StoreParts
    ) -> tuple[list[Volume], Image | None, frozenset[str]]:
        """Return the image's replicas in a store, the image, and its volumes.

        The last are those that its locations name. The order of the questions matters:
        what is registered meanwhile may be missing in the image, but never be in the
        image and not in its locations.

        :raises errors.StoreError: Cinder or Glance does not tell
        """
        volumes = self.volumes(image_id, parts)
        image = self.image(image_id)
        places = () if image is None else self.places(image_id)
        named = volumes_of(places)
        found = deciding.candidates(volumes, image_id, parts.id, named)
        return found, image, named


def volumes_of(places: Iterable[Place]) -> frozenset[str]:
    """Return the ids of the volumes that locations name."""
    return frozenset(place.volume_id for place in places if place.volume_id)


def located(places: Iterable[Place], parts: StoreParts) -> dict[str, Volume]:
    """Return the volumes that locations name, as the store's own user sees them.

    Those that are gone, or in another project, are missing.

    :raises errors.StoreError: Cinder does not tell
    """
    found = {}
    for volume_id in volumes_of(places):
        with contextlib.suppress(errors.ImageVolumeGone):
            found[volume_id] = parts.volumes.service.get(volume_id)
    return found
