# SPDX-License-Identifier: Apache-2.0
"""Mends what is safe to mend: the owner in the metadata, and the read-only flag."""

import dataclasses

from glance_ontap_store import errors
from glance_ontap_store.auditing.defect import Code
from glance_ontap_store.auditing.defect import Defect
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.image import Image


def repair(service: VolumeService, defect: Defect, now: Answer[Image | None]) -> Defect:
    """Mend a defect whose code is in `defect.REPAIRABLE`; return it with the result.

    *now* is the image as Glance shows it right now.
    """
    try:
        if isinstance(now, Unknown):
            raise errors.Broken(f"Glance does not show the image: {now.text}")
        if now is None or defect.volume_id is None:
            raise errors.ImageVolumeGone("the image is gone")
        record = Record.parse(service.get(defect.volume_id).metadata)
        if record.image_id not in (None, defect.image_id) or record.state not in (
            State.SEALED,
            None,
        ):
            raise errors.Refused("the volume is not that image's any more")
        if defect.code is Code.OWNER:
            if now.owner is None:
                raise errors.Refused("the image has no owner")
            service.set_metadata(defect.volume_id, {"image_owner": now.owner})
        else:
            service.set_readonly(defect.volume_id)
    except errors.StoreError as error:
        text = f"failed: {errors.describe(error)}"
        return dataclasses.replace(defect, result=text, is_failure=True)
    return dataclasses.replace(defect, result="repaired")
