# SPDX-License-Identifier: Apache-2.0
"""Judge how Cinder made a volume from an image: by a clone or by a download."""

import dataclasses

from glance_ontap_store.checks import codes
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderConfig


@dataclasses.dataclass(frozen=True)
class Place:
    """The pool of a volume, and the cinder-volume that made it, as `Volume` has them.

    Both are None if the credentials do not show them.
    """

    pool: str | None = None
    host: str | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A volume that Cinder made from a new image, as read on this host.

    *is_same*: the volume begins with the image's bytes. *has_mark*: the volume also
    has the mark that was written to the image-volume behind the image's end. Only a
    copy of the whole file has it, because Glance never sends it.
    """

    store_id: str
    volume_type: str | None
    is_same: bool
    has_mark: bool
    image_at: Place
    volume_at: Place
    is_encrypted: bool


def judge(outcome: Outcome, cinder: Answer[CinderConfig]) -> Finding:
    """Return the finding about the volume: wrong data, cloned, or downloaded."""
    kind = outcome.volume_type or "(Cinder's default)"
    if not outcome.is_same:
        return codes.DEEP_WRONG_DATA(
            outcome.store_id,
            f"The volume of type {kind} that Cinder made from the image does not hold"
            " the image's bytes.",
            "Do not use the store until you know why: see the log of cinder-volume.",
        )
    if outcome.has_mark:
        return codes.DEEP_CLONE(
            outcome.store_id,
            f"Cinder cloned the image-volume to make a volume of type {kind} (pool"
            f" {outcome.volume_at.pool or 'not shown'}): the volume has the mark behind"
            " the image's end, which Glance never sends.",
            "",
        )
    return codes.DEEP_DOWNLOAD(
        outcome.store_id,
        f"Cinder downloaded the image through Glance to make a volume of type {kind}:"
        " the volume lacks the mark behind the image's end.",
        reason(outcome, cinder),
    )


def reason(outcome: Outcome, cinder: Answer[CinderConfig]) -> str:
    """Return the remedy for a raw image that Cinder did not clone."""
    if outcome.is_encrypted:
        return "Use a volume type without encryption: Cinder clones for no other type."
    if not isinstance(cinder, Unknown):
        if "cinder" not in cinder.allowed_direct_url_schemes:
            return "Set allowed_direct_url_schemes = cinder in cinder.conf."
        if cinder.glance_user is None and cinder.service_user is None:
            return "Let Cinder read locations: see Locations in the documentation."
    image, volume = outcome.image_at, outcome.volume_at
    are_shown = image.pool is not None and volume.pool is not None
    if are_shown and image.pool != volume.pool:
        return (
            f"The volume is on {volume.pool}, the image on {image.pool}: import the"
            " image into a store on the volume's FlexVol too (copy-image), or use a"
            " volume type on the image's FlexVol."
        )
    if are_shown and image.host != volume.host:
        return (
            f"{volume.host} made the volume, {image.host} the image-volume: before"
            " 2026.1 each node of a cluster clones only the image-volumes that it made"
            " itself. Upgrade Cinder, or run one node for each back end."
        )
    hint = "" if are_shown else " The pools are not shown to these credentials."
    return (
        "Look for the volume's id in the log of cinder-volume: if ONTAP refused the"
        " clone, the SVM may lack the FlexClone licence, or the node's split load is"
        f" used up. See Troubleshooting in the documentation.{hint}"
    )
