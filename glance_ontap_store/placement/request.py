# SPDX-License-Identifier: Apache-2.0
"""The conditions that end a request before Cinder tries any way to make the volume."""

from collections.abc import Iterator

from glance_ontap_store import units
from glance_ontap_store.checks import remedies
from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.locations import Seen
from glance_ontap_store.placement.locations import Sight
from glance_ontap_store.placement.obstacle import Obstacle
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.placement_facts import ImageFacts
from glance_ontap_store.survey.placement_facts import Request


def smallest(image: Image) -> int:
    """Return the smallest size of a volume that Cinder accepts for the image, in GiB.

    For a qcow2 image whose ``virtual_size`` Glance does not know, it may be more.
    """
    length = max(image.size or 0, image.virtual_size or 0)
    return max(1, -(-length // units.GIB), image.min_disk)


def obstacles(facts: ImageFacts, request: Request, seen: Seen) -> Iterator[Obstacle]:
    """Yield what makes the request fail, in the order in which Cinder looks at it."""
    image = facts.image
    yield from _visibility(facts, request)
    if image.status != "active":
        yield _not_active(image)
    least = smallest(image)
    if request.size_gib is not None and request.size_gib < least:
        yield Obstacle(
            Code.SIZE,
            True,
            f"A volume of {request.size_gib} GiB is too small for the image.",
            f"Make a volume of {least} GiB or more.",
        )
    kind = request.volume_type
    if kind is not None and not kind.is_public:
        doubt = verdict.unless(
            f"project {request.project} has no access to volume type {kind.name}"
        )
        yield Obstacle(Code.NO_POOL, None, "", doubt=doubt)
    if seen.sight is Sight.FAILS:
        for doubt in seen.doubts or ("",):
            stands = None if seen.doubts else True
            yield Obstacle(
                *(Code.LOCATIONS_FAIL, stands, seen.why, seen.remedy),
                doubt=doubt,
                is_assumed=True,
            )


def _visibility(facts: ImageFacts, request: Request) -> Iterator[Obstacle]:
    image, project = facts.image, request.project
    if image.visibility in ("public", "community") or image.owner == project:
        return
    stands: bool | None = True
    if image.visibility == "shared":
        members = facts.members
        stands = None if isinstance(members, Unknown) else project not in members
    if stands is False:
        return
    share = remedies.command("image", "add", "project", image.id, str(project))
    if image.visibility != "shared":
        share = f"{remedies.command('image', 'set', '--shared', image.id)} && {share}"
    yield Obstacle(
        Code.INVISIBLE,
        stands,
        f"Project {project} does not see the image: it is {image.visibility}, and"
        f" project {image.owner} owns it.",
        f"Run: {share}",
        doubt=verdict.not_known("the projects that the image is shared with"),
    )


def _not_active(image: Image) -> Obstacle:
    remedy = "Upload or import its data."
    if image.status == "deactivated":
        remedy = remedies.run("image", "set", "--activate", image.id)
    return Obstacle(
        Code.NOT_ACTIVE, True, f"The image is {image.status}, not active.", remedy
    )
