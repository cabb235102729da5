# SPDX-License-Identifier: Apache-2.0
"""The parts of a store that replication uses."""

import dataclasses

from glance_ontap_store import backend
from glance_ontap_store import identity
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.images.reading import Reading
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.settings import Settings


@dataclasses.dataclass(frozen=True)
class StoreParts:
    """A store, its volumes as its own user, and its reader on this host."""

    settings: Settings
    volumes: Volumes
    reading: Reading

    @property
    def id(self) -> str:
        """The store's id."""
        return self.settings.store_id or ""


def build(settings: Settings) -> StoreParts:
    """The store's parts, over the real Cinder and this host. No service is asked."""
    service = CinderClient(settings, identity.session_for(settings))
    volumes, attacher = backend.parts(settings, service)
    free = StoreRecovery(volumes).free
    reading = Reading(volumes, attacher, free, settings.volume_type)
    return StoreParts(settings, volumes, reading)
