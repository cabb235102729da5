# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of one store together."""

from collections.abc import Callable
import dataclasses

from oslo_log import log as logging

from glance_ontap_store import identity
from glance_ontap_store.attach.attacher import Attacher
from glance_ontap_store.attach.brick import Brick
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.creating import ForRequester
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.images.lifecycle import Lifecycle
from glance_ontap_store.images.owners import Owners
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Backend:
    """What a configured store works with."""

    settings: Settings
    images: Lifecycle
    owners: Owners
    # Who creates the volume of a request's upload.
    creator_for: Callable[[Requester], Creator]


def build(settings: Settings) -> Backend:
    """The store's parts, over the real Cinder and this host.

    Nothing is asked of any service yet: Glance starts without them. Mounts that
    a worker left behind when it died are taken away.
    """
    clock = SystemClock()
    session_ = identity.session_for(settings)
    volumes = CinderClient(settings, session_)
    mounts_ = Mounts(settings.mount_point_base, NfsMounter(settings.mount_point_base))
    host = Brick(settings.rootwrap_config)
    for export in mounts_.unmount_unused():
        LOG.info("%s had been left mounted; it is unmounted now", export)
    images = Lifecycle(
        store_id=settings.store_id,
        volume_type=settings.volume_type,
        volumes=volumes,
        attacher=Attacher(volumes, host, mounts_, clock),
        clock=clock,
        transition_timeout_s=settings.transition_timeout_s,
        attach_wait_s=settings.attach_wait_s,
        delete_wait_s=settings.delete_wait_s,
        thin_upload=settings.thin_upload,
    )

    def creator_for(requester: Requester) -> Creator:
        if not settings.owned_by_project:
            return volumes
        if not requester.token:
            LOG.warning("The request has no token: the store creates its volume")
            return volumes
        return ForRequester(
            CinderClient(settings, session_, requester),
            volumes,
            clock,
            settings.transition_timeout_s,
        )

    return Backend(settings, images, Owners(settings, session_), creator_for)
