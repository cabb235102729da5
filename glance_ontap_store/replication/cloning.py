# SPDX-License-Identifier: Apache-2.0
"""Make the clone that becomes a replica, and have Cinder move it."""

import dataclasses

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images import writer
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.replication.parts import StoreParts


def clone(parts: StoreParts, source_id: str, image: Image) -> Volume:
    """Make a clone of an image-volume beside it, of the type that may be moved.

    Its metadata says ``replicating`` from the beginning, so that no release serves it.

    :raises errors.ImageVolumeGone: the source is gone
    :raises errors.ImageVolumeInUse: the source's status does not permit it now
    :raises errors.Misconfigured: the store has no such type
    :raises errors.NoSpace: a quota or a FlexVol is full
    """
    kind = parts.settings.replica_volume_type
    if kind is None:
        raise errors.Misconfigured(
            f"Store {parts.id} has no ontap_replica_volume_type: set it to a volume"
            " type with the same volume_backend_name and without pool_name."
        )
    source = parts.volumes.service.get(source_id)
    record = dataclasses.replace(
        writer.new_record(
            State.REPLICATING, parts.settings.store_id, parts.volumes.journal.own()
        ),
        image_id=image.id,
        owner=image.owner,
        content=Record.parse(source.metadata).content,
        replica_of=source.id,
    )
    new = NewVolume(
        name=f"image-{image.id}",
        size_gib=source.size_gib,
        volume_type=kind,
        metadata=record.to_metadata(),
        source_id=source.id,
        # Cinder clones into no other zone.
        availability_zone=source.availability_zone,
    )
    return parts.volumes.create(new)


def claim(parts: StoreParts, volume: Volume) -> None:
    """Take over a half-made replica, whose process is dead or on another host.

    Two hosts may work on one at the same time: every step may be repeated.

    :raises errors.ImageVolumeInUse: another process of this host makes it
    """
    own = parts.volumes.journal.own()
    mark = Mark.parse(volume.metadata.get("ontap_lock"))
    if mark == own:
        return
    if mark and parts.volumes.journal.processes.fate(mark) is Fate.LIVE:
        raise errors.ImageVolumeInUse(
            f"Volume {volume.id}: another process of this host makes the replica."
        )
    fresh = writer.new_record(State.REPLICATING, parts.settings.store_id, own)
    taken = Record(
        writer=fresh.writer,
        process=fresh.process,
        started=fresh.started,
        lock=fresh.lock,
    )
    parts.volumes.steadfast.set_metadata(volume.id, taken.to_metadata())
