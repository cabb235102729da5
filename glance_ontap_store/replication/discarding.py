# SPDX-License-Identifier: Apache-2.0
"""Delete a replica that cannot become one, after a last look at it."""

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import looking
from glance_ontap_store.replication.looking import Looker
from glance_ontap_store.replication.parts import StoreParts

LOG = logging.getLogger(__name__)


class Discarder:
    """Deletes replicas of which Glance does not know."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

    def discard(self, parts: StoreParts, volume: Volume, why: str) -> bool:
        """Delete the replica; return False if it is not what *volume* shows any more.

        Another process may have sealed or registered it meanwhile, or Cinder moves it.
        One that is gone counts as deleted.

        :raises errors.StoreError: a service does not tell, or it stays
        """
        image_id = Record.parse(volume.metadata).image_id or ""
        found = {each.id: each for each in self._looker.volumes(image_id, parts)}
        now = found.get(volume.id)
        if now is None or now.is_leaving:
            return True
        if now.is_migrating or _key(now) != _key(volume):
            return False
        if _key(now)[0] is State.SEALED:
            named = looking.volumes_of(self._looker.places(image_id))
            if volume.id in named:
                return False
        LOG.info("Replica %s of image %s is deleted: %s", volume.id, image_id, why)
        cause = errors.Broken(f"The replica stays ({why}).")
        if not parts.volumes.discard(volume.id, cause):
            raise cause
        return True


def _key(volume: Volume) -> tuple[State | None, str | None, str | None]:
    record = Record.parse(volume.metadata)
    return record.state, record.write_id, record.replica_of
