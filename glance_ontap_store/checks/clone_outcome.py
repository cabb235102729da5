# SPDX-License-Identifier: Apache-2.0
"""Which way a volume came from an image, and why. Decides; asks nobody."""

import dataclasses

from glance_ontap_store.checks import finding
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderConfig


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A volume that Cinder made of a new image, looked at on this host.

    *is_same*: the volume begins with the image's bytes. *has_mark*: what was
    written to the image-volume behind the image's end is in the volume too. Only
    a copy of the whole file brings it along: Glance never sends it. Pools are
    None where the credentials do not show them.
    """

    store_id: str
    volume_type: str | None
    is_same: bool
    has_mark: bool
    image_pool: str | None
    volume_pool: str | None
    is_encrypted: bool


def judge(outcome: Outcome, cinder: Answer[CinderConfig]) -> Finding:
    """What became of the image."""
    kind = outcome.volume_type or "(Cinder's default)"
    if not outcome.is_same:
        return finding.error(
            "deep-wrong-data",
            outcome.store_id,
            f"The volume of type {kind} that Cinder made from the image does not hold"
            " the image's bytes.",
            "Do not use the store before you know why: see the log of cinder-volume.",
        )
    if outcome.has_mark:
        return Finding(
            Severity.INFO,
            "deep-clone",
            outcome.store_id,
            f"Cinder cloned the image-volume for a volume of type {kind} (pool"
            f" {outcome.volume_pool or 'not shown'}): the volume has what the"
            " image-volume holds behind the image's end, which Glance never sends.",
            "",
        )
    return finding.warning(
        "deep-download",
        outcome.store_id,
        f"Cinder downloaded the image through Glance for a volume of type {kind}: what"
        " the image-volume holds behind the image's end is not in the volume.",
        reason(outcome, cinder),
    )


def reason(outcome: Outcome, cinder: Answer[CinderConfig]) -> str:
    """Why there was no clone, of an image that is raw and bare, and what to do."""
    if outcome.is_encrypted:
        return "The volume's type encrypts: Cinder clones for no such type."
    if not isinstance(cinder, Unknown):
        if "cinder" not in cinder.allowed_direct_url_schemes:
            return "Set allowed_direct_url_schemes = cinder in cinder.conf."
        if cinder.glance_user is None:
            return "Give Cinder a user with the roles service and admin in [glance]."
    pools = {outcome.image_pool, outcome.volume_pool}
    if None not in pools and len(pools) == 2:
        return (
            f"The volume is on {outcome.volume_pool}, the image on"
            f" {outcome.image_pool}: import the image into a store of that FlexVol"
            " too (copy-image), or use a type of the image's FlexVol."
        )
    where = (
        "" if None not in pools else " The pools are not shown to these credentials."
    )
    return (
        "Look for the volume's id in the log of cinder-volume, see Troubleshooting in"
        f" the documentation.{where}"
    )
