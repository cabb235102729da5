# SPDX-License-Identifier: Apache-2.0
"""A cloud of two FlexVols, as facts for `placement`."""

import dataclasses
from typing import Any

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Pool
from glance_ontap_store.cinder.api import Service
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import LocationPolicy
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import ImageLocation
from glance_ontap_store.survey.placement_facts import CloudFacts
from glance_ontap_store.survey.placement_facts import ImageFacts
from glance_ontap_store.survey.placement_facts import Request

IMAGE_ID = "11111111-7c0b-4d26-8f6f-6d6f6f0b1a22"
OLD = "0a000000-7c0b-4d26-8f6f-6d6f6f0b1a22"
NEW = "0b000000-7c0b-4d26-8f6f-6d6f6f0b1a22"
EXPORT_1, EXPORT_2 = "192.0.2.1:/fv1", "192.0.2.1:/fv2"
POOL_1, POOL_2 = f"h@ontap#{EXPORT_1}", f"h@ontap#{EXPORT_2}"
INTERNAL = "internal-project"

TYPE = VolumeType("type-id", "fast", True, {"volume_backend_name": "ontap"})
IMAGE = Image(
    id=IMAGE_ID,
    owner="acme",
    name="debian",
    size=units.GIB,
    disk_format="raw",
    container_format="bare",
    stores=frozenset({"fv1"}),
    updated_at="2026-01-31T12:00:00Z",
)


def pool(name: str = POOL_1, **changes: Any) -> Pool:
    found = Pool(
        name=name,
        pool_name=name.partition("#")[2],
        backend_name="ontap",
        vendor="NetApp",
        protocol="nfs",
    )
    return dataclasses.replace(found, **changes)


def backend(**changes: Any) -> CinderBackend:
    found = CinderBackend("ontap", "cinder...NetAppDriver", "ontap", "nfs", False)
    return dataclasses.replace(found, **changes)


def cinder(**changes: Any) -> CinderConfig:
    found = CinderConfig(
        allowed_direct_url_schemes=("cinder",),
        backends=(backend(),),
        glance_user=None,
        service_user=Login("cinder", "service", frozenset({"service"})),
    )
    return dataclasses.replace(found, **changes)


def glance(**changes: Any) -> GlanceConfig:
    found = GlanceConfig(
        files=("/etc/glance/glance-api.conf",),
        directories=(),
        stores=(),
        location_policy=LocationPolicy(vouched=True),
    )
    return dataclasses.replace(found, **changes)


def cloud(**changes: Any) -> CloudFacts:
    """A cloud of which everything is known; image-volumes have files anywhere."""
    files = {f"volume-{volume_id}": 1 for volume_id in (OLD, NEW)}
    found = CloudFacts(
        pools=(pool(), pool(POOL_2)),
        services=(Service("h@ontap", "nova"),),
        glance=glance(),
        cinder=cinder(),
        release=29,
        files={EXPORT_1: files, EXPORT_2: files},
        stores={POOL_1: "fv1", POOL_2: "fv2"},
    )
    return dataclasses.replace(found, **changes)


def volume(volume_id: str = OLD, **changes: Any) -> Volume:
    """An image-volume on the first FlexVol, made by a store; the second is newer."""
    found = Volume(
        id=volume_id,
        status="available",
        size_gib=1,
        metadata={"image_owner": "acme", "ontap_store": "fv1"},
        pool=POOL_1,
        created_at="2026-01-02T00:00:00.000000"
        if volume_id == NEW
        else "2026-01-01T00:00:00.000000",
    )
    return dataclasses.replace(found, **changes)


def facts(*volumes: Volume, image: Image = IMAGE, **changes: Any) -> ImageFacts:
    """The image at these volumes."""
    found = ImageFacts(
        image=image,
        locations=tuple(ImageLocation(f"cinder://fv1/{each.id}") for each in volumes),
        volumes={each.id: each for each in volumes},
    )
    return dataclasses.replace(found, **changes)


def request(**changes: Any) -> Request:
    return dataclasses.replace(Request("acme", TYPE), **changes)
