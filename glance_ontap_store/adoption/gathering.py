# SPDX-License-Identifier: Apache-2.0
"""Gather what the plan needs from Glance and Cinder, and make it."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from keystoneauth1.session import Session

from glance_ontap_store import errors
from glance_ontap_store.adoption import plan
from glance_ontap_store.adoption.plan import Step
from glance_ontap_store.adoption.plan import Target
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.glance.client import Glance
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey

# The type, in enabled_backends, of the stores whose images are adopted in place.
CINDER = "cinder"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The images that the operator wants: those named, otherwise all.

    *images* are ids or names. *kind* is the type of the store that they are in.
    """

    kind: str
    images: Collection[str] = ()
    removes_old: bool = False

    def includes(self, image_id: str | None, image: Image | None) -> bool:
        """Return whether the image is wanted."""
        name = image.name if image else None
        return not self.images or image_id in self.images or name in self.images


class Gatherer:
    """Makes plans for *stores*, by the answers of Glance and of Cinder.

    *admin* is an administrator's session; both are asked as that administrator.
    """

    def __init__(
        self, glance: Glance, stores: Sequence[Settings], admin: Session
    ) -> None:
        self._glance = glance
        self._stores = stores
        self._admin = CinderSurvey(stores[0], admin)

    def steps(self, wanted: Wanted, kinds: Mapping[str, str]) -> list[Step]:
        """Return the plan. *kinds* are the types of Glance's stores by their ids.

        :raises errors.Broken: a question was not answered
        :raises errors.Misconfigured: an image can be copied to several stores
        """
        images = _known("list of images", self._glance.images())
        targets = self._targets()
        if wanted.kind == CINDER:
            return list(self._in_place(wanted, images, targets))
        return list(self._copies(wanted, images, targets, kinds))

    def _targets(self) -> list[Target]:
        pools: tuple[Pool, ...] = _known("list of pools", self._admin.pools())
        types: tuple[VolumeType, ...] = _known(
            "list of volume types", self._admin.volume_types()
        )
        return [
            plan.target(
                store.store_id or "",
                store.volume_type,
                store.allowed_projects,
                types,
                pools,
            )
            for store in self._stores
        ]

    def _in_place(
        self, wanted: Wanted, images: Mapping[str, Image], targets: Sequence[Target]
    ) -> Iterator[Step]:
        ids = {target.id for target in targets}
        volumes = _known("list of volumes", self._admin.volumes(all_tenants=1))
        for volume in volumes:
            image_id = Record.parse(volume.metadata).image_id
            image = images.get(image_id or "")
            if not plan.is_candidate(volume, image, ids):
                continue
            if not wanted.includes(image_id, image):
                continue
            places = self._glance.places(image.id) if image else ()
            near = [target for target in targets if volume.pool in target.pools]
            seen_by = {each.id for each in near if self._sees(each.id, volume)}
            step = plan.in_place(volume, image, places, targets, seen_by)
            if step is not None:
                yield step

    def _sees(self, store_id: str, volume: Volume) -> bool:
        """Return whether Cinder shows the volume to the store's own user."""
        settings = next(each for each in self._stores if each.store_id == store_id)
        survey = CinderSurvey(settings, keystone.session_of(settings))
        return not isinstance(survey.volume(volume.id), Unknown)

    @staticmethod
    def _copies(
        wanted: Wanted,
        images: Mapping[str, Image],
        targets: Sequence[Target],
        kinds: Mapping[str, str],
    ) -> Iterator[Step]:
        if len(targets) > 1:
            names = ", ".join(target.id for target in targets)
            raise errors.Misconfigured(
                f"The images could go to each of {names}: choose with --store ID."
            )
        for image in images.values():
            if wanted.includes(image.id, image):
                step = plan.copy(
                    image,
                    kinds,
                    wanted.kind,
                    targets[0],
                    is_named=bool(wanted.images),
                    removes_old=wanted.removes_old,
                )
                if step is not None:
                    yield step


def _known(what: str, answer: Answer[T]) -> T:
    if isinstance(answer, Unknown):
        raise errors.Broken(f"No {what}: {answer.reason.value}: {answer.text}")
    return answer
