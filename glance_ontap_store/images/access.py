# SPDX-License-Identifier: Apache-2.0
"""Decides about access to image-volumes. Pure: it asks no service."""

from collections.abc import Set
import enum

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.requester import Requester


class Verdict(enum.Enum):
    """The answer to a question whether a requester may do something."""

    YES = enum.auto()
    NO = enum.auto()
    # Only if the image's owner is the requester's project, which Glance knows.
    ASK_GLANCE = enum.auto()


def check_accepts(
    allowed_projects: Set[str], store_id: str | None, owner: str | None
) -> None:
    """Refuse the upload of an image whose owner may not use the store.

    *allowed_projects* are ids, of ``ontap_allowed_projects``; empty: all.

    :raises errors.Refused: *owner* is not among them
    """
    if allowed_projects and owner not in allowed_projects:
        raise errors.Refused(
            f"Store {store_id!r} does not take images of project {owner}. Use another"
            " store, or have its id added to ontap_allowed_projects of this one."
        )


def is_of_store(record: Record, store_id: str | None) -> bool:
    """Return whether a volume is an image-volume that the store may serve or delete.

    A volume that names no store may be upstream's, or Cinder's own.
    """
    return record.is_image and record.store in (None, store_id)


def check_is_of_store(volume_id: str, record: Record, store_id: str | None) -> None:
    """Refuse a volume that is not an image-volume of the store.

    :raises errors.Refused: leave the volume alone
    """
    if not is_of_store(record, store_id):
        raise refusal(volume_id)


def refusal(volume_id: str) -> errors.Refused:
    """The error for every volume that a requester may not use.

    The words are the same whatever the volume is: a user who may add a location
    could otherwise find out about other volumes.
    """
    return errors.Refused(f"{volume_id} is not an image-volume of this store.")


def may_name(record: Record, requester: Requester) -> bool:
    """Return whether the requester may name the volume as its image's data."""
    return requester.is_trusted or record.owner == requester.project_id


def may_delete(record: Record, requester: Requester) -> Verdict:
    """Return whether the requester may delete the image-volume.

    The store is not told which image is being deleted: a location that got into
    another image must not take the volume along. Where the metadata names another
    project, an administrator may have given the image away since then, which only
    Glance knows.
    """
    if requester.is_trusted or record.owner in (None, requester.project_id):
        return Verdict.YES
    return Verdict.NO if record.image_id is None else Verdict.ASK_GLANCE


def claims(
    volume: Volume, record: Record, store_id: str | None, type_name: str | None
) -> bool:
    """Return whether a volume is the store's, for a location that names no store.

    Its metadata names the store, in a state that this release knows; or Cinder made
    it itself (``image_upload_use_cinder_backend``), which leaves an owner and no
    size, and it has the store's volume type, *type_name*. An image-volume of
    upstream's store has a size.
    """
    if record.is_by_this_store:
        return record.store == store_id and record.state in (
            State.FILLING,
            State.SEALED,
        )
    is_cinders_own = (
        record.owner is not None and record.size is None and record.bad_size is None
    )
    return is_cinders_own and type_name is not None and volume.volume_type == type_name
