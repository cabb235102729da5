# SPDX-License-Identifier: Apache-2.0
"""Have Glance copy an image to a store, and wait until it has."""

from glance_ontap_store import errors
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.errors import Reason
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown

# Seconds between two looks at an image that is being copied.
POLL_S = 2.0
# Looks in a row without an answer before the wait ends; Glance goes on all the same.
_UNANSWERED = 30


class Copier:
    """Copies images with Glance's import method ``copy-image``."""

    def __init__(self, glance: Glance, clock: Clock, stop: Stop) -> None:
        self._glance = glance
        self._clock = clock
        self._stop = stop

    def copy(self, image_id: str, store_id: str) -> None:
        """Copy the image to the store; go on with a copy that was begun before.

        :raises errors.Broken: Glance refuses, or could not copy it, or gives no answer
        :raises interruption.Interrupted: the operator ended the wait; Glance copies on
        """
        image = known(self._glance.image(image_id))
        if store_id in image.stores:
            return
        if store_id not in image.coming:
            known(self._glance.begin_copy(image_id, store_id))
        unanswered = 0
        while True:
            self._stop.check()
            self._clock.sleep(POLL_S)
            shown = self._glance.image(image_id)
            if isinstance(shown, Unknown):
                unanswered += 1
                if unanswered == _UNANSWERED or shown.reason is Reason.MISSING:
                    raise errors.Broken(f"Glance no longer shows it: {shown.text}")
                continue
            unanswered = 0
            if store_id in shown.stores:
                return
            if not shown.is_importing:
                raise errors.Broken(
                    f"Glance did not copy it to {store_id}: see the log of glance-api"
                )


def known(answer: Answer[T]) -> T:
    """Return the answer.

    :raises errors.Broken: there is none
    """
    if isinstance(answer, Unknown):
        raise errors.Broken(f"{answer.reason.value}: {answer.text}")
    return answer


def unverified(image: Image, record: Record) -> str | None:
    """Return why a record does not prove that a copy is the image; None if it does.

    The multihash in it is that of the bytes that the store wrote.
    """
    if record.state is not State.SEALED or record.image_id != image.id:
        return "the image-volume is not sealed for this image"
    if record.size != image.size:
        return f"the image-volume has {record.size} bytes, Glance says {image.size}"
    if not image.hash_value:
        return "Glance has no multihash of it to compare"
    if (record.hash_algo, record.hash_value) != (image.hash_algo, image.hash_value):
        return "the multihash of the image-volume is not the one that Glance has"
    return None
