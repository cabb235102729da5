# SPDX-License-Identifier: Apache-2.0
"""Decide which images can be taken over, and how. Pure: it sends no requests."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set
import dataclasses
import enum

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.glance.image import Image
from glance_ontap_store.glance.image import Place
from glance_ontap_store.images import access
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.survey import facts
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.units import GIB


@dataclasses.dataclass(frozen=True)
class Target:
    """A store of ours, and the pools that its volume type leads to, by their names."""

    id: str
    pools: Set[str] = frozenset()
    allowed_projects: Set[str] = frozenset()


class Way(enum.Enum):
    """What is to be done for an image."""

    # The image-volume gets the store's metadata, and Glance the store's location.
    IN_PLACE = "in place"
    # The image-volume is the store's already; Glance's location is not.
    LOCATION = "location"
    # Glance copies the image.
    COPY = "copy"
    # The store has a copy; the old one is to be removed.
    REMOVE = "remove old"


@dataclasses.dataclass(frozen=True)
class Step:
    """One image of the plan.

    *source* and *target* are ids of stores; None where that is unknown. *why_not* is
    None if the step can be taken. *is_busy*: nothing but an attachment is in its way,
    which may be a dead process's.
    """

    image_id: str | None
    way: Way
    image: Image | None = None
    volume: Volume | None = None
    source: str | None = None
    target: str | None = None
    why_not: str | None = None
    is_busy: bool = False


def target(
    store_id: str,
    volume_type: str | None,
    allowed_projects: Set[str],
    types: Iterable[VolumeType],
    pools: Iterable[Pool],
) -> Target:
    """Return the store as a target; without a known volume type it has no pools."""
    kind = facts.called(volume_type, types)
    reached: set[str] = set()
    if kind is not None:
        backend = kind.extra_specs.get("volume_backend_name")
        pin = kind.extra_specs.get("pool_name")
        reached = {
            pool.name
            for pool in pools
            if backend in (None, pool.backend_name) and pin in (None, pool.pool_name)
        }
    return Target(store_id, frozenset(reached), frozenset(allowed_projects))


def is_candidate(volume: Volume, image: Image | None, stores: Set[str]) -> bool:
    """Return whether the volume may have to be taken over in place.

    It is an image-volume that upstream's store or Cinder itself made; or one that a
    store among *stores* owns already, while Glance does not show the image there.
    """
    record = Record.parse(volume.metadata)
    if not record.is_by_this_store:
        return record.is_image
    return (
        record.state is State.SEALED
        and record.store in stores
        and image is not None
        and record.store not in image.stores
    )


def in_place(
    volume: Volume,
    image: Image | None,
    places: Answer[Sequence[Place]],
    targets: Sequence[Target],
    seen_by: Set[str],
) -> Step | None:
    """Return the step for a candidate; None if nothing is to be done for it.

    *places* are the image's locations. *seen_by* has the ids of the stores whose users
    Cinder shows the volume to.
    """
    record = Record.parse(volume.metadata)
    step = Step(record.image_id, Way.IN_PLACE, image, volume)
    if record.is_by_this_store:
        return _location(step, record, places)
    if image is None:
        return _refused(step, "Glance has no such image")
    if isinstance(places, Unknown):
        return _refused(step, f"Glance does not tell its locations: {places.text}")
    place = next((place for place in places if place.volume_id == volume.id), None)
    if place is None:
        return _refused(step, "no location of the image names this volume")
    step = dataclasses.replace(step, source=place.store)
    if reason := unfit(volume, record, image):
        return _refused(step, reason)
    fitting = [each for each in targets if volume.pool in each.pools]
    if len(fitting) != 1:
        return _refused(step, _no_target(volume, targets, fitting))
    (found,) = fitting
    step = dataclasses.replace(step, target=found.id)
    if found.id not in seen_by:
        return _refused(
            step,
            f"the user of store {found.id} does not see the volume, which is in project"
            f" {volume.project_id}: give the store that project, or copy the image",
        )
    if reason := _not_accepted(found, image):
        return _refused(step, reason)
    reason = busy(volume)
    return dataclasses.replace(step, why_not=reason, is_busy=reason is not None)


def _location(
    step: Step, record: Record, places: Answer[Sequence[Place]]
) -> Step | None:
    """The step for a volume that is ours, of an image that Glance has elsewhere."""
    step = dataclasses.replace(step, way=Way.LOCATION, target=record.store)
    if isinstance(places, Unknown):
        return _refused(step, f"Glance does not tell its locations: {places.text}")
    volume_id = step.volume.id if step.volume else None
    place = next((place for place in places if place.volume_id == volume_id), None)
    # Without one the volume is being written, or the image is gone: see sweep.
    return dataclasses.replace(step, source=place.store) if place else None


def unfit(volume: Volume, record: Record, image: Image) -> str | None:
    """Return why the volume cannot become the image's in our store, or None."""
    limit = volume.size_gib * GIB
    # Cinder's own images are as long as the volume.
    size = limit if record.size is None else record.size
    if image.status != "active":
        return f"the image is {image.status}"
    if record.bad_size is not None:
        return f"image_size of the volume is {record.bad_size!r}"
    if size != image.size:
        return f"the volume has {size} bytes of it, Glance says {image.size}"
    if size > limit:
        return f"the volume has {limit} bytes, the image {size}"
    if volume.encrypted:
        return "the volume is encrypted"
    if volume.is_broken or volume.is_leaving:
        return f"the volume is {volume.status}"
    return None


def busy(volume: Volume) -> str | None:
    """Return why the volume cannot be attached now, or None."""
    if volume.status == "available":
        return None
    return f"the volume is {volume.status}: run it again when nobody uses it"


def _no_target(
    volume: Volume, targets: Sequence[Target], fitting: Sequence[Target]
) -> str:
    if fitting:
        names = ", ".join(each.id for each in fitting)
        return f"it could be in any of {names}: choose with --store"
    if volume.pool is None:
        return "its pool is unknown: give an administrator's credentials"
    names = ", ".join(each.id for each in targets)
    return f"it is in pool {volume.pool}, to which no volume type of {names} leads"


def _not_accepted(found: Target, image: Image) -> str | None:
    try:
        access.check_accepts(found.allowed_projects, found.id, image.owner)
    except errors.Refused as error:
        return str(error).rstrip(".")
    return None


def _refused(step: Step, reason: str) -> Step:
    return dataclasses.replace(step, why_not=reason)


def copy(
    image: Image,
    kinds: Mapping[str, str],
    kind: str,
    found: Target,
    is_named: bool,
    removes_old: bool,
) -> Step | None:
    """Return the step that brings an image to a store; None if there is none to take.

    *kinds* are the types of Glance's stores by their ids, and *kind* is the type of the
    old one. *is_named*: the operator named the image, so that it need not be raw.
    """
    source = next((each for each in image.stores if kinds.get(each) == kind), None)
    if source is None:
        return None
    is_there = found.id in image.stores
    if is_there and not removes_old:
        return None
    way = Way.REMOVE if is_there else Way.COPY
    step = Step(image.id, way, image, None, source, found.id)
    return step if is_there else _refused_copy(step, image, found, is_named)


def _refused_copy(step: Step, image: Image, found: Target, is_named: bool) -> Step:
    if image.status != "active":
        return _refused(step, f"the image is {image.status}")
    if image.disk_format != "raw" and not is_named:
        return _refused(
            step,
            f"it is {image.disk_format}, and Cinder clones raw images only: convert it,"
            " or name it with --image",
        )
    if image.is_importing and found.id not in image.coming:
        return _refused(step, "Glance is importing it elsewhere: run this again later")
    return dataclasses.replace(step, why_not=_not_accepted(found, image))
