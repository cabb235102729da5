# SPDX-License-Identifier: Apache-2.0
"""The locations of an image that Cinder learns, by its release and configuration."""

import dataclasses
import enum

from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.obstacle import Obstacle
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderConfig
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import volumes_in
from glance_ontap_store.survey.placement_facts import CloudFacts
from glance_ontap_store.survey.placement_facts import ImageFacts

# Cinder asks Glance's location API from here on (cinder/image/glance.py).
ASKS_FOR_LOCATIONS = 27
RELEASE = verdict.not_known("Cinder's release (--cinder-release)")
CINDER_CONF = verdict.not_known("cinder.conf")
_LOCATIONS = verdict.not_known("the image's locations")


class Sight(enum.Enum):
    """The part of an image's locations that Cinder learns."""

    ALL = enum.auto()
    # Only ``direct_url``.
    ONE = enum.auto()
    NONE = enum.auto()
    # Its question fails, and the volume with it.
    FAILS = enum.auto()


@dataclasses.dataclass(frozen=True)
class Seen:
    """What Cinder learns of an image's locations, and the doubts about that.

    *why* and *remedy* are for `Sight.NONE` and `Sight.FAILS`.
    """

    sight: Sight
    why: str = ""
    remedy: str = ""
    doubts: tuple[str, ...] = ()


def seen(cloud: CloudFacts, image: Image) -> Seen:
    """Return what Cinder learns of the locations of *image*."""
    if cloud.release is None:
        older, newer = _older(cloud.glance), _newer(cloud, image)
        if older.sight is newer.sight:
            return newer
        doubts = verdict.distinct([RELEASE, *newer.doubts])
        return dataclasses.replace(newer, doubts=doubts)
    if cloud.release < ASKS_FOR_LOCATIONS:
        return _older(cloud.glance)
    return _newer(cloud, image)


def _older(glance: GlanceConfig) -> Seen:
    """Return what Cinder learns by showing the image, with its user's token."""
    if glance.show_multiple_locations:
        return Seen(Sight.ALL)
    if glance.show_image_direct_url:
        return Seen(Sight.ONE)
    return Seen(
        Sight.NONE,
        "Cinder before 2025.2 reads where an image is from its direct_url, which this"
        f" Glance hides ({', '.join(glance.files)}).",
        "Set show_image_direct_url = true on a glance-api that only services can"
        " reach, and point glance_api_servers of cinder.conf to it; name its file with"
        " --config-file. Or upgrade Cinder to 2025.2 or later.",
    )


def _newer(cloud: CloudFacts, image: Image) -> Seen:
    """Return what Cinder learns by the location API, or else by showing the image."""
    if isinstance(cloud.cinder, Unknown):
        return Seen(Sight.ALL, doubts=(CINDER_CONF,))
    login = cloud.cinder.glance_user or cloud.cinder.service_user
    if isinstance(login, Unknown):
        group = "glance" if cloud.cinder.glance_user else "service_user"
        return Seen(
            Sight.FAILS,
            f"The user of [{group}] in cinder.conf cannot log in ({login.text}):"
            " Cinder cannot read any image.",
            f"Correct the credentials in [{group}] and restart cinder-volume.",
        )
    found = _asked_as(cloud, cloud.cinder, login, image)
    return found or _when_refused(cloud.glance)


def _asked_as(
    cloud: CloudFacts, config: CinderConfig, login: Login | None, image: Image
) -> Seen | None:
    """Return the answer of the location API; None if it refuses Cinder."""
    if config.glance_user is not None and login is not None:
        if not login.roles & {"admin", "service"}:
            return None
        is_shown = image.visibility in ("public", "community")
        if "admin" in login.roles or is_shown or image.owner == login.project_id:
            return Seen(Sight.ALL)
        return Seen(
            Sight.FAILS,
            "The user of [glance] in cinder.conf lacks role admin: Glance hides this"
            " image from it, and the volume fails.",
            "Give it the role admin, or remove the credentials from [glance]: see"
            " Locations in the documentation.",
        )
    policy = cloud.glance.location_policy
    if isinstance(policy, Unknown):
        unknown = verdict.not_known("Glance's policy fetch_image_location")
        return Seen(Sight.ALL, doubts=(unknown,))
    is_vouched = login is not None and "service" in login.roles
    accepted = policy.users or (policy.vouched and is_vouched)
    return Seen(Sight.ALL) if accepted else None


def _when_refused(glance: GlanceConfig) -> Seen:
    # Cinder looks for direct_url first: without it, it ignores ``locations``.
    if glance.show_image_direct_url:
        return Seen(Sight.ALL if glance.show_multiple_locations else Sight.ONE)
    return Seen(
        Sight.NONE,
        "Glance does not show Cinder where the image is.",
        "Let Cinder read locations: its user of [service_user] needs the role service,"
        " and Glance's policy fetch_image_location must accept it. See Locations in"
        " the documentation, and glance-ontap check --cinder-conf FILE.",
    )


def obstacles(found: Seen) -> list[Obstacle]:
    """Return the obstacle that Cinder does not learn the locations, if it is one."""
    stands = found.sight is Sight.NONE
    if not stands and not found.doubts:
        return []
    return [
        Obstacle(
            Code.HIDDEN,
            None if found.doubts else True,
            found.why or "Glance may hide from Cinder where the image is.",
            found.remedy,
            doubt=doubt,
            is_assumed=stands,
        )
        for doubt in found.doubts or ("",)
    ]


def ids(facts: ImageFacts, found: Seen) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the ids of the volumes in the locations that Cinder learns, and doubts.

    Cinder takes the last part of each ``cinder://`` URL if it is a UUID.
    """
    if found.sight is Sight.ONE and facts.image.direct_url is not None:
        return volumes_in([facts.image.direct_url]), ()
    if isinstance(facts.locations, Unknown):
        # The gathering found volumes of the image by other means.
        return frozenset(facts.volumes), (_LOCATIONS,)
    known = volumes_in(each.url for each in facts.locations)
    if found.sight is not Sight.ONE or len(facts.locations) < 2:
        return known, ()
    return known, (verdict.unless("direct_url names another of its locations"),)
