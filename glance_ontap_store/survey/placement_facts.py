# SPDX-License-Identifier: Apache-2.0
"""The facts that decide how Cinder makes a volume from an image, as values."""

from collections.abc import Mapping
import dataclasses

from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation

_NOT_LOOKED = Unknown(Reason.NOT_GIVEN, "nobody looked at the files")


@dataclasses.dataclass(frozen=True)
class CloudFacts:
    """The facts that are the same for all images.

    *release* is the major version of Cinder's package, None if unknown. *files* are
    the sizes in bytes of the files on each export that somebody looked at, by name.
    *stores* are the ids of the stores whose volume type leads to one pool, by that
    pool's name.
    """

    pools: tuple[Pool, ...]
    services: Answer[tuple[Service, ...]]
    glance: GlanceConfig
    cinder: Answer[CinderConfig]
    release: int | None = None
    files: Mapping[str, Answer[Mapping[str, int]]] = dataclasses.field(
        default_factory=dict
    )
    stores: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def file_size(self, pool: Pool, name: str) -> Answer[int | None]:
        """Return the bytes of a file on the pool's export; None if it is not there."""
        found = self.files.get(pool.pool_name or "", _NOT_LOOKED)
        return found if isinstance(found, Unknown) else found.get(name)


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """The facts about one image.

    *members* are the projects that a shared image is shared with. *volumes* are those
    that its locations name, by id; None for an id that Cinder does not know. *cached*
    are volumes that may be in Cinder's image-volume cache: named like the image's
    entry, and not made by a store.
    """

    image: Image
    locations: Answer[tuple[ImageLocation, ...]]
    volumes: Mapping[str, Answer[Volume | None]] = dataclasses.field(
        default_factory=dict
    )
    members: Answer[frozenset[str]] = frozenset()
    cached: Answer[tuple[Volume, ...]] = ()


@dataclasses.dataclass(frozen=True)
class Request:
    """The volume that somebody asks for.

    *project* is an id. *size_gib* None means the smallest size that Cinder accepts.
    *volume_type* None means any type that does not encrypt. *encrypts* is whether the
    host encrypts volumes of the type.
    """

    project: str | None
    volume_type: VolumeType | None = None
    size_gib: int | None = None
    encrypts: Answer[bool] = False

    def for_project(self, project: str | None) -> "Request":
        """Return the same request in another project."""
        return dataclasses.replace(self, project=project)
